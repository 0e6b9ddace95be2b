//! Errors as answers (RFC 9457). Invariant: every error that leaves the host has a stable `code`, a `request_id`, and words
//! that say what to do; nothing internal, and no secret, is in it.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// The answer of a gateway inside a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatewayAnswer {
    /// The gateway's own code; empty when it gave none.
    pub code: String,
    /// The gateway's own words.
    pub message: String,
    /// Our class of it: `declined`, `limit`, `too_late`, …
    pub class: String,
    /// A Korean sentence for whoever asked: what it means, and what can be done.
    #[serde(default)]
    pub explanation: String,
}

/// `application/problem+json`. Programs branch on [`Problem::code`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, thiserror::Error)]
#[error("{detail} ({code})")]
#[non_exhaustive]
pub struct Problem {
    /// `urn:payhost:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short words for the kind of problem.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What is wrong here and what to do, for a developer.
    pub detail: String,
    /// Stable; programs branch on it.
    pub code: &'static str,
    /// The member of the request at fault, as a path (`amount.total`, `events[2]`); `body` is the body as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// All such members, where there may be several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// What the gateway answered, when it was the gateway that refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayAnswer>,
    /// A Korean sentence to show to the buyer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_message: Option<String>,
    /// The request, for support; also in the header `x-request-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// After how many seconds asking again is of use: the header `retry-after`.
    #[serde(skip)]
    pub(crate) retry_after_s: Option<u64>,
}

/// What a 401 asks for (RFC 6750 §3).
const CHALLENGE: &str = "Bearer realm=\"payhost\"";

/// Every code with its status and title. Programs depend on the codes: they are added to, never changed.
const CODES: &[(&str, u16, &str)] = &[
    ("invalid_request", 400, "The request is not valid"),
    ("invalid_json", 400, "The body is not JSON"),
    ("unauthorized", 401, "A valid key is needed"),
    ("forbidden", 403, "This key may not do that"),
    ("not_found", 404, "There is no such thing"),
    ("method_not_allowed", 405, "This address does not take this method"),
    ("conflict", 409, "This conflicts with what is there"),
    ("order_differs", 409, "The order's payment was made with other details"),
    ("already_paid", 409, "This payment holds money"),
    ("account_open", 409, "An account of this payment waits for its deposit"),
    ("payment_in_doubt", 409, "The last attempt of this payment is not known yet"),
    ("not_in_doubt", 409, "Nothing of this payment is in doubt"),
    ("cannot_ask", 409, "The gateway cannot be asked about this payment"),
    ("gateway_differs", 409, "The gateway says something else about this payment"),
    ("gateway_silent", 502, "The gateway did not answer"),
    ("payment_busy", 409, "Another attempt of this payment is running"),
    ("not_cancellable", 409, "This payment cannot be cancelled"),
    ("not_confirmable", 409, "Nothing of this payment waits for a confirmation"),
    ("account_not_opened", 502, "No account was opened"),
    ("cancel_not_made", 502, "The gateway did not make this cancel"),
    ("not_payable", 409, "This payment cannot be paid any more"),
    ("idempotency_running", 409, "The first request with this key is still running"),
    ("idempotency_mismatch", 422, "This key was used with another request"),
    ("idempotency_key_required", 400, "This request needs an Idempotency-Key"),
    ("no_channel", 409, "There is no channel for this payment"),
    ("shop_suspended", 403, "This shop takes no payments now"),
    ("shop_removed", 409, "This shop was removed"),
    ("shop_in_use", 409, "Something of this shop is still open"),
    ("channel_in_use", 409, "Something of this channel is still open"),
    ("plugin_in_use", 409, "Channels use this plugin"),
    ("channel_incomplete", 409, "The channel's settings are not complete"),
    ("gateway_refused", 402, "The gateway refused"),
    ("plugin_refused", 422, "The plugin cannot do this"),
    ("plugin_misconfigured", 409, "The channel is not set up rightly"),
    ("plugin_failed", 502, "The plugin failed; nothing was sent to the gateway"),
    ("gateway_unreachable", 502, "The gateway could not be reached; nothing was sent"),
    ("plugin_differs", 409, "Another component is installed under this id"),
    ("plugin_invalid", 422, "This file is not a plugin that can be installed"),
    ("unsupported_media_type", 415, "The body is of another type than expected"),
    ("payload_too_large", 413, "The request is too large"),
    ("too_many_requests", 429, "There were too many requests"),
    ("timeout", 503, "The request took too long"),
    ("unavailable", 503, "The host cannot take this request now"),
    ("internal", 500, "Something went wrong in the host"),
];

impl Problem {
    /// A problem of a code from the table.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        let (status, title) = CODES
            .iter()
            .find(|(known, ..)| *known == code)
            .map_or((500, "Something went wrong in the host"), |(_, status, title)| (*status, *title));
        Self {
            kind: format!("urn:payhost:problem:{code}"),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            code,
            field: None,
            fields: Vec::new(),
            gateway: None,
            buyer_message: None,
            request_id: None,
            retry_after_s: None,
        }
    }

    /// Too much of something; asking again is of use after a while.
    pub fn too_many(words: impl Into<String>, wait: std::time::Duration) -> Self {
        // Rounded up: who waits so long is served.
        let seconds = wait.as_secs().saturating_add(1);
        Self { retry_after_s: Some(seconds), ..Self::new("too_many_requests", words) }
    }

    /// A problem that was stored as the answer of an idempotency key. Its request id is that of whoever asks now.
    pub fn stored(body: &Value) -> Self {
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        let known = CODES.iter().map(|(code, ..)| *code).find(|code| text("code").as_deref() == Some(*code));
        Self {
            field: text("field"),
            fields: body
                .get("fields")
                .and_then(|list| serde_json::from_value(list.clone()).ok())
                .unwrap_or_default(),
            gateway: body.get("gateway").and_then(|answer| serde_json::from_value(answer.clone()).ok()),
            buyer_message: text("buyer_message"),
            ..Self::new(known.unwrap_or("internal"), text("detail").unwrap_or_default())
        }
    }

    /// A member of the request is wrong.
    pub fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new("invalid_request", detail) }
    }

    /// No such thing, or another shop's.
    pub fn not_found(what: &str) -> Self {
        Self::new("not_found", format!("there is no such {what}"))
    }

    /// Something of ours broke; the cause goes to the log, not to the caller.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(cause = %cause, "internal error");
        Self::new("internal", "the host failed; the request id leads to the log line")
    }

    /// The same with a sentence for the buyer.
    #[must_use]
    pub fn for_buyer(mut self, message: impl Into<String>) -> Self {
        self.buyer_message = Some(message.into());
        self
    }

    /// The same with the gateway's answer.
    #[must_use]
    pub fn from_gateway(mut self, answer: GatewayAnswer) -> Self {
        self.gateway = Some(answer);
        self
    }

    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status_code();
        let mut response = (status, Json(&self)).into_response();
        if let Ok(value) = "application/problem+json".parse() {
            response.headers_mut().insert(CONTENT_TYPE, value);
        }
        let retry = self.retry_after_s.and_then(|seconds| seconds.to_string().parse().ok());
        retry.map(|seconds| response.headers_mut().insert(RETRY_AFTER, seconds));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        }
        // The request-id layer writes the id into the body (`http::request_id`), which only it knows.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<payhost_store::Error> for Problem {
    fn from(error: payhost_store::Error) -> Self {
        use payhost_store::Error;
        if let Error::Busy | Error::Closed | Error::Full | Error::Io(_) | Error::Lost(_) | Error::Unanswered =
            error
        {
            // Not "nothing was changed": a gateway may have answered before its outcome could be stored.
            tracing::error!(%error, "storage is not available");
            return Self::new(
                "unavailable",
                "the host cannot store anything now; send the same request again in a moment, with the same Idempotency-Key",
            );
        }
        if error.is_check(payhost_store::TEXT_WITHOUT_NUL) {
            return Self::new("invalid_request", "no text may hold the character U+0000");
        }
        if matches!(error, Error::Stale { .. }) {
            let words = "this was changed at the same moment; read it again and decide again";
            return Self::new("conflict", words);
        }
        Self::internal(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once_and_has_an_error_status() {
        let mut codes: Vec<_> = CODES.iter().map(|(code, ..)| *code).collect();
        codes.sort_unstable();
        let all = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), all);
        assert!(CODES.iter().all(|(_, status, _)| (400..600).contains(status)));
    }

    #[test]
    fn a_database_that_is_away_is_503_and_never_says_that_nothing_happened() {
        use payhost_store::Error;
        for error in [
            Error::Lost("gone".into()),
            Error::Unanswered,
            Error::Full,
            Error::Io("EIO".into()),
            Error::Busy,
            Error::Closed,
        ] {
            let problem = Problem::from(error);
            assert_eq!((problem.status, problem.code), (503, "unavailable"));
            assert!(!problem.detail.contains("nothing"), "{}", problem.detail);
        }
    }

    #[test]
    fn a_stored_problem_is_the_same_problem() {
        let answer = GatewayAnswer {
            code: "500626".into(),
            message: "no".into(),
            class: "declined".into(),
            explanation: "말".into(),
        };
        let problem = Problem::new("gateway_refused", "words").for_buyer("말").from_gateway(answer);
        assert_eq!(Problem::stored(&serde_json::json!(problem)), problem);
    }

    #[test]
    fn a_nul_that_came_as_far_as_the_store_is_the_callers_fault() {
        let refused = payhost_store::Error::Check { what: payhost_store::TEXT_WITHOUT_NUL.to_owned() };
        assert_eq!(Problem::from(refused).status, 400);
    }

    #[test]
    fn a_401_says_how_to_authenticate_and_a_429_when_to_come_back() {
        let answer = Problem::new("unauthorized", "words").into_response();
        assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"payhost\"");
        let answer = Problem::too_many("words", std::time::Duration::from_millis(1200)).into_response();
        assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "2"));
    }

    #[test]
    fn an_unknown_code_is_an_internal_error() {
        assert_eq!(Problem::new("no_such_code", "").status, 500);
    }
}
