//! Invariant: a notice is in the ledger before its first byte leaves, and it is repeated on the gateway's schedule until
//! it is accepted, until its rounds are used up, or until somebody sends it by hand (`reference/inicis.md` §3).

pub mod build;
pub mod control;
pub mod courier;
mod fields;
pub mod pages;
mod send;

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::form::{Charset, Fields};

const MINUTE_MS: i64 = 60_000;

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Money came into an account: `type_msg` 0200 (§3.1).
    PcDeposit,
    /// A deposit was taken back: `type_msg` 0400.
    PcDepositCancel,
    /// An account was opened on a phone: P_STATUS 00 (§3.2).
    MobileIssued,
    /// Money came into it: P_STATUS 02.
    MobileDeposit,
    /// INICIS approved by itself: ISP or transfer in one transaction (§2.7).
    MobileApproved,
    /// A step of an escrow sale (§3.3).
    Escrow,
    /// Whatever a test wants to send; never repeated.
    Raw,
}

impl Kind {
    /// The body that ends the repeats, with nothing around it.
    #[must_use]
    pub const fn wanted(self) -> &'static str {
        match self {
            Self::Escrow => "cd_rslt=0000",
            Self::PcDeposit
            | Self::PcDepositCancel
            | Self::MobileIssued
            | Self::MobileDeposit
            | Self::MobileApproved
            | Self::Raw => "OK",
        }
    }

    /// How long to wait after so many rounds (at least one) before the next; `None` when there is none. PC: 4 repeats
    /// every ten minutes, 6 every hour (§3.1). Phone: every ten minutes for a day (§3.2); how long a one-transaction
    /// approval is repeated is not documented, the same is assumed. Escrow: 10 repeats (§3.3).
    #[must_use]
    pub const fn gap_ms(self, rounds: usize) -> Option<i64> {
        match self {
            Self::PcDeposit | Self::PcDepositCancel => match rounds {
                0..=4 => Some(10 * MINUTE_MS),
                5..=10 => Some(60 * MINUTE_MS),
                _ => None,
            },
            Self::MobileIssued | Self::MobileDeposit | Self::MobileApproved if rounds <= 144 => {
                Some(10 * MINUTE_MS)
            }
            Self::Escrow if rounds <= 10 => Some(10 * MINUTE_MS),
            Self::MobileIssued | Self::MobileDeposit | Self::MobileApproved | Self::Escrow | Self::Raw => {
                None
            }
        }
    }
}

/// How a notice looks and travels. Every member has a default, so that a test names only what it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dress {
    /// Address of this machine that it is sent from.
    pub source: Option<IpAddr>,
    /// `EUC-KR` or `UTF-8` (a choice of the admin, known from memory only), percent-encoded.
    pub charset: String,
    /// Content type; none leaves the header out.
    pub content_type: Option<String>,
    /// Whether it is sent as HTTP/1.0.
    pub http10: bool,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// How many are sent at once in each round.
    pub copies: u32,
    /// Kept back until it is sent by hand.
    pub hold: bool,
    /// PC: with `no_req_tid`, as newer messages have it.
    pub no_req_tid: bool,
    /// PC: `dt_calculstd` is one blank and `no_vacct` is filled up to 20 (§3.1, §10).
    pub blanks: bool,
    /// Phone: P_AUTH_DT as YYMMDDhhmmss (§3.2, captures).
    pub short_auth_dt: bool,
    /// Phone: P_TID of a deposit is a new one and not the issue's. Unknown.
    pub mobile_own_tid: bool,
    /// PC: `no_tid` of a 0400 is a new one and not that of the deposit. Unknown.
    pub cancel_own_tid: bool,
}

impl Default for Dress {
    fn default() -> Self {
        Self {
            source: None,
            charset: Charset::EucKr.name().to_owned(),
            content_type: Some("application/x-www-form-urlencoded".to_owned()),
            http10: false,
            headers: Vec::new(),
            copies: 1,
            hold: false,
            no_req_tid: true,
            blanks: true,
            short_auth_dt: false,
            mobile_own_tid: false,
            cancel_own_tid: false,
        }
    }
}

impl Dress {
    /// The charset that it names; anything else than `UTF-8` is EUC-KR.
    #[must_use]
    pub fn charset(&self) -> Charset {
        if self.charset == Charset::Utf8.name() { Charset::Utf8 } else { Charset::EucKr }
    }
}

/// A message to a merchant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Number, counted from 1.
    pub id: u64,
    /// What it tells.
    pub kind: Kind,
    /// Merchant.
    pub mid: String,
    /// Order number.
    pub oid: String,
    /// Transaction of the sale.
    pub tid: String,
    /// `POST`, but for raw ones.
    pub method: String,
    /// Where it goes.
    pub url: String,
    /// Its form, as text.
    pub fields: Vec<(String, String)>,
    /// In place of the form: any bytes in base64.
    #[serde(default)]
    pub body_base64: Option<String>,
    /// How it is sent.
    pub dress: Dress,
}

impl Notice {
    /// The bytes that are sent.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        match &self.body_base64 {
            Some(text) => STANDARD.decode(text).unwrap_or_default(),
            None => Fields::new(self.fields.clone()).to_body(self.dress.charset()).into_bytes(),
        }
    }
}

/// One sending and what came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// When it ended.
    pub at: i64,
    /// Round of the schedule, counted from 1; none when it was sent by hand.
    pub round: Option<usize>,
    /// HTTP status.
    pub status: Option<u16>,
    /// The answer's body as the admin shows it; bytes that are not UTF-8 are replaced, and a long one is cut.
    pub answer: String,
    /// Why there is no answer.
    pub error: Option<String>,
    /// Whether the answer was exactly the wanted one.
    pub accepted: bool,
}

/// A notice and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// What is sent.
    #[serde(flatten)]
    pub notice: Notice,
    /// When it was booked.
    pub queued_at: i64,
    /// All sendings.
    pub tries: Vec<Try>,
    /// Sent by hand, which ends the repeats (§3.1; assumed for the others).
    pub stopped: bool,
}

impl Record {
    /// A notice that nobody sent yet.
    #[must_use]
    pub fn new(queued_at: i64, notice: Notice) -> Self {
        Self { notice, queued_at, tries: Vec::new(), stopped: false }
    }

    /// Whether the merchant took it.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.tries.iter().any(|one| one.accepted)
    }

    /// Rounds of the schedule that were sent.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.tries.iter().filter_map(|one| one.round).max().unwrap_or_default()
    }

    /// When the next round is due, with waiting times divided by `speed`; `None` when there is none.
    #[must_use]
    pub fn next_at(&self, speed: u32) -> Option<i64> {
        let ended = self.stopped || self.notice.dress.hold || self.notice.kind == Kind::Raw;
        if ended || self.accepted() {
            return None;
        }
        let rounds = self.rounds();
        let last = self.tries.iter().filter(|one| one.round == Some(rounds)).map(|one| one.at).max();
        match last {
            None => Some(self.queued_at),
            Some(at) => {
                let gap = self.notice.kind.gap_ms(rounds)?;
                Some(at.saturating_add(gap / i64::from(speed.max(1))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kind: Kind) -> Vec<i64> {
        (1..).map_while(|rounds| kind.gap_ms(rounds)).map(|gap| gap / MINUTE_MS).collect()
    }

    #[test]
    fn pc_repeats_four_times_every_ten_minutes_and_six_times_every_hour() {
        assert_eq!(schedule(Kind::PcDeposit), [10, 10, 10, 10, 60, 60, 60, 60, 60, 60]);
        assert_eq!(schedule(Kind::PcDepositCancel), schedule(Kind::PcDeposit));
    }

    #[test]
    fn a_phone_repeats_every_ten_minutes_for_a_day_and_escrow_ten_times() {
        for kind in [Kind::MobileIssued, Kind::MobileDeposit, Kind::MobileApproved] {
            assert_eq!(schedule(kind), vec![10; 144]);
        }
        assert_eq!(schedule(Kind::Escrow), vec![10; 10]);
        assert!(schedule(Kind::Raw).is_empty());
    }
}
