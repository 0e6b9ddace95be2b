//! Links to the page on which a buyer says where a deposit is paid back to. Invariant: a link is good for one refund of one
//! payment, of the amount that the shop chose and until it ends; whoever has not its code sees nothing and moves nothing.
//!
//! The address is `/refund/{link}#{code}`. The path says what the link allows, and may stand in any log. The code proves that this
//! host made it; browsers send no fragment, so that it is in no log of ours, of a proxy or of a mail server that looks at links.
//! Nothing is stored. Used up it is by the refund itself: it names how many cancels there were before, and that is compared
//! under the payment's lock (`payments/cancel.rs`). The page is `refund_page.rs`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use payhost_core::FactKind;
use payhost_core::id::{PaymentId, ShopId, crockford};
use payhost_store::rows::facts::{self, FactRow};
use payhost_store::rows::shops;
use payhost_store::{Error, Tx, vault};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::json::{Body, PathId};
use crate::http::problem::Problem;
use crate::payments::order::base_url;
use crate::payments::read;
use crate::time::{parse_moment, rfc3339};

/// How long a link is good when the shop says nothing, in microseconds: a week.
pub const LINK_US: i64 = 7 * 24 * 3600 * 1_000_000;
/// Bytes of a code: 80 bits, which nobody guesses at a server, and which can be typed.
const CODE_BYTES: usize = 10;

/// A link for the buyer.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkIn {
    /// Minor units. Absent: all that is left.
    #[serde(default)]
    pub amount: Option<i64>,
    /// Until when: RFC 3339, or a date, which means 23:59 in Seoul. Absent: a week.
    #[serde(default)]
    pub expires_at: Option<String>,
}

/// A link for the buyer. Whoever has it can name the account: send it to the buyer only, and keep it out of logs.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinkOut {
    /// Where the buyer names an account; good for one refund. It ends with `#` and the code: send it whole.
    pub url: String,
    /// The code alone, to show beside the link: a browser without JavaScript asks for it.
    pub code: String,
    /// What will be given back, minor units.
    pub amount: i64,
    /// RFC 3339.
    pub expires_at: String,
}

/// Makes a link to a page on which the buyer names the account that a deposit is paid back to.
#[utoipa::path(
    post, path = "/v1/payments/{id}/refund-link", tag = "virtual accounts", request_body = LinkIn,
    params(("id" = String, Path, description = "`pay_…`")),
    responses((status = 201, body = LinkOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn link(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<PaymentId>,
    body: Body<LinkIn>,
) -> Result<(StatusCode, Json<LinkOut>), Problem> {
    let row = read::find(&host, caller, id).await?.ok_or_else(|| Problem::not_found("payment"))?;
    let left = row.paid.saturating_sub(row.cancelled);
    let account = read::support(&host, &row).await.needs_account;
    if left <= 0 || !account {
        let words = "only a deposit that is held is given back to an account";
        return Err(Problem::new("not_cancellable", words));
    }
    let amount = body.value.amount.unwrap_or(left);
    if amount <= 0 || amount > left {
        return Err(Problem::field("amount", format!("from 1 to {left} minor units")));
    }
    let expires_us = match &body.value.expires_at {
        None => host.now_us().saturating_add(LINK_US),
        Some(text) => parse_moment(text)
            .filter(|us| *us > host.now_us())
            .ok_or_else(|| Problem::field("expires_at", "RFC 3339 or a date, in the future"))?,
    };
    let shop = row.shop_id;
    let (shop, made) = {
        let read = host.store().read(move |tx| {
            let row = shops::get(tx, shop)?;
            Ok::<_, Error>((row, cancels(tx, shop, id)?))
        });
        let (shop, made) = read.await?;
        (shop.ok_or_else(|| Problem::not_found("shop"))?, made)
    };
    let link = Link { shop: row.shop_id, payment: id, amount, made, expires_s: expires_us / 1_000_000 };
    let code = link.code(&host)?;
    let url = format!("{}/refund/{}#{code}", base_url(&host, &shop), link.words());
    Ok((StatusCode::CREATED, Json(LinkOut { url, code, amount, expires_at: rfc3339(expires_us) })))
}

/// How many cancels of a payment there were.
pub fn cancels(tx: &mut Tx<'_>, shop: ShopId, id: PaymentId) -> Result<usize, Error> {
    let known = facts::of_payment(tx, shop, id)?;
    let made = |fact: &&FactRow| fact.kind == FactKind::Cancelled;
    Ok(known.iter().filter(made).count())
}

/// What a link allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Whose.
    pub shop: ShopId,
    /// Of which payment.
    pub payment: PaymentId,
    /// Minor units.
    pub amount: i64,
    /// How many cancels there were when it was made.
    pub made: usize,
    /// Until when, in seconds.
    pub expires_s: i64,
}

impl Link {
    /// The link as it stands in the path; no secret.
    pub fn words(self) -> String {
        format!("{}.{}.{}.{}.{}", self.shop, self.payment, self.amount, self.made, self.expires_s)
    }

    /// Reads a path. Anybody can write one: it is worth something only with its code.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let link = Self {
            shop: parts.next()?.parse().ok()?,
            payment: parts.next()?.parse().ok()?,
            amount: parts.next()?.parse().ok()?,
            made: parts.next()?.parse().ok()?,
            expires_s: parts.next()?.parse().ok()?,
        };
        (link.words() == text).then_some(link)
    }

    /// The code: 16 characters in groups of four, made for this link and no other purpose.
    pub fn code(self, host: &Host) -> Result<String, Error> {
        let proof = host.vault().mac("refund-link", self.words().as_bytes())?;
        let text = crockford(proof.get(..CODE_BYTES).unwrap_or(&proof));
        let groups: Vec<String> =
            text.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
        Ok(groups.join("-"))
    }

    /// Whether a text is the code, as people type it.
    pub fn is_code(self, host: &Host, typed: &str) -> bool {
        let plain = |text: &str| -> String {
            text.chars()
                .filter(|c| !c.is_whitespace() && *c != '-')
                .map(|c| match c.to_ascii_lowercase() {
                    'o' => '0',
                    'i' | 'l' => '1',
                    other => other,
                })
                .collect()
        };
        self.code(host).is_ok_and(|code| vault::same(plain(&code).as_bytes(), plain(typed).as_bytes()))
    }

    /// Until when it is good, in microseconds.
    pub fn expires_us(self) -> i64 {
        self.expires_s.saturating_mul(1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_code_is_of_one_link_and_is_read_as_people_type_it() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::builder(folder.path()).open().await.unwrap();
        let link = Link {
            shop: host.new_id(ShopId::new),
            payment: host.new_id(PaymentId::new),
            amount: 3000,
            made: 0,
            expires_s: 1_800_000_000,
        };
        let code = link.code(&host).unwrap();
        assert_eq!((code.len(), code.matches('-').count()), (19, 3), "{code}");
        assert!(link.is_code(&host, &code));
        let typed = code.to_uppercase().replace('-', " ").replace('0', "O").replace('1', "l");
        assert!(link.is_code(&host, &format!(" {typed} ")));
        let shop = host.new_id(ShopId::new);
        for other in [
            Link { shop, ..link },
            Link { amount: 3001, ..link },
            Link { made: 1, ..link },
            Link { expires_s: 1, ..link },
        ] {
            assert!(!other.is_code(&host, &code), "{other:?}");
        }
        for wrong in ["", "0", "0000-0000-0000-0000", code.get(..18).unwrap()] {
            assert!(!link.is_code(&host, wrong), "{wrong}");
        }
        assert_eq!(Link::read(&link.words()), Some(link));
        for odd in
            ["", "x", "pay_x.1.1.1", &format!("{}.", link.words()), &link.words().replace(".0.", ".00.")]
        {
            assert_eq!(Link::read(odd), None, "{odd}");
        }
        host.close().await;
    }
}
