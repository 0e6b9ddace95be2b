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

/// What the cart's form says: pairs of `product` and `quantity`, and which button was pressed.
struct CartForm {
    quantities: Vec<(i64, String)>,
    goes_on: bool,
}

impl CartForm {
    fn read(fields: Vec<(String, String)>) -> Result<Self, Error> {
        let (mut quantities, mut removed, mut goes_on) = (Vec::new(), None, false);
        let mut product = None;
        for (name, value) in fields {
            match name.as_str() {
                "product" => product = Some(value.parse().map_err(|_| Error::NotFound)?),
                "quantity" => quantities.push((product.take().ok_or(Error::NotFound)?, value)),
                "remove" => removed = Some(value.parse::<i64>().map_err(|_| Error::NotFound)?),
                "next" => goes_on = value == "checkout",
                _ => {}
            }
        }
        for (product, quantity) in &mut quantities {
            if Some(*product) == removed {
                "0".clone_into(quantity);
            }
        }
        Ok(Self { quantities, goes_on })
    }
}

/// `POST /cart/set`: so many pieces of each product; 0 takes one out. What was typed counts, whichever button was pressed.
pub async fn set(
    State(shop): State<Arc<Shop>>,
    visitor: Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let form = CartForm::read(fields)?;
    let mut wanted = Vec::new();
    for (number, text) in &form.quantities {
        let product = product(*number).ok_or(Error::NotFound)?;
        let quantity = text.trim().parse().ok().filter(|quantity| (0..=QUANTITY_MAX).contains(quantity));
        let Some(quantity) = quantity else {
            let error = visitor
                .language
                .t("수량은 1에서 99 사이의 숫자로 입력해 주세요.", "The quantity is a number from 1 to 99.");
            return page(
                StatusCode::UNPROCESSABLE_ENTITY,
                &CartPage { error: Some(error), ..CartPage::new(&shop, &visitor)? },
            );
        };
        wanted.push((product.number, quantity));
    }
    for (number, quantity) in wanted {
        shop.store.set_in_cart(&visitor.session, number, quantity)?;
    }
    let next = if form.goes_on { "/checkout" } else { "/cart" };
    Ok(Redirect::to(next).into_response())
}
