//! Invariant: PC and phone book an approval with the same event; an issue of a virtual account books no money.

use crate::ledger::{Authentication, Book, Event, VirtualAccount};
use crate::method::{self, ISP_PREFIX};
use crate::sim::Sim;

/// What an approval makes before it is booked.
#[derive(Clone, Debug)]
pub struct Booking {
    /// Transaction id.
    pub tid: String,
    /// Approval number.
    pub appl_num: String,
    /// The account that is opened.
    pub account: Option<VirtualAccount>,
    /// When.
    pub now: i64,
}

impl Booking {
    /// Makes numbers for an approval.
    pub fn new(sim: &Sim, book: &Book, auth: &Authentication) -> Self {
        let method = method::by_name(&auth.method).unwrap_or(method::CARD);
        let prefix = match (&auth.mobile, &method.mobile) {
            (Some(_), Some(mobile)) => mobile.prefix,
            // After INIAPICARD (§0.4); not documented for accounts.
            (None, _) if auth.by_api => "INIAPIVBNK",
            (None, _) if auth.means.isp => ISP_PREFIX,
            (Some(_) | None, _) => method.pc_prefix,
        };
        let account = (method.name == "VBank").then(|| VirtualAccount {
            number: format!("562{:011}", rand::random_range(0..100_000_000_000_u64)),
            bank: auth.means.bank.clone(),
            holder: "시뮬레이터상점".to_owned(),
            due: auth.means.due.clone(),
        });
        Self {
            tid: sim.new_tid(book, prefix, &auth.mid),
            appl_num: format!("{:08}", rand::random_range(0..100_000_000_u32)),
            account,
            now: sim.clock.now_ms(),
        }
    }

    /// The event of the approval.
    pub fn event(self, token: &str, oid: &str, map: Vec<(String, String)>) -> Event {
        let (token, oid) = (token.to_owned(), oid.to_owned());
        let Self { tid, appl_num, account, now } = self;
        Event::Approved { at: now, token, tid, oid, appl_num, map, account }
    }
}
