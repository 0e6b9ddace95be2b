//! States of a payment. Invariant: the state follows from the facts, so the order in which they arrive does not matter.

use serde::{Deserialize, Serialize};

use crate::fact::{Fact, FactKind};

/// What a shop sees. `design.md` "Words".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// Made, nothing opened.
    Created,
    /// A checkout was opened.
    Pending,
    /// An account waits for its deposit.
    AwaitingDeposit,
    /// The money is held.
    Paid,
    /// A part was given back.
    PartiallyCancelled,
    /// All was given back, an account was closed, or it was given up before it was paid.
    Cancelled,
    /// A charge without a window was declined.
    Failed,
    /// Nobody paid in time.
    Expired,
}

/// Whether the host knows how the last attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Nothing is open.
    None,
    /// An attempt's outcome is not known yet; it is being asked about.
    InDoubt,
    /// A person must find out.
    NeedsOperator,
}

macro_rules! text_table {
    ($name:ident { $($case:ident = $text:literal),* $(,)? }) => {
        impl $name {
            /// All of them, with the text that the store and the API use.
            pub const TABLE: &'static [(Self, &'static str)] = &[$((Self::$case, $text)),*];

            /// Its text.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$case => $text),* }
            }

            /// The value of a text.
            pub fn parse(text: &str) -> Option<Self> {
                Self::TABLE.iter().find(|(_, known)| *known == text).map(|(value, _)| *value)
            }
        }
    };
}

text_table!(PaymentState {
    Created = "created",
    Pending = "pending",
    AwaitingDeposit = "awaiting_deposit",
    Paid = "paid",
    PartiallyCancelled = "partially_cancelled",
    Cancelled = "cancelled",
    Failed = "failed",
    Expired = "expired",
});

text_table!(Resolution { None = "none", InDoubt = "in_doubt", NeedsOperator = "needs_operator" });

impl PaymentState {
    /// Whether the order number is free again: nothing is held and nothing is expected.
    pub fn is_over(self) -> bool {
        match self {
            Self::Cancelled | Self::Failed | Self::Expired => true,
            Self::Created | Self::Pending | Self::AwaitingDeposit | Self::Paid | Self::PartiallyCancelled => {
                false
            }
        }
    }

    /// Whether a buyer may still open a checkout.
    pub fn is_payable(self) -> bool {
        match self {
            Self::Created | Self::Pending => true,
            Self::AwaitingDeposit
            | Self::Paid
            | Self::PartiallyCancelled
            | Self::Cancelled
            | Self::Failed
            | Self::Expired => false,
        }
    }
}

/// What is true of a payment beside its facts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// A checkout was opened.
    pub opened: bool,
    /// A charge without a window was declined.
    pub failed: bool,
    /// Its time, or the deposit's, is over.
    pub expired: bool,
    /// It was given up before it was paid.
    pub given_up: bool,
    /// What was to be paid, minor units: a deposit of less does not pay it.
    pub total: i64,
}

/// Sums of a payment's facts, in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Taken: approvals and deposits.
    pub paid: i64,
    /// Given back.
    pub cancelled: i64,
}

impl Sums {
    /// Adds the facts up. Sums that would overflow stay at the limit; amounts are checked before facts are written.
    pub fn of(facts: &[Fact]) -> Self {
        facts.iter().fold(Self::default(), |sums, fact| match fact.kind.sign() {
            1 => Self { paid: sums.paid.saturating_add(fact.amount.minor), ..sums },
            -1 => Self { cancelled: sums.cancelled.saturating_add(fact.amount.minor), ..sums },
            _ => sums,
        })
    }

    /// What the gateway still holds for the shop.
    pub fn held(&self) -> i64 {
        self.paid.saturating_sub(self.cancelled)
    }
}

/// The state that follows from the facts: money held → paid or partially cancelled, even after expiry or giving up; none
/// held → closed, given back or given up: cancelled; time over: expired; else waiting.
///
/// Deposits come in any size: less than the total, of which the shop gave nothing back, is still awaited; the total or more
/// is paid, whatever the bank or the shop took back on the way there.
pub fn state_of(facts: &[Fact], standing: Standing) -> PaymentState {
    let sums = Sums::of(facts);
    let has = |kind: FactKind| facts.iter().any(|fact| fact.kind == kind);
    if sums.held() > 0 {
        return if sums.held() >= standing.total {
            PaymentState::Paid
        } else if has(FactKind::Cancelled) {
            PaymentState::PartiallyCancelled
        } else if has(FactKind::Approved) {
            PaymentState::Paid
        } else {
            PaymentState::AwaitingDeposit
        };
    }
    if sums.paid > 0 || sums.cancelled > 0 || has(FactKind::Closed) || standing.given_up {
        PaymentState::Cancelled
    } else if standing.failed {
        PaymentState::Failed
    } else if standing.expired {
        PaymentState::Expired
    } else if has(FactKind::Issued) {
        PaymentState::AwaitingDeposit
    } else if standing.opened {
        PaymentState::Pending
    } else {
        PaymentState::Created
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::{Currency, Money};

    fn fact(kind: FactKind, minor: i64) -> Fact {
        Fact { kind, amount: Money::new(minor, Currency::KRW) }
    }

    #[test]
    fn the_state_follows_from_the_facts() {
        use FactKind::*;
        let opened = Standing { opened: true, total: 1000, ..Standing::default() };
        let late = Standing { expired: true, ..opened };
        let given_up = Standing { given_up: true, ..opened };
        let table: &[(&[Fact], Standing, PaymentState)] = &[
            (&[], Standing::default(), PaymentState::Created),
            (&[], opened, PaymentState::Pending),
            (&[], late, PaymentState::Expired),
            (&[], Standing { given_up: true, ..Standing::default() }, PaymentState::Cancelled),
            (&[], given_up, PaymentState::Cancelled),
            (&[], Standing { expired: true, ..given_up }, PaymentState::Cancelled),
            // Money that comes all the same is money.
            (&[fact(Approved, 1000)], given_up, PaymentState::Paid),
            (&[fact(Approved, 1000), fact(Cancelled, 1000)], given_up, PaymentState::Cancelled),
            (&[fact(Issued, 1000)], given_up, PaymentState::Cancelled),
            (&[fact(Issued, 1000), fact(Deposited, 1000)], given_up, PaymentState::Paid),
            (&[fact(Approved, 1000)], opened, PaymentState::Paid),
            (&[fact(Approved, 1000)], late, PaymentState::Paid),
            (&[fact(Approved, 1000), fact(Cancelled, 400)], opened, PaymentState::PartiallyCancelled),
            (&[fact(Approved, 1000), fact(Cancelled, 1000)], opened, PaymentState::Cancelled),
            (&[fact(Issued, 1000)], opened, PaymentState::AwaitingDeposit),
            (&[fact(Issued, 1000)], late, PaymentState::Expired),
            (&[fact(Issued, 1000), fact(Deposited, 1000)], late, PaymentState::Paid),
            (
                &[fact(Issued, 1000), fact(Deposited, 1000), fact(DepositCancelled, 1000)],
                opened,
                PaymentState::Cancelled,
            ),
            (&[fact(Issued, 1000), fact(Closed, 1000)], opened, PaymentState::Cancelled),
            // Short, split, over, and the bank's own cancel on the way.
            (&[fact(Issued, 1000), fact(Deposited, 999)], opened, PaymentState::AwaitingDeposit),
            (&[fact(Issued, 1000), fact(Deposited, 999)], late, PaymentState::AwaitingDeposit),
            (&[fact(Deposited, 400), fact(Deposited, 600)], opened, PaymentState::Paid),
            (&[fact(Deposited, 1200)], opened, PaymentState::Paid),
            (&[fact(Deposited, 1200), fact(Cancelled, 200)], opened, PaymentState::Paid),
            (&[fact(Deposited, 400), fact(Cancelled, 400)], opened, PaymentState::Cancelled),
            (
                &[fact(Deposited, 400), fact(DepositCancelled, 400), fact(Deposited, 1000)],
                late,
                PaymentState::Paid,
            ),
        ];
        for (facts, standing, state) in table {
            assert_eq!(state_of(facts, *standing), *state, "{facts:?} {standing:?}");
        }
    }

    fn any_fact() -> impl Strategy<Value = Fact> {
        (0..FactKind::TABLE.len(), 1..1_000_000_i64)
            .prop_map(|(at, minor)| fact(FactKind::TABLE[at].0, minor))
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(
            facts in prop::collection::vec(any_fact(), 0..8).prop_flat_map(|f| (Just(f.clone()), Just(f).prop_shuffle())),
            expired: bool,
            given_up: bool,
        ) {
            let standing = Standing { opened: true, expired, failed: false, given_up, total: 500_000 };
            prop_assert_eq!(state_of(&facts.0, standing), state_of(&facts.1, standing));
        }
    }
}
