//! The order number that a gateway sees. Invariant: at most 40 ASCII characters of letters, digits and `-`, never the
//! same for two checkouts, and a person who looks at the gateway's admin recognises the shop's own order number in it.

use crate::id::CheckoutId;

/// Longest order number, in characters; the shortest limit among the gateways that we know.
pub const MAX_LENGTH: usize = 40;

/// Characters of the shop's order number that are kept in front.
const KEPT: usize = 13;

/// Builds the order number of a checkout: up to 13 safe characters of the shop's order id, `-`, and the id of the checkout.
pub fn order_ref(order_id: &str, checkout: CheckoutId) -> String {
    let safe: String = order_id.chars().filter(char::is_ascii_alphanumeric).take(KEPT).collect();
    let suffix = checkout.suffix();
    if safe.is_empty() { suffix } else { format!("{safe}-{suffix}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_and_is_ascii_for_any_order_id() {
        let checkout = CheckoutId::new(1_700_000_000_000, [3; 10]);
        for order_id in ["1", "주문-1", "2026/11/21 #00000000000000001", "", "🎁", &"x".repeat(64)] {
            let text = order_ref(order_id, checkout);
            assert!(text.len() <= MAX_LENGTH, "{text}");
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{text}");
            assert!(text.ends_with(&checkout.suffix()));
        }
        assert!(order_ref("A-1004", checkout).starts_with("A1004-"));
    }
}
