//! The same work in this process: what the plugin computes, without any sandbox.

use inicis_wire::pc::options;
use inicis_wire::pc::request::{self, Page, Wanted};
use inicis_wire::recipe::{Part, Recipe, hex};
use payhost_engine::contract::general_pay::BuyerEnv;
use payhost_engine::contract::types::Order;
use sha2::{Digest as _, Sha256};

use crate::fixture::{MID, NOW_MS, SIGN_KEY};

/// Fields of the form; their number keeps the compiler honest.
pub fn begin(order: &Order, buyer: &BuyerEnv) -> usize {
    let opened = request::open(&Wanted {
        mid: MID,
        order_ref: &order.order_ref,
        amount: order.amount.minor,
        currency: &order.amount.currency,
        now_ms: NOW_MS,
        goods: &order.name,
        buyer_name: order.buyer.name.as_deref(),
        buyer_phone: order.buyer.phone.as_deref(),
        buyer_email: order.buyer.email.as_deref(),
        language: &order.language,
        return_url: &order.return_url,
        tax_free: None,
        vat: None,
        window: Page {
            methods: "Card",
            close_url: &order.close_url,
            page_origin: &buyer.page_origin,
            options: options::Options::default(),
        },
    })
    .expect("the order fits");
    let hashes = [opened.signature(), opened.verification(), request::m_key()].map(digest);
    let [signature, verification, m_key] = hashes;
    opened.into_fields(signature, verification, m_key).len()
}

fn digest(recipe: Recipe) -> String {
    let mut hasher = Sha256::new();
    for part in recipe.parts {
        match part {
            Part::Text(text) => hasher.update(text),
            Part::Secret(_) => hasher.update(SIGN_KEY),
        }
    }
    hex(&hasher.finalize())
}
