//! Amounts. Invariant: an amount is a whole number of minor units, and arithmetic that would overflow or mix currencies
//! is an error, never a wrong number.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why an amount or a currency is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not three capital letters.
    #[error("a currency is three capital letters of ISO 4217, such as KRW")]
    Currency,
    /// Two currencies in one sum.
    #[error("amounts of {0} and {1} cannot be added")]
    Mixed(Currency, Currency),
    /// Larger than can be kept.
    #[error("the amount is too large")]
    Overflow,
}

/// An ISO 4217 code: three capital letters. Serialised as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// South Korean won; it has no minor unit.
    pub const KRW: Self = Self(*b"KRW");
    /// United States dollar; amounts are cents.
    pub const USD: Self = Self(*b"USD");

    /// Reads a code.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err(MoneyError::Currency),
        }
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        // Three ASCII capitals by construction, so this is always Ok.
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, MoneyError> {
        Self::parse(&text)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

/// An amount in minor units of a currency (ISO 4217 exponent; won have none).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units.
    pub minor: i64,
    /// Of what.
    pub currency: Currency,
}

impl Money {
    /// An amount.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// The sum, when both are of one currency and it fits.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// The difference, when both are of one currency and it fits.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_sub(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::Mixed(self.currency, other.currency))
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.minor, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_is_three_capitals() {
        assert_eq!(Currency::parse("KRW").unwrap().as_str(), "KRW");
        for bad in ["", "krw", "KR", "KRWW", "K1W", "원화 "] {
            assert_eq!(Currency::parse(bad), Err(MoneyError::Currency), "{bad}");
        }
    }

    #[test]
    fn sums_neither_mix_currencies_nor_wrap() {
        let won = Money::new(i64::MAX, Currency::KRW);
        assert_eq!(won.checked_add(Money::new(1, Currency::KRW)), Err(MoneyError::Overflow));
        assert!(matches!(won.checked_sub(Money::new(1, Currency::USD)), Err(MoneyError::Mixed(..))));
        assert_eq!(won.checked_sub(Money::new(1, Currency::KRW)).unwrap().minor, i64::MAX - 1);
    }
}
