//! Invariant: money comes into an account, and goes out of it again, by one event each, booked together with the notice
//! that tells of it (`reference/inicis.md` §3, §9 item 17).

pub mod control;
pub mod pages;
pub mod settings;

use serde::Deserialize;

use crate::clock::parse_kst14;
use crate::codes;
use crate::form::Charset;
use crate::ledger::{Book, Deposit, Event, Sale, SaleState};
use crate::notice::{Dress, Kind, build};
use crate::refusal::Refusal;
use crate::sim::Sim;
use settings::VbankSettings;

/// Most bytes of a depositor's name in EUC-KR (`nm_input`, §3.1).
const DEPOSITOR_MAX: usize = 20;

/// Most won that the simulator takes in one deposit: `amt_input` has 13 digits (§3.1).
const MOST_WON: u64 = 9_999_999_999_999;

/// Which sale is meant.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Target {
    /// Transaction of the issue.
    pub tid: String,
    /// Order number; the newest account of it.
    pub oid: String,
    /// Merchant, where an order number is not enough.
    pub mid: String,
    /// Account number.
    pub account: String,
}

impl Target {
    /// The newest sale that it names and that `fits`.
    ///
    /// # Errors
    /// There is none.
    pub fn find<'a>(&self, book: &'a Book, fits: impl Fn(&Sale) -> bool) -> Result<&'a Sale, Refusal> {
        if !self.tid.is_empty() {
            let sale = book.by_tid(&self.tid).filter(|sale| fits(sale));
            return sale.ok_or_else(|| Refusal::coded("504623", &self.tid));
        }
        let named = |sale: &&Sale| {
            let number = sale.account.as_ref().map_or("", |account| &account.number);
            let (given_oid, given_number) = (!self.oid.is_empty(), !self.account.is_empty());
            (given_oid || given_number)
                && (!given_oid || sale.auth.oid == self.oid)
                && (!given_number || number == self.account)
                && (self.mid.is_empty() || sale.auth.mid == self.mid)
                && fits(sale)
        };
        let what = if self.oid.is_empty() { &self.account } else { &self.oid };
        book.sales().iter().rev().find(named).ok_or_else(|| Refusal::coded("504623", what))
    }
}

/// Somebody pays into an account.
#[derive(Clone, Debug)]
pub struct Paying {
    /// Amount; absent the price.
    pub amount: Option<u64>,
    /// Name; empty the one of the window, or the buyer's.
    pub depositor: String,
    /// Bank that it is paid in at; empty Shinhan.
    pub bank: String,
    /// When.
    pub at: i64,
}

/// What was booked.
#[derive(Clone, Debug)]
pub struct Booked {
    /// Transaction of the issue.
    pub tid: String,
    /// Transaction of the deposit.
    pub deposit_tid: String,
    /// Amount.
    pub amount: u64,
    /// Numbers of the notices.
    pub notices: Vec<u64>,
}

fn no(text: &str) -> Refusal {
    Refusal::new("SIM:BANK", text)
}

/// The switches that hold now.
#[must_use]
pub fn settings(sim: &Sim, book: &Book) -> VbankSettings {
    book.notices.settings().unwrap_or(&sim.settings.vbank).clone()
}

/// Books a deposit and its notice.
///
/// # Errors
/// The account is closed, or a switch forbids it.
pub fn deposit(
    sim: &Sim,
    book: &Book,
    target: &Target,
    paying: &Paying,
    dress: &Dress,
) -> Result<(Vec<Event>, Booked), Refusal> {
    let sale = target.find(book, |sale| sale.account.is_some())?;
    let amount = paying.amount.unwrap_or(sale.auth.price);
    let bank = if paying.bank.is_empty() { "88" } else { &paying.bank };
    may_deposit(&settings(sim, book), sale, amount, paying.at)?;
    if !codes::BANK_CODES.contains(&bank) {
        return Err(no("알 수 없는 은행입니다"));
    }
    let wanted = [&paying.depositor, &sale.auth.means.depositor, &sale.auth.buyername];
    let depositor = wanted.into_iter().find(|name| !name.is_empty()).cloned().unwrap_or_default();
    if Charset::EucKr.encode(&depositor).len() > DEPOSITOR_MAX {
        return Err(no("입금자명은 EUC-KR 로 20바이트까지입니다"));
    }
    let deposit = Deposit {
        tid: sim.new_tid(book, "ININPGVBNK", &sale.auth.mid),
        at: paying.at,
        amount,
        depositor,
        bank: bank.to_owned(),
        cancelled_at: None,
    };
    let kind = if sale.auth.mobile.is_some() { Kind::MobileDeposit } else { Kind::PcDeposit };
    let notice = build::deposit(sim, book, sale, &deposit, kind, dress);
    let booked = booked(sale, &deposit, notice.as_ref());
    let tid = booked.tid.clone();
    let event = Event::Deposited { at: paying.at, tid, price: amount, deposit: Box::new(deposit) };
    let queued = notice.map(|notice| build::queued(sim, notice));
    Ok((std::iter::once(event).chain(queued).collect(), booked))
}

fn may_deposit(switches: &VbankSettings, sale: &Sale, amount: u64, at: i64) -> Result<(), Refusal> {
    match sale.state {
        SaleState::AwaitingDeposit | SaleState::Approved | SaleState::PartiallyCancelled => {}
        SaleState::Authenticated | SaleState::Declined | SaleState::Cancelled | SaleState::NetCancelled => {
            return Err(no("닫힌 계좌입니다"));
        }
    }
    if amount == 0 || amount > MOST_WON {
        return Err(no("입금액은 1원부터 13자리까지입니다"));
    }
    let held: u64 = sale.live_deposits().map(|one| one.amount).sum();
    if !switches.accepts_wrong_amount && held.saturating_add(amount) != sale.auth.price {
        return Err(no("결제금액과 다른 금액은 입금할 수 없습니다"));
    }
    let taken_back = sale.deposits.iter().any(|one| one.cancelled_at.is_some());
    if taken_back && !switches.accepts_deposit_after_cancel {
        return Err(no("입금이 취소된 계좌입니다"));
    }
    let due = sale.account.as_ref().and_then(|account| parse_kst14(&format!("{}00", account.due)));
    if !switches.accepts_late_deposit && due.is_some_and(|due| at > due) {
        return Err(no("입금기한이 지났습니다"));
    }
    Ok(())
}

/// Books that the bank took a deposit back, and its notice. Which notice a phone's account gets then is not documented,
/// so it gets none.
///
/// # Errors
/// There is no such deposit, or its money was refunded already.
pub fn cancel_deposit(
    sim: &Sim,
    book: &Book,
    target: &Target,
    deposit_tid: &str,
    at: i64,
    dress: &Dress,
) -> Result<(Vec<Event>, Booked), Refusal> {
    let of = |sale: &Sale| sale.deposits.iter().any(|one| one.tid == deposit_tid);
    let sale = match deposit_tid {
        "" => target.find(book, |sale| sale.account.is_some())?,
        _ => book.sales().iter().rev().find(|sale| of(sale)).ok_or_else(|| no("없는 입금입니다"))?,
    };
    let deposit = sale
        .live_deposits()
        .filter(|one| deposit_tid.is_empty() || one.tid == deposit_tid)
        .last()
        .ok_or_else(|| no("취소할 입금이 없습니다"))?;
    if deposit.amount > sale.remaining {
        return Err(no("이미 환불된 입금입니다"));
    }
    let mobile = sale.auth.mobile.is_some();
    let deposit = Deposit { cancelled_at: Some(at), ..deposit.clone() };
    let notice =
        if mobile { None } else { build::deposit(sim, book, sale, &deposit, Kind::PcDepositCancel, dress) };
    let booked = booked(sale, &deposit, notice.as_ref());
    let (tid, deposit_tid) = (booked.tid.clone(), booked.deposit_tid.clone());
    let event = Event::DepositCancelled { at, tid, deposit_tid };
    let queued = notice.map(|notice| build::queued(sim, notice));
    Ok((std::iter::once(event).chain(queued).collect(), booked))
}

fn booked(sale: &Sale, deposit: &Deposit, notice: Option<&crate::notice::Notice>) -> Booked {
    Booked {
        tid: sale.tid.clone().unwrap_or_default(),
        deposit_tid: deposit.tid.clone(),
        amount: deposit.amount,
        notices: notice.iter().map(|notice| notice.id).collect(),
    }
}
