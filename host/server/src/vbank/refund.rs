//! `/refund/{link}`: the buyer says where a deposit is paid back to. Invariant: a link is good for one refund of one payment, of the
//! amount that the shop chose and until it ends; the account number is given to the plugin by name and kept nowhere.
//!
//! The link carries what it allows, and a proof that this host made it. Used up it is by the refund itself: it names how many
//! cancels there were before.

use askama::Template;
use axum::Json;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use payhost_core::FactKind;
use payhost_core::id::PaymentId;
use payhost_store::rows::payments::{self, Payment};
use payhost_store::rows::shops;
use payhost_store::rows::{Mode, facts};
use payhost_store::vault;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::checkout::page::{Head, render};
use crate::checkout::words;
use crate::host::{Host, hex, random};
use crate::http::auth::ShopCaller;
use crate::http::idempotency::RequiredKey;
use crate::http::json::{Body, PathId};
use crate::http::problem::Problem;
use crate::http::text;
use crate::institutions;
use crate::payments::cancel::{self, CancelIn, RefundAccountIn};
use crate::payments::order::base_url;
use crate::payments::read;
use crate::time::{parse_moment, rfc3339};

/// How long a link is good when the shop says nothing, in microseconds: a week.
const LINK_US: i64 = 7 * 24 * 3600 * 1_000_000;

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

/// A link for the buyer.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinkOut {
    /// Where the buyer names an account; good for one refund.
    pub url: String,
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
            Ok::<_, payhost_store::Error>((row, cancels(tx, shop, id)?))
        });
        let (shop, made) = read.await?;
        (shop.ok_or_else(|| Problem::not_found("shop"))?, made)
    };
    let link = Link { payment: id, amount, made, expires_s: expires_us / 1_000_000 };
    let url = format!("{}/refund/{}", base_url(&host, &shop), link.text(&host)?);
    Ok((StatusCode::CREATED, Json(LinkOut { url, amount, expires_at: rfc3339(expires_us) })))
}

fn cancels(
    tx: &mut payhost_store::Tx<'_>,
    shop: payhost_core::id::ShopId,
    id: PaymentId,
) -> Result<usize, payhost_store::Error> {
    let known = facts::of_payment(tx, shop, id)?;
    Ok(known.iter().filter(|fact| fact.kind == FactKind::Cancelled).count())
}

/// What a link allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    payment: PaymentId,
    amount: i64,
    made: usize,
    expires_s: i64,
}

impl Link {
    fn words(self) -> String {
        format!("{}.{}.{}.{}", self.payment, self.amount, self.made, self.expires_s)
    }

    fn text(self, host: &Host) -> Result<String, payhost_store::Error> {
        let words = self.words();
        let proof = host.vault().mac("refund-link", words.as_bytes())?;
        Ok(format!("{words}.{}", hex(proof.get(..16).unwrap_or(&proof))))
    }

    /// Reads a link that this host made.
    fn read(host: &Host, text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let link = Self {
            payment: parts.next()?.parse().ok()?,
            amount: parts.next()?.parse().ok()?,
            made: parts.next()?.parse().ok()?,
            expires_s: parts.next()?.parse().ok()?,
        };
        let whole = link.text(host).ok()?;
        vault::same(whole.as_bytes(), text.as_bytes()).then_some(link)
    }
}

/// What the buyer typed.
#[derive(Deserialize)]
pub struct Typed {
    #[serde(default)]
    bank: String,
    #[serde(default, deserialize_with = "text::line")]
    number: String,
    #[serde(default, deserialize_with = "text::line")]
    holder: String,
}

/// Words of the page.
struct Words {
    heading: &'static str,
    intro: &'static str,
    amount: &'static str,
    bank: &'static str,
    choose: &'static str,
    number: &'static str,
    holder: &'static str,
    send: &'static str,
    done: &'static str,
    known_soon: &'static str,
    over: &'static str,
    busy: &'static str,
    bad_bank: &'static str,
    bad_number: &'static str,
    bad_holder: &'static str,
}

const KO: Words = Words {
    heading: "환불 계좌 입력",
    intro: "입금하신 금액을 돌려받을 본인 계좌를 입력해 주세요.",
    amount: "환불 금액",
    bank: "은행",
    choose: "은행을 선택하세요",
    number: "계좌번호",
    holder: "예금주",
    send: "환불 요청",
    done: "환불이 접수되었습니다.",
    known_soon: "환불 결과를 확인하고 있습니다. 다시 요청하지 마시고 상점에 문의해 주세요.",
    over: "이 링크는 더 이상 사용할 수 없습니다. 이미 환불되었거나 기한이 지났습니다.",
    busy: "지금은 처리할 수 없습니다. 잠시 후 다시 시도해 주세요.",
    bad_bank: "은행을 선택해 주세요.",
    bad_number: "계좌번호는 6~20자리 숫자로 입력해 주세요(‘-’ 가능).",
    bad_holder: "예금주 이름을 입력해 주세요.",
};

const EN: Words = Words {
    heading: "Your refund account",
    intro: "Enter your own account, to which your deposit is paid back.",
    amount: "Refund",
    bank: "Bank",
    choose: "Choose a bank",
    number: "Account number",
    holder: "Account holder",
    send: "Request the refund",
    done: "The refund was accepted.",
    known_soon: "The outcome is being found out. Do not ask again; contact the shop.",
    over: "This link cannot be used any more: the refund was made, or its time is over.",
    busy: "This cannot be done now. Try again in a moment.",
    bad_bank: "Choose a bank.",
    bad_number: "The account number has 6 to 20 digits (and -).",
    bad_holder: "Enter the account holder's name.",
};

#[derive(Template)]
#[template(path = "refund.html")]
struct Page<'a> {
    nonce: &'a str,
    /// Shop, order and the amount that is given back.
    head: &'a Head,
    t: &'a Words,
    /// Code, name, chosen.
    banks: Vec<(&'a str, &'a str, bool)>,
    number: &'a str,
    holder: &'a str,
    message: Option<&'a str>,
    good: bool,
    form: bool,
}

/// The page.
struct View<'a> {
    payment: Option<&'a Payment>,
    shop_name: &'a str,
    amount: i64,
    typed: Option<&'a Typed>,
    message: Option<&'a str>,
    good: bool,
    form: bool,
    status: StatusCode,
}

fn show(view: &View<'_>) -> Response {
    let language = view.payment.map_or("ko", |payment| payment.language.as_str());
    let english = language.starts_with("en");
    let nonce = hex(&random::<16>());
    let head = Head {
        t: words::words(language),
        shop_name: view.shop_name.to_owned(),
        order_name: view.payment.map_or_else(String::new, |payment| payment.order_name.clone()),
        total: view
            .payment
            .filter(|_| view.amount > 0)
            .map_or_else(String::new, |p| words::amount(view.amount, p.currency.as_str(), language)),
        test_mode: view.payment.is_some_and(|payment| payment.mode == Mode::Test),
        return_url: None,
    };
    let chosen = view.typed.map_or("", |typed| typed.bank.as_str());
    let page = Page {
        nonce: &nonce,
        head: &head,
        t: if english { &EN } else { &KO },
        banks: institutions::banks()
            .iter()
            .map(|(code, ko, en)| (*code, if english { *en } else { *ko }, *code == chosen))
            .collect(),
        number: view.typed.map_or("", |typed| typed.number.as_str()),
        holder: view.typed.map_or("", |typed| typed.holder.as_str()),
        message: view.message,
        good: view.good,
        form: view.form,
    };
    render(view.status, &page, &nonce, &[])
}

/// What a good link leads to.
struct Found {
    link: Link,
    payment: Payment,
    shop_name: String,
}

async fn find(host: &Host, text: &str) -> Result<Result<Found, Response>, Problem> {
    let over = |payment: Option<&Payment>, shop_name: &str| {
        let english = payment.is_some_and(|payment| payment.language.starts_with("en"));
        let message = Some(if english { EN.over } else { KO.over });
        let status = if payment.is_some() { StatusCode::GONE } else { StatusCode::NOT_FOUND };
        show(&View { payment, shop_name, amount: 0, typed: None, message, good: false, form: false, status })
    };
    let Some(link) = Link::read(host, text) else { return Ok(Err(over(None, ""))) };
    let read = host.store().read(move |tx| {
        let Some(payment) = payments::get_of_any_shop(tx, link.payment)? else { return Ok(None) };
        let shop = shops::get(tx, payment.shop_id)?;
        let made = cancels(tx, payment.shop_id, payment.id)?;
        Ok::<_, payhost_store::Error>(Some((payment, shop.map(|shop| shop.name).unwrap_or_default(), made)))
    });
    let Some((payment, shop_name, made)) = read.await? else { return Ok(Err(over(None, ""))) };
    let late = link.expires_s.saturating_mul(1_000_000) <= host.now_us();
    if late || made != link.made || payment.paid.saturating_sub(payment.cancelled) < link.amount {
        return Ok(Err(over(Some(&payment), &shop_name)));
    }
    Ok(Ok(Found { link, payment, shop_name }))
}

/// `GET /refund/{link}`.
pub async fn page(State(host): State<Host>, Path(text): Path<String>) -> Result<Response, Problem> {
    let found = match find(&host, &text).await? {
        Ok(found) => found,
        Err(over) => return Ok(over),
    };
    Ok(show(&View {
        payment: Some(&found.payment),
        shop_name: &found.shop_name,
        amount: found.link.amount,
        typed: None,
        message: None,
        good: true,
        form: true,
        status: StatusCode::OK,
    }))
}

/// `POST /refund/{link}`: the buyer typed an account.
pub async fn send(
    State(host): State<Host>,
    Path(text): Path<String>,
    Form(typed): Form<Typed>,
) -> Result<Response, Problem> {
    let Found { link, payment, shop_name } = match find(&host, &text).await? {
        Ok(found) => found,
        Err(over) => return Ok(over),
    };
    let t = if payment.language.starts_with("en") { &EN } else { &KO };
    let answer = |message: String, good: bool, form: bool, status: StatusCode| {
        show(&View {
            payment: Some(&payment),
            shop_name: &shop_name,
            amount: link.amount,
            typed: Some(&typed),
            message: Some(&message),
            good,
            form,
            status,
        })
    };
    if let Some(words) = wrong(t, &typed) {
        return Ok(answer(words.to_owned(), false, true, StatusCode::UNPROCESSABLE_ENTITY));
    }
    let input = CancelIn {
        amount: Some(link.amount),
        tax: None,
        reason: None,
        account: Some(RefundAccountIn {
            bank: typed.bank.clone(),
            holder: typed.holder.clone(),
            number: typed.number.clone().into(),
        }),
    };
    // Each try has a key of its own: a refusal (a wrong number) lets the buyer try again, and a second press meets the
    // payment's own lock and then a link that is used up.
    let mode: Mode = payment.mode;
    let caller = ShopCaller { shop_id: payment.shop_id, mode, key_id: None };
    let key = RequiredKey::made(format!("refund-page:{}", hex(&random::<16>())));
    let key = key.of(&host, &caller, "refund page", link.words().as_bytes())?;
    match cancel::make(&host, &payment, input, key).await {
        Ok((StatusCode::ACCEPTED, _)) => {
            Ok(answer(t.known_soon.to_owned(), false, false, StatusCode::ACCEPTED))
        }
        Ok(_) => Ok(answer(t.done.to_owned(), true, false, StatusCode::OK)),
        Err(problem) if problem.status < 500 => {
            let words = problem.buyer_message.unwrap_or_else(|| t.busy.to_owned());
            Ok(answer(words, false, true, StatusCode::UNPROCESSABLE_ENTITY))
        }
        Err(problem) => Err(problem),
    }
}

/// What is wrong with what was typed.
fn wrong(t: &Words, typed: &Typed) -> Option<&'static str> {
    let bank = institutions::banks().iter().any(|(code, ..)| *code == typed.bank);
    let number = &typed.number;
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let holder = &typed.holder;
    match (bank, plain && (6..=20).contains(&digits), !holder.is_empty() && holder.chars().count() <= 40) {
        (false, _, _) => Some(t.bad_bank),
        (_, false, _) => Some(t.bad_number),
        (_, _, false) => Some(t.bad_holder),
        (true, true, true) => None,
    }
}
