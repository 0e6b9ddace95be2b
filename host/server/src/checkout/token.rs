//! Tokens of the browser. Invariant: an id alone opens nothing; a token opens one payment or one result, and is made from
//! the master key, so that nothing needs to be stored and nobody else can make one.

use payhost_core::id::{CheckoutId, PaymentId};
use payhost_store::{Error, vault};

use crate::host::{Host, hex};

/// Bytes of a token: 128 bits.
const LENGTH: usize = 16;

/// The client token of a payment: opens its checkout and reads it, until it expires.
pub fn client(host: &Host, payment: PaymentId) -> Result<String, Error> {
    make(host, "ct", payment.as_bytes())
}

/// Whether a text is the client token of a payment.
pub fn is_client(host: &Host, payment: PaymentId, text: &str) -> bool {
    client(host, payment).is_ok_and(|token| vault::same(token.as_bytes(), text.as_bytes()))
}

/// The token of a checkout's result page.
pub fn result(host: &Host, checkout: CheckoutId) -> Result<String, Error> {
    make(host, "rt", checkout.as_bytes())
}

/// Whether a text is the token of a checkout's result page.
pub fn is_result(host: &Host, checkout: CheckoutId, text: &str) -> bool {
    result(host, checkout).is_ok_and(|token| vault::same(token.as_bytes(), text.as_bytes()))
}

fn make(host: &Host, kind: &'static str, message: &[u8]) -> Result<String, Error> {
    let mac = host.vault().mac(kind, message)?;
    Ok(format!("{kind}_{}", hex(mac.get(..LENGTH).unwrap_or(&mac))))
}
