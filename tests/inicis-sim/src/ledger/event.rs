//! Invariant: an event is a fact that already happened at the simulated gateway; state follows from events alone.

use serde::{Deserialize, Serialize};

/// What the buyer authenticated in the window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Authentication {
    /// Merchant.
    pub mid: String,
    /// Order number of the merchant.
    pub oid: String,
    /// Amount in the currency's minor unit.
    pub price: u64,
    /// `WON` or `USD`.
    pub currency: String,
    /// Method as in gopaymethod.
    pub method: String,
    /// Goods, already cut.
    pub goodname: String,
    /// Buyer, already cut.
    pub buyername: String,
    /// Phone of the buyer.
    pub buyertel: String,
    /// E-mail of the buyer.
    pub buyeremail: String,
    /// E-mail of a parent.
    pub parentemail: String,
    /// Card company (§8.2).
    pub card: String,
    /// Two digits, `00` for a single payment.
    pub quota: String,
    /// Data centre that issued the token.
    pub idc: String,
    /// Timestamp of the request form; the approval needs a new one.
    pub form_timestamp: String,
    /// A decline that the person chose in the window.
    pub planned_decline: Option<String>,
}

/// One line of the ledger. `at` is milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The buyer authenticated; a token went to the merchant.
    Authenticated {
        /// When.
        at: i64,
        /// The authToken.
        token: String,
        /// What was authenticated.
        auth: Box<Authentication>,
    },
    /// The buyer cancelled or failed to authenticate.
    NotAuthenticated {
        /// When.
        at: i64,
        /// Merchant.
        mid: String,
        /// Order number.
        oid: String,
        /// resultCode told to the merchant.
        code: String,
    },
    /// Money is held.
    Approved {
        /// When.
        at: i64,
        /// The authToken.
        token: String,
        /// Transaction id, 40 characters.
        tid: String,
        /// Order number after the approval, which may renumber it.
        oid: String,
        /// Approval number of the card company.
        appl_num: String,
        /// The request, which a net cancel must repeat.
        map: Vec<(String, String)>,
    },
    /// The approval failed and used the token up.
    Declined {
        /// When.
        at: i64,
        /// The authToken.
        token: String,
        /// Code.
        code: String,
        /// Reason.
        reason: String,
    },
    /// A net cancel took the approval back.
    NetCancelled {
        /// When.
        at: i64,
        /// The authToken.
        token: String,
    },
    /// A net cancel came for a token that no approval had used yet.
    NetCancelledEarly {
        /// When.
        at: i64,
        /// The authToken.
        token: String,
    },
    /// Cancelled in full.
    Cancelled {
        /// When.
        at: i64,
        /// Transaction.
        tid: String,
        /// Reason given by the merchant.
        msg: String,
    },
    /// Cancelled in part.
    PartiallyCancelled {
        /// When.
        at: i64,
        /// The original transaction.
        tid: String,
        /// The new transaction of this partial cancel.
        part_tid: String,
        /// Amount cancelled now.
        price: u64,
        /// Reason given by the merchant.
        msg: String,
    },
    /// A request that changed nothing.
    Refused {
        /// When.
        at: i64,
        /// `window`, `pay_auth`, `net_cancel`, `refund`, `partial_refund` or `inquiry`.
        operation: String,
        /// Merchant as the request named it.
        mid: String,
        /// Order number where it is known.
        oid: String,
        /// Code.
        code: String,
        /// Reason.
        reason: String,
    },
    /// The ledger was emptied by `POST /_sim/reset`.
    Reset {
        /// When.
        at: i64,
    },
}
