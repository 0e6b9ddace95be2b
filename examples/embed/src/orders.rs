//! The application's own routes. Invariant: an order is what payhost says of its payment; nothing of it is remembered here but
//! which payment it is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use payhost::{CancelIn, PaymentId, PaymentIn, Problem, Shop};
use serde::{Deserialize, Serialize};
use url::Url;

/// A cart that somebody wants to pay.
#[derive(Deserialize)]
struct Order {
    number: String,
    what: String,
    won: i64,
}

/// An order as its page would show it.
#[derive(Serialize)]
struct Shown {
    number: String,
    state: String,
    paid: i64,
    given_back: i64,
}

#[derive(Clone)]
struct Orders {
    shop: Shop,
    own_url: Url,
    /// A real application keeps this in its database, beside the order.
    payments: Arc<Mutex<HashMap<String, PaymentId>>>,
}

/// Routes below `/orders`.
pub fn routes(shop: Shop, own_url: Url) -> Router {
    let orders = Orders { shop, own_url, payments: Arc::default() };
    Router::new()
        .route("/", post(place))
        .route("/{number}", get(show))
        .route("/{number}/cancel", post(cancel))
        .with_state(orders)
}

/// A problem of payhost's is answered as payhost would.
struct Failed(Problem);

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

/// Takes an order and sends the buyer to pay.
async fn place(State(orders): State<Orders>, Json(order): Json<Order>) -> Result<Response, Failed> {
    let mut payment = PaymentIn::new(&order.number, order.what, order.won);
    payment.return_url = Some(format!("{}orders/{}", orders.own_url, order.number));
    // The order's number is the key: pressing the button twice is one payment.
    let created = orders.shop.create_payment(payment, Some(&order.number)).await?;
    let id: PaymentId = created.payment.id.parse().map_err(|_| unknown())?;
    orders.payments.lock().unwrap_or_else(PoisonError::into_inner).insert(order.number, id);
    Ok((StatusCode::SEE_OTHER, [("location", created.checkout_url)]).into_response())
}

async fn show(State(orders): State<Orders>, Path(number): Path<String>) -> Result<Json<Shown>, Failed> {
    let payment = orders.shop.payment(orders.payment(&number)?).await?;
    Ok(Json(Shown {
        number,
        state: payment.state,
        paid: payment.amount.paid,
        given_back: payment.amount.cancelled,
    }))
}

async fn cancel(State(orders): State<Orders>, Path(number): Path<String>) -> Result<Json<Shown>, Failed> {
    let id = orders.payment(&number)?;
    let payment = orders.shop.cancel(id, CancelIn::default(), &format!("cancel-{number}")).await?;
    Ok(Json(Shown {
        number,
        state: payment.state,
        paid: payment.amount.paid,
        given_back: payment.amount.cancelled,
    }))
}

impl Orders {
    fn payment(&self, number: &str) -> Result<PaymentId, Failed> {
        let payments = self.payments.lock().unwrap_or_else(PoisonError::into_inner);
        payments.get(number).copied().ok_or_else(unknown)
    }
}

fn unknown() -> Failed {
    Failed(Problem::not_found("order"))
}
