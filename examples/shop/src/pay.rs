//! The pay button. Invariant: the amount that payhost is asked for is the stored order's, never the browser's.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Form, Json};
use serde::Deserialize;
use serde_json::json;

use crate::Shop;
use crate::error::Error;
use crate::methods::find_method;
use crate::orders::{find, show_order, to_order};
use crate::page::Language;
use crate::payhost::{self, Opened};
use crate::store::{Order, OrderState};
use crate::visitor::Visitor;

/// Why there is nothing to open.
enum NotOpened {
    /// The order is paid, cancelled or being checked.
    NotPayable,
    /// payhost gave no payment; a sentence for the buyer.
    Failed(String),
}

/// What the pay button sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Choice {
    /// Code of the method; empty: as the order says.
    method: String,
}

/// `POST /orders/{id}/payment`, called by the page's script: what `payhost.js` needs, or a message for the buyer.
pub async fn payment(
    State(shop): State<Arc<Shop>>,
    visitor: Visitor,
    Path(id): Path<String>,
    Form(choice): Form<Choice>,
) -> Result<Response, Error> {
    let order = choose(&shop, find(&shop, &visitor, &id)?, &choice)?;
    Ok(match open(&shop, &order, visitor.language).await? {
        Ok(opened) => Json(json!({
            "id": opened.payment.id,
            "checkout_url": opened.checkout_url,
            "client_token": opened.client_token,
        }))
        .into_response(),
        Err(NotOpened::NotPayable) => {
            let message = visitor.language.t(
                "지금은 결제할 수 없는 주문입니다. 새로고침해 주세요.",
                "This order cannot be paid now. Please reload the page.",
            );
            (StatusCode::CONFLICT, Json(json!({ "message": message }))).into_response()
        }
        Err(NotOpened::Failed(message)) => {
            (StatusCode::BAD_GATEWAY, Json(json!({ "message": message }))).into_response()
        }
    })
}

/// `POST /orders/{id}/pay`, the same button without JavaScript: goes to the checkout page itself.
pub async fn without_script(
    State(shop): State<Arc<Shop>>,
    visitor: Visitor,
    Path(id): Path<String>,
    Form(choice): Form<Choice>,
) -> Result<Response, Error> {
    let order = choose(&shop, find(&shop, &visitor, &id)?, &choice)?;
    match open(&shop, &order, visitor.language).await? {
        Ok(opened) => Ok(Redirect::to(&opened.checkout_url).into_response()),
        Err(NotOpened::NotPayable) => Ok(to_order(&id)),
        Err(NotOpened::Failed(message)) => {
            show_order(&shop, &visitor, StatusCode::BAD_GATEWAY, order, true, Some(message))
        }
    }
}

/// The order with the method that the buyer chose on its page: who was declined with one may pay with another.
fn choose(shop: &Shop, order: Order, choice: &Choice) -> Result<Order, Error> {
    let Some(method) = find_method(&choice.method).filter(|method| *method != order.method) else {
        return Ok(order);
    };
    if order.state() != OrderState::PaymentDue {
        return Ok(order);
    }
    shop.store.choose_method(&order.id, method)?;
    Ok(Order { method, ..order })
}

async fn open(shop: &Shop, order: &Order, language: Language) -> Result<Result<Opened, NotOpened>, Error> {
    if order.state() != OrderState::PaymentDue {
        return Ok(Err(NotOpened::NotPayable));
    }
    let return_url = format!("{}/orders/{}", shop.url, order.id);
    let opened = match shop.payhost.open(order, &order_name(order, language), &return_url, language).await {
        Ok(opened) => opened,
        // Paid meanwhile, in another tab: the page shows it when it is loaded again.
        Err(payhost::Error::Refused(problem))
            if ["already_paid", "account_open"].contains(&problem.code.as_str()) =>
        {
            return Ok(Err(NotOpened::NotPayable));
        }
        Err(error) => {
            tracing::warn!(order = order.id, %error, "no payment was made");
            return Ok(Err(NotOpened::Failed(error.sentence(language))));
        }
    };
    shop.store.keep_payment(&order.id, &opened.payment)?;
    let now = Order { payment: Some(opened.payment.clone()), ..order.clone() };
    // payhost answers with the payment that the order already has, and that may be paid by now (in another tab).
    Ok(if now.state() == OrderState::PaymentDue { Ok(opened) } else { Err(NotOpened::NotPayable) })
}

/// `수제 잼 외 1건`.
fn order_name(order: &Order, language: Language) -> String {
    let first = order.items.first().map_or("", |item| item.name.as_str());
    match (order.items.len().saturating_sub(1), language) {
        (0, _) => first.to_owned(),
        (more, Language::Korean) => format!("{first} 외 {more}건"),
        (more, Language::English) => format!("{first} and {more} more"),
    }
}
