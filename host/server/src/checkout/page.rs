//! The pages that buyers see. Invariant: nothing that a shop or a gateway wrote reaches a page unescaped, every page carries a
//! content security policy with a nonce of its own, none sets a cookie, and none tells its address to the next one: tokens
//! stand in it.

use askama::Template;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use payhost_engine::contract::general_pay::Field;
use serde::Serialize;

use super::source::Source;
use super::words::Words;
use crate::host::{hex, random};
use crate::http::problem::Problem;

/// Style of every page.
pub const CSS: &str = include_str!("../../static/page.css");
/// Script of the window page.
pub const WINDOW_JS: &str = include_str!("../../static/window.js");
/// Script of the result page.
pub const RESULT_JS: &str = include_str!("../../static/result.js");
/// The script that shops load.
pub const PAYHOST_JS: &str = include_str!("../../static/payhost.js");

/// What a page tells of its address to where it leads (`Referrer-Policy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Referrer {
    /// Nothing.
    Nothing,
    /// The host that it is on, and neither path nor query: a page that leads to a gateway, which compares the domain of the page
    /// with that of the return address (`inicis.md §1.2`, V023).
    Origin,
}

impl Referrer {
    fn policy(self) -> &'static str {
        match self {
            Self::Nothing => "no-referrer",
            Self::Origin => "strict-origin",
        }
    }
}

/// What pages of one payment share.
pub struct Head {
    /// Words in the payment's language.
    pub t: &'static Words,
    /// The shop's name.
    pub shop_name: String,
    /// What is sold.
    pub order_name: String,
    /// The total as people write it.
    pub total: String,
    /// Whether no real money moves.
    pub test_mode: bool,
    /// Where "back to the shop" leads.
    pub return_url: Option<String>,
}

/// The page before the window, and every page that only says something.
#[derive(Template)]
#[template(path = "checkout.html")]
pub struct CheckoutPage<'a> {
    /// Of this answer.
    pub nonce: &'a str,
    /// What is to be paid; without a shop there is nothing to list, and the order's name is the heading.
    pub head: &'a Head,
    /// Why it cannot be paid.
    pub message: Option<&'a str>,
    /// Whether the button is shown.
    pub payable: bool,
    /// The request's id, for whoever asks the shop about an error.
    pub request_id: Option<&'a str>,
}

/// A form that the browser posts.
pub struct FormView {
    /// Where to.
    pub action: String,
    /// Charset.
    pub charset: String,
    /// Fields.
    pub fields: Vec<Field>,
}

/// The page that opens the gateway's window.
#[derive(Template)]
#[template(path = "window.html")]
pub struct WindowPage<'a> {
    /// Of this answer.
    pub nonce: &'a str,
    /// What is paid.
    pub head: &'a Head,
    /// Where giving up posts to.
    pub close_action: &'a str,
    /// Where another try posts to.
    pub again_action: &'a str,
    /// The form, when the step has one.
    pub form: Option<FormView>,
    /// What window.js reads.
    pub step_json: &'a str,
}

/// The page inside the gateway's overlay after the buyer closed it.
#[derive(Template)]
#[template(path = "close.html")]
pub struct ClosePage<'a> {
    /// Of this answer.
    pub nonce: &'a str,
    /// Which checkout.
    pub checkout: &'a str,
    /// The gateway's script that removes its overlay.
    pub close_script: Option<&'a str>,
}

/// How it ended.
#[derive(Template)]
#[template(path = "result.html")]
pub struct ResultPage<'a> {
    /// Of this answer.
    pub nonce: &'a str,
    /// What is paid.
    pub head: &'a Head,
    /// `paid`, `failed`, …
    pub result: &'a str,
    /// Class of the mark.
    pub tone: &'a str,
    /// The mark.
    pub mark: &'a str,
    /// Heading.
    pub heading: &'a str,
    /// Label of the amount.
    pub total_label: &'a str,
    /// Sentence.
    pub message: Option<&'a str>,
    /// Approval number and the like.
    pub lines: &'a [(&'a str, String)],
    /// Back, with the result.
    pub return_url: Option<&'a str>,
    /// Another try.
    pub again_url: Option<&'a str>,
    /// What result.js reads.
    pub outcome_json: &'a str,
}

/// A page that only says something: a heading, a sentence, and the request's id where there is one.
pub fn notice(
    status: StatusCode,
    t: &'static Words,
    words: (&str, &str),
    request_id: Option<&str>,
) -> Response {
    let head = Head {
        t,
        shop_name: String::new(),
        order_name: words.0.to_owned(),
        total: String::new(),
        test_mode: false,
        return_url: None,
    };
    let nonce = hex(&random::<16>());
    let page =
        CheckoutPage { nonce: &nonce, head: &head, message: Some(words.1), payable: false, request_id };
    render(status, &page, &nonce)
}

/// JSON that can stand inside a `script` element: no `<`, so that nothing ends the element.
pub fn script_json(value: &impl Serialize) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|_| "{}".to_owned())
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// The content security policy of a page: its nonce and what the plugin was granted. There is no `form-action`: gateways chain
/// redirects over hosts that nobody can list. (Where the page itself sends the buyer is checked before: `step.rs`.)
pub fn policy(nonce: &str, sources: &[Source]) -> String {
    let of = |kind: &str| {
        let listed = sources.iter().filter(|source| source.uses.contains(kind));
        listed.fold(String::new(), |text, source| format!("{text} {}", source.origin.as_str()))
    };
    // A gateway's script that brings its own style also writes style elements, and a nonce would switch those off.
    let style = match of("style") {
        none if none.is_empty() => format!("'nonce-{nonce}'"),
        origins => format!("'unsafe-inline'{origins}"),
    };
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'{}; style-src {style}; img-src 'self' data:{}; \
         frame-src 'self'{}; connect-src 'self'{}; frame-ancestors 'self'{}; base-uri 'none'",
        of("script"),
        of("img"),
        of("frame"),
        of("connect"),
        of("ancestor"),
    )
}

/// Renders a page with its headers. Nobody hears where the buyer came from.
pub fn render(status: StatusCode, page: &impl Template, nonce: &str) -> Response {
    render_as(status, page, nonce, &[], Referrer::Nothing)
}

/// Renders a page of a gateway's window: what the plugin was granted may be loaded, and the gateway hears which host it is.
pub fn render_window(page: &impl Template, nonce: &str, sources: &[Source]) -> Response {
    render_as(StatusCode::OK, page, nonce, sources, Referrer::Origin)
}

fn render_as(
    status: StatusCode,
    page: &impl Template,
    nonce: &str,
    sources: &[Source],
    referrer: Referrer,
) -> Response {
    let body = match page.render() {
        Ok(body) => body,
        Err(error) => return Problem::internal(&error).into_response(),
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static(referrer.policy()));
    if let Ok(value) = HeaderValue::from_str(&policy(nonce, sources)) {
        headers.insert(CONTENT_SECURITY_POLICY, value);
    }
    (status, headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkout::source::WebOrigin;

    #[test]
    fn json_in_a_page_cannot_end_its_script_element() {
        let text = script_json(&serde_json::json!({"name": "</script><script>alert(1)</script>"}));
        assert!(!text.contains('<'));
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back["name"], "</script><script>alert(1)</script>");
    }

    #[test]
    fn the_policy_lists_the_granted_origins_and_no_form_action() {
        let source = Source {
            origin: WebOrigin::parse("https://gw.example").unwrap(),
            uses: ["script".into(), "frame".into(), "form".into()].into(),
        };
        let text = policy("abc", &[source]);
        assert!(text.contains("script-src 'nonce-abc' https://gw.example;"));
        assert!(text.contains("frame-src 'self' https://gw.example;"));
        assert!(text.contains("connect-src 'self';"));
        assert!(!text.contains("form-action"));
    }
}
