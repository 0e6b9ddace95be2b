//! Tokens of the browser. Invariant: an id alone opens nothing; a token opens one payment, one result or one way back, is good
//! for that purpose only, and is made from the master key, so that nothing needs to be stored and nobody else can make one.
//! None of them ever stands in a path: paths are logged (`docs/links.md` says which token lives where, and for how long).

use payhost_core::id::{CheckoutId, PaymentId, ShopId};
use payhost_store::{Error, vault};

use crate::host::{Host, hex};

/// What a client token begins with.
const CLIENT: &str = "ct";
/// Bytes of a token: 128 bits.
const LENGTH: usize = 16;
/// How long the address of a result page is good, in microseconds: a day. It stands in the browser's history.
const RESULT_US: i64 = 24 * 3600 * 1_000_000;

/// The client token of a payment: opens its checkout and reads it, until it expires. It names its shop, since the API's address of a
/// payment does not.
pub fn client(host: &Host, (shop, payment): (ShopId, PaymentId)) -> Result<String, Error> {
    let token = make(host, CLIENT, &of_shop(shop, payment.as_bytes()))?;
    Ok(format!("{CLIENT}_{}{}", shop.suffix(), token.get(CLIENT.len() + 1..).unwrap_or_default()))
}

/// The shop that a client token names, if the text may be one; [`is_client`] says whether it is.
pub fn shop_of_client(text: &str) -> Option<ShopId> {
    let suffix = text.strip_prefix(CLIENT)?.strip_prefix('_')?.get(..ShopId::SUFFIX_LENGTH)?;
    format!("{}_{suffix}", ShopId::PREFIX).parse().ok()
}

/// Whether a text is the client token of a payment.
pub fn is_client(host: &Host, of: (ShopId, PaymentId), text: &str) -> bool {
    client(host, of).is_ok_and(|token| same(&token, text))
}

/// The token of a checkout's result page, good for a day, or until a moment that is later.
pub fn result(host: &Host, of: (ShopId, CheckoutId), at_least_until_us: i64) -> Result<String, Error> {
    let until_us = host.now_us().saturating_add(RESULT_US).max(at_least_until_us);
    result_until(host, of, until_us / 1_000_000)
}

fn result_until(host: &Host, (shop, checkout): (ShopId, CheckoutId), until_s: i64) -> Result<String, Error> {
    let message = [of_shop(shop, checkout.as_bytes()).as_slice(), &until_s.to_be_bytes()].concat();
    let token = make(host, "rt", &message)?;
    Ok(format!("{token}{until_s}"))
}

/// Until when a token of a checkout's result page is good, in microseconds; nothing if it is none.
pub fn read_result(host: &Host, of: (ShopId, CheckoutId), text: &str) -> Option<i64> {
    let until_s: i64 = text.get("rt_".len() + 2 * LENGTH..)?.parse().ok()?;
    let token = result_until(host, of, until_s).ok()?;
    same(&token, text).then(|| until_s.saturating_mul(1_000_000))
}

/// Where a gateway's window sends the buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Back, with what the gateway gave him.
    Return,
    /// To the page that closes the window.
    Close,
}

/// Name of the secret among the query's parameters.
const PROOF: &str = "proof";

impl Way {
    fn kind(self) -> &'static str {
        match self {
            Self::Return => "rs",
            Self::Close => "cs",
        }
    }

    /// What the address of this way carries: whoever comes by it came out of this checkout's window. It is no part of the
    /// order number, and does not follow from it.
    pub fn query(self, host: &Host, (shop, checkout): (ShopId, CheckoutId)) -> Result<String, Error> {
        Ok(format!("{PROOF}={}", make(host, self.kind(), &of_shop(shop, checkout.as_bytes()))?))
    }

    /// The query without its proof, as the gateway made it; nothing if the proof is missing, doubled or not this checkout's.
    pub fn proven(self, host: &Host, of: (ShopId, CheckoutId), query: &str) -> Option<String> {
        let is_proof = |part: &&str| part.strip_prefix(PROOF).is_some_and(|rest| rest.starts_with('='));
        let (proofs, rest): (Vec<&str>, Vec<&str>) =
            query.split('&').filter(|part| !part.is_empty()).partition(is_proof);
        let whole = self.query(host, of).ok()?;
        let [proof] = proofs.as_slice() else { return None };
        same(&whole, proof).then(|| rest.join("&"))
    }
}

/// What a token of a shop's thing is made of: ids are unique within their shop only.
fn of_shop(shop: ShopId, id: &[u8; 16]) -> Vec<u8> {
    [shop.as_bytes().as_slice(), id.as_slice()].concat()
}

fn same(one: &str, other: &str) -> bool {
    vault::same(one.as_bytes(), other.as_bytes())
}

fn make(host: &Host, kind: &'static str, message: &[u8]) -> Result<String, Error> {
    let mac = host.vault().mac(kind, message)?;
    Ok(format!("{kind}_{}", hex(mac.get(..LENGTH).unwrap_or(&mac))))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn host(folder: &tempfile::TempDir) -> Host {
        Host::builder(folder.path()).open().await.unwrap()
    }

    fn id(host: &Host) -> (ShopId, CheckoutId) {
        (host.new_id(ShopId::new), host.new_id(CheckoutId::new))
    }

    #[tokio::test]
    async fn the_same_id_in_another_shop_is_another_thing() {
        let folder = tempfile::tempdir().unwrap();
        let host = host(&folder).await;
        let ((mine, checkout), (other, _)) = (id(&host), id(&host));
        let payment = host.new_id(PaymentId::new);
        let client = client(&host, (mine, payment)).unwrap();
        assert!(is_client(&host, (mine, payment), &client) && shop_of_client(&client) == Some(mine));
        assert!(!is_client(&host, (other, payment), &client));
        assert!(!is_client(&host, (other, payment), &client.replace(&mine.suffix(), &other.suffix())));
        let result = result(&host, (mine, checkout), 0).unwrap();
        assert!(read_result(&host, (mine, checkout), &result).is_some());
        assert_eq!(read_result(&host, (other, checkout), &result), None);
        for way in [Way::Return, Way::Close] {
            let query = way.query(&host, (mine, checkout)).unwrap();
            assert_eq!(way.proven(&host, (mine, checkout), &query).as_deref(), Some(""));
            assert_eq!(way.proven(&host, (other, checkout), &query), None);
        }
        for odd in ["", "ct_", "ct_zz", "ct", "로그인", &"ct_é".repeat(20)] {
            assert_eq!(shop_of_client(odd), None, "{odd}");
        }
        host.close().await;
    }

    #[tokio::test]
    async fn a_token_opens_one_thing_for_one_purpose() {
        let folder = tempfile::tempdir().unwrap();
        let host = host(&folder).await;
        let (mine, other) = (id(&host), id(&host));
        let (back, close) = (Way::Return.query(&host, mine).unwrap(), Way::Close.query(&host, mine).unwrap());
        assert_eq!(Way::Return.proven(&host, mine, &back).as_deref(), Some(""));
        assert_eq!(Way::Close.proven(&host, mine, &close).as_deref(), Some(""));
        // Not for another window, not for another way, not in part, not twice, not as the id.
        for wrong in [
            Way::Return.query(&host, other).unwrap(),
            close,
            format!("{back}&{back}"),
            format!("{back}0"),
            back.chars().take(back.len() - 1).collect(),
            format!("proof={}", mine.1),
            "proof=".to_owned(),
            String::new(),
        ] {
            assert_eq!(Way::Return.proven(&host, mine, &wrong), None, "{wrong}");
        }
        // The plugin reads what the gateway added, and not our secret.
        let added = format!("a=1&{back}&b=%EA");
        assert_eq!(Way::Return.proven(&host, mine, &added).as_deref(), Some("a=1&b=%EA"));
        host.close().await;
    }

    #[tokio::test]
    async fn the_end_of_a_result_token_cannot_be_moved() {
        let folder = tempfile::tempdir().unwrap();
        let host = host(&folder).await;
        let (mine, other) = (id(&host), id(&host));
        let token = result(&host, mine, 0).unwrap();
        let until = read_result(&host, mine, &token).unwrap();
        assert!(until > host.now_us() && until <= host.now_us() + RESULT_US);
        assert_eq!(read_result(&host, other, &token), None);
        assert_eq!(read_result(&host, mine, &format!("{token}0")), None);
        let (mac, end) = token.split_at("rt_".len() + 2 * LENGTH);
        let later: i64 = end.parse::<i64>().unwrap() + 1;
        assert_eq!(read_result(&host, mine, &format!("{mac}{later}")), None);
        for odd in ["", "rt_", "rt_zz", mac, "로그인"] {
            assert_eq!(read_result(&host, mine, odd), None, "{odd}");
        }
        let week = host.now_us() + 7 * RESULT_US;
        let long = result(&host, mine, week).unwrap();
        assert_eq!(read_result(&host, mine, &long), Some(week / 1_000_000 * 1_000_000));
        host.close().await;
    }
}
