//! What happened at the gateway. Invariant: facts are only ever added, and the same thing told twice is one fact (unique by
//! channel, kind, the sale's gateway reference and sequence).

use serde::{Deserialize, Serialize};

use crate::money::Money;

/// Kinds of facts. The text form is what the store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactKind {
    /// The gateway took the money.
    Approved,
    /// The gateway gave money back (all or a part), or an approval was undone.
    Cancelled,
    /// An account was opened for a deposit.
    Issued,
    /// Money was paid into an account.
    Deposited,
    /// A deposit was taken back by the bank.
    DepositCancelled,
    /// An account was closed before anything was paid in.
    Closed,
}

impl FactKind {
    /// All of them, with the text that the store keeps.
    pub const TABLE: [(Self, &'static str); 6] = [
        (Self::Approved, "approved"),
        (Self::Cancelled, "cancelled"),
        (Self::Issued, "issued"),
        (Self::Deposited, "deposited"),
        (Self::DepositCancelled, "deposit_cancelled"),
        (Self::Closed, "closed"),
    ];

    /// Its text.
    pub fn as_str(self) -> &'static str {
        Self::TABLE.iter().find(|(kind, _)| *kind == self).map_or("", |(_, text)| text)
    }

    /// The kind of a text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::TABLE.iter().find(|(_, known)| *known == text).map(|(kind, _)| *kind)
    }

    /// How money held at the gateway for the shop changes: +1, -1 or 0 times the amount.
    pub fn sign(self) -> i64 {
        match self {
            Self::Approved | Self::Deposited => 1,
            Self::Cancelled | Self::DepositCancelled => -1,
            Self::Issued | Self::Closed => 0,
        }
    }
}

/// The part of a fact that states and the ledger are computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What happened.
    pub kind: FactKind,
    /// To how much money; never negative.
    pub amount: Money,
}
