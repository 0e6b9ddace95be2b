//! What a cancel depends on beside what every cancel needs. Invariant: it is looked at under the payment's lock, in the transaction
//! that writes the attempt: what was true before it may be true no more (`design.md` "Money", rule 8).

use payhost_core::id::PaymentId;
use payhost_store::rows::payments::Payment;
use payhost_store::{Error, Tx};
use serde::{Deserialize, Serialize};

use super::late::other_of_order;
use crate::http::problem::Problem;

/// The buyer's link (`vbank/refund.rs`) that a cancel comes by.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ByLink {
    /// Which, as it stands in the address.
    pub link: String,
    /// How many cancels there were when it was made. One more, of whomever, and it is used up.
    pub made: usize,
    /// KFTC code of the bank, for the buyer's page.
    pub bank: String,
    /// The account's last digits, for the buyer's page.
    pub last_digits: String,
}

/// What must be true.
#[derive(Debug, Clone)]
pub enum OnlyIf {
    /// The buyer's link is good still.
    Unused(ByLink),
    /// Money that came after the end is held, nobody said that it is kept, and the order has another payment.
    Late,
}

impl OnlyIf {
    /// The buyer's link, for the attempt.
    pub fn link(self) -> Option<ByLink> {
        match self {
            Self::Unused(link) => Some(link),
            Self::Late => None,
        }
    }

    /// Whether it is true: `made` cancels are known, and this other payment of the order.
    fn holds(&self, payment: &Payment, made: usize, other: Option<PaymentId>) -> Result<(), Problem> {
        let words = match self {
            Self::Unused(link) if link.made == made => return Ok(()),
            Self::Unused(_) => {
                "the link is used up: money was given back since it was made; nothing was sent"
            }
            Self::Late if payment.late_us.is_none() => {
                "a person said that the money is kept; nothing was sent"
            }
            Self::Late if other.is_none() => "the order has no other payment any more; nothing was sent",
            Self::Late => return Ok(()),
        };
        Err(Problem::new("not_cancellable", words))
    }
}

/// Whether it is true of a payment that is locked, of which `made` cancels are known.
pub fn look(
    tx: &mut Tx<'_>,
    only_if: Option<&OnlyIf>,
    payment: &Payment,
    made: usize,
) -> Result<Result<(), Problem>, Error> {
    let Some(only_if) = only_if else { return Ok(Ok(())) };
    let other = match only_if {
        OnlyIf::Unused(_) => None,
        OnlyIf::Late => other_of_order(tx, payment, payment.late_us)?,
    };
    Ok(only_if.holds(payment, made, other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vbank::tests::row;

    #[test]
    fn what_a_cancel_depends_on_is_looked_at_as_it_is_now() {
        let link = ByLink { link: String::new(), made: 1, bank: String::new(), last_digits: String::new() };
        let (kept, late) = (row("A-1"), Payment { late_us: Some(1), ..row("A-1") });
        let other = Some(kept.id);
        for (only_if, payment, made, other, holds) in [
            (OnlyIf::Unused(link.clone()), &kept, 1, None, true),
            (OnlyIf::Unused(link.clone()), &kept, 2, None, false),
            (OnlyIf::Unused(link), &kept, 0, None, false),
            (OnlyIf::Late, &late, 0, other, true),
            (OnlyIf::Late, &late, 0, None, false),
            (OnlyIf::Late, &kept, 0, other, false),
        ] {
            assert_eq!(only_if.holds(payment, made, other).is_ok(), holds, "{only_if:?} {made} {other:?}");
        }
    }
}
