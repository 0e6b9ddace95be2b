//! Invariant: a phone's window opens only for a [`MobileRequest`], and one exists only if every rule of
//! `reference/inicis.md` §2.1 to §2.3 held. The form is EUC-KR, whatever its `P_CHARSET` says of the results, and lengths
//! count in it.

use super::reserved::Reserved;
use crate::form::{Charset, Fields};
use crate::hash;
use crate::ledger::MobileOrder;
use crate::merchant::Merchant;
use crate::method::{self, EASY_PAY, Method};
use crate::offer::{self, Offer};
use crate::refusal::Refusal;
use crate::sim::Sim;
use crate::stdpay::request::same_hash;
use crate::stdpay::rules::{self, digits};

/// A request of a phone that passed.
#[derive(Clone, Debug)]
pub struct MobileRequest {
    /// Merchant.
    pub mid: String,
    /// Order number.
    pub oid: String,
    /// Amount in won.
    pub amount: u64,
    /// Goods.
    pub goods: String,
    /// Buyer.
    pub uname: String,
    /// P_MOBILE.
    pub phone: String,
    /// P_EMAIL.
    pub email: String,
    /// P_TIMESTAMP.
    pub timestamp: String,
    /// P_CHARSET: the charset of everything that follows. Never that of the form.
    pub results: Charset,
    /// What answers repeat.
    pub order: MobileOrder,
    /// P_RETURN_URL of a one-transaction payment.
    pub return_url: String,
    /// Options.
    pub reserved: Reserved,
    /// What the buyer can pick.
    pub offer: Offer,
    /// P_TAX.
    pub tax: Option<u64>,
    /// P_TAXFREE.
    pub taxfree: Option<u64>,
    /// P_OFFER_PERIOD, shown only.
    pub period: String,
    /// P_MLOGO_IMAGE.
    pub logo: String,
}

/// Most bytes of a field (§2.1).
const LONGEST: &[(&str, usize)] = &[
    ("P_OID", 40),
    ("P_AMT", 8),
    ("P_GOODS", 80),
    ("P_UNAME", 30),
    ("P_NEXT_URL", 250),
    ("P_NOTI_URL", 250),
    ("P_HPP_METHOD", 1),
    ("P_VBANK_DT", 8),
    ("P_VBANK_TM", 4),
];

fn wrong(name: &str, what: &str) -> Refusal {
    Refusal::new("SIM:FIELD", format!("{name}: {what}"))
}

/// The charset of every form of a phone. The manual's rule ("Accept-charset : EUC-KR") has no exception (§2.1).
pub const FORM: Charset = Charset::EucKr;

/// The charset in which the merchant wants the results.
fn results(fields: &Fields) -> Result<Charset, Refusal> {
    match fields.get("P_CHARSET") {
        "" | "euc-kr" => Ok(Charset::EucKr),
        "utf8" => Ok(Charset::Utf8),
        _ => Err(wrong("P_CHARSET", "utf8 또는 euc-kr 이어야 합니다")),
    }
}

/// An entry point of earlier years: `/smart/NAME`, with or without a slash behind it.
#[derive(Debug)]
pub struct Entry {
    name: &'static str,
    payment: &'static str,
}

/// §2.1, and `culture` from the official sample beside the others.
const ENTRIES: &[Entry] = &[
    Entry { name: "wcard", payment: "CARD" },
    Entry { name: "bank", payment: "BANK" },
    Entry { name: "vbank", payment: "VBANK" },
    Entry { name: "mobile", payment: "MOBILE" },
    Entry { name: "hpmn", payment: "HPMN" },
    Entry { name: "culture", payment: "CULTURE" },
];

impl Entry {
    /// The entry point of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        ENTRIES.iter().find(|entry| entry.name == name)
    }
}

/// Checks the body of a form that was posted to `/smart/payment/`, or to an entry point whose path names the method.
///
/// # Errors
/// The first rule that does not hold.
pub fn check(sim: &Sim, body: &[u8], entry: Option<&Entry>) -> Result<MobileRequest, Refusal> {
    let mut fields = Fields::parse_in(body, FORM)?;
    fields.refuse_twins()?;
    if let Some(entry) = entry {
        let what = format!("/smart/{}: 이전 결제 주소입니다 (/smart/payment/ 를 써야 합니다)", entry.name);
        sim.unless_older(fields.get("P_MID"), Refusal::new("SIM:ENTRY", what))?;
        match fields.get("P_INI_PAYMENT") {
            "" => fields.push("P_INI_PAYMENT", entry.payment),
            said if said == entry.payment => {}
            _ => return Err(wrong("P_INI_PAYMENT", "결제 주소와 다른 결제수단입니다")),
        }
    }
    let results = results(&fields)?;
    if fields.get("P_INI_PAYMENT") == "ESCROWCONFIRM" {
        return Err(Refusal::new("SIM:LATER", "에스크로는 시뮬레이터가 아직 지원하지 않습니다"));
    }
    let unknown = || Refusal::new("MX2001", "가맹점 아이디(P_MID)가 올바르지 않습니다");
    let merchant = sim.merchants.get(fields.get("P_MID")).ok_or_else(unknown)?;
    let amount = amount(fields.get("P_AMT"))?;
    fields.require(&["P_INI_PAYMENT", "P_OID", "P_GOODS", "P_UNAME", "P_NEXT_URL"])?;
    lengths(sim, &fields)?;
    let (reserved, older) = Reserved::parse(&sim.settings, fields.get("P_RESERVED"))?;
    older.into_iter().try_for_each(|refusal| sim.unless_older(&merchant.mid, refusal))?;
    if reserved.yes("useescrow") {
        return Err(Refusal::new("SIM:LATER", "에스크로는 시뮬레이터가 아직 지원하지 않습니다"));
    }
    if reserved.yes("amt_hash") {
        chkfake(sim, &fields, merchant)?;
    }
    if amount < 1000 && !reserved.yes("below1000") {
        return Err(Refusal::coded("500608", "P_RESERVED below1000=Y"));
    }
    let method = method(&fields, merchant)?;
    urls(&fields)?;
    by_method(&fields, method)?;
    optional_fields(&fields, amount)?;
    let taken = merchant.duplicate_order_prevention
        && sim.ledger.peek(|book| book.approved_by_oid(&merchant.mid, fields.get("P_OID")).is_some());
    if taken {
        return Err(Refusal::coded("500619", fields.get("P_OID")));
    }
    let offer = offer(sim, &fields, merchant, &reserved, method, amount)?;
    Ok(built(&fields, results, amount, reserved, offer))
}

fn built(fields: &Fields, results: Charset, amount: u64, reserved: Reserved, offer: Offer) -> MobileRequest {
    let text = |name: &str| fields.get(name).to_owned();
    MobileRequest {
        mid: text("P_MID"),
        oid: text("P_OID"),
        amount,
        goods: text("P_GOODS"),
        uname: text("P_UNAME"),
        phone: text("P_MOBILE"),
        email: text("P_EMAIL"),
        timestamp: text("P_TIMESTAMP"),
        results,
        order: MobileOrder {
            utf8: results == Charset::Utf8,
            noti: text("P_NOTI"),
            next_url: text("P_NEXT_URL"),
            noti_url: text("P_NOTI_URL"),
            mname: text("P_MNAME"),
            reserved: text("P_RESERVED"),
        },
        return_url: text("P_RETURN_URL"),
        reserved,
        offer,
        tax: fields.get("P_TAX").parse().ok(),
        taxfree: fields.get("P_TAXFREE").parse().ok(),
        period: text("P_OFFER_PERIOD"),
        logo: text("P_MLOGO_IMAGE"),
    }
}

fn amount(text: &str) -> Result<u64, Refusal> {
    if text.is_empty() {
        return Err(Refusal::new("MX1003", "결제금액(P_AMT)이 없습니다"));
    }
    if !digits(text) {
        return Err(Refusal::new("MX3001", "결제금액(P_AMT)에 숫자가 아닌 문자가 있습니다"));
    }
    rules::amount(text)
}

fn lengths(sim: &Sim, fields: &Fields) -> Result<(), Refusal> {
    let own = [("P_NOTI", sim.settings.p_noti_max_bytes)];
    let bytes = |name: &str| FORM.encode(fields.get(name)).len();
    match LONGEST.iter().chain(&own).find(|(name, most)| bytes(name) > *most) {
        Some((name, most)) => {
            let text = format!("{name}: {} 로 최대 {most} 바이트를 넘었습니다", FORM.name());
            Err(Refusal::new("SIM:LENGTH", text))
        }
        None => Ok(()),
    }
}

fn chkfake(sim: &Sim, fields: &Fields, merchant: &Merchant) -> Result<(), Refusal> {
    let timestamp = fields.get("P_TIMESTAMP");
    rules::form_timestamp(sim, timestamp)?;
    let (amount, oid) = (fields.get("P_AMT"), fields.get("P_OID"));
    let expected = hash::chkfake(amount, oid, timestamp, &merchant.mobile_hash_key);
    same_hash("P_CHKFAKE", fields.get("P_CHKFAKE"), &expected)
}

/// The method of P_INI_PAYMENT; EWALLET opens the wallets of a card.
fn method(fields: &Fields, merchant: &Merchant) -> Result<&'static Method, Refusal> {
    let name = fields.get("P_INI_PAYMENT");
    let (method, contract) = match method::by_mobile(name) {
        Some(method) => (method, method.name),
        None if name == "EWALLET" => (method::CARD, EASY_PAY),
        None => {
            let text = format!("P_INI_PAYMENT: 알 수 없는 결제수단 {name}");
            return Err(Refusal::new("SIM:METHOD", text));
        }
    };
    if !merchant.methods.iter().any(|own| own == contract) {
        return Err(Refusal::new("MX2002", format!("서비스가 개통되지 않은 가맹점입니다 ({name})")));
    }
    Ok(method)
}

fn urls(fields: &Fields) -> Result<(), Refusal> {
    for name in ["P_NEXT_URL", "P_NOTI_URL", "P_RETURN_URL"] {
        let text = fields.get(name);
        let http = text.starts_with("http://") || text.starts_with("https://");
        if !(text.is_empty() || http && url::Url::parse(text).is_ok()) {
            return Err(wrong(name, "http:// 또는 https:// 로 시작하는 주소여야 합니다"));
        }
    }
    Ok(())
}

fn by_method(fields: &Fields, method: &Method) -> Result<(), Refusal> {
    match method.name {
        "HPP" if !matches!(fields.get("P_HPP_METHOD"), "1" | "2") => {
            Err(Refusal::new("MX1006", "휴대폰 결제 상품 구분(P_HPP_METHOD)이 올바르지 않습니다"))
        }
        "VBank" if fields.get("P_NOTI_URL").is_empty() => {
            Err(wrong("P_NOTI_URL", "가상계좌에는 입금 통보 주소가 필요합니다"))
        }
        _ => Ok(()),
    }
}

fn optional_fields(fields: &Fields, amount: u64) -> Result<(), Refusal> {
    if !fields.get("P_MOBILE").bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return Err(wrong("P_MOBILE", "숫자와 - 만 쓸 수 있습니다"));
    }
    for name in ["P_TAX", "P_TAXFREE", "P_VBANK_DT", "P_VBANK_TM"] {
        let text = fields.get(name);
        if !(text.is_empty() || digits(text)) {
            return Err(Refusal::new("MX3001", format!("{name} 에 숫자가 아닌 문자가 있습니다")));
        }
    }
    let tax: u64 = fields.get("P_TAX").parse().unwrap_or_default();
    let free: u64 = fields.get("P_TAXFREE").parse().unwrap_or_default();
    if tax.saturating_mul(10) > amount || free > amount {
        return Err(Refusal::coded("500656", "P_TAX, P_TAXFREE"));
    }
    let period = fields.get("P_OFFER_PERIOD");
    let span = period.len() == 16 && digits(period);
    if !(period.is_empty() || span || period.strip_prefix(['Y', 'M']).is_some_and(digits)) {
        return Err(wrong("P_OFFER_PERIOD", "Y2, M2, YYYYMMDDYYYYMMDD 형식이어야 합니다"));
    }
    Ok(())
}

fn offer(
    sim: &Sim,
    fields: &Fields,
    merchant: &Merchant,
    reserved: &Reserved,
    method: &'static Method,
    amount: u64,
) -> Result<Offer, Refusal> {
    let direct = reserved.wallets();
    let mut wallets = offer::wallets(&sim.settings, merchant, &direct, offer::wallet_on_phone)?;
    if reserved.yes("disable_kpay") {
        wallets.retain(|wallet| wallet.code != "A");
    }
    if method.name != "Card" || reserved.yes("noeasypay") {
        wallets.clear();
    }
    let wallets_only = fields.get("P_INI_PAYMENT") == "EWALLET" || !direct.is_empty();
    let mut methods = if wallets_only { Vec::new() } else { vec![method.name] };
    if !wallets.is_empty() {
        methods.push(EASY_PAY);
    }
    if methods.is_empty() {
        return Err(Refusal::new("MX2002", "간편결제가 개통되지 않은 가맹점입니다"));
    }
    let (mut cards, mut preselected) = cards(fields)?;
    // `01` is the single payment (§2.1), which is always offered.
    let mut quotas = rules::quotas(fields.get("P_QUOTABASE"), "WON", amount)?;
    if !reserved.get("d_card").is_empty() {
        if !merchant.direct_card {
            return Err(Refusal::new("MX2002", "카드사 직접호출 계약이 없는 가맹점입니다"));
        }
        cards = offer::card_codes("d_card", reserved.get("d_card"))?;
        preselected = cards.first().cloned();
        methods.retain(|name| *name != EASY_PAY);
    }
    if !reserved.get("d_quota").is_empty() {
        let quota = format!("{:0>2}", reserved.get("d_quota"));
        if !quotas.contains(&quota) {
            return Err(Refusal::coded("500607", "d_quota"));
        }
        quotas = vec![quota];
    }
    let free = if reserved.yes("merc_noint") { reserved.get("noint_quota") } else { "" };
    Ok(Offer {
        methods,
        wallets,
        cards,
        preselected,
        quotas,
        interest_free: offer::interest_free("noint_quota", free, '^')?,
        points: reserved.yes("cp_yn") || reserved.yes("dcp_yn"),
        receipt: reserved.get("bank_receipt") != "N",
        vbank_receipt: reserved.yes("vbank_receipt"),
        telcos: offer::telcos("", "")?,
        due: due(sim, fields)?,
        price: amount,
        currency: "WON".to_owned(),
        test: merchant.test,
        isp_cards: sim.settings.isp_cards.clone(),
    })
}

/// Card companies and the preselected one.
fn cards(fields: &Fields) -> Result<(Vec<String>, Option<String>), Refusal> {
    let only = offer::card_codes("P_ONLY_CARDCODE", fields.get("P_ONLY_CARDCODE"))?;
    let option = fields.get("P_CARD_OPTION");
    let selected = match option.strip_prefix("selcode=") {
        Some(code) => offer::card_codes("P_CARD_OPTION", code)?,
        None if option.is_empty() => Vec::new(),
        None => return Err(wrong("P_CARD_OPTION", "selcode=14 형식이어야 합니다")),
    };
    Ok((offer::cards(&only), selected.into_iter().next()))
}

fn due(sim: &Sim, fields: &Fields) -> Result<String, Refusal> {
    match (fields.get("P_VBANK_DT"), fields.get("P_VBANK_TM")) {
        ("", "") => rules::deadline(sim, ""),
        ("", _) => Err(Refusal::coded("504640", "P_VBANK_TM 만 있습니다")),
        (date, time) => rules::deadline(sim, &format!("{date}{time}")),
    }
}
