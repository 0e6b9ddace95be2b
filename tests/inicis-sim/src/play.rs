//! Invariant: what a test plays here runs the same code as the pages: the same checks, the same [`Choice`], the same
//! events.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::choice::{Choice, Leaving, WindowError};
use crate::control::failed;
use crate::fault::Operation;
use crate::form::{Charset, Fields};
use crate::iniapi::refund::{Order, Part, refund};
use crate::mobile;
use crate::refusal::Refusal;
use crate::sim::{Shared, Sim};
use crate::stdpay::{request, window as pc};

/// What a person would do: the form, the page that shows it, and the choice in the window.
#[derive(Deserialize)]
pub struct Play {
    /// The form as an object or as a list of pairs; requestByJs is added as the script does. A form with a field that
    /// begins with `P_` is one of a phone.
    fields: FormFields,
    /// Address of the page that shows the form; only PC looks at it.
    referer: Option<String>,
    /// Charset in which a form is sent, `UTF-8` or `EUC-KR`: the page's `accept-charset`. Absent it is the one that the
    /// manual wants, EUC-KR on the phone and UTF-8 on PC.
    form_charset: Option<String>,
    /// Entry point of earlier years to which a phone's form is posted, such as `wcard`; absent: `/smart/payment/`.
    entry: Option<String>,
    #[serde(flatten)]
    choice: Choice,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FormFields {
    Pairs(Vec<(String, String)>),
    Object(std::collections::BTreeMap<String, String>),
}

/// `POST /_sim/window`
pub async fn window(State(sim): State<Shared>, Json(play): Json<Play>) -> Response {
    let pairs = match play.fields {
        FormFields::Pairs(pairs) => pairs,
        FormFields::Object(object) => object.into_iter().collect(),
    };
    let decided = if pairs.iter().any(|(name, _)| name.starts_with("P_")) {
        on_phone(&sim, &pairs, play.form_charset.as_deref(), play.entry.as_deref(), play.choice).await
    } else {
        on_pc(&sim, &pairs, play.form_charset.as_deref(), play.referer.as_deref(), play.choice).await
    };
    match decided {
        Ok(Leaving::Post(post)) => Json(json!({
            "return_url": post.url,
            "charset": post.charset.name(),
            "fields": post.fields,
        }))
        .into_response(),
        Ok(Leaving::Close(url)) => Json(json!({ "close_url": url })).into_response(),
        Ok(Leaving::Go(url)) => Json(json!({ "go_url": url })).into_response(),
        Ok(Leaving::Lost) => Json(json!({"lost": true})).into_response(),
        Err(WindowError::Refused(refusal)) => refused(&refusal),
        Err(WindowError::Ledger(error)) => failed(&error),
    }
}

/// A choice or a deposit that is not possible.
pub fn refused(refusal: &Refusal) -> Response {
    let body = json!({"refused": {"code": refusal.code, "message": refusal.message}});
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

async fn on_pc(
    sim: &Sim,
    pairs: &[(String, String)],
    form_charset: Option<&str>,
    referer: Option<&str>,
    choice: Choice,
) -> Result<Leaving, WindowError> {
    let charset = form_charset.and_then(Charset::parse).unwrap_or(request::FORM);
    let body = Fields::new(pairs.to_vec()).to_body(charset);
    let mut fields = match Fields::parse_in(body.as_bytes(), request::FORM) {
        Ok(fields) => fields,
        Err(refusal) => {
            sim.ledger.note(sim.refused("window", "", "", &refusal)).await?;
            return Err(refusal.into());
        }
    };
    if !fields.has("requestByJs") {
        fields.push("requestByJs", "true");
    }
    let page = referer.and_then(|url| Url::parse(url).ok());
    match request::check(sim, &fields, page.as_ref()) {
        Ok(request) => pc::decide(sim, &request, choice).await,
        Err(refusal) => {
            sim.ledger.note(sim.refused("window", fields.get("mid"), fields.get("oid"), &refusal)).await?;
            Err(refusal.into())
        }
    }
}

async fn on_phone(
    sim: &Sim,
    pairs: &[(String, String)],
    form_charset: Option<&str>,
    entry: Option<&str>,
    choice: Choice,
) -> Result<Leaving, WindowError> {
    let charset = form_charset.and_then(Charset::parse).unwrap_or(mobile::request::FORM);
    let body = Fields::new(pairs.to_vec()).to_body(charset);
    let entry = match entry {
        None => None,
        Some(name) => Some(mobile::request::Entry::of(name).ok_or_else(|| {
            WindowError::Refused(Refusal::new("SIM:ENTRY", format!("/smart/{name}: 없는 결제 주소입니다")))
        })?),
    };
    match mobile::request::check(sim, body.as_bytes(), entry) {
        Ok(request) => mobile::window::decide(sim, &request, choice).await,
        Err(refusal) => {
            sim.ledger.note(mobile::pages::refused(sim, body.as_bytes(), &refusal)).await?;
            Err(refusal.into())
        }
    }
}

/// Somebody cancels a sale in the merchant's admin.
#[derive(Deserialize)]
pub struct AdminCancel {
    /// Transaction.
    tid: String,
    /// A part; absent: all of it.
    price: Option<u64>,
}

/// `POST /_sim/cancel`: booked as a refund that the merchant's program asked for would be; the merchant is not told.
pub async fn cancel(State(sim): State<Shared>, Json(wanted): Json<AdminCancel>) -> Response {
    let found = sim.ledger.peek(|book| {
        let sale = book.by_tid(&wanted.tid)?;
        Some((sale.auth.mid.clone(), sale.remaining))
    });
    let Some((mid, remaining)) = found else {
        return refused(&Refusal::new("500623", "해당 거래 없음"));
    };
    let part = wanted.price.map(|price| Part {
        price: price.to_string(),
        confirm_price: remaining.saturating_sub(price).to_string(),
        currency: "WON".to_owned(),
        tax: String::new(),
        taxfree: String::new(),
    });
    let operation = if part.is_some() { Operation::PartialRefund } else { Operation::Refund };
    let msg = "상점관리자 취소".to_owned();
    let order = Order { mid: mid.clone(), tid: wanted.tid, msg, paymethod: None, part, account: None };
    match refund(&sim, operation, &mid, Ok(order), None).await {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => failed(&error),
    }
}
