//! What an attempt came to. Invariant: the host's own network evidence outweighs the plugin's word, so that a bug, a crash or
//! a lie of a plugin cannot turn money that may have moved into "failed" (`design.md` "Money", rule 4). A no must be known: one that
//! names a success, or a gateway that was not reached, is none once a write was answered.

use payhost_core::Money;
use payhost_engine::contract::types::{Outcome, PluginError, Refusal};
use payhost_engine::{Fault, WriteEvidence};

/// What the host concludes from an attempt.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a verdict may hide a moved payment"]
pub enum Verdict<T> {
    /// It was done, as the plugin reports.
    Done(T),
    /// The gateway said no, and nothing moved.
    Declined(Refusal),
    /// Nothing left this machine, so nothing moved.
    NotSent(NotSent),
    /// Nobody knows yet.
    InDoubt(Doubt),
}

/// Why nothing was sent.
#[derive(Debug, Clone, PartialEq)]
pub enum NotSent {
    /// The plugin refused the request.
    Refused(PluginError),
    /// No connection came about.
    Unreachable,
    /// The plugin died.
    Fault(String),
    /// Too many plugin calls were running, of this shop or of all; this one was not started.
    Overloaded(String),
    /// It was in doubt, and the gateway says for certain that it was not made.
    NotMade,
}

/// The stable word for why nothing was sent.
pub fn not_sent(why: &NotSent) -> &'static str {
    match why {
        NotSent::Refused(PluginError::Forged(_)) => "forged",
        NotSent::Refused(PluginError::Misconfigured(_)) => "misconfigured",
        NotSent::Refused(PluginError::InvalidRequest(_)) => "invalid_request",
        NotSent::Refused(PluginError::Unsupported(_)) => "unsupported",
        NotSent::Refused(PluginError::Gateway(_) | PluginError::Unknown(_)) => "not_sent",
        NotSent::Unreachable => "gateway_unreachable",
        NotSent::Fault(_) => "plugin_failed",
        NotSent::Overloaded(_) => "overloaded",
        NotSent::NotMade => "not_made",
    }
}

/// Why an outcome is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The write had no whole answer.
    NoAnswer,
    /// The write was answered and the plugin died or could not tell.
    NotUnderstood,
    /// The answer is about another amount, currency or order: it must be undone.
    Differs,
    /// The plugin claims a success that this machine did not see being asked for.
    Unfounded,
    /// The payment is paid by another sale already: it must be undone.
    Second,
}

impl Doubt {
    /// The words for the log, the attempt and the alarm.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAnswer => "no_answer",
            Self::NotUnderstood => "not_understood",
            Self::Differs => "differs",
            Self::Unfounded => "unfounded",
            Self::Second => "second",
        }
    }

    /// Whether a person must hear of it even if it resolves itself.
    pub fn alarms(self) -> bool {
        match self {
            Self::Differs | Self::Unfounded | Self::Second => true,
            Self::NoAnswer | Self::NotUnderstood => false,
        }
    }
}

impl From<&Fault> for NotSent {
    /// Of a plugin that said nothing, as long as nothing left this machine.
    fn from(fault: &Fault) -> Self {
        let words = fault.to_string();
        if matches!(fault, Fault::Overloaded { .. }) { Self::Overloaded(words) } else { Self::Fault(words) }
    }
}

/// A plugin's word; where there is none, what that comes to if nothing was sent.
pub type Word<T> = Result<Result<T, PluginError>, NotSent>;

/// The word of a call.
pub fn word<T: Clone>(result: &Result<Result<T, PluginError>, Fault>) -> Word<T> {
    match result {
        Ok(word) => Ok(word.clone()),
        Err(fault) => Err(NotSent::from(fault)),
    }
}

/// What gateways call success, whatever its case; a code of nothing but zeros is one too.
const SUCCESSES: [&str; 5] = ["success", "succeeded", "ok", "approved", "true"];

/// Whether a refusal that a plugin reports of an answered write is one. A plugin reads its gateway's codes by its gateway's tables,
/// and may take a success in another spelling for a code that it does not know; and it may speak of another request than the one
/// that moves money: of a question that was not sent, when the write before it was answered.
fn is_a_no(refusal: &Refusal) -> bool {
    let plain: String = refusal.code.chars().filter(|c| c.is_alphanumeric()).collect();
    let zeros = !plain.is_empty() && plain.chars().all(|c| c == '0');
    let success = zeros || SUCCESSES.iter().any(|word| plain.eq_ignore_ascii_case(word));
    let unreached = refusal.code.is_empty() && refusal.class == "gateway_down";
    !success && !unreached
}

/// The verdict of any attempt. `agrees` says whether a reported success is the one that was asked for.
pub fn judge<T>(writes: WriteEvidence, word: Word<T>, agrees: impl FnOnce(&T) -> bool) -> Verdict<T> {
    match (writes, word) {
        (WriteEvidence::Unknown, _) => Verdict::InDoubt(Doubt::NoAnswer),
        (WriteEvidence::None | WriteEvidence::NotSent, Ok(Ok(_))) => Verdict::InDoubt(Doubt::Unfounded),
        (WriteEvidence::NotSent, Ok(Err(_)) | Err(_)) => Verdict::NotSent(NotSent::Unreachable),
        (WriteEvidence::None, Ok(Err(error))) => Verdict::NotSent(NotSent::Refused(error)),
        (WriteEvidence::None, Err(why)) => Verdict::NotSent(why),
        (WriteEvidence::Answered, Ok(Ok(done))) => {
            if agrees(&done) {
                Verdict::Done(done)
            } else {
                Verdict::InDoubt(Doubt::Differs)
            }
        }
        (WriteEvidence::Answered, Ok(Err(PluginError::Gateway(refusal)))) if is_a_no(&refusal) => {
            Verdict::Declined(refusal)
        }
        (WriteEvidence::Answered, Ok(Err(_)) | Err(_)) => Verdict::InDoubt(Doubt::NotUnderstood),
    }
}

/// The verdict of a `complete`: its refusals are outcomes, and they need no write (a declined authentication).
pub fn judge_complete(
    writes: WriteEvidence,
    word: Word<Outcome>,
    amount: Money,
    order_ref: &str,
) -> Verdict<Outcome> {
    let unsent = matches!(writes, WriteEvidence::None | WriteEvidence::NotSent);
    match word {
        Ok(Ok(outcome @ (Outcome::Declined(_) | Outcome::CancelledByBuyer))) if unsent => {
            Verdict::Done(outcome)
        }
        Ok(Ok(Outcome::Declined(refusal))) if writes == WriteEvidence::Answered && !is_a_no(&refusal) => {
            Verdict::InDoubt(Doubt::NotUnderstood)
        }
        word => judge(writes, word, |outcome| match outcome {
            Outcome::Approved(approval) => same(&approval.amount, &approval.order_ref, amount, order_ref),
            Outcome::AwaitingDeposit(account) => same(&account.amount, &account.order_ref, amount, order_ref),
            Outcome::Declined(_) | Outcome::CancelledByBuyer => true,
        }),
    }
}

fn same(
    answered: &payhost_engine::contract::types::Money,
    answered_ref: &str,
    amount: Money,
    order_ref: &str,
) -> bool {
    answered.minor == amount.minor
        && answered.currency == amount.currency.as_str()
        && answered_ref == order_ref
}

#[cfg(test)]
mod tests {
    use payhost_core::Currency;
    use payhost_engine::contract::types::{Approval, Details, Method, Money as Amount, Text};

    use super::*;

    fn refusal() -> Refusal {
        let explanation = Text { ko: "거절".into(), en: "declined".into() };
        Refusal { code: "1".into(), message: "no".into(), class: "declined".into(), explanation }
    }

    fn approved(minor: i64, currency: &str, order_ref: &str) -> Outcome {
        Outcome::Approved(Approval {
            gateway_ref: "tid".into(),
            order_ref: order_ref.into(),
            amount: Amount { minor, currency: currency.into() },
            approved_at_ms: 1,
            method: Method { kind: "card".into(), provider: None },
            details: Details::default(),
        })
    }

    /// Everything that a plugin can say, with a name.
    fn words() -> Vec<(&'static str, Word<Outcome>)> {
        vec![
            ("approved", Ok(Ok(approved(1000, "KRW", "ref")))),
            ("other amount", Ok(Ok(approved(999, "KRW", "ref")))),
            ("other currency", Ok(Ok(approved(1000, "USD", "ref")))),
            ("other order", Ok(Ok(approved(1000, "KRW", "other")))),
            ("declined", Ok(Ok(Outcome::Declined(refusal())))),
            ("cancelled", Ok(Ok(Outcome::CancelledByBuyer))),
            ("gateway", Ok(Err(PluginError::Gateway(refusal())))),
            ("unknown", Ok(Err(PluginError::Unknown("?".into())))),
            ("forged", Ok(Err(PluginError::Forged("?".into())))),
            ("misconfigured", Ok(Err(PluginError::Misconfigured("?".into())))),
            ("fault", Err(super::NotSent::Fault("trap".into()))),
        ]
    }

    fn name(verdict: &Verdict<Outcome>) -> &'static str {
        match verdict {
            Verdict::Done(Outcome::Approved(_)) => "paid",
            Verdict::Done(Outcome::AwaitingDeposit(_)) => "account",
            Verdict::Done(Outcome::Declined(_)) | Verdict::Declined(_) => "declined",
            Verdict::Done(Outcome::CancelledByBuyer) => "left",
            Verdict::NotSent(_) => "not sent",
            Verdict::InDoubt(doubt) => doubt.as_str(),
        }
    }

    #[test]
    fn a_refusal_of_an_answered_write_that_names_a_success_is_no_refusal() {
        let amount = Money::new(1000, Currency::KRW);
        let verdicts = |code: &str, class: &str| {
            let refusal = Refusal { code: code.into(), class: class.into(), ..refusal() };
            let words = [Ok(Ok(Outcome::Declined(refusal.clone()))), Ok(Err(PluginError::Gateway(refusal)))];
            words.map(|word| name(&judge_complete(WriteEvidence::Answered, word, amount, "ref")))
        };
        for code in
            ["0", "00", "0000", "0000 ", " 0 ", "00.00", "SUCCESS", "success", "Ok", "approved", "TRUE"]
        {
            assert_eq!(verdicts(code, "declined"), ["not_understood"; 2], "{code:?}");
        }
        for code in ["01", "500645", "R201", "1", "unsuccessful", "NOT_OK", ""] {
            assert_eq!(verdicts(code, "declined"), ["declined"; 2], "{code:?}");
        }
        // A gateway that was not reached answered nothing; one that answers that it is down did.
        assert_eq!(verdicts("", "gateway_down"), ["not_understood"; 2]);
        assert_eq!(verdicts("500652", "gateway_down"), ["declined"; 2]);
    }

    #[test]
    fn the_network_s_evidence_outweighs_the_plugin_s_word() {
        use WriteEvidence::{Answered, None, NotSent, Unknown};
        let amount = Money::new(1000, Currency::KRW);
        let rows: &[(WriteEvidence, [&str; 11])] = &[
            (
                None,
                [
                    "unfounded",
                    "unfounded",
                    "unfounded",
                    "unfounded",
                    "declined",
                    "left",
                    "not sent",
                    "not sent",
                    "not sent",
                    "not sent",
                    "not sent",
                ],
            ),
            (
                NotSent,
                [
                    "unfounded",
                    "unfounded",
                    "unfounded",
                    "unfounded",
                    "declined",
                    "left",
                    "not sent",
                    "not sent",
                    "not sent",
                    "not sent",
                    "not sent",
                ],
            ),
            (
                Answered,
                [
                    "paid",
                    "differs",
                    "differs",
                    "differs",
                    "declined",
                    "left",
                    "declined",
                    "not_understood",
                    "not_understood",
                    "not_understood",
                    "not_understood",
                ],
            ),
            (Unknown, ["no_answer"; 11]),
        ];
        for (evidence, expected) in rows {
            for ((what, word), expected) in words().into_iter().zip(expected) {
                let verdict = judge_complete(*evidence, word, amount, "ref");
                assert_eq!(name(&verdict), *expected, "{evidence:?}, {what}");
            }
        }
    }
}
