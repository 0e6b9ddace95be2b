//! Invariant: who gets which notice is decided here and nowhere else: a phone's sale tells P_NOTI_URL, every other one
//! the one address of its merchant id (`reference/inicis.md` §3.1, §3.2).

use super::{Dress, Kind, Notice, fields};
use crate::ledger::{Book, Deposit, Event, Sale};
use crate::refusal::Refusal;
use crate::sim::Sim;
use crate::vbank::settings;

/// The event that hands a notice to the courier.
#[must_use]
pub fn queued(sim: &Sim, notice: Notice) -> Event {
    Event::NoticeQueued { at: sim.clock.now_ms(), notice: Box::new(notice) }
}

fn notice(
    book: &Book,
    kind: Kind,
    sale: &Sale,
    url: &str,
    form: Vec<(String, String)>,
    dress: &Dress,
) -> Notice {
    Notice {
        id: book.notices.next_id(),
        kind,
        mid: sale.auth.mid.clone(),
        oid: sale.auth.oid.clone(),
        tid: sale.tid.clone().unwrap_or_default(),
        method: "POST".to_owned(),
        url: url.to_owned(),
        fields: form,
        body_base64: None,
        dress: dress.clone(),
    }
}

/// The notice of a deposit, or of one that was taken back; `None` if nobody is told.
#[must_use]
pub fn deposit(
    sim: &Sim,
    book: &Book,
    sale: &Sale,
    deposit: &Deposit,
    kind: Kind,
    dress: &Dress,
) -> Option<Notice> {
    let tid = sale.tid.as_deref().unwrap_or_default();
    if let Some(order) = &sale.auth.mobile {
        let own = dress.mobile_own_tid;
        let told = if own { &deposit.tid } else { tid };
        let form = fields::mobile_deposit(sale, deposit, told, dress);
        return Some(notice(book, kind, sale, &order.noti_url, form, dress));
    }
    let url = settings(sim, book).urls.get(&sale.auth.mid).cloned()?;
    let told = if kind == Kind::PcDepositCancel && dress.cancel_own_tid {
        sim.new_tid(book, "ININPGVBNK", &sale.auth.mid)
    } else {
        deposit.tid.clone()
    };
    let test = sim.merchants.get(&sale.auth.mid).is_some_and(|merchant| merchant.test);
    let message = fields::Message { number: book.notices.next_id(), tid: &told, test, kind };
    let form = fields::pc(sale, deposit, message, dress);
    Some(notice(book, kind, sale, &url, form, dress))
}

/// What an approval on a phone tells P_NOTI_URL: that an account was opened (§3.2), or that INICIS approved by itself
/// (§2.7, `at_once`). Everything else was told to the browser.
#[must_use]
pub fn after_approval(sim: &Sim, book: &Book, sale: &Sale, approved: &Event, at_once: bool) -> Option<Event> {
    let order = sale.auth.mobile.as_ref()?;
    let Event::Approved { at, tid, appl_num, account, .. } = approved else { return None };
    let kind = match account {
        Some(_) => Kind::MobileIssued,
        None if at_once => Kind::MobileApproved,
        None => return None,
    };
    if order.noti_url.is_empty() {
        return None;
    }
    let dress = settings(sim, book).notice;
    let form = match account {
        Some(account) => fields::mobile_issued(&sale.auth, account, tid, *at, &dress),
        None => fields::at_once(&sale.auth, tid, appl_num, *at, &dress),
    };
    let mut notice = notice(book, kind, sale, &order.noti_url, form, &dress);
    notice.tid.clone_from(tid);
    Some(queued(sim, notice))
}

/// A step of an escrow sale (§3.3), played by hand: escrow itself is not simulated.
///
/// # Errors
/// A status that §3.3 does not have, or no address for this merchant.
pub fn escrow(
    sim: &Sim,
    book: &Book,
    sale: &Sale,
    step: &fields::Step,
    dress: &Dress,
) -> Result<Notice, Refusal> {
    if !fields::ESCROW_STATUSES.contains(&step.cl_status.as_str()) {
        return Err(Refusal::new("SIM:ESCROW", "cl_status: 2, 3, 31, 32, 4, 8, 10 중 하나여야 합니다"));
    }
    let urls = settings(sim, book).escrow_urls;
    let url = urls
        .get(&sale.auth.mid)
        .ok_or_else(|| Refusal::new("SIM:ESCROW", "에스크로 통보 주소(escrow_urls)가 없습니다"))?;
    let form = fields::escrow(sale, step, sim.clock.now_ms());
    Ok(notice(book, Kind::Escrow, sale, url, form, dress))
}

pub use fields::Step;
