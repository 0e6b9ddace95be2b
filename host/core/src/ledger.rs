//! Double entry. Invariant: the lines of one fact sum to zero, and so do a payment, a shop and the whole ledger.

use serde::{Deserialize, Serialize};

use crate::fact::{Fact, FactKind};

/// Where money is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// What the gateway owes the shop.
    Gateway,
    /// What the shop sold.
    Sales,
    /// What the shop gave back.
    Refunds,
}

impl Account {
    /// The text that the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Sales => "sales",
            Self::Refunds => "refunds",
        }
    }
}

/// One line: positive amounts are debits, negative ones credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Where.
    pub account: Account,
    /// Minor units, signed.
    pub amount: i64,
}

/// The lines that a fact writes; none when no money moved.
pub fn lines(fact: Fact) -> Vec<Line> {
    let minor = fact.amount.minor;
    let against = match fact.kind {
        FactKind::Approved | FactKind::Deposited => Account::Sales,
        FactKind::Cancelled | FactKind::DepositCancelled => Account::Refunds,
        FactKind::Issued | FactKind::Closed => return Vec::new(),
    };
    let signed = fact.kind.sign().saturating_mul(minor);
    vec![
        Line { account: Account::Gateway, amount: signed },
        Line { account: against, amount: signed.saturating_neg() },
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::{Currency, Money};

    proptest! {
        #[test]
        fn every_fact_sums_to_zero(at in 0..FactKind::TABLE.len(), minor in 0..i64::MAX) {
            let fact = Fact { kind: FactKind::TABLE[at].0, amount: Money::new(minor, Currency::KRW) };
            let sum: i64 = lines(fact).iter().map(|line| line.amount).sum();
            prop_assert_eq!(sum, 0);
        }
    }
}
