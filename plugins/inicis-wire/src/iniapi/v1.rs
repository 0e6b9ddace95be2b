//! Requests and hashes of INIAPI v1 (`inicis.md §5.1, §6.1`).
//!
//! Invariant: the plaintext is the values alone, in the order of the manual; a value that a service does not have is not there.

use super::v2::{Account, PartOfSale, Refund};
use crate::clock;
use crate::form::{self, Charset, Field};
use crate::order::Unfit;
use crate::recipe::{Algorithm, Part, Recipe, secret};

/// What v1 hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashed<'a> {
    /// `type`: `Refund`, `PartialRefund`, `Extra`.
    pub kind: &'a str,
    /// `paymethod`.
    pub paymethod: &'a str,
    /// `YYYYMMDDhhmmss`.
    pub timestamp: &'a str,
    /// IPv4.
    pub client_ip: &'a str,
    /// MID.
    pub mid: &'a str,
    /// `tid`, `price`, `confirmPrice` and `refundAcctNum` (as base64 ciphertext), where the service has them.
    pub rest: [Option<&'a str>; 4],
}

/// `hashData` of v1: SHA-512 of key and values (`inicis.md §5.1`; of the inquiry, without `tid`, §6.1).
pub fn hash(of: &Hashed<'_>) -> Recipe {
    let rest: String = of.rest.iter().copied().flatten().collect();
    let text = format!("{}{}{}{}{}{rest}", of.kind, of.paymethod, of.timestamp, of.client_ip, of.mid);
    Recipe::of(Algorithm::Sha512, [Part::Secret(secret::INIAPI_KEY), Part::Text(text)])
}

/// Where refunds are asked for (`inicis.md §5.1`).
pub const REFUND_URL: &str = "https://iniapi.inicis.com/api/v1/refund";

/// Content type of every request; JSON is not accepted (`inicis.md §5.1`).
pub const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// `paymethod` of an issued account that nobody paid into: the cancel closes it (`inicis.md §5.1`).
pub const UNPAID_ACCOUNT: &str = "GVacct";

/// A refund of v1, without its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    fields: Vec<Field>,
    hash: Recipe,
}

impl Request {
    /// All (`part` absent) or a part, to the card or (`account` given) to an account.
    pub fn new(
        refund: &Refund<'_>,
        paymethod: &str,
        part: Option<PartOfSale>,
        account: Option<&Account<'_>>,
    ) -> Result<Self, Unfit> {
        refund.fit()?;
        let timestamp = clock::kst14(refund.now_ms)
            .ok_or_else(|| Unfit("the time of the call cannot be written as YYYYMMDDhhmmss".into()))?;
        let kind = if part.is_some() { "PartialRefund" } else { "Refund" };
        let price = part.map(|part| (part.price.to_string(), part.left.to_string()));
        let (price, left) = price.unzip();
        let hash = hash(&Hashed {
            kind,
            paymethod,
            timestamp: &timestamp,
            client_ip: refund.client_ip,
            mid: refund.mid,
            rest: [
                Some(refund.tid),
                price.as_deref(),
                left.as_deref(),
                account.map(|account| account.number),
            ],
        });
        let mut fields = vec![
            Field::new("type", kind),
            Field::new("paymethod", paymethod),
            Field::new("timestamp", timestamp),
            Field::new("clientIp", refund.client_ip),
            Field::new("mid", refund.mid),
            Field::new("tid", refund.tid),
            Field::new("msg", refund.message()),
        ];
        if let Some(part) = part {
            fields.push(Field::new("price", price.unwrap_or_default()));
            fields.push(Field::new("confirmPrice", left.unwrap_or_default()));
            fields.push(Field::new("currency", part.currency_name()?));
            fields.extend(part.vat.map(|vat| Field::new("tax", vat.to_string())));
            fields.extend(part.tax_free.map(|free| Field::new("taxFree", free.to_string())));
        }
        if let Some(account) = account {
            fields.push(Field::new("refundAcctNum", account.number));
            fields.push(Field::new("refundBankCode", account.bank));
            fields.push(Field::new("refundAcctName", account.holder()));
        }
        Ok(Self { fields, hash })
    }

    /// `hashData`.
    pub fn hash(&self) -> Recipe {
        self.hash.clone()
    }

    /// The body, with the hash as lower-case hex.
    pub fn body(&self, hash: &str) -> String {
        let mut fields = self.fields.clone();
        fields.push(Field::new("hashData", hash));
        form::write(Charset::Utf8, &fields)
    }
}
