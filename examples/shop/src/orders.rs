//! Orders and their cancelling. Invariant: what a page says about money is payhost's answer to this request, or is marked as
//! the last answer that is known.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::Shop;
use crate::error::Error;
use crate::methods::{METHODS, Method};
use crate::page::{Frame, Language, page};
use crate::payhost;
use crate::store::{Order, OrderState};
use crate::visitor::Visitor;

impl OrderState {
    /// For programs: the page's `data-state`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PaymentDue => "payment_due",
            Self::AwaitingDeposit => "awaiting_deposit",
            Self::Checking => "checking",
            Self::Paid => "paid",
            Self::PartiallyCancelled => "partially_cancelled",
            Self::Cancelled => "cancelled",
        }
    }

    /// For people.
    pub fn words(&self, language: &Language) -> &'static str {
        match self {
            Self::PaymentDue => language.t("결제 대기", "Payment due"),
            Self::AwaitingDeposit => language.t("입금 대기", "Awaiting deposit"),
            Self::Checking => language.t("결제 확인 중", "Being checked"),
            Self::Paid => language.t("결제 완료", "Paid"),
            Self::PartiallyCancelled => language.t("부분 취소됨", "Partly cancelled"),
            Self::Cancelled => language.t("취소됨", "Cancelled"),
        }
    }
}

impl Order {
    /// Whether payhost asks the buyer for an account to give the money back to.
    pub fn can_be_refunded(&self) -> bool {
        let possible = self.payment.as_ref().and_then(|payment| payment.cancellable.as_ref());
        possible.is_some_and(|possible| possible.amount > 0 && possible.needs_account)
            && matches!(self.state(), OrderState::Paid | OrderState::PartiallyCancelled)
    }

    /// Where the buyer pays in.
    pub fn account(&self) -> Option<&payhost::VirtualAccount> {
        self.payment.as_ref()?.virtual_account.as_ref()
    }

    /// Whether there is a payment that nobody has paid yet: cancelling the order gives it up, so that a window that is still open
    /// somewhere takes no money.
    pub fn can_be_given_up(&self) -> bool {
        use payhost::PaymentState as P;
        let open = |payment: &payhost::Payment| {
            matches!(payment.state, P::Created | P::Pending | P::AwaitingDeposit)
        };
        self.payment.as_ref().is_some_and(open)
            && matches!(self.state(), OrderState::PaymentDue | OrderState::AwaitingDeposit)
    }

    /// Whether the buyer may cancel it here: not paid, or paid and no bank account is needed to give the money back.
    pub fn can_cancel(&self) -> bool {
        self.can_be_given_up() || self.can_be_given_back()
    }

    fn can_be_given_back(&self) -> bool {
        let possible = self.payment.as_ref().and_then(|payment| payment.cancellable.as_ref());
        matches!(self.state(), OrderState::Paid | OrderState::PartiallyCancelled)
            && possible.is_some_and(|possible| possible.amount > 0 && !possible.needs_account)
    }
}

#[derive(Template)]
#[template(path = "orders.html")]
struct OrdersPage {
    frame: Frame,
    orders: Vec<Order>,
}

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage<'a> {
    frame: Frame,
    order: Order,
    state: OrderState,
    /// payhost could not be asked.
    stale: bool,
    /// What came of the last click.
    note: Option<String>,
    payhost: &'a str,
    methods: &'static [Method],
    chosen: &'static Method,
}

#[derive(Template)]
#[template(path = "cancel.html")]
struct CancelPage {
    frame: Frame,
    order: Order,
    /// What goes back, in words; nothing while nothing was paid.
    amount: Option<String>,
}

/// What payhost adds to the return address. Only a hint: anybody can type it.
#[derive(Default, Deserialize)]
pub(crate) struct Returned {
    result: Option<String>,
}

/// `GET /orders`: as last known; each order's own page asks payhost.
pub async fn list(State(shop): State<Arc<Shop>>, visitor: Visitor) -> Result<Response, Error> {
    let orders = shop.store.orders(&visitor.session)?;
    page(StatusCode::OK, &OrdersPage { frame: Frame::new(&shop, &visitor, "/orders")?, orders })
}

/// `GET /orders/{id}`
pub async fn show(
    State(shop): State<Arc<Shop>>,
    visitor: Visitor,
    Path(id): Path<String>,
    returned: Result<Query<Returned>, QueryRejection>,
) -> Result<Response, Error> {
    let (order, fresh) = refresh(&shop, find(&shop, &visitor, &id)?).await?;
    let Query(returned) = returned.unwrap_or_default();
    let note =
        returned.result.and_then(|result| hint(&result, order.state(), visitor.language)).map(str::to_owned);
    show_order(&shop, &visitor, StatusCode::OK, order, fresh, note)
}

/// `GET /orders/{id}/state`: as last told by payhost, which is not asked: a page that waits for a deposit looks here.
pub async fn state(
    State(shop): State<Arc<Shop>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<&'static str, Error> {
    Ok(find(&shop, &visitor, &id)?.state().code())
}

/// A sentence about how the payment window ended, unless the order's state already says more.
fn hint(result: &str, state: OrderState, language: Language) -> Option<&'static str> {
    if state != OrderState::PaymentDue {
        return None;
    }
    match result {
        "cancelled_by_buyer" => Some(language.t(
            "결제창을 닫으셨습니다. 다시 결제하실 수 있습니다.",
            "You closed the payment window. You can pay again.",
        )),
        "failed" => Some(language.t(
            "결제가 완료되지 않았습니다. 다시 시도하거나 다른 결제 수단을 선택해 주세요.",
            "The payment was not completed. Please try again or choose another method.",
        )),
        "paid" | "awaiting_confirm" | "in_doubt" => Some(language.t(
            "결제 결과를 확인하고 있습니다. 잠시 뒤 새로고침해 주세요.",
            "The outcome is being checked. Please reload in a moment.",
        )),
        _ => None,
    }
}

/// `GET /orders/{id}/cancel`: asks whether it is meant.
pub async fn ask_cancel(
    State(shop): State<Arc<Shop>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let (order, _) = refresh(&shop, find(&shop, &visitor, &id)?).await?;
    let amount =
        order.payment.as_ref().and_then(|payment| payment.cancellable.as_ref()).map(|part| part.amount);
    if !order.can_cancel() {
        return Ok(to_order(&id));
    }
    let amount = amount.filter(|_| !order.can_be_given_up()).map(|won| visitor.language.won(won));
    let frame = Frame::new(&shop, &visitor, format!("/orders/{id}/cancel"))?;
    page(StatusCode::OK, &CancelPage { frame, order, amount })
}

/// `POST /orders/{id}/cancel`: gives everything back, or gives up what was not paid. A repeated click has the same Idempotency-Key, so it is one cancel.
pub async fn cancel(
    State(shop): State<Arc<Shop>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let order = find(&shop, &visitor, &id)?;
    let Some(payment) = order.payment.as_ref().filter(|_| order.can_cancel()) else {
        return Ok(to_order(&id));
    };
    let made = if order.can_be_given_up() {
        shop.payhost.give_up(&payment.id, &format!("give-up-{}-{}", payment.id, order.cancel_try)).await
    } else {
        let key = format!("cancel-{}-{}", payment.id, order.cancel_try);
        shop.payhost.cancel(&payment.id, &key, "구매자 주문 취소").await
    };
    let refused = match made {
        Ok(payment) => {
            shop.store.keep_payment(&order.id, &payment)?;
            return Ok(to_order(&id));
        }
        Err(error) => error,
    };
    tracing::warn!(order = id, %refused, "a cancel failed");
    let (status, note) = match &refused {
        payhost::Error::Refused(problem) => {
            // This try is over, and payhost would repeat its answer to the same key for ever.
            if problem.code != "idempotency_running" {
                shop.store.end_cancel_try(&order)?;
            }
            (StatusCode::CONFLICT, refused.sentence(visitor.language))
        }
        payhost::Error::Unknown(_) => {
            let words = visitor.language.t(
                "취소 결과를 아직 알 수 없습니다. 잠시 뒤 다시 눌러도 두 번 취소되지 않습니다.",
                "The outcome of the cancel is not known yet. It is safe to press again in a moment: it is cancelled only once.",
            );
            (StatusCode::BAD_GATEWAY, words.to_owned())
        }
    };
    let (order, fresh) = refresh(&shop, order).await?;
    show_order(&shop, &visitor, status, order, fresh, Some(note))
}

/// `POST /orders/{id}/refund`: a deposit goes back to an account, and payhost's own page asks the buyer for it.
pub async fn refund(
    State(shop): State<Arc<Shop>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let (order, fresh) = refresh(&shop, find(&shop, &visitor, &id)?).await?;
    let Some(payment) = order.payment.as_ref().filter(|_| order.can_be_refunded()) else {
        return Ok(to_order(&id));
    };
    match shop.payhost.refund_link(&payment.id).await {
        Ok(url) => Ok(Redirect::to(&url).into_response()),
        Err(error) => {
            tracing::warn!(order = id, %error, "no refund link");
            let note = Some(error.sentence(visitor.language));
            show_order(&shop, &visitor, StatusCode::BAD_GATEWAY, order, fresh, note)
        }
    }
}

/// This visitor's order. Another's is the same 404 as none.
pub fn find(shop: &Shop, visitor: &Visitor, id: &str) -> Result<Order, Error> {
    shop.store.order(&visitor.session, id)?.ok_or(Error::NotFound)
}

/// Back to the order's page.
pub fn to_order(id: &str) -> Response {
    Redirect::to(&format!("/orders/{id}")).into_response()
}

/// The order page.
pub fn show_order(
    shop: &Shop,
    visitor: &Visitor,
    status: StatusCode,
    order: Order,
    fresh: bool,
    note: Option<String>,
) -> Result<Response, Error> {
    let frame = Frame::new(shop, visitor, format!("/orders/{}", order.id))?;
    let state = order.state();
    let payhost = shop.payhost.origin();
    let chosen = order.method;
    page(status, &OrderPage { frame, order, state, stale: !fresh, note, payhost, methods: METHODS, chosen })
}

/// Asks payhost how the order's payment stands. `false`: it could not be asked, and the order is as last known.
async fn refresh(shop: &Shop, mut order: Order) -> Result<(Order, bool), Error> {
    let Some(known) = &order.payment else { return Ok((order, true)) };
    let payment = match shop.payhost.payment(&known.id).await {
        Ok(payment) => payment,
        Err(error) => {
            tracing::warn!(order = order.id, %error, "the payment could not be read");
            return Ok((order, false));
        }
    };
    shop.store.keep_payment(&order.id, &payment)?;
    order.payment = Some(payment);
    Ok((order, true))
}
