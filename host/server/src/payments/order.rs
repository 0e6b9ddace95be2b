//! The order as the plugin gets it. Invariant: it is written down when the checkout opens and is the same, to the letter, in
//! every later call of that checkout: `complete`, and an `undo` that must make the approval's map again.

use payhost_core::order_ref::order_ref;
use payhost_engine::contract::types::{Buyer, Money, Named, Order, Tax};
use payhost_store::rows::checkouts::Checkout;
use payhost_store::rows::payments::Payment;
use payhost_store::rows::shops::Shop;
use payhost_store::{Error, ShopKey};
use url::Url;

use super::model::BuyerIo;
use crate::checkout::return_path;
use crate::checkout::token::Way;
use crate::host::Host;
use crate::http::problem::Problem;
use crate::sealed::Place;
use crate::vbank::notify_path;

/// Address of this host for a shop's buyers: its own, or the host's. Without a slash at the end.
pub fn base_url(host: &Host, shop: &Shop) -> String {
    let own = shop.public_url.as_deref().and_then(|text| Url::parse(text).ok());
    own.as_ref().unwrap_or(host.public_url()).as_str().trim_end_matches('/').to_owned()
}

/// Name under which the window that the shop chose is kept among the options; it is not the plugin's.
pub const DEVICE: &str = "device";

/// Options of a payment, from the sealed column.
pub fn options(key: &ShopKey, payment: &Payment) -> Result<Vec<Named>, Error> {
    Place::Options(payment.id).open_json(key, &payment.options)
}

/// The window that the shop chose, among a payment's options: `pc` or `mobile`.
pub fn device(options: &[Named]) -> Option<String> {
    options.iter().find(|option| option.name == DEVICE).map(|option| option.value.clone())
}

/// Who pays, from the sealed column.
pub fn buyer(key: &ShopKey, payment: &Payment) -> Result<BuyerIo, Problem> {
    Ok(Place::Buyer(payment.id).open_json(key, &payment.buyer)?)
}

/// Makes the order of a new checkout. Its addresses carry secrets of this window in their query; gateways cut long ones
/// (INICIS: 250 bytes, `inicis.md §2.1`) and take plain characters only, so that the secrets are short and plain.
pub fn make(
    host: &Host,
    key: &ShopKey,
    shop: &Shop,
    payment: &Payment,
    buyer: BuyerIo,
    checkout: payhost_core::id::CheckoutId,
) -> Result<Order, Error> {
    let base = base_url(host, shop);
    let tax = if payment.tax_free.is_none() && payment.vat.is_none() {
        None
    } else {
        Some(Tax { free: payment.tax_free, vat: payment.vat })
    };
    let options = options(key, payment)?.into_iter().filter(|option| option.name != DEVICE).collect();
    let back = Way::Return.query(host, (payment.shop_id, checkout))?;
    let path = return_path(payment.shop_id, checkout);
    let close = Way::Close.query(host, (payment.shop_id, checkout))?;
    Ok(Order {
        order_ref: order_ref(&payment.order_id, checkout),
        amount: Money { minor: payment.total, currency: payment.currency.to_string() },
        tax,
        name: payment.order_name.clone(),
        buyer: Buyer { name: buyer.name, email: buyer.email, phone: buyer.phone },
        method: payment.method.as_ref().and_then(|method| method.to().ok()),
        options,
        language: payment.language.clone(),
        return_url: format!("{base}{path}?{back}"),
        close_url: format!("{base}{path}/close?{close}"),
        notify_url: format!("{base}{}", notify_path(payment.shop_id, payment.channel_id)),
    })
}

/// The order of a checkout that was opened before.
pub fn open_sealed(key: &ShopKey, checkout: &Checkout) -> Result<Order, Problem> {
    Ok(Place::Order(checkout.id).open_json(key, &checkout.order_json)?)
}
