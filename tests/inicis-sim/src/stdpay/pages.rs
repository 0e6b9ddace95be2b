//! Invariant: a page shows only what was checked; a refused form gets the error page and is recorded.

use askama::Template;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use url::Url;

use super::request::{FORM, PayRequest, check};
use super::window;
use crate::choice::{Choice, Leaving, ReturnPost, WindowError};
use crate::form::{Fields, is_form};
use crate::refusal::Refusal;
use crate::sim::Shared;
use crate::view::View;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    code: &'a str,
    message: &'a str,
    label: bool,
}

#[derive(Template)]
#[template(path = "lost.html")]
struct LostPage;

#[derive(Template)]
#[template(path = "leave.html")]
struct LeavePage<'a> {
    url: &'a str,
    target: &'a str,
    charset: &'a str,
    fields: &'a [(String, String)],
}

#[derive(Template)]
#[template(path = "window.html")]
struct WindowPage<'a> {
    id: &'a str,
    error: &'a str,
    mid: &'a str,
    oid: &'a str,
    goodname: &'a str,
    buyername: &'a str,
    price: String,
    test: bool,
    phone: bool,
    view: View,
}

/// Renders a page; a template that fails is a bug of the simulator and says so.
pub fn html(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("inicis-sim: {error}")).into_response(),
    }
}

/// The page that shows the merchant's form: Origin, or Referer where the browser hides the origin.
pub fn page_of(headers: &HeaderMap) -> Option<Url> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN).filter(|origin| *origin != "null");
    origin.or_else(|| text(header::REFERER)).and_then(|url| Url::parse(url).ok())
}

/// `POST /payMain/pay`: the merchant's form, posted by INIStdPay.js into the frame.
pub async fn pay(State(sim): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let form = if is_form(&headers) {
        Fields::parse_in(&body, FORM)
    } else {
        Err(Refusal::new("SIM:TYPE", "application/x-www-form-urlencoded 만 받습니다"))
    };
    let fields = form.as_ref().map_or_else(|_| Fields::parse(&body), Clone::clone);
    match form.and_then(|_| check(&sim, &fields, page_of(&headers).as_ref())) {
        Ok(request) => {
            let id = sim.windows.open(sim.clock.now_ms(), request.clone());
            show(&id, &request, "")
        }
        Err(refusal) => {
            let event = sim.refused("window", fields.get("mid"), fields.get("oid"), &refusal);
            match sim.ledger.note(event).await {
                Ok(()) => error_page(&refusal),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
            }
        }
    }
}

/// `POST /payMain/sim/choose`: the person pressed a button.
pub async fn choose(State(sim): State<Shared>, body: Bytes) -> Response {
    let fields = Fields::parse(&body);
    let id = fields.get("window");
    let Some(request) = sim.windows.get(id) else {
        return error_page(&Refusal::new("SIM:CLOSED", "이미 닫힌 결제창입니다. 다시 결제해 주세요."));
    };
    let choice = Choice::from_form(&fields);
    if let Err(refusal) = window::check(&request, &choice) {
        return show(id, &request, &refusal.message);
    }
    // Only one of two clicks finds the window open.
    let Some(request) = sim.windows.close(id) else {
        return error_page(&Refusal::new("SIM:CLOSED", "이미 처리 중인 결제창입니다."));
    };
    left(window::decide(&sim, &request, choice).await)
}

/// The page that takes the browser away from a window that was decided.
pub fn left(decided: Result<Leaving, WindowError>) -> Response {
    match decided {
        Ok(Leaving::Post(post)) => leave(&post),
        Ok(Leaving::Close(url) | Leaving::Go(url)) => Redirect::to(&url).into_response(),
        Ok(Leaving::Lost) => html(&LostPage),
        Err(WindowError::Refused(refusal)) => error_page(&refusal),
        Err(WindowError::Ledger(error)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        }
    }
}

/// The page of a form that was refused.
pub fn error_page(refusal: &Refusal) -> Response {
    html(&ErrorPage { code: &refusal.code, message: &refusal.message, label: refusal.is_label() })
}

fn leave(post: &ReturnPost) -> Response {
    html(&LeavePage {
        url: &post.url,
        target: if post.in_frame { "_self" } else { "_top" },
        charset: post.charset.name(),
        fields: &post.fields,
    })
}

fn show(id: &str, request: &PayRequest, error: &str) -> Response {
    let mut view = View::new(&request.offer, &request.language);
    view.paint(request.accept.get("SKIN").unwrap_or_default());
    view.logo.clone_from(&request.logo);
    view.interest(&request.offer);
    view.note("부분 무이자", request.accept.get("slimquota").unwrap_or_default());
    view.note("제공기간", request.period.as_str());
    view.note("부가세", request.tax.map(|tax| money(tax, &request.currency)).unwrap_or_default());
    view.note("비과세", request.taxfree.map(|free| money(free, &request.currency)).unwrap_or_default());
    html(&WindowPage {
        id,
        error,
        mid: &request.mid,
        oid: &request.oid,
        goodname: &request.goodname,
        buyername: &request.buyername,
        price: money(request.price, &request.currency),
        test: request.offer.test,
        phone: false,
        view,
    })
}

/// An amount for people: `12,000원`, or dollars and cents.
pub fn money(price: u64, currency: &str) -> String {
    let grouped = |n: u64| {
        let digits = n.to_string();
        let mut text = String::new();
        for (at, c) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(c);
        }
        text
    };
    if currency == "USD" {
        format!("USD {}.{:02}", grouped(price / 100), price % 100)
    } else {
        format!("{}원", grouped(price))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_grouped_by_three() {
        assert_eq!(money(1_234_567, "WON"), "1,234,567원");
        assert_eq!(money(100, "WON"), "100원");
        assert_eq!(money(123_405, "USD"), "USD 1,234.05");
    }
}
