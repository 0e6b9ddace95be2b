//! The order number that a gateway sees. Invariant: at most 40 characters of ASCII letters, digits, `-` and `_`, never the
//! same for two checkouts, and a person who looks into the gateway's admin recognises the shop's own order number at its
//! beginning, written as the shop writes it.
//!
//! `20261201-0001-vnx9v84yyerjgeg1fm` is a checkout of the order `20261201-0001`: staff search the admin for what stands
//! before the last `-`. It is no secret and opens nothing; it is looked up by what the checkout's row says, never taken apart.

use crate::id::CheckoutId;

/// Longest order number, in characters; the shortest limit among the gateways that we know.
pub const MAX_LENGTH: usize = 40;

/// Characters of the checkout's id at the end. They hold its 74 random bits, not its time: among a billion checkouts the
/// chance of two alike is one in thirty thousand, and then the unique index of the rows refuses the second, whose buyer
/// presses the button again.
const OWN: usize = 16;

/// Characters of the shop's order number that are kept in front.
const KEPT: usize = MAX_LENGTH - OWN - 1;

/// Builds the order number of a checkout: up to 23 safe characters of the shop's order id, `-`, and the end of the
/// checkout's id. Separators at the ends of what is kept are left out.
pub fn order_ref(order_id: &str, checkout: CheckoutId) -> String {
    let separator = |c: char| matches!(c, '-' | '_');
    let safe: String = order_id.chars().filter(|c| c.is_ascii_alphanumeric() || separator(*c)).collect();
    let kept: String = safe.trim_start_matches(separator).chars().take(KEPT).collect();
    let kept = kept.trim_end_matches(separator);
    let id = checkout.suffix();
    let own = id.get(id.len().saturating_sub(OWN)..).unwrap_or(&id);
    if kept.is_empty() { own.to_owned() } else { format!("{kept}-{own}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout() -> CheckoutId {
        CheckoutId::new(1_700_000_000_000, [3; 10])
    }

    #[test]
    fn it_fits_and_is_ascii_for_any_order_id() {
        for order_id in [
            "1",
            "주문-1",
            "2026/11/21 #00000000000000001",
            "",
            "🎁",
            "-_-",
            &"x".repeat(64),
            &"-".repeat(64),
        ] {
            let text = order_ref(order_id, checkout());
            assert!(text.len() <= MAX_LENGTH, "{text}");
            let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            assert!(text.bytes().all(safe), "{text}");
            assert!(checkout().suffix().ends_with(&text[text.len() - OWN..]));
        }
    }

    #[test]
    fn the_shops_own_number_is_read_in_it_as_the_shop_writes_it() {
        for (order_id, read) in [
            ("20261201-0001", "20261201-0001"),
            ("A-1004", "A-1004"),
            ("2026_12_01-7", "2026_12_01-7"),
            ("ORDER-20261201-000123", "ORDER-20261201-000123"),
            ("주문-1", "1"),
            ("2026/12/01 #7", "202612017"),
            (&"9".repeat(64), &"9".repeat(23)),
        ] {
            let text = order_ref(order_id, checkout());
            assert_eq!(text.rsplit_once('-').map(|(own, _)| own), Some(read), "{text}");
        }
    }

    #[test]
    fn two_checkouts_of_one_order_have_two_numbers_also_in_one_millisecond() {
        let other = CheckoutId::new(1_700_000_000_000, [4; 10]);
        assert_ne!(order_ref("A-1", checkout()), order_ref("A-1", other));
    }
}
