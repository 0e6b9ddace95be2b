//! Invariant: an account that INIAPI opens is booked like one of a window: an authentication that nobody can use, and an
//! approval that holds no money (`reference/inicis.md` §4.6).

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Map, Value};

use super::v1::{common, form_only, hashed};
use super::{amount, currency, failure};
use crate::answer::{Answer, object};
use crate::booking::Booking;
use crate::clock::kst_date_time;
use crate::codes;
use crate::fault::{Operation, exchange, forced};
use crate::form::Fields;
use crate::hash;
use crate::ledger::{Authentication, Book, Event, Means};
use crate::merchant::Merchant;
use crate::refusal::Refusal;
use crate::sim::{Shared, Sim};
use crate::stdpay::request::known_merchant;
use crate::stdpay::rules::{deadline, digits};

/// What must be there. §4.6 marks nothing; these are assumed as §4.4 says of billing, where empty ones give an error.
const REQUIRED: &[&str] = &[
    "url",
    "moid",
    "goodName",
    "price",
    "buyerName",
    "buyerEmail",
    "buyerTel",
    "bankCode",
    "dtInput",
    "tmInput",
    "nmInput",
    "flgCash",
];

/// Most bytes (§4.6).
const LONGEST: &[(&str, usize)] = &[
    ("moid", 40),
    ("goodName", 80),
    ("price", 12),
    ("buyerName", 80),
    ("buyerEmail", 60),
    ("buyerTel", 40),
    ("bankCode", 2),
    ("dtInput", 8),
    ("tmInput", 4),
    ("nmInput", 20),
    ("flgCash", 1),
];

/// `/api/v1/formpay`, type Pay, paymethod Vacct.
pub async fn formpay(State(sim): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let fields = Fields::parse(&body);
    let order = form_only(&headers).and_then(|()| read(&sim, &fields));
    let fault = sim.faults.take(Operation::Issue, Some(fields.get("moid")));
    let decline = forced(fault.as_ref());
    let booking = async {
        let booked = sim.ledger.book(|book| {
            let decided = order.and_then(|auth| issue(&sim, book, auth, decline.as_deref()));
            decided.unwrap_or_else(|refusal| {
                let (mid, oid) = (fields.get("mid"), fields.get("moid"));
                (vec![sim.refused(Operation::Issue.name(), mid, oid, &refusal)], failure(&refusal))
            })
        });
        booked.await.map(Answer::json)
    };
    exchange(fault, booking).await
}

fn wrong(name: &str, what: &str) -> Refusal {
    Refusal::new("SIM:FIELD", format!("{name}: {what}"))
}

fn read(sim: &Sim, fields: &Fields) -> Result<Authentication, Refusal> {
    common(sim, fields)?;
    if fields.get("type") != "Pay" {
        return Err(wrong("type", "Pay 여야 합니다"));
    }
    if fields.get("paymethod") != "Vacct" {
        return Err(Refusal::new("SIM:LATER", "formpay 는 시뮬레이터에서 paymethod=Vacct 만 됩니다"));
    }
    hashed(sim, fields, &["moid", "price"])?;
    fields.require(REQUIRED)?;
    if let Some((name, most)) = LONGEST.iter().find(|(name, most)| fields.get(name).len() > *most) {
        return Err(Refusal::new("SIM:LENGTH", format!("{name}: 최대 {most} 바이트를 넘었습니다")));
    }
    let merchant = known_merchant(sim, fields.get("mid"))?;
    if !merchant.methods.iter().any(|method| method == "VBank") {
        return Err(Refusal::coded("504403", "VBank"));
    }
    authentication(sim, merchant, fields)
}

fn authentication(sim: &Sim, merchant: &Merchant, fields: &Fields) -> Result<Authentication, Refusal> {
    let text = |name: &str| fields.get(name).to_owned();
    let price = match amount("price", fields.get("price"))? {
        0 => return Err(wrong("price", "0 보다 커야 합니다")),
        price if price.to_string() == fields.get("price") => price,
        _ => return Err(wrong("price", "0 으로 시작합니다")),
    };
    if currency(sim, &merchant.mid, fields)? != "WON" {
        return Err(Refusal::coded("504611", "currency"));
    }
    if codes::bank_name(fields.get("bankCode")).is_empty() {
        return Err(wrong("bankCode", "가상계좌를 발급하지 않는 은행입니다"));
    }
    let (date, time) = (fields.get("dtInput"), fields.get("tmInput"));
    if !digits(date) || date.len() != 8 {
        return Err(Refusal::coded("504640", "dtInput"));
    }
    if !digits(time) || time.len() != 4 {
        return Err(Refusal::coded("504641", "tmInput"));
    }
    let due = deadline(sim, &format!("{date}{time}"))?;
    let (tax, taxfree) = taxes(fields, price)?;
    Ok(Authentication {
        mid: text("mid"),
        oid: text("moid"),
        price,
        currency: "WON".to_owned(),
        method: "VBank".to_owned(),
        goodname: text("goodName"),
        buyername: text("buyerName"),
        buyertel: text("buyerTel"),
        buyeremail: text("buyerEmail"),
        means: Means {
            bank: text("bankCode"),
            depositor: text("nmInput"),
            due,
            receipt: receipt(merchant, fields)?,
            ..Means::default()
        },
        tax,
        taxfree,
        by_api: true,
        ..Authentication::default()
    })
}

/// flgCash 0 is no cash receipt; 1 and 2 are assumed to be income deduction and business proof, and need a number that
/// decrypts to digits.
fn receipt(merchant: &Merchant, fields: &Fields) -> Result<String, Refusal> {
    let receipt = match fields.get("flgCash") {
        "0" => return Ok(String::new()),
        "1" => "0",
        "2" => "1",
        _ => return Err(wrong("flgCash", "0, 1, 2 중 하나여야 합니다")),
    };
    fields.require(&["cashRegNo"])?;
    let plain = hash::iniapi_decrypt(&merchant.iniapi_key, &merchant.iniapi_iv, fields.get("cashRegNo"))
        .ok_or_else(|| Refusal::coded("504201", "cashRegNo"))?;
    if digits(&plain) { Ok(receipt.to_owned()) } else { Err(wrong("cashRegNo", "숫자여야 합니다")) }
}

fn taxes(fields: &Fields, price: u64) -> Result<(Option<u64>, Option<u64>), Refusal> {
    let read = |name: &str| match fields.get(name) {
        "" => Ok(None),
        text => amount(name, text).map(Some),
    };
    let (tax, free) = (read("tax")?, read("taxFree")?);
    let (vat, out) = (tax.unwrap_or_default(), free.unwrap_or_default());
    if vat.saturating_mul(10) > price || vat.saturating_add(out) > price {
        return Err(Refusal::coded("504656", "tax, taxFree"));
    }
    Ok((tax, free))
}

type Issued = (Vec<Event>, Map<String, Value>);

fn issue(sim: &Sim, book: &Book, auth: Authentication, decline: Option<&str>) -> Result<Issued, Refusal> {
    if let Some(code) = decline {
        return Err(Refusal::coded(code, "채번 거절"));
    }
    let prevents = sim.merchants.get(&auth.mid).is_some_and(|merchant| merchant.duplicate_order_prevention);
    if prevents && book.approved_by_oid(&auth.mid, &auth.oid).is_some() {
        return Err(Refusal::coded("504619", &auth.oid));
    }
    let booking = Booking::new(sim, book, &auth);
    let account = booking.account.clone().unwrap_or_default();
    let (date, time) = kst_date_time(booking.now);
    let (valid_date, valid_time) = account.due.split_at_checked(8).unwrap_or_default();
    let answer = object([
        ("resultCode", "00".to_owned()),
        ("resultMsg", "정상처리되었습니다.".to_owned()),
        ("tid", booking.tid.clone()),
        ("authDate", date),
        ("authTime", time),
        ("vacct", account.number.clone()),
        ("vacctName", account.holder.clone()),
        ("vacctBankCode", account.bank.clone()),
        ("validDate", valid_date.to_owned()),
        ("validTime", format!("{valid_time}00")),
        ("price", auth.price.to_string()),
    ]);
    // Nobody is told this token, so nobody can approve or net-cancel it.
    let token = format!("{:032x}", rand::random::<u128>());
    let (at, oid) = (booking.now, auth.oid.clone());
    let opened = Event::Authenticated { at, token: token.clone(), auth: Box::new(auth) };
    Ok((vec![opened, booking.event(&token, &oid, Vec::new())], answer))
}
