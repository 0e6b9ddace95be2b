//! `checkout`: openings of a gateway window. Invariant: an order number is given to a gateway once, ever.

use payhost_core::id::{ChannelId, CheckoutId, PaymentId, ShopId};

use crate::table::{Table, table, word};
use crate::{Error, Later, Sealed, Tx, params};

word! {
    /// How far a checkout came.
    pub enum CheckoutState {
        /// The window is open, or was left.
        Opened = "opened",
        /// The browser came back.
        Returned = "returned",
        /// The money is held.
        Approved = "approved",
        /// An account waits for a deposit.
        AwaitingDeposit = "awaiting_deposit",
        /// The shop must say yes.
        AwaitingConfirm = "awaiting_confirm",
        /// Declined or failed.
        Failed = "failed",
        /// The buyer closed the window.
        CancelledByBuyer = "cancelled_by_buyer",
        /// The outcome is not known.
        InDoubt = "in_doubt",
        /// An approval was taken back.
        Undone = "undone",
        /// The payment was given up while the window was open.
        GivenUp = "given_up",
    }
}

table! {
    /// One opening of a gateway window.
    pub struct Checkout in "checkout" {
        /// Its id.
        id: CheckoutId,
        /// Whose.
        shop_id: ShopId,
        /// Of which payment.
        payment_id: PaymentId,
        /// Through which channel.
        channel_id: ChannelId,
        /// The plugin version that opened it and must finish it.
        plugin_digest: String,
        /// What the channel was set to then ([`super::channels::ChannelRevision`]).
        revision: i64,
        /// The order number that the gateway sees.
        order_ref: String,
        /// Of the buyer.
        device: String,
        /// How far it came.
        state: CheckoutState,
        /// The exact order that the plugin was given, sealed.
        order_json: Sealed,
        /// What the browser brought, sealed, while the shop must say yes.
        callback: Option<Sealed>,
        /// For the close page.
        close_script: Option<String>,
        /// What the return page shows, sealed.
        result: Option<Sealed>,
        /// When it was opened.
        opened_us: i64,
        /// When it was changed.
        updated_us: i64,
    }
}

/// Adds a checkout.
pub fn insert(tx: &mut Tx<'_>, checkout: &Checkout) -> Result<(), Error> {
    checkout.insert_later(tx)
}

/// A checkout of a shop.
pub fn get(tx: &mut Tx<'_>, shop: ShopId, id: CheckoutId) -> Result<Option<Checkout>, Error> {
    ask(tx, shop, id)?.first(tx)
}

/// The same, taken later.
pub fn ask(tx: &mut Tx<'_>, shop: ShopId, id: CheckoutId) -> Result<Later<Checkout>, Error> {
    Checkout::select_later(tx, "WHERE shop_id = $1 AND id = $2", params![shop, id])
}

/// A checkout by the order number that its gateway got, for notices, which name nothing else.
pub fn by_order_ref(tx: &mut Tx<'_>, shop: ShopId, order_ref: &str) -> Result<Option<Checkout>, Error> {
    Checkout::select_opt(tx, "WHERE shop_id = $1 AND order_ref = $2", params![shop, order_ref])
}

/// A payment's checkouts, oldest first.
pub fn of_payment(tx: &mut Tx<'_>, shop: ShopId, payment: PaymentId) -> Result<Vec<Checkout>, Error> {
    ask_of_payment(tx, shop, payment)?.all(tx)
}

/// The same, taken later.
pub fn ask_of_payment(tx: &mut Tx<'_>, shop: ShopId, payment: PaymentId) -> Result<Later<Checkout>, Error> {
    Checkout::select_later(tx, "WHERE shop_id = $1 AND payment_id = $2 ORDER BY id", params![shop, payment])
}

/// Writes state, callback and result, if the state is still `from` ([`Error::Stale`] otherwise, at the latest at the end of the
/// transaction).
pub fn advance(tx: &mut Tx<'_>, checkout: &Checkout, from: CheckoutState) -> Result<(), Error> {
    let sql = "UPDATE checkout SET state = $1, callback = $2, result = $3, updated_us = $4 \
               WHERE shop_id = $5 AND id = $6 AND state = $7";
    let c = checkout;
    let values = params![c.state, c.callback, c.result, c.updated_us, c.shop_id, c.id, from];
    tx.change_one_later(sql, values, Error::Stale { what: "checkout" })
}
