//! Invariant: a [`Book`] is a function of the events applied to it; it is never changed in another way.

use std::collections::HashMap;

use serde::Serialize;

use crate::method::{self, Method};

use super::event::{Authentication, Deposit, Event, RefundAccount, VirtualAccount};
use super::notices::Notices;

/// Where a sale stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SaleState {
    /// Token issued, no approval yet.
    Authenticated,
    /// The approval failed.
    Declined,
    /// A virtual account was opened; no money is held.
    AwaitingDeposit,
    /// Money is held.
    Approved,
    /// A part of the money is held.
    PartiallyCancelled,
    /// Cancelled by INIAPI.
    Cancelled,
    /// Taken back by a net cancel.
    NetCancelled,
}

/// One cancel of a sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cancel {
    /// Milliseconds since 1970.
    pub at: i64,
    /// `net_cancel`, `refund`, `partial_refund`, or `close` of an account that nobody paid into.
    pub kind: &'static str,
    /// Amount.
    pub price: u64,
    /// Transaction of the partial cancel.
    pub tid: Option<String>,
    /// VAT in it, where the merchant said so.
    pub tax: Option<u64>,
    /// Tax-free part of it, where the merchant said so.
    pub taxfree: Option<u64>,
    /// Where a deposit went back to.
    pub account: Option<RefundAccount>,
}

impl Cancel {
    fn new(at: i64, kind: &'static str, price: u64) -> Self {
        Self { at, kind, price, tid: None, tax: None, taxfree: None, account: None }
    }
}

/// One authentication and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Sale {
    /// What the buyer authenticated; `oid` follows a renumbering.
    #[serde(flatten)]
    pub auth: Authentication,
    /// Transaction id once approved.
    pub tid: Option<String>,
    /// Where it stands.
    pub state: SaleState,
    /// Amount still held.
    pub remaining: u64,
    /// Cancels in order.
    pub cancels: Vec<Cancel>,
    /// How often it was approved: 0 or 1.
    pub approvals: u32,
    /// Code of the decline.
    pub decline: Option<String>,
    /// When the token was issued.
    pub authenticated_at: i64,
    /// When it was approved.
    pub approved_at: Option<i64>,
    /// Whether a net cancel came before the approval.
    pub net_cancelled_early: bool,
    /// Approval number.
    pub appl_num: String,
    /// The account that was opened.
    pub account: Option<VirtualAccount>,
    /// When money last came into it, if it is still there.
    pub deposited_at: Option<i64>,
    /// Money that came into it, also what the bank took back.
    pub deposits: Vec<Deposit>,
    /// The approval request in byte order of its names.
    #[serde(skip)]
    pub approval_map: Vec<(String, String)>,
}

impl Sale {
    /// Its method; every sale in the book has one of the table.
    #[must_use]
    pub fn method(&self) -> &'static Method {
        method::by_name(&self.auth.method).unwrap_or(method::CARD)
    }

    /// First three digits of its result codes (§8.4).
    #[must_use]
    pub fn network(&self) -> &'static str {
        if self.auth.means.isp { method::ISP_NETWORK } else { self.method().network }
    }

    /// Number of its cash receipt; that of a deposit has 9 digits (`no_cshr_appl`, §3.1).
    #[must_use]
    pub fn receipt_number(&self) -> String {
        if self.account.is_some() { format!("{:0>9}", self.appl_num) } else { self.appl_num.clone() }
    }

    /// Deposits that the bank did not take back.
    pub fn live_deposits(&self) -> impl Iterator<Item = &Deposit> {
        self.deposits.iter().filter(|deposit| deposit.cancelled_at.is_none())
    }

    fn deposit(&mut self, deposit: Deposit) {
        self.remaining = self.remaining.saturating_add(deposit.amount);
        self.deposited_at = Some(deposit.at);
        self.deposits.push(deposit);
        self.settle_state();
    }

    fn take_back(&mut self, deposit_tid: &str, at: i64) {
        let found = self.deposits.iter_mut().find(|one| one.tid == deposit_tid && one.cancelled_at.is_none());
        let Some(deposit) = found else { return };
        deposit.cancelled_at = Some(at);
        self.remaining = self.remaining.saturating_sub(deposit.amount);
        self.deposited_at = self.live_deposits().map(|one| one.at).max();
        self.settle_state();
    }

    /// The state of an account follows from what is in it and from what was refunded.
    fn settle_state(&mut self) {
        self.state = match (self.remaining, self.cancels.is_empty()) {
            (0, true) => SaleState::AwaitingDeposit,
            (0, false) => SaleState::Cancelled,
            (_, true) => SaleState::Approved,
            (_, false) => SaleState::PartiallyCancelled,
        };
    }
}

/// All sales, found by token, transaction and order number.
#[derive(Debug, Default)]
pub struct Book {
    sales: Vec<Sale>,
    by_token: HashMap<String, usize>,
    by_tid: HashMap<String, usize>,
    by_part_tid: HashMap<String, usize>,
    by_oid: HashMap<(String, String), Vec<usize>>,
    /// Messages to merchants.
    pub notices: Notices,
}

impl Book {
    /// All sales in the order of their authentication.
    #[must_use]
    pub fn sales(&self) -> &[Sale] {
        &self.sales
    }

    /// By authToken.
    #[must_use]
    pub fn by_token(&self, token: &str) -> Option<&Sale> {
        self.by_token.get(token).and_then(|at| self.sales.get(*at))
    }

    /// By the transaction id of the approval.
    #[must_use]
    pub fn by_tid(&self, tid: &str) -> Option<&Sale> {
        self.by_tid.get(tid).and_then(|at| self.sales.get(*at))
    }

    /// Whether the id is that of a partial cancel.
    #[must_use]
    pub fn is_part_tid(&self, tid: &str) -> bool {
        self.by_part_tid.contains_key(tid)
    }

    /// The newest approved sale of an order.
    #[must_use]
    pub fn approved_by_oid(&self, mid: &str, oid: &str) -> Option<&Sale> {
        let places = self.by_oid.get(&(mid.to_owned(), oid.to_owned()))?;
        places.iter().rev().filter_map(|at| self.sales.get(*at)).find(|sale| sale.approvals > 0)
    }

    /// Applies one event. An event of an unknown sale is a ledger of another make and changes nothing.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Authenticated { at, token, auth } => self.open(*at, token, auth),
            Event::Approved { at, token, tid, oid, appl_num, map, account } => {
                let Some(place) = self.by_token.get(token).copied() else { return };
                let Some(sale) = self.sales.get_mut(place) else { return };
                let old = (sale.auth.mid.clone(), std::mem::replace(&mut sale.auth.oid, oid.clone()));
                (sale.state, sale.remaining) = match account {
                    None => (SaleState::Approved, sale.auth.price),
                    Some(_) => (SaleState::AwaitingDeposit, 0),
                };
                sale.account.clone_from(account);
                sale.tid = Some(tid.clone());
                sale.approvals += 1;
                sale.approved_at = Some(*at);
                sale.appl_num.clone_from(appl_num);
                sale.approval_map.clone_from(map);
                self.by_tid.insert(tid.clone(), place);
                if old.1 != *oid {
                    self.by_oid.entry((old.0, oid.clone())).or_default().push(place);
                }
            }
            Event::Declined { token, code, .. } => {
                if let Some(sale) = self.sale_of(token) {
                    sale.state = SaleState::Declined;
                    sale.decline = Some(code.clone());
                }
            }
            Event::NetCancelled { at, token } => {
                if let Some(sale) = self.sale_of(token) {
                    let price = std::mem::take(&mut sale.remaining);
                    sale.state = SaleState::NetCancelled;
                    sale.cancels.push(Cancel::new(*at, "net_cancel", price));
                }
            }
            Event::NetCancelledEarly { token, .. } => {
                if let Some(sale) = self.sale_of(token) {
                    sale.net_cancelled_early = true;
                }
            }
            Event::Deposited { at, tid, price, deposit } => {
                if let Some(sale) = self.by_tid.get(tid).and_then(|p| self.sales.get_mut(*p)) {
                    sale.deposit(Deposit { at: *at, amount: *price, ..Deposit::clone(deposit) });
                }
            }
            Event::DepositCancelled { at, tid, deposit_tid } => {
                if let Some(sale) = self.by_tid.get(tid).and_then(|p| self.sales.get_mut(*p)) {
                    sale.take_back(deposit_tid, *at);
                }
            }
            Event::VbankSettings { settings, .. } => self.notices.set(settings),
            Event::NoticeQueued { at, notice } => self.notices.queue(*at, notice),
            Event::NoticeTried { id, tried } => self.notices.tried(*id, tried),
            Event::NoticeStopped { id, .. } => self.notices.stop(*id),
            Event::Cancelled { at, tid, account, .. } => {
                if let Some(sale) = self.by_tid.get(tid).and_then(|p| self.sales.get_mut(*p)) {
                    let kind = if sale.state == SaleState::AwaitingDeposit { "close" } else { "refund" };
                    let price = std::mem::take(&mut sale.remaining);
                    sale.state = SaleState::Cancelled;
                    let account = account.clone();
                    sale.cancels.push(Cancel { account, ..Cancel::new(*at, kind, price) });
                }
            }
            Event::PartiallyCancelled { at, tid, part_tid, price, tax, taxfree, account, .. } => {
                let cancel = Cancel {
                    tid: Some(part_tid.clone()),
                    tax: *tax,
                    taxfree: *taxfree,
                    account: account.clone(),
                    ..Cancel::new(*at, "partial_refund", *price)
                };
                self.cancel_part(tid, part_tid, cancel);
            }
            Event::NotAuthenticated { .. } | Event::Refused { .. } => {}
            Event::Reset { .. } => *self = Self { notices: self.notices.emptied(), ..Self::default() },
        }
    }

    fn sale_of(&mut self, token: &str) -> Option<&mut Sale> {
        self.by_token.get(token).and_then(|at| self.sales.get_mut(*at))
    }

    fn open(&mut self, at: i64, token: &str, auth: &Authentication) {
        let place = self.sales.len();
        self.by_token.insert(token.to_owned(), place);
        self.by_oid.entry((auth.mid.clone(), auth.oid.clone())).or_default().push(place);
        self.sales.push(Sale {
            auth: auth.clone(),
            tid: None,
            state: SaleState::Authenticated,
            remaining: 0,
            cancels: Vec::new(),
            approvals: 0,
            decline: None,
            authenticated_at: at,
            approved_at: None,
            net_cancelled_early: false,
            appl_num: String::new(),
            account: None,
            deposited_at: None,
            deposits: Vec::new(),
            approval_map: Vec::new(),
        });
    }

    fn cancel_part(&mut self, tid: &str, part_tid: &str, cancel: Cancel) {
        let Some(place) = self.by_tid.get(tid).copied() else { return };
        let Some(sale) = self.sales.get_mut(place) else { return };
        sale.remaining = sale.remaining.saturating_sub(cancel.price);
        sale.state = if sale.remaining == 0 { SaleState::Cancelled } else { SaleState::PartiallyCancelled };
        sale.cancels.push(cancel);
        self.by_part_tid.insert(part_tid.to_owned(), place);
    }
}
