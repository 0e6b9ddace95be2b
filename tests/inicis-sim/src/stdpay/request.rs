//! Invariant: a window opens only for a [`PayRequest`], and a [`PayRequest`] exists only if every rule of
//! `reference/inicis.md` §1.2 to §1.5 held.

use url::Url;

use super::accept::Accept;
use super::rules;
use crate::form::{Charset, Fields};
use crate::hash;
use crate::merchant::Merchant;
use crate::offer::Offer;
use crate::refusal::Refusal;
use crate::sim::Sim;

/// A request form that passed.
#[derive(Clone, Debug)]
pub struct PayRequest {
    /// Merchant.
    pub mid: String,
    /// Order number.
    pub oid: String,
    /// Amount in the currency's minor unit.
    pub price: u64,
    /// `WON` or `USD`.
    pub currency: String,
    /// Timestamp of the form.
    pub timestamp: String,
    /// Goods, cut to 40 bytes.
    pub goodname: String,
    /// Buyer, cut to 30 bytes.
    pub buyername: String,
    /// Phone.
    pub buyertel: String,
    /// E-mail.
    pub buyeremail: String,
    /// E-mail of a parent.
    pub parentemail: String,
    /// Where the result goes.
    pub return_url: String,
    /// Where the frame goes when the buyer closes the window.
    pub close_url: Option<String>,
    /// Charset of the return post.
    pub charset: Charset,
    /// Echoed on success.
    pub merchant_data: String,
    /// Options.
    pub accept: Accept,
    /// What the buyer can pick.
    pub offer: Offer,
    /// VAT that the merchant set.
    pub tax: Option<u64>,
    /// Tax-free part that the merchant set.
    pub taxfree: Option<u64>,
    /// `ko`, `en` or `cn`.
    pub language: String,
    /// Service period, shown only.
    pub period: String,
    /// Logo of the shop.
    pub logo: String,
}

const REQUIRED: &[&str] = &[
    "version",
    "mid",
    "oid",
    "price",
    "timestamp",
    "signature",
    "mKey",
    "currency",
    "goodname",
    "buyername",
    "buyertel",
    "buyeremail",
    "returnUrl",
];

/// Most bytes of a field that is refused when longer. goodname and buyername are cut and not here (§1.2).
const LONGEST: &[(&str, usize)] = &[
    ("version", 20),
    ("oid", 40),
    ("timestamp", 20),
    ("use_chkfake", 1),
    ("signature", 64),
    ("verification", 64),
    ("mKey", 64),
    ("currency", 3),
    ("buyertel", 20),
    ("buyeremail", 60),
    ("parentemail", 60),
    ("charset", 6),
    ("languageView", 2),
];

/// The charset of every form on PC: INIStdPay.js posts the page in UTF-8 (§1.1, §1.2). The field `charset` is that of the
/// return post.
pub const FORM: Charset = Charset::Utf8;

/// Checks a form that was posted to `/payMain/pay` by the page `page`.
///
/// # Errors
/// The first rule that does not hold.
pub fn check(sim: &Sim, fields: &Fields, page: Option<&Url>) -> Result<PayRequest, Refusal> {
    fields.refuse_twins()?;
    if fields.get("requestByJs") != "true" {
        return Err(Refusal::new("SIM:BYJS", "INIStdPay.js 를 통하지 않은 요청입니다 (requestByJs)"));
    }
    fields.require(REQUIRED)?;
    lengths(sim, fields)?;
    let merchant = known_merchant(sim, fields.get("mid"))?;
    let price = rules::amount(fields.get("price"))?;
    rules::one_of(fields, "version", &["1.0"])?;
    rules::one_of(fields, "currency", &["WON", "USD"])?;
    rules::one_of(fields, "payViewType", &["", "overlay", "popup"])?;
    rules::one_of(fields, "languageView", &["", "ko", "en", "cn"])?;
    let charset = Charset::parse(fields.get("charset"))
        .ok_or_else(|| Refusal::new("SIM:FIELD", "charset: UTF-8 또는 EUC-KR 이어야 합니다"))?;
    rules::form_timestamp(sim, fields.get("timestamp"))?;
    hashes(sim, fields, merchant)?;
    domains(sim, fields, page)?;
    if fields.get("payViewType") == "popup" {
        return Err(Refusal::new("SIM:POPUP", "payViewType=popup 은 시뮬레이터가 아직 지원하지 않습니다"));
    }
    let (accept, older) = Accept::parse(fields.get("acceptmethod"))?;
    older.into_iter().try_for_each(|refusal| sim.unless_older(&merchant.mid, refusal))?;
    let methods = rules::methods(sim, fields, merchant, &accept)?;
    if fields.get("currency") == "WON" && price < 1000 && accept.get("below1000").is_none() {
        return Err(Refusal::coded("500608", "acceptmethod below1000"));
    }
    rules::optional_fields(fields, price)?;
    duplicate_order(sim, merchant, fields.get("oid"))?;
    let offer = rules::offer(sim, fields, merchant, &accept, methods, price)?;
    let text = |name: &str| fields.get(name).to_owned();
    Ok(PayRequest {
        mid: text("mid"),
        oid: text("oid"),
        price,
        currency: text("currency"),
        timestamp: text("timestamp"),
        goodname: rules::cut(fields.get("goodname"), 40),
        buyername: rules::cut(fields.get("buyername"), 30),
        buyertel: text("buyertel"),
        buyeremail: text("buyeremail"),
        parentemail: text("parentemail"),
        return_url: text("returnUrl"),
        close_url: Some(text("closeUrl")).filter(|url| !url.is_empty()),
        charset,
        merchant_data: text("merchantData"),
        tax: fields.get("tax").parse().ok(),
        taxfree: fields.get("taxfree").parse().ok(),
        language: text("languageView"),
        period: text("offerPeriod"),
        logo: text("logo_url"),
        offer,
        accept,
    })
}

fn lengths(sim: &Sim, fields: &Fields) -> Result<(), Refusal> {
    let own =
        [("price", sim.settings.price_max_bytes), ("merchantData", sim.settings.merchant_data_max_bytes)];
    let too_long = LONGEST.iter().chain(&own).find(|(name, most)| fields.get(name).len() > *most);
    match too_long {
        Some((name, most)) => {
            Err(Refusal::new("SIM:LENGTH", format!("{name}: 최대 {most} 바이트를 넘었습니다")))
        }
        None => Ok(()),
    }
}

/// The merchant of a request, by the codes of §8.4.
///
/// # Errors
/// 613 for an id that has not 10 characters, 400 for an unknown one.
pub fn known_merchant<'a>(sim: &'a Sim, mid: &str) -> Result<&'a Merchant, Refusal> {
    if mid.len() != 10 {
        return Err(Refusal::coded("500613", "mid"));
    }
    sim.merchants.get(mid).ok_or_else(|| Refusal::coded("500400", mid))
}

/// Compares a hash; 633 for an empty one, 632 for a wrong one (§10).
///
/// # Errors
/// Those two.
pub fn same_hash(name: &str, given: &str, expected: &str) -> Result<(), Refusal> {
    match given {
        "" => Err(Refusal::coded("500633", name)),
        given if given == expected => Ok(()),
        given => {
            tracing::debug!(name, given, expected, "hash differs");
            Err(Refusal::coded("500632", name))
        }
    }
}

fn hashes(sim: &Sim, fields: &Fields, merchant: &Merchant) -> Result<(), Refusal> {
    let (oid, price, timestamp) = (fields.get("oid"), fields.get("price"), fields.get("timestamp"));
    same_hash("mKey", fields.get("mKey"), &hash::m_key(&merchant.sign_key))?;
    same_hash("signature", fields.get("signature"), &hash::form_signature(oid, price, timestamp))?;
    match fields.get("use_chkfake") {
        "Y" => same_hash(
            "verification",
            fields.get("verification"),
            &hash::form_verification(oid, price, &merchant.sign_key, timestamp),
        ),
        // Official samples before 2022 and gnuboard5 sign with `signature` alone (§1.2).
        "" | "N" => sim.unless_older(&merchant.mid, Refusal::new("SIM:FIELD", "use_chkfake: Y 여야 합니다")),
        _ => Err(Refusal::new("SIM:FIELD", "use_chkfake: Y 여야 합니다")),
    }
}

/// V023: returnUrl and closeUrl have the same domain as the page that shows the form; http and https differ (§9.9).
fn domains(sim: &Sim, fields: &Fields, page: Option<&Url>) -> Result<(), Refusal> {
    let page = page.ok_or_else(|| {
        Refusal::new("SIM:PAGE", "결제 페이지의 주소를 알 수 없습니다 (Origin/Referer 없음)")
    })?;
    for name in ["returnUrl", "closeUrl"] {
        let text = fields.get(name);
        if text.is_empty() {
            continue;
        }
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| Refusal::new("SIM:FIELD", format!("{name}: http(s) 주소가 아닙니다")))?;
        let port =
            !sim.settings.v023_compares_port || url.port_or_known_default() == page.port_or_known_default();
        if url.scheme() != page.scheme() || url.host() != page.host() || !port {
            return Err(Refusal::new(
                "V023",
                format!(
                    "{name} 의 도메인이 결제 페이지의 도메인({})과 다릅니다",
                    page.origin().ascii_serialization()
                ),
            ));
        }
    }
    Ok(())
}

fn duplicate_order(sim: &Sim, merchant: &Merchant, oid: &str) -> Result<(), Refusal> {
    let taken = merchant.duplicate_order_prevention
        && sim.ledger.peek(|book| book.approved_by_oid(&merchant.mid, oid).is_some());
    if taken { Err(Refusal::coded("500619", oid)) } else { Ok(()) }
}
