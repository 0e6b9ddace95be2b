//! Invariant: an event is a fact that already happened at the simulated gateway; state follows from events alone.

use serde::{Deserialize, Serialize};

use crate::notice::{Notice, Try};
use crate::vbank::settings::VbankSettings;

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
    /// What the method adds.
    pub means: Means,
    /// VAT that the merchant set.
    pub tax: Option<u64>,
    /// Tax-free part that the merchant set.
    pub taxfree: Option<u64>,
    /// Present when it was authenticated on a phone.
    pub mobile: Option<MobileOrder>,
    /// A virtual account that the merchant opened by INIAPI (§4.6); nobody authenticated.
    pub by_api: bool,
}

/// What the buyer chose beside the method, the card and the instalments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Means {
    /// Source code of a wallet (§8.3).
    pub wallet: String,
    /// Approved by ISP.
    pub isp: bool,
    /// A check card.
    pub check: bool,
    /// Interest-free at the merchant's cost.
    pub interest_free: bool,
    /// Card points, in won.
    pub points: u64,
    /// Discount of the card company, in won.
    pub coupon: u64,
    /// Bank.
    pub bank: String,
    /// Telephone company.
    pub telco: String,
    /// Phone that pays.
    pub phone: String,
    /// Name at the voucher or point company.
    pub user: String,
    /// Cash receipt: empty, `0` or `1`.
    pub receipt: String,
    /// Depositor.
    pub depositor: String,
    /// Deposit deadline, YYYYMMDDhhmm.
    pub due: String,
}

/// What a phone's request says and later answers repeat (§2.1, §2.5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MobileOrder {
    /// Whether answers are in UTF-8.
    pub utf8: bool,
    /// P_NOTI.
    pub noti: String,
    /// P_NEXT_URL.
    pub next_url: String,
    /// P_NOTI_URL, where notices will go.
    pub noti_url: String,
    /// P_MNAME.
    pub mname: String,
    /// P_RESERVED.
    pub reserved: String,
}

/// An account that was opened for one deposit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualAccount {
    /// At most 20 digits.
    pub number: String,
    /// Bank (§8.3).
    pub bank: String,
    /// Holder.
    pub holder: String,
    /// Deadline, YYYYMMDDhhmm in Korea.
    pub due: String,
}

/// Money that came into a virtual account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deposit {
    /// Its own transaction, which is not the (§0.4).
    pub tid: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Amount.
    pub amount: u64,
    /// Name of who paid.
    pub depositor: String,
    /// Bank that it was paid in at (§8.3).
    pub bank: String,
    /// When the bank took it back.
    pub cancelled_at: Option<i64>,
}

/// Where a deposit was refunded to; decrypted, because tests read it here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundAccount {
    /// Digits.
    pub number: String,
    /// Bank (§8.3).
    pub bank: String,
    /// Holder.
    pub holder: String,
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
        /// The account, when no money is held yet but one was opened.
        #[serde(default)]
        account: Option<VirtualAccount>,
    },
    /// Money came into a virtual account.
    Deposited {
        /// When.
        at: i64,
        /// Transaction of the issue.
        tid: String,
        /// Amount.
        price: u64,
        /// Who paid and how the bank calls it.
        #[serde(default)]
        deposit: Box<Deposit>,
    },
    /// The bank took a deposit back (`type_msg` 0400, §3.1).
    DepositCancelled {
        /// When.
        at: i64,
        /// Transaction of the issue.
        tid: String,
        /// Transaction of the deposit.
        deposit_tid: String,
    },
    /// The control API changed the switches of accounts and notices.
    VbankSettings {
        /// When.
        at: i64,
        /// All of them.
        settings: Box<VbankSettings>,
    },
    /// A notice is to be sent.
    NoticeQueued {
        /// When.
        at: i64,
        /// What and where to.
        notice: Box<Notice>,
    },
    /// It was sent.
    NoticeTried {
        /// Its number.
        id: u64,
        /// What came back.
        tried: Box<Try>,
    },
    /// It was sent by hand, which ends its repeats.
    NoticeStopped {
        /// When.
        at: i64,
        /// Its number.
        id: u64,
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
        /// Where a deposit went back to.
        #[serde(default)]
        account: Option<RefundAccount>,
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
        /// VAT in it, where the merchant said so.
        #[serde(default)]
        tax: Option<u64>,
        /// Tax-free part of it, where the merchant said so.
        #[serde(default)]
        taxfree: Option<u64>,
        /// Reason given by the merchant.
        msg: String,
        /// Where a deposit went back to.
        #[serde(default)]
        account: Option<RefundAccount>,
    },
    /// A request that changed nothing.
    Refused {
        /// When.
        at: i64,
        /// `window`, `mobile_window`, or an operation by its name in `POST /_sim/faults`.
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
