//! The words of a payment, as pure values: money, ids, states, facts and ledger arithmetic.
//!
//! Invariant: nothing here does I/O, reads a clock or is async (but for the [`kill`] points of a chaos build). Whatever the rest of the host decides about money, it
//! decides with these types, and so the rules can be tested without a database, a plugin or a gateway.

pub mod cancels;
pub mod fact;
pub mod id;
pub mod kill;
pub mod ledger;
pub mod money;
pub mod order_ref;
pub mod state;
pub mod text;

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// What lower-case hex says; `None`: it is none.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).ok()
}

pub use fact::{Fact, FactKind};
pub use money::{Currency, Money, MoneyError};
pub use state::{PaymentState, Resolution, Standing};
