//! Whether a claim of a notice is believed. Invariant: a notice is not signed, and the gateway, asked, tells only of a sale as a
//! whole: its answer confirms just the claim that it can be about, the first deposit of the whole amount, its end, or an
//! approval by its own number. About anything else the address decides between believing it and showing it to a person, and
//! nothing but a person's word takes in more than the total or gives back more than is held.
//!
//! Pure: decided from the facts that are known, so that it is decided again under the payment's lock. The table of cases is in
//! `docs/virtual-accounts.md`.

use payhost_core::FactKind;
use payhost_engine::contract::money::{Sale, SaleState};
use payhost_engine::contract::types::{Account, Approval, Method};
use payhost_engine::contract::vbank_notice::Deposit;
use payhost_store::rows::facts::FactRow;
use payhost_store::rows::payments::Payment;

use super::facts::Verified;
use super::is_account;
use crate::payments::inquire::Silence;

/// What the gateway answered.
pub type Heard = Result<Option<Sale>, Silence>;

/// What becomes of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Word {
    /// The gateway says the same.
    Confirmed,
    /// It says something else; what.
    Contradicted(String),
    /// It cannot be asked, or its answer cannot tell; why. The address decides.
    CannotTell(String),
    /// Only a person can take it over: finding and words.
    Person(&'static str, String),
    /// The gateway was not reached or not understood this time; why.
    Failed(String),
}

/// What the gateway's answer means for a claim about a checkout, with all facts of its payment.
pub fn judge(
    payment: &Payment,
    facts: &[FactRow],
    order_ref: &str,
    verified: &Verified,
    heard: &Heard,
) -> Word {
    if let Some((finding, words)) = for_a_person(payment, facts, verified) {
        return Word::Person(finding, words.to_owned());
    }
    let sale = match heard {
        Ok(Some(sale)) => sale,
        Ok(None) => return no("the gateway knows no such sale"),
        Err(Silence::CannotAsk(words)) => return Word::CannotTell(words.clone()),
        Err(Silence::Failed(words)) => return Word::Failed(words.clone()),
    };
    if sale.order_ref != order_ref {
        return no("the gateway answers about another order");
    }
    if sale.amount.minor != payment.total || sale.amount.currency != payment.currency.as_str() {
        return no("the gateway answers with another amount");
    }
    match verified {
        Verified::Issued(account) => issued(account, sale),
        Verified::Approved(approval) => approved(approval, sale),
        Verified::Deposited(_) | Verified::DepositCancelled(_)
            if sale.method.as_ref().is_some_and(|method| !is_account(method)) =>
        {
            no("the gateway says that this sale is no virtual account")
        }
        Verified::Deposited(_) | Verified::DepositCancelled(_)
            if sale.method.is_none() && !facts.iter().any(|fact| fact.kind == FactKind::Issued) =>
        {
            cannot_tell("no account is known, and the gateway does not say that there is one")
        }
        Verified::Deposited(deposit) => deposited(payment, facts, deposit, sale.state),
        Verified::DepositCancelled(deposit) => taken_back(payment, facts, deposit, sale.state),
    }
}

/// What no gateway and no address decides. `None`: nothing of that kind.
fn for_a_person(
    payment: &Payment,
    facts: &[FactRow],
    verified: &Verified,
) -> Option<(&'static str, &'static str)> {
    use FactKind as F;
    match verified {
        Verified::Issued(_) | Verified::Approved(_) => None,
        Verified::Deposited(deposit) => {
            let kept = sum(facts, F::Deposited).saturating_sub(sum(facts, F::DepositCancelled));
            let over = kept.saturating_add(deposit.amount.minor) > payment.total;
            over.then_some(("over_total", "more would have been paid in than the total"))
        }
        Verified::DepositCancelled(back) => {
            let given = sum(facts, F::Cancelled) > 0 || facts.iter().any(|fact| fact.kind == F::Closed);
            let known = deposit_of(facts, back);
            let held = payment.paid.saturating_sub(payment.cancelled);
            let words = match known {
                Some(deposit) if back.amount.minor > deposit.amount => "more is taken back than was paid in",
                Some(_) if back.amount.minor > held => "the money was given back already",
                None if given => "its deposit is not known, and the account was closed or given back",
                Some(_) | None => return None,
            };
            Some(("over_held", words))
        }
    }
}

/// The deposit that a cancel is about: that of its number; else, because a gateway may number the cancel anew, one of its
/// amount.
fn deposit_of<'a>(facts: &'a [FactRow], back: &Deposit) -> Option<&'a FactRow> {
    let deposits = || facts.iter().filter(|fact| fact.kind == FactKind::Deposited);
    let named = deposits().find(|fact| fact.gateway_ref == back.gateway_ref);
    named.or_else(|| deposits().find(|fact| fact.amount == back.amount.minor))
}

fn sum(facts: &[FactRow], kind: FactKind) -> i64 {
    let amounts = facts.iter().filter(|fact| fact.kind == kind).map(|fact| fact.amount);
    amounts.fold(0, i64::saturating_add)
}

fn no(words: &str) -> Word {
    Word::Contradicted(words.to_owned())
}

fn cannot_tell(words: &str) -> Word {
    Word::CannotTell(words.to_owned())
}

/// No gateway tells the account's number when it is asked, and the number is what a buyer pays into.
fn issued(account: &Account, sale: &Sale) -> Word {
    if sale.gateway_ref != account.gateway_ref {
        return no("the gateway knows the order under another number");
    }
    match sale.state {
        SaleState::Cancelled => no("the gateway says that the sale is cancelled"),
        _ if sale.method.as_ref().is_some_and(|method| !is_account(method)) => {
            no("the gateway says that this sale is no virtual account")
        }
        SaleState::AwaitingDeposit | SaleState::Paid | SaleState::PartiallyCancelled => {
            cannot_tell("the gateway does not tell the number of an account")
        }
    }
}

fn approved(approval: &Approval, sale: &Sale) -> Word {
    if sale.gateway_ref != approval.gateway_ref {
        return no("the gateway knows the order under another number");
    }
    match (sale.state, &sale.method) {
        (SaleState::AwaitingDeposit, _) => no("the gateway says that nothing was paid in"),
        (SaleState::Cancelled, _) => no("the gateway says that the sale is cancelled"),
        (_, Some(method)) if !same_kind(method, &approval.method) => {
            no("the gateway says that it was paid another way")
        }
        (_, None) => cannot_tell("the gateway does not say how it was paid"),
        (SaleState::Paid | SaleState::PartiallyCancelled, Some(_)) => Word::Confirmed,
    }
}

/// Whether two methods are one to a gateway: a wallet pays with a card, and an inquiry may say only that.
pub fn same_kind(one: &Method, other: &Method) -> bool {
    let kind =
        |method: &Method| if method.kind == "easy_pay" { "card".to_owned() } else { method.kind.clone() };
    kind(one) == kind(other)
}

fn deposited(payment: &Payment, facts: &[FactRow], deposit: &Deposit, state: SaleState) -> Word {
    use SaleState as S;
    let (paid_in, back) = (sum(facts, FactKind::Deposited), sum(facts, FactKind::DepositCancelled));
    let first = !facts.iter().any(|fact| fact.kind == FactKind::Deposited);
    let whole = first && deposit.amount.minor == payment.total;
    match state {
        S::Paid | S::PartiallyCancelled if whole => Word::Confirmed,
        // Its cancel overtook it: what both say together is that nothing is held.
        S::AwaitingDeposit | S::Cancelled if paid_in.saturating_add(deposit.amount.minor) <= back => {
            Word::Confirmed
        }
        S::AwaitingDeposit if whole => no("the gateway says that nothing was paid in"),
        S::Cancelled if whole => no("the gateway says that the sale is cancelled"),
        S::AwaitingDeposit | S::Paid | S::PartiallyCancelled | S::Cancelled => {
            cannot_tell("the gateway tells of the whole amount, not of each deposit")
        }
    }
}

fn taken_back(payment: &Payment, facts: &[FactRow], back: &Deposit, state: SaleState) -> Word {
    use SaleState as S;
    let known = deposit_of(facts, back);
    // Of a deposit that was not the whole amount the gateway may have said "nothing was paid in" from the beginning.
    let whole = known.is_some_and(|fact| fact.amount == back.amount.minor && fact.amount == payment.total);
    match state {
        S::AwaitingDeposit | S::Cancelled if whole => Word::Confirmed,
        S::Paid | S::PartiallyCancelled if whole || known.is_none() => {
            no("the gateway says that the money is held")
        }
        S::AwaitingDeposit | S::Cancelled | S::Paid | S::PartiallyCancelled => {
            cannot_tell("the gateway does not tell of this deposit")
        }
    }
}

#[cfg(test)]
mod tests {
    use payhost_engine::contract::types::Money;

    use super::*;
    use crate::vbank::tests::{TOTAL, deposit, fact, row};

    const ORDER: &str = "order-1";

    fn sale(state: SaleState, kind: Option<&str>) -> Heard {
        Ok(Some(Sale {
            gateway_ref: "issue".to_owned(),
            order_ref: ORDER.to_owned(),
            state,
            amount: Money { minor: TOTAL, currency: "KRW".to_owned() },
            cancellable: None,
            method: kind.map(|kind| Method { kind: kind.to_owned(), provider: None }),
            approved_at_ms: None,
            cancels: Vec::new(),
        }))
    }

    /// One word of the host for one claim; facts as kind, number and amount.
    fn word(facts: &[(FactKind, &str, i64)], verified: &Verified, heard: &Heard) -> &'static str {
        let facts: Vec<FactRow> =
            facts.iter().map(|(kind, number, minor)| fact(*kind, number, *minor)).collect();
        let mut payment = row("A-1");
        payment.paid = sum(&facts, FactKind::Deposited) + sum(&facts, FactKind::Approved);
        payment.cancelled = sum(&facts, FactKind::DepositCancelled) + sum(&facts, FactKind::Cancelled);
        match judge(&payment, &facts, ORDER, verified, heard) {
            Word::Confirmed => "confirmed",
            Word::Contradicted(_) => "doubted",
            Word::CannotTell(_) => "address",
            Word::Person(..) => "person",
            Word::Failed(_) => "again",
        }
    }

    #[test]
    fn an_inquiry_confirms_the_first_deposit_of_the_whole_amount_and_nothing_else() {
        use FactKind::{Cancelled, Closed, DepositCancelled, Deposited, Issued};
        use SaleState as S;
        const WHOLE: i64 = TOTAL;
        let issue = (Issued, "issue", TOTAL);
        // Facts, the amount of a deposit that is not among them; the word when the gateway says: waits, paid, partly given
        // back, cancelled.
        type Case<'a> = (&'a [(FactKind, &'a str, i64)], i64, [&'a str; 4]);
        let cases: &[Case<'_>] = &[
            (&[issue], WHOLE, ["doubted", "confirmed", "confirmed", "doubted"]),
            (&[issue, (Closed, "issue", TOTAL)], WHOLE, ["doubted", "confirmed", "confirmed", "doubted"]),
            // Short, and the rest of a split one: the gateway tells of neither.
            (&[issue], 1, ["address"; 4]),
            (&[issue, (Deposited, "a", 400)], 600, ["address"; 4]),
            // Above the total: one deposit, or a second one after the first was counted.
            (&[issue], TOTAL + 1, ["person"; 4]),
            (&[issue, (Deposited, "a", WHOLE)], WHOLE, ["person"; 4]),
            (&[issue, (Deposited, "a", 400)], 601, ["person"; 4]),
            (&[issue, (Deposited, "a", WHOLE), (Cancelled, "issue", WHOLE)], WHOLE, ["person"; 4]),
            // Paid in again after the bank took the first back.
            (&[issue, (Deposited, "a", WHOLE), (DepositCancelled, "a", WHOLE)], WHOLE, ["address"; 4]),
            // Its cancel was known before.
            (&[issue, (DepositCancelled, "b", WHOLE)], WHOLE, ["confirmed"; 4]),
        ];
        for (facts, amount, expected) in cases {
            let states = [S::AwaitingDeposit, S::Paid, S::PartiallyCancelled, S::Cancelled];
            for (state, expected) in states.into_iter().zip(expected) {
                let claim = Verified::Deposited(deposit("b", *amount));
                let found = word(facts, &claim, &sale(state, Some("virtual_account")));
                assert_eq!(found, *expected, "{facts:?} {amount} {state:?}");
            }
        }
    }

    #[test]
    fn a_deposit_is_taken_back_only_once_and_only_if_it_was_there() {
        use FactKind::{Cancelled, Closed, DepositCancelled, Deposited, Issued};
        use SaleState as S;
        let issue = (Issued, "issue", TOTAL);
        let paid = (Deposited, "a", TOTAL);
        type Case<'a> = (&'a [(FactKind, &'a str, i64)], i64, [&'a str; 4]);
        let cases: &[Case<'_>] = &[
            (&[issue, paid], TOTAL, ["confirmed", "doubted", "doubted", "confirmed"]),
            // Not known: it may have overtaken its deposit.
            (&[issue], TOTAL, ["address", "doubted", "doubted", "address"]),
            (&[issue, (Closed, "issue", TOTAL)], TOTAL, ["person"; 4]),
            // Given back already, by the shop or by the bank.
            (&[issue, paid, (Cancelled, "issue", TOTAL)], TOTAL, ["person"; 4]),
            (&[issue, paid, (Cancelled, "issue", 400)], TOTAL, ["person"; 4]),
            (&[issue, paid, (DepositCancelled, "x", TOTAL)], TOTAL, ["person"; 4]),
            (&[issue, (Deposited, "a", 400)], TOTAL, ["person"; 4]),
            // One of several, of which the gateway tells nothing.
            (&[issue, (Deposited, "a", 400), (Deposited, "b", 600)], 400, ["address"; 4]),
        ];
        for (facts, amount, expected) in cases {
            let states = [S::AwaitingDeposit, S::Paid, S::PartiallyCancelled, S::Cancelled];
            for (state, expected) in states.into_iter().zip(expected) {
                let claim = Verified::DepositCancelled(deposit("a", *amount));
                let found = word(facts, &claim, &sale(state, Some("virtual_account")));
                assert_eq!(found, *expected, "{facts:?} {amount} {state:?}");
            }
        }
    }

    #[test]
    fn a_deposit_of_a_sale_that_is_no_account_is_not_believed() {
        let claim = Verified::Deposited(deposit("b", TOTAL));
        let issue = [(FactKind::Issued, "issue", TOTAL)];
        assert_eq!(word(&issue, &claim, &sale(SaleState::Paid, Some("card"))), "doubted");
        assert_eq!(word(&[], &claim, &sale(SaleState::Paid, Some("card"))), "doubted");
        assert_eq!(word(&[], &claim, &sale(SaleState::Paid, None)), "address");
        assert_eq!(word(&[], &claim, &sale(SaleState::Paid, Some("virtual_account"))), "confirmed");
        assert_eq!(word(&issue, &claim, &sale(SaleState::Paid, None)), "confirmed");
    }

    #[test]
    fn a_silent_gateway_is_asked_again_and_one_that_cannot_be_asked_leaves_it_to_the_address() {
        let claim = Verified::Deposited(deposit("b", TOTAL));
        let issue = [(FactKind::Issued, "issue", TOTAL)];
        assert_eq!(word(&issue, &claim, &Err(Silence::Failed("?".into()))), "again");
        assert_eq!(word(&issue, &claim, &Err(Silence::CannotAsk("?".into()))), "address");
        assert_eq!(word(&issue, &claim, &Ok(None)), "doubted");
        // More than the total is a person's whoever says it.
        let over = Verified::Deposited(deposit("b", TOTAL + 1));
        assert_eq!(word(&issue, &over, &Err(Silence::CannotAsk("?".into()))), "person");
    }

    #[test]
    fn an_account_or_an_approval_under_another_number_is_not_believed() {
        let account =
            |number: &str| Verified::Issued(Box::new(crate::vbank::tests::account(number, "110-1")));
        let awaits = sale(SaleState::AwaitingDeposit, Some("virtual_account"));
        assert_eq!(word(&[], &account("random"), &awaits), "doubted");
        assert_eq!(
            word(&[], &account("issue"), &awaits),
            "address",
            "no gateway tells the number of an account"
        );
        let approval =
            |number: &str| Verified::Approved(Box::new(crate::vbank::tests::approval(number, "card")));
        let paid = |kind| sale(SaleState::Paid, kind);
        assert_eq!(word(&[], &approval("random"), &paid(Some("card"))), "doubted");
        assert_eq!(word(&[], &approval("issue"), &paid(Some("card"))), "confirmed");
        assert_eq!(word(&[], &approval("issue"), &paid(Some("virtual_account"))), "doubted");
        assert_eq!(word(&[], &approval("issue"), &paid(None)), "address");
    }
}
