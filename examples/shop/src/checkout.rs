//! From a cart to an order. Invariant: an order holds a buyer who can be reached, and prices of the catalogue.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use serde::Deserialize;

use crate::Shop;
use crate::error::Error;
use crate::methods::{CARD, METHODS, Method, find_method};
use crate::page::{Frame, Language, page};
use crate::shelf::{CartLine, cart_lines, total};
use crate::store::{Buyer, Item};
use crate::visitor::{Visitor, is_token, token};

const NAME_CHARS_MAX: usize = 30;
const EMAIL_CHARS_MAX: usize = 60;

/// What the buyer typed.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Typed {
    /// Random; makes a second click on the button the same order.
    form: String,
    name: String,
    email: String,
    phone: String,
    /// Code of the method.
    method: String,
}

impl Typed {
    /// An unknown code can only come from a forged form: it means the first method.
    fn method(&self) -> &'static Method {
        find_method(&self.method).unwrap_or(CARD)
    }
}

/// What is wrong with it.
#[derive(Default)]
struct Wrong {
    name: Option<&'static str>,
    email: Option<&'static str>,
    phone: Option<&'static str>,
}

impl Wrong {
    fn any(&self) -> bool {
        self.name.is_some() || self.email.is_some() || self.phone.is_some()
    }
}

#[derive(Template)]
#[template(path = "checkout.html")]
struct CheckoutPage {
    frame: Frame,
    lines: Vec<CartLine>,
    total: i64,
    typed: Typed,
    wrong: Wrong,
    methods: &'static [Method],
    chosen: &'static Method,
}

/// `GET /checkout`
pub async fn form(State(shop): State<Arc<Shop>>, visitor: Visitor) -> Result<Response, Error> {
    let typed = Typed { form: token()?, ..Typed::default() };
    show(&shop, &visitor, StatusCode::OK, typed, Wrong::default())
}

/// `POST /orders`: makes the order and goes to its page.
pub async fn place(
    State(shop): State<Arc<Shop>>,
    visitor: Visitor,
    Form(typed): Form<Typed>,
) -> Result<Response, Error> {
    if let Some(id) = shop.store.order_of_form(&visitor.session, &typed.form)? {
        return Ok(Redirect::to(&format!("/orders/{id}")).into_response());
    }
    let wrong = check(&typed, visitor.language);
    if wrong.any() || !is_token(&typed.form) {
        let form = if is_token(&typed.form) { typed.form } else { token()? };
        return show(&shop, &visitor, StatusCode::UNPROCESSABLE_ENTITY, Typed { form, ..typed }, wrong);
    }
    let items: Vec<Item> = cart_lines(&shop, &visitor.session)?
        .iter()
        .map(|line| Item {
            name: line.product.name(&visitor.language).to_owned(),
            price: line.product.price,
            quantity: line.quantity,
        })
        .collect();
    if items.is_empty() {
        return Ok(Redirect::to("/cart").into_response());
    }
    let trimmed = |text: &str| text.trim().to_owned();
    let buyer =
        Buyer { name: trimmed(&typed.name), email: trimmed(&typed.email), phone: trimmed(&typed.phone) };
    let id =
        shop.store.place(&visitor.session, &typed.form, &items, &buyer, typed.method(), Timestamp::now())?;
    Ok(Redirect::to(&format!("/orders/{id}")).into_response())
}

fn show(
    shop: &Shop,
    visitor: &Visitor,
    status: StatusCode,
    typed: Typed,
    wrong: Wrong,
) -> Result<Response, Error> {
    let lines = cart_lines(shop, &visitor.session)?;
    if lines.is_empty() {
        return Ok(Redirect::to("/cart").into_response());
    }
    let frame = Frame::new(shop, visitor, "/checkout")?;
    let chosen = typed.method();
    page(status, &CheckoutPage { frame, total: total(&lines), lines, typed, wrong, methods: METHODS, chosen })
}

fn check(typed: &Typed, language: Language) -> Wrong {
    let unless = |good: bool, korean, english| (!good).then(|| language.t(korean, english));
    Wrong {
        name: unless(
            is_name(typed.name.trim()),
            "이름을 1~30자로 입력해 주세요.",
            "Please give your name in 1 to 30 characters.",
        ),
        email: unless(
            is_email(typed.email.trim()),
            "이메일 주소를 name@example.com 형식으로 입력해 주세요.",
            "Please give an e-mail address such as name@example.com.",
        ),
        phone: unless(
            is_phone(typed.phone.trim()),
            "전화번호를 010-1234-5678 형식으로 입력해 주세요.",
            "Please give a phone number such as 010-1234-5678.",
        ),
    }
}

fn is_name(text: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Roughly an address: whether it exists, only a letter to it can tell.
fn is_email(text: &str) -> bool {
    let plain = text.len() <= EMAIL_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
    let parts = text.split_once('@');
    plain
        && parts.is_some_and(|(local, host)| {
            let labels = || host.split('.');
            !local.is_empty()
                && !host.contains('@')
                && labels().count() >= 2
                && labels().all(|label| {
                    !label.is_empty()
                        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                })
        })
}

/// A Korean number with its leading 0, hyphens or spaces between.
fn is_phone(text: &str) -> bool {
    let digits: String = text.chars().filter(|letter| !matches!(letter, '-' | ' ')).collect();
    (9..=11).contains(&digits.len())
        && digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_numbers_are_checked_roughly() {
        for good in ["a@b.kr", "first.last+tag@mail.example.com"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["", "a", "@b.kr", "a@b", "a@b..kr", "a b@c.kr", "a@b@c.kr", "가@나.한국", "a@-.k\"r"]
        {
            assert!(!is_email(bad), "{bad}");
        }
        for good in ["010-1234-5678", "01012345678", "02 312 3456"] {
            assert!(is_phone(good), "{good}");
        }
        for bad in ["", "1234", "010-1234-567890", "10-1234-5678", "010-abcd-5678"] {
            assert!(!is_phone(bad), "{bad}");
        }
        assert!(is_name("홍길동") && !is_name("") && !is_name(&"가".repeat(31)) && !is_name("a\nb"));
    }
}
