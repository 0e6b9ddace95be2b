//! What a plugin tells of a sale, as it is kept. Invariant: whatever a plugin passes on, a card number is never kept open, and
//! nothing of it unsealed: this is the one way for a plugin's details into a payment's row, and so into everything that shows them.

use payhost_core::id::PaymentId;
use payhost_engine::contract::types::Details;
use payhost_store::{Error, Sealed, ShopKey};

use crate::sealed::Place;

/// What is put in place of a digit.
const HIDDEN: char = '*';

/// The details of an approval or an account, to be kept.
pub fn kept(key: &ShopKey, payment: PaymentId, details: &Details) -> Result<Sealed, Error> {
    Place::Details(payment).seal_json(key, &hidden(details))
}

fn hidden(details: &Details) -> Details {
    let masked_number = details.masked_number.as_deref().map(masked);
    Details { masked_number, ..details.clone() }
}

/// A number with its middle hidden, however much of it the gateway left open. Of a card the first 8 digits (of a short one 6) and
/// the last 4 may be shown; of what is too short for a card, a telephone or an account, the first 3 and the last 4, and the
/// less the shorter it is. What was hidden before stays as it was written, and so do blanks and dashes.
pub fn masked(number: &str) -> String {
    let counts = |c: char| !c.is_whitespace() && !matches!(c, '-' | '.' | '/' | '(' | ')');
    let length = number.chars().filter(|c| counts(*c)).count();
    let (first, last) = match length {
        16.. => (8, 4),
        13..=15 => (6, 4),
        8..=12 => (3, 4),
        5..=7 => (0, 4),
        _ => (0, 0),
    };
    let end = length.saturating_sub(last);
    let mut at = 0_usize;
    let hide = |c: char| {
        if !counts(c) {
            return c;
        }
        let hidden = (first..end).contains(&at) && c.is_numeric();
        at = at.saturating_add(1);
        if hidden { HIDDEN } else { c }
    };
    number.chars().map(hide).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ends_of_a_number_are_kept_open() {
        for (given, kept) in [
            ("4518420012341234", "45184200****1234"),
            // Of 2018: twelve open digits.
            ("451842001234****", "45184200********"),
            ("4518-4200-1234-1234", "4518-4200-****-1234"),
            ("4518 4200 1234 1234", "4518 4200 **** 1234"),
            ("45184200****1234", "45184200****1234"),
            ("451842******1234", "451842******1234"),
            ("*********", "*********"),
            ("378282246310005", "378282*****0005"),
            ("4518420012341234567", "45184200*******4567"),
            ("４５１８４２００１２３４１２３４", "４５１８４２００****１２３４"),
            ("010******78", "010******78"),
            ("01012345678", "010****5678"),
            ("110-123-456789", "110-***-**6789"),
            ("12345", "*2345"),
            ("1234", "****"),
            ("", ""),
        ] {
            assert_eq!(masked(given), kept, "{given}");
        }
    }

    #[test]
    fn what_was_masked_stays_as_it_is_when_it_is_masked_again() {
        for given in ["4518420012341234", "01012345678", "12345", "4518-42**-****-1234"] {
            let once = masked(given);
            assert_eq!(masked(&once), once, "{given}");
        }
    }

    #[test]
    fn details_are_kept_with_the_number_hidden_and_everything_else_as_it_was() {
        let told = Details {
            approval_number: Some("30001234".to_owned()),
            masked_number: Some("4518420012341234".to_owned()),
            ..Details::default()
        };
        assert_eq!(hidden(&told), Details { masked_number: Some("45184200****1234".to_owned()), ..told });
    }
}
