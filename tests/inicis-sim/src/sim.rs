//! Invariant: everything that the simulator knows hangs on one [`Sim`]; what must survive is in its ledger.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::{Clock, kst14};
use crate::fault::Faults;
use crate::ledger::{Book, Event, Ledger, LedgerError};
use crate::merchant::Merchants;
use crate::mobile::request::MobileRequest;
use crate::notice::courier::Courier;
use crate::older::Older;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::stdpay::request::PayRequest;
use crate::windows::Windows;

/// The simulated gateway.
#[derive(Debug)]
pub struct Sim {
    /// Who may pay here.
    pub merchants: Merchants,
    /// Switches.
    pub settings: Settings,
    /// Time.
    pub clock: Clock,
    /// Money.
    pub ledger: Ledger,
    /// Faults that are armed.
    pub faults: Faults,
    /// Windows that are open on PC.
    pub windows: Windows<PayRequest>,
    /// Windows that are open on phones.
    pub mobile_windows: Windows<MobileRequest>,
    /// Merchants whose clients are older, and what was taken from them.
    pub older: Older,
    /// Notices that are under way.
    pub courier: Courier,
    serial: AtomicU32,
    used_timestamps: Mutex<HashSet<(String, String, String)>>,
}

/// The simulator as handlers share it.
pub type Shared = Arc<Sim>;

impl Sim {
    /// A simulator over an open ledger.
    #[must_use]
    pub fn new(merchants: Merchants, settings: Settings, clock: Clock, ledger: Ledger) -> Self {
        Self {
            merchants,
            settings,
            clock,
            ledger,
            faults: Faults::default(),
            windows: Windows::default(),
            mobile_windows: Windows::default(),
            older: Older::default(),
            courier: Courier::default(),
            serial: AtomicU32::new(rand::random_range(0..1_000_000)),
            used_timestamps: Mutex::new(HashSet::new()),
        }
    }

    /// The data centre of the next authentication.
    pub fn next_idc(&self) -> String {
        match &self.settings.idc {
            Some(idc) => idc.clone(),
            None => if self.next_serial().is_multiple_of(2) { "fc" } else { "ks" }.to_owned(),
        }
    }

    fn next_serial(&self) -> u32 {
        self.serial.fetch_add(1, Ordering::Relaxed) % 1_000_000
    }

    /// A transaction id that the book does not have: prefix, mid, 14 digits in Korea, 6 digits (§0.4).
    pub fn new_tid(&self, book: &Book, prefix: &str, mid: &str) -> String {
        let now = kst14(self.clock.now_ms());
        loop {
            let tid = format!("{prefix}{mid}{now}{:06}", self.next_serial());
            if book.by_tid(&tid).is_none() && book.by_token(&tid).is_none() && !book.is_part_tid(&tid) {
                return tid;
            }
        }
    }

    /// Whether the merchant used this INIAPI timestamp for this type for the first time.
    pub fn first_use(&self, mid: &str, kind: &str, timestamp: &str) -> bool {
        let mut used = self.used_timestamps.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert((mid.to_owned(), kind.to_owned(), timestamp.to_owned()))
    }

    /// Forgets everything but the ledger file, which gets a line that says so.
    ///
    /// # Errors
    /// The line could not be written.
    pub async fn reset(&self) -> Result<(), LedgerError> {
        self.ledger.note(Event::Reset { at: self.clock.now_ms() }).await?;
        self.faults.clear();
        self.older.clear();
        self.windows.clear();
        self.mobile_windows.clear();
        self.used_timestamps.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    /// The line that records a refused request.
    pub fn refused(&self, operation: &str, mid: &str, oid: &str, refusal: &Refusal) -> Event {
        Event::Refused {
            at: self.clock.now_ms(),
            operation: operation.to_owned(),
            mid: mid.to_owned(),
            oid: oid.to_owned(),
            code: refusal.code.clone(),
            reason: refusal.message.clone(),
        }
    }
}
