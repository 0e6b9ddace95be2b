//! `/refund/{link}`: the buyer says where a deposit is paid back to. Invariant: a `GET` shows nothing of the payment and moves
//! nothing, for links are looked at by mail servers and messengers before their reader sees them; the page's script, or who has
//! none by typing, hands the code over by `POST`, which shows; only the form's button spends. The account number is given to the
//! plugin by name and kept nowhere; its last digits are, for the summary that a reload shows.

use std::time::Duration;

use askama::Template;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState};
use payhost_store::rows::payments::{self, Payment};
use payhost_store::rows::{Mode, shops};
use payhost_store::{Error, ShopKey};
use serde::Deserialize;

use super::refund::{LINK_US, Link, cancels};
use super::refund_words::{self, Words};
use crate::checkout::page::{Head, render};
use crate::checkout::result::bad_link;
use crate::checkout::words;
use crate::host::{Host, hex, random};
use crate::http::auth::ShopCaller;
use crate::http::idempotency::RequiredKey;
use crate::http::json::PathText;
use crate::http::problem::Problem;
use crate::http::text::tidy;
use crate::institutions;
use crate::payments::cancel::{self, CancelAsked, CancelIn, RefundAccountIn};
use crate::payments::only_if::{ByLink, OnlyIf};
use crate::sealed::Place;

/// Script of the page.
pub const REFUND_JS: &str = include_str!("../../static/refund.js");
/// How long a buyer who pressed twice waits for what the first press came to.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most digits of an account that are kept, and the most as a part of all of them.
const LAST_DIGITS: usize = 4;

/// What the browser posts: the code, and behind it what the buyer typed.
#[derive(Deserialize)]
pub struct Typed {
    #[serde(default)]
    code: String,
    /// Absent: only the code is handed over.
    bank: Option<String>,
    number: Option<String>,
    holder: Option<String>,
}

impl Typed {
    /// The account, if the form with the button was sent.
    fn account(&self) -> Option<Account> {
        let text = |part: &Option<String>| tidy(part.as_deref().unwrap_or_default());
        let sent = self.bank.is_some() || self.number.is_some() || self.holder.is_some();
        sent.then(|| Account {
            bank: text(&self.bank),
            number: text(&self.number),
            holder: text(&self.holder),
        })
    }
}

/// An account as it was typed.
#[derive(Default)]
struct Account {
    bank: String,
    number: String,
    holder: String,
}

impl Account {
    /// What is wrong with it.
    fn wrong(&self, t: &Words) -> Option<&'static str> {
        let bank = institutions::banks().iter().any(|(code, ..)| *code == self.bank);
        let digits = self.number.bytes().filter(u8::is_ascii_digit).count();
        let plain = self.number.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let holder = !self.holder.is_empty() && self.holder.chars().count() <= 40;
        match (bank, plain && (6..=20).contains(&digits), holder) {
            (false, _, _) => Some(t.bad_bank),
            (_, false, _) => Some(t.bad_number),
            (_, _, false) => Some(t.bad_holder),
            (true, true, true) => None,
        }
    }

    /// The last digits: four, and at most a third of them all.
    fn last_digits(&self) -> String {
        let digits: String = self.number.chars().filter(char::is_ascii_digit).collect();
        let shown = LAST_DIGITS.min(digits.len() / 3);
        digits.chars().skip(digits.len().saturating_sub(shown)).collect()
    }
}

/// What the page has in its middle.
enum Middle<'a> {
    /// The form for the code; whether one was wrong.
    Code { wrong: bool },
    /// The form for the account, as it was typed.
    Form(&'a Account),
    /// What was asked for: bank, last digits.
    Summary(&'a ByLink),
    /// Nothing.
    Nothing,
}

#[derive(Template)]
#[template(path = "refund.html")]
struct Page<'a> {
    nonce: &'a str,
    /// Shop, order and the amount that is given back.
    head: &'a Head,
    t: &'a Words,
    /// Code, name, chosen.
    banks: Vec<(&'a str, &'a str, bool)>,
    middle: &'a Middle<'a>,
    /// Name of the summary's bank.
    bank: &'a str,
    /// The code, once it is known to be right.
    code: &'a str,
    /// Sentences, and whether they are good news.
    messages: &'a [&'a str],
    good: bool,
}

/// What an answer is made of.
struct View<'a> {
    status: StatusCode,
    /// Of the request, where no payment is known.
    language: &'a str,
    found: Option<&'a Found>,
    code: &'a str,
    middle: Middle<'a>,
    messages: &'a [&'a str],
    good: bool,
}

fn show(view: &View<'_>) -> Response {
    let payment = view.found.map(|found| &found.payment);
    let language = payment.map_or(view.language, |payment| payment.language.as_str());
    let english = language.starts_with("en");
    let nonce = hex(&random::<16>());
    let over = matches!(view.middle, Middle::Nothing);
    let total = view.found.filter(|_| !over).map_or_else(String::new, |found| {
        words::amount(found.link.amount, found.payment.currency.as_str(), language)
    });
    let head = Head {
        t: words::words(language),
        shop_name: view.found.map_or_else(String::new, |found| found.shop_name.clone()),
        order_name: payment.map_or_else(String::new, |payment| payment.order_name.clone()),
        total,
        test_mode: payment.is_some_and(|payment| payment.mode == Mode::Test),
        return_url: payment.and_then(|payment| payment.return_url.clone()),
    };
    let named = institutions::banks().iter();
    let named = named.map(|(code, ko, en)| (*code, if english { *en } else { *ko }));
    let chosen = match &view.middle {
        Middle::Form(account) => account.bank.as_str(),
        Middle::Summary(by) => by.bank.as_str(),
        Middle::Code { .. } | Middle::Nothing => "",
    };
    let page = Page {
        nonce: &nonce,
        head: &head,
        t: refund_words::words(language),
        bank: named.clone().find(|(code, _)| *code == chosen).map_or(chosen, |(_, name)| name),
        banks: named.map(|(code, name)| (code, name, code == chosen)).collect(),
        middle: &view.middle,
        code: view.code,
        messages: view.messages,
        good: view.good,
    };
    render(view.status, &page, &nonce)
}

/// What a link leads to, for who has its code.
struct Found {
    link: Link,
    payment: Payment,
    shop_name: String,
    stands: Stands,
}

/// How a link stands.
enum Stands {
    /// Nothing was asked for, or it was refused.
    Open,
    /// It was asked for, and nobody knows yet what came of it.
    Asked(ByLink),
    /// It was given back.
    Done(ByLink),
    /// Used up by something else, or its time is over.
    Over,
}

/// What was asked for by this link, if its money moved or may have.
fn asked_by(
    key: &ShopKey,
    attempts: Vec<Attempt>,
    words: &str,
) -> Result<Option<(AttemptState, ByLink)>, Error> {
    for attempt in attempts.into_iter().rev().filter(|attempt| attempt.kind == AttemptKind::Cancel) {
        let asked: CancelAsked = Place::Request(attempt.id).open_json(key, &attempt.request)?;
        let Some(by_link) = asked.by_link.filter(|by| by.link == words) else { continue };
        match attempt.state {
            AttemptState::Declined | AttemptState::Failed => {}
            AttemptState::Intent | AttemptState::InDoubt | AttemptState::Succeeded => {
                return Ok(Some((attempt.state, by_link)));
            }
        }
    }
    Ok(None)
}

/// Looks a link up: only for who has shown its code.
async fn find(host: &Host, link: Link) -> Result<Option<Found>, Problem> {
    let now_us = host.now_us();
    let vault = host.vault().clone();
    let read = host.store().read(move |tx| {
        let Some(payment) = payments::get(tx, link.shop, link.payment)? else { return Ok(None) };
        let key = vault.key_of(tx, payment.shop_id)?;
        let shop = shops::get(tx, payment.shop_id)?;
        let made = cancels(tx, payment.shop_id, payment.id)?;
        let asked = asked_by(&key, attempts::of_payment(tx, payment.shop_id, payment.id)?, &link.words())?;
        let left = payment.paid.saturating_sub(payment.cancelled);
        let late = |grace_us: i64| link.expires_us().saturating_add(grace_us) <= now_us;
        let stands = match asked {
            // What was asked for is shown for a while after the link's own time.
            Some(_) if late(LINK_US) => Stands::Over,
            Some((AttemptState::Succeeded, by)) => Stands::Done(by),
            Some((_, by)) => Stands::Asked(by),
            None if late(0) || made != link.made || left < link.amount => Stands::Over,
            None => Stands::Open,
        };
        let shop_name = shop.map(|shop| shop.name).unwrap_or_default();
        Ok::<_, Error>(Some(Found { link, payment, shop_name, stands }))
    });
    Ok(read.await?)
}

/// The page of a link as it stands; `account` and `message` for the form.
fn standing(found: &Found, code: &str, account: &Account, message: Option<(StatusCode, &str)>) -> Response {
    let t = refund_words::words(&found.payment.language);
    let (status, middle, messages, good) = match &found.stands {
        Stands::Over => (StatusCode::GONE, Middle::Nothing, vec![t.over], false),
        Stands::Asked(by) => (StatusCode::ACCEPTED, Middle::Summary(by), vec![t.known_soon], false),
        Stands::Done(by) => (StatusCode::OK, Middle::Summary(by), vec![t.done, t.when], true),
        Stands::Open => {
            let status = message.map_or(StatusCode::OK, |(status, _)| status);
            (status, Middle::Form(account), message.iter().map(|(_, words)| *words).collect(), false)
        }
    };
    show(&View { status, language: "", found: Some(found), code, middle, messages: &messages, good })
}

fn ask(status: StatusCode, language: &str, messages: &[&str]) -> Response {
    let middle = Middle::Code { wrong: !messages.is_empty() };
    show(&View { status, language, found: None, code: "", middle, messages, good: false })
}

fn language(headers: &HeaderMap) -> &str {
    headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or("ko")
}

/// `GET /refund/{link}`: asks for the code; nothing is looked up.
pub async fn page(PathText(text): PathText, headers: HeaderMap) -> Response {
    match Link::read(&text) {
        Some(_) => ask(StatusCode::OK, language(&headers), &[]),
        None => bad_link(),
    }
}

/// `POST /refund/{link}`: with the code alone it shows how the link stands; with an account it asks for the refund.
pub async fn send(
    State(host): State<Host>,
    PathText(text): PathText,
    headers: HeaderMap,
    Form(typed): Form<Typed>,
) -> Result<Response, Problem> {
    let Some(link) = Link::read(&text) else { return Ok(bad_link()) };
    if !link.is_code(&host, &typed.code) {
        let language = language(&headers);
        return Ok(ask(StatusCode::FORBIDDEN, language, &[refund_words::words(language).bad_code]));
    }
    let code = link.code(&host)?;
    let Some(found) = find(&host, link).await? else { return Ok(bad_link()) };
    let none = Account::default();
    let (open, runs) = (matches!(found.stands, Stands::Open), matches!(found.stands, Stands::Asked(_)));
    match typed.account() {
        Some(account) if open => spend(&host, found, &code, account).await,
        // A reload of the button's page, or a second press: what the first one came to.
        Some(_) if runs => Ok(standing(&settled(&host, found).await?, &code, &none, None)),
        Some(_) | None => Ok(standing(&found, &code, &none, None)),
    }
}

/// Asks for the refund.
async fn spend(host: &Host, found: Found, code: &str, account: Account) -> Result<Response, Problem> {
    let t = refund_words::words(&found.payment.language);
    if let Some(words) = account.wrong(t) {
        return Ok(standing(&found, code, &account, Some((StatusCode::UNPROCESSABLE_ENTITY, words))));
    }
    let (link, payment) = (found.link, &found.payment);
    let input = CancelIn {
        amount: Some(link.amount),
        account: Some(RefundAccountIn {
            bank: account.bank.clone(),
            holder: account.holder.clone(),
            number: account.number.clone().into(),
        }),
        ..CancelIn::default()
    };
    let by_link = ByLink {
        link: link.words(),
        made: link.made,
        bank: account.bank.clone(),
        last_digits: account.last_digits(),
    };
    // Each try has a key of its own: a refusal (a wrong number) lets the buyer try again, and a second press meets the
    // payment's lock, and behind it a link that is used up.
    let caller = ShopCaller { shop_id: payment.shop_id, mode: payment.mode, key_id: None };
    let key = RequiredKey::made(format!("refund-page:{}", hex(&random::<16>())));
    let key = key.of(host, &caller, "refund page", link.words().as_bytes())?;
    let made = cancel::make(host, payment, input, key, Some(OnlyIf::Unused(by_link))).await;
    let found = settled(host, found).await?;
    let message = match &made {
        Ok(_) => None,
        Err(problem) if problem.code == "internal" => return Err(problem.clone()),
        Err(problem) => Some(refused(t, problem)),
    };
    let message = message.as_ref().map(|(status, words)| (*status, words.as_str()));
    Ok(standing(&found, code, &account, message))
}

/// Status and sentence of a refund that was not made, and can be asked for again.
fn refused(t: &Words, problem: &Problem) -> (StatusCode, String) {
    match problem.code {
        // The gateway's own no, which the buyer may mend with another account.
        "gateway_refused" => {
            let words = problem.buyer_message.clone().unwrap_or_else(|| t.unavailable.to_owned());
            (StatusCode::UNPROCESSABLE_ENTITY, words)
        }
        "invalid_request" => (StatusCode::UNPROCESSABLE_ENTITY, t.bad_number.to_owned()),
        "payment_busy" | "payment_in_doubt" | "conflict" => (StatusCode::CONFLICT, t.busy.to_owned()),
        _ => (StatusCode::SERVICE_UNAVAILABLE, t.unavailable.to_owned()),
    }
}

/// The link as it stands when what was asked for by it is known, or nobody knew for as long as a buyer waits.
async fn settled(host: &Host, found: Found) -> Result<Found, Problem> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut found = found;
    loop {
        let rings = host.settled().notified();
        tokio::pin!(rings);
        rings.as_mut().enable();
        if let Some(now) = find(host, found.link).await? {
            found = now;
        }
        let runs = matches!(found.stands, Stands::Asked(_));
        if !runs || tokio::time::timeout_at(deadline, rings).await.is_err() {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_a_third_of_an_account_is_kept() {
        let last = |number: &str| Account { number: number.to_owned(), ..Account::default() }.last_digits();
        assert_eq!(last("110-123-456789"), "6789");
        assert_eq!(last("123456"), "56");
        assert_eq!(last("12-34-56-78-9"), "789");
        assert_eq!(last(""), "");
    }
}
