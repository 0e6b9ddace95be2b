//! Products and the cart.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::Shop;
use crate::catalogue::{PRODUCTS, Product, QUANTITY_MAX, product};
use crate::error::Error;
use crate::page::{Frame, page};
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "products.html")]
struct ProductsPage {
    frame: Frame,
    products: &'static [Product],
    added: Option<&'static Product>,
}

/// One product in the cart.
pub struct CartLine {
    /// What.
    pub product: &'static Product,
    /// How many.
    pub quantity: i64,
}

impl CartLine {
    /// Won for all pieces.
    pub fn sum(&self) -> i64 {
        self.product.price.saturating_mul(self.quantity)
    }
}

/// The cart of a session, at the catalogue's prices.
pub fn cart_lines(shop: &Shop, session: &str) -> Result<Vec<CartLine>, Error> {
    let cart = shop.store.cart(session)?;
    Ok(cart
        .into_iter()
        .filter_map(|(number, quantity)| Some(CartLine { product: product(number)?, quantity }))
        .collect())
}

/// Won for the whole cart.
pub fn total(lines: &[CartLine]) -> i64 {
    lines.iter().map(CartLine::sum).sum()
}

#[derive(Template)]
#[template(path = "cart.html")]
struct CartPage {
    frame: Frame,
    lines: Vec<CartLine>,
    total: i64,
    error: Option<&'static str>,
}

impl CartPage {
    fn new(shop: &Shop, visitor: &Visitor) -> Result<Self, Error> {
        let lines = cart_lines(shop, &visitor.session)?;
        Ok(Self { frame: Frame::new(shop, visitor, "/cart")?, total: total(&lines), lines, error: None })
    }
}

#[derive(Deserialize)]
pub(crate) struct Added {
    added: Option<i64>,
}

/// `GET /`
pub async fn products(
    State(shop): State<Arc<Shop>>,
    visitor: Visitor,
    query: Result<Query<Added>, QueryRejection>,
) -> Result<Response, Error> {
    let added = query.ok().and_then(|Query(query)| query.added).and_then(product);
    page(
        StatusCode::OK,
        &ProductsPage { frame: Frame::new(&shop, &visitor, "/")?, products: PRODUCTS, added },
    )
}

/// `GET /cart`
pub async fn cart(State(shop): State<Arc<Shop>>, visitor: Visitor) -> Result<Response, Error> {
    page(StatusCode::OK, &CartPage::new(&shop, &visitor)?)
}

#[derive(Deserialize)]
pub(crate) struct AddForm {
    product: i64,
}

/// `POST /cart/add`: one piece more.
pub async fn add(
    State(shop): State<Arc<Shop>>,
    visitor: Visitor,
    Form(form): Form<AddForm>,
) -> Result<Response, Error> {
    let product = product(form.product).ok_or(Error::NotFound)?;
    shop.store.add_to_cart(&visitor.session, product.number)?;
    Ok(Redirect::to(&format!("/?added={}", product.number)).into_response())
}

#[derive(Deserialize)]
pub(crate) struct SetForm {
    product: i64,
    quantity: String,
}

/// `POST /cart/set`: so many pieces; 0 takes the product out.
pub async fn set(
    State(shop): State<Arc<Shop>>,
    visitor: Visitor,
    Form(form): Form<SetForm>,
) -> Result<Response, Error> {
    let product = product(form.product).ok_or(Error::NotFound)?;
    let quantity = form.quantity.trim().parse().ok().filter(|quantity| (0..=QUANTITY_MAX).contains(quantity));
    let Some(quantity) = quantity else {
        let error = visitor
            .language
            .t("수량은 1에서 99 사이의 숫자로 입력해 주세요.", "The amount is a number from 1 to 99.");
        return page(
            StatusCode::UNPROCESSABLE_ENTITY,
            &CartPage { error: Some(error), ..CartPage::new(&shop, &visitor)? },
        );
    };
    shop.store.set_in_cart(&visitor.session, product.number, quantity)?;
    Ok(Redirect::to("/cart").into_response())
}
