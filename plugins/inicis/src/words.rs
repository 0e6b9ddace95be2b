//! Invariant: what INICIS said goes to the host as it came, beside a class and a sentence from the tables. A no to something that
//! was sent is made of a [`KnownRefusal`] only.

use inicis_wire::codes::{self, Meaning, Operation};
use inicis_wire::details::{Details as Read, Institution as Company};
use inicis_wire::order::Unfit;
use inicis_wire::{KnownRefusal, No, Sentence, Unclear, methods, receipt};

use crate::bindings::payhost::plugin::types::{
    CashReceipt, Details, Institution, Method, Named, PluginError, Refusal, Text,
};

/// A sentence.
pub fn text(sentence: Sentence) -> Text {
    Text { ko: sentence.ko.to_owned(), en: sentence.en.to_owned() }
}

/// A no to what was sent, explained.
pub fn refusal(refused: KnownRefusal, operation: Operation) -> Refusal {
    let meaning = codes::meaning(refused.code(), operation);
    let no = refused.into_no();
    explained(no.code, no.message, meaning)
}

/// A no of the window, explained: nothing was sent for it yet. A mobile window that was left without words gets a sentence of its
/// own (`inicis.md §2.4`).
pub fn unauthenticated(no: No) -> Refusal {
    let left = no.code == "01" && no.message.is_empty();
    let meaning = if left { codes::LEFT } else { codes::meaning(&no.code, Operation::Authenticate) };
    explained(no.code, no.message, meaning)
}

/// INICIS was not reached.
pub fn not_reached(why: String) -> Refusal {
    explained(String::new(), why, codes::NOT_REACHED)
}

fn explained(code: String, message: String, meaning: Meaning) -> Refusal {
    Refusal { code, message, class: meaning.class.name().to_owned(), explanation: text(meaning.sentence) }
}

/// What cannot be understood may hide a moved payment.
pub fn unclear(unclear: Unclear) -> PluginError {
    PluginError::Unknown(unclear.0)
}

/// What INICIS would refuse.
pub fn unfit(unfit: Unfit) -> PluginError {
    PluginError::InvalidRequest(unfit.0)
}

/// A method.
pub fn method(method: methods::Method) -> Method {
    Method { kind: method.kind.to_owned(), provider: method.provider.map(str::to_owned) }
}

/// A card company or bank.
pub fn institution(company: Company) -> Institution {
    Institution {
        code: company.kftc.to_owned(),
        gateway_code: company.code,
        name: Text { ko: company.ko, en: company.en },
    }
}

/// Details of a sale of a method with its receipt.
pub fn details(read: Read, kind: &str, tid: &str) -> Details {
    let receipt_url = receipt::url(kind, read.cash_receipt.is_some(), tid);
    Details {
        approval_number: read.approval_number,
        issuer: read.issuer.map(institution),
        acquirer: read.acquirer.map(institution),
        masked_number: read.masked_number,
        instalments: read.instalments,
        interest_free: read.interest_free,
        wallet: read.wallet.map(str::to_owned),
        points: read.points,
        discount: read.discount,
        receipt_url,
        cash_receipt: read.cash_receipt.map(|made| CashReceipt {
            kind: made.kind.to_owned(),
            number: made.number,
            issued_at_ms: made.at_ms,
        }),
        partial_cancel: read.partial_cancel,
        more: named(read.more),
    }
}

/// Named values.
pub fn named(pairs: Vec<(String, String)>) -> Vec<Named> {
    pairs.into_iter().map(|(name, value)| Named { name, value }).collect()
}
