//! Invariant: a phone's page shows only what was checked; a refused form gets the error page and is recorded. A window
//! stays open while the buyer is in the app.

use askama::Template;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::request::{Entry, MobileRequest, check};
use super::window;
use crate::choice::Choice;
use crate::form::{Fields, is_form, raw_pairs};
use crate::ledger::Event;
use crate::refusal::Refusal;
use crate::sim::{Shared, Sim};
use crate::stdpay::pages::{error_page, html, left, money};
use crate::view::View;

#[derive(Template)]
#[template(path = "mobile.html")]
struct MobilePage<'a> {
    id: &'a str,
    error: &'a str,
    shop: &'a str,
    oid: &'a str,
    goodname: &'a str,
    buyername: &'a str,
    price: String,
    test: bool,
    phone: bool,
    app: bool,
    view: View,
}

#[derive(Template)]
#[template(path = "app.html")]
struct AppPage<'a> {
    goodname: &'a str,
    price: String,
    scheme: &'a str,
    fields: Vec<(String, String)>,
}

/// The line that records a refused form of a phone.
pub fn refused(sim: &Sim, body: &[u8], refusal: &Refusal) -> Event {
    let pairs = raw_pairs(body);
    let text = |wanted: &[u8]| {
        let found = pairs.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    };
    sim.refused("mobile_window", &text(b"P_MID"), &text(b"P_OID"), refusal)
}

/// `POST /smart/payment/`: the merchant's form, posted by the browser itself.
pub async fn pay(State(sim): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    open_window(&sim, &headers, &body, None).await
}

/// `POST /smart/wcard` and its like: entry points of earlier years, whose path names the method (§2.1).
pub async fn older(
    State(sim): State<Shared>,
    Path(entry): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match Entry::of(&entry) {
        Some(entry) => open_window(&sim, &headers, &body, Some(entry)).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn open_window(sim: &Sim, headers: &HeaderMap, body: &Bytes, entry: Option<&Entry>) -> Response {
    let form = if is_form(headers) {
        Ok(())
    } else {
        Err(Refusal::new("SIM:TYPE", "application/x-www-form-urlencoded 만 받습니다"))
    };
    match form.and_then(|()| check(sim, body, entry)) {
        Ok(request) => {
            let id = sim.mobile_windows.open(sim.clock.now_ms(), request.clone());
            show(&id, &request, "")
        }
        Err(refusal) => match sim.ledger.note(refused(sim, body, &refusal)).await {
            Ok(()) => error_page(&refusal),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        },
    }
}

/// `POST /smart/sim/choose`: the person pressed a button in the window or in the app.
pub async fn choose(State(sim): State<Shared>, body: Bytes) -> Response {
    let fields = Fields::parse(&body);
    let id = fields.get("window");
    let Some(request) = sim.mobile_windows.get(id) else {
        return error_page(&Refusal::new("SIM:CLOSED", "이미 닫힌 결제창입니다. 다시 결제해 주세요."));
    };
    let choice = Choice::from_form(&fields);
    if let Err(refusal) = window::check(&request, &choice) {
        return show(id, &request, &refusal.message);
    }
    if fields.get("action") == "app" {
        return app(&request, &fields);
    }
    // Only one of two clicks finds the window open.
    let Some(request) = sim.mobile_windows.close(id) else {
        return error_page(&Refusal::new("SIM:CLOSED", "이미 처리 중인 결제창입니다."));
    };
    left(window::decide(&sim, &request, choice).await)
}

/// The page that stands for the app; it carries what was picked.
fn app(request: &MobileRequest, fields: &Fields) -> Response {
    let picked = fields.sorted().into_iter().filter(|(name, _)| name != "action");
    html(&AppPage {
        goodname: &request.goods,
        price: money(request.amount, "WON"),
        scheme: request.reserved.get("app_scheme"),
        fields: picked.collect(),
    })
}

fn show(id: &str, request: &MobileRequest, error: &str) -> Response {
    let mut view = View::new(&request.offer, "ko");
    view.logo.clone_from(&request.logo);
    view.interest(&request.offer);
    view.note("제공기간", request.period.as_str());
    view.note("부가세", request.tax.map(|tax| money(tax, "WON")).unwrap_or_default());
    view.note("비과세", request.taxfree.map(|free| money(free, "WON")).unwrap_or_default());
    let app = view.has_cards() || view.has("DirectBank");
    let mname = &request.order.mname;
    html(&MobilePage {
        id,
        error,
        shop: if mname.is_empty() { &request.mid } else { mname },
        oid: &request.oid,
        goodname: &request.goods,
        buyername: &request.uname,
        price: money(request.amount, "WON"),
        test: request.offer.test,
        phone: true,
        app,
        view,
    })
}
