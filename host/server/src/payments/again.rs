//! The same order again. Invariant: a repeat of the same request gives the same payment; other details are taken over while no
//! window was opened for the old ones, and are never dropped in silence; a payment is replaced only where nothing can be paid
//! into the old one any more. All of it is decided under the payment's lock.

use payhost_core::PaymentState;
use payhost_engine::contract::types::{Method, Named};
use payhost_store::rows::attempts;
use payhost_store::rows::payments::{self, Payment};
use payhost_store::{Error, Json, ShopKey, Tx};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::create::PaymentIn;
use super::give_up::replaceable;
use super::model::BuyerIo;
use super::order;
use super::settle::Change;
use crate::host::Host;
use crate::http::problem::Problem;
use crate::jobs;
use crate::sealed::Place;

/// Rounds in which the order's payment may end under our eyes before the request is asked to come again.
const ROUNDS: usize = 8;

/// What was ordered this time.
pub struct Asked<'a> {
    /// The payment as it would be made.
    pub row: &'a Payment,
    /// What of it is sealed there: who pays, and the shop's own values.
    pub input: &'a PaymentIn,
    /// The options as they are kept.
    pub options: &'a [Named],
    /// The channel was named; otherwise it is the default one of now.
    pub channel_named: bool,
    /// Until when was said; otherwise it is a day from now.
    pub expiry_named: bool,
    /// The old payment may be given up for this one.
    pub replace: bool,
}

/// What becomes of it.
pub enum Again {
    /// Nobody holds the order.
    New,
    /// This payment holds it, and nothing differs.
    Same(Payment),
    /// This one takes these members.
    TakeOver(Payment, Vec<&'static str>),
    /// This one is given up, and a new one made.
    Replace(Payment),
    /// Neither; nothing was changed.
    Refused(Box<Problem>),
}

/// Looks which payment holds the order, among those of it that are `open`, and decides.
pub fn look(
    tx: &mut Tx<'_>,
    host: &Host,
    key: &ShopKey,
    open: Vec<Payment>,
    asked: &Asked<'_>,
) -> Result<Again, Error> {
    match holder(tx, host, open)? {
        Some(old) => decide(tx, key, old, asked),
        None => Ok(Again::New),
    }
}

/// The payment that holds an order, locked. One whose time is over ends here, unless an attempt of it is open.
fn holder(tx: &mut Tx<'_>, host: &Host, mut open: Vec<Payment>) -> Result<Option<Payment>, Error> {
    for _ in 0..ROUNDS {
        let Some(seen) = payments::holder(open) else { return Ok(None) };
        let (shop, mode, order_id) = (seen.shop_id, seen.mode, seen.order_id.clone());
        // Under its lock: an attempt may be beginning this very moment, its job may be ending it, or the shop giving it up.
        let now = payments::lock(tx, shop, seen.id)?.unwrap_or(seen);
        let is_late = now.state.is_payable() && now.expires_us <= host.now_us();
        let is_free = now.state.is_over() || is_late && super::expire::end(tx, host, now.clone())?;
        if !is_free {
            return Ok(Some(now));
        }
        // Who ended it may have made another one.
        open = payments::ask_open_of_order(tx, shop, mode, &order_id)?.all(tx)?;
    }
    Err(Error::Busy)
}

/// Decides about the payment that holds the order, which is locked.
fn decide(tx: &mut Tx<'_>, key: &ShopKey, old: Payment, asked: &Asked<'_>) -> Result<Again, Error> {
    let fields = differences(&old, &Opened::of(key, &old)?, asked)?;
    if fields.is_empty() {
        return Ok(Again::Same(old));
    }
    let open = attempts::open_of(tx, old.shop_id, old.id)?.map(|attempt| attempt.state);
    if asked.replace {
        return Ok(match replaceable(&old, open) {
            Ok(()) => Again::Replace(old),
            Err(problem) => Again::Refused(Box::new(Problem { fields: owned(&fields), ..problem })),
        });
    }
    if old.state == PaymentState::Created && !old.opened && open.is_none() {
        return Ok(Again::TakeOver(old, fields));
    }
    Ok(Again::Refused(Box::new(differs(&old, &fields))))
}

fn differs(old: &Payment, fields: &[&'static str]) -> Problem {
    let what = fields.join(", ");
    let words = format!(
        "the order has the payment {} ({}, {} {}), whose window was opened with other details: {what}. Send what it was made \
         with, cancel it, or send replace: true",
        old.id,
        old.state.as_str(),
        old.total,
        old.currency
    );
    let field = fields.first().map(|field| (*field).to_owned());
    Problem { field, fields: owned(fields), ..Problem::new("order_differs", words) }
}

fn owned(fields: &[&'static str]) -> Vec<String> {
    fields.iter().map(|field| (*field).to_owned()).collect()
}

/// What is sealed of a payment.
struct Opened {
    buyer: BuyerIo,
    options: Vec<Named>,
    metadata: Map<String, Value>,
}

impl Opened {
    fn of(key: &ShopKey, payment: &Payment) -> Result<Self, Error> {
        Ok(Self {
            buyer: Place::Buyer(payment.id).open_json(key, &payment.buyer)?,
            options: order::options(key, payment)?,
            metadata: Place::Metadata(payment.id).open_json(key, &payment.metadata)?,
        })
    }
}

/// The members of the request in which an order differs from the one that its payment was made for.
fn differences(old: &Payment, opened: &Opened, asked: &Asked<'_>) -> Result<Vec<&'static str>, Error> {
    let (new, buyer, old_buyer) = (asked.row, &asked.input.buyer, &opened.buyer);
    // A shop whose default channel changed since does not ask for another one by saying nothing.
    let channel_counts = asked.channel_named || !old.opened;
    let other = [
        ("order_name", old.order_name != new.order_name),
        ("amount.total", old.total != new.total),
        ("amount.currency", old.currency != new.currency),
        ("amount.tax.free", old.tax_free != new.tax_free),
        ("amount.tax.vat", old.vat != new.vat),
        ("channel_id", channel_counts && old.channel_id != new.channel_id),
        ("method", method(old)? != method(new)?),
        ("buyer.name", old_buyer.name != buyer.name),
        ("buyer.email", old_buyer.email != buyer.email),
        ("buyer.phone", old_buyer.phone != buyer.phone),
        ("return_url", old.return_url != new.return_url),
        ("webhook_url", old.webhook_url != new.webhook_url),
        ("language", old.language != new.language),
        ("expires_at", asked.expiry_named && old.expires_us != new.expires_us),
        ("device", order::device(&opened.options) != order::device(asked.options)),
        ("confirm", old.confirm != new.confirm),
        ("options", options(&opened.options) != options(asked.options)),
        ("metadata", opened.metadata != asked.input.metadata),
    ];
    Ok(other.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect())
}

fn read<T: DeserializeOwned>(stored: &Json) -> Result<T, Error> {
    stored.to()
}

fn method(payment: &Payment) -> Result<Option<Method>, Error> {
    payment.method.as_ref().map(read).transpose()
}

/// The plugin's options, in the order of their names.
fn options(named: &[Named]) -> Vec<(&str, &str)> {
    let plugins = named.iter().filter(|option| option.name != order::DEVICE);
    let mut options: Vec<_> = plugins.map(|option| (&*option.name, &*option.value)).collect();
    options.sort_unstable();
    options
}

/// Writes the new details over the old ones; the caller holds the lock, and no window was opened.
pub fn take_over(
    tx: &mut Tx<'_>,
    host: &Host,
    key: &ShopKey,
    old: Payment,
    asked: &Asked<'_>,
    fields: &[&'static str],
) -> Result<Payment, Error> {
    let new = asked.row.clone();
    let payment = Payment {
        channel_id: new.channel_id,
        order_name: new.order_name,
        total: new.total,
        currency: new.currency,
        tax_free: new.tax_free,
        vat: new.vat,
        method: new.method,
        buyer: Place::Buyer(old.id).seal_json(key, &asked.input.buyer)?,
        options: Place::Options(old.id).seal_json(key, &asked.options)?,
        metadata: Place::Metadata(old.id).seal_json(key, &asked.input.metadata)?,
        language: new.language,
        confirm: new.confirm,
        return_url: new.return_url,
        webhook_url: new.webhook_url,
        expires_us: if asked.expiry_named { new.expires_us } else { old.expires_us },
        ..old
    };
    payments::revise(tx, &payment)?;
    let mut change = Change::begin(host, payment, None);
    change.event("payment.updated", json!({"fields": fields}));
    let row = change.write(tx)?;
    jobs::enqueue(tx, host, &jobs::Task::Expire { shop: row.shop_id, payment: row.id }, row.expires_us)?;
    Ok(row)
}

/// Whether new details were taken over since a payment was read: what was made of the old ones must not be used.
pub fn is_revised(seen: &Payment, now: &Payment) -> bool {
    // Sealed anew is other bytes, which is all that counts here.
    let of = |p: &Payment| {
        (
            (p.channel_id, p.order_name.clone(), p.total, p.currency, p.tax_free, p.vat, p.method.clone()),
            (
                p.buyer.clone(),
                p.options.clone(),
                p.language.clone(),
                p.confirm,
                p.return_url.clone(),
                p.expires_us,
            ),
        )
    };
    of(seen) != of(now)
}

#[cfg(test)]
mod tests {
    use payhost_core::Currency;
    use payhost_store::rows::payments::Confirm;

    use super::*;
    use crate::vbank::tests::row;

    fn buyer() -> BuyerIo {
        BuyerIo { name: Some("홍길동".to_owned()), email: None, phone: None }
    }

    /// What is sealed, as it is asked for now.
    #[derive(Clone)]
    struct Now {
        row: Payment,
        buyer: BuyerIo,
        options: Vec<Named>,
        metadata: Map<String, Value>,
    }

    impl Now {
        fn of(row: Payment) -> Self {
            Self { row, buyer: buyer(), options: Vec::new(), metadata: Map::new() }
        }

        fn option(&mut self, name: &str, value: &str) {
            self.options.push(Named { name: name.to_owned(), value: value.to_owned() });
        }
    }

    fn found(now: &Now, named: bool, opened: bool) -> Vec<&'static str> {
        let old = Payment { opened, ..row("A-1") };
        let mut input = PaymentIn::new("A-1", "책", 1);
        (input.buyer, input.metadata) = (now.buyer.clone(), now.metadata.clone());
        let asked = Asked {
            row: &now.row,
            input: &input,
            options: &now.options,
            channel_named: named,
            expiry_named: named,
            replace: false,
        };
        let opened = Opened { buyer: buyer(), options: Vec::new(), metadata: Map::new() };
        differences(&old, &opened, &asked).unwrap()
    }

    #[test]
    fn every_member_that_differs_is_named() {
        let other = |change: &dyn Fn(&mut Now)| {
            let mut now = Now::of(row("A-1"));
            change(&mut now);
            found(&now, true, true)
        };
        type Case = (&'static [&'static str], &'static dyn Fn(&mut Now));
        let cases: &[Case] = &[
            (&[], &|_| ()),
            (&["order_name"], &|now| now.row.order_name = "잼".to_owned()),
            (&["amount.total"], &|now| now.row.total += 1),
            (&["amount.currency"], &|now| now.row.currency = Currency::parse("USD").unwrap()),
            (&["amount.tax.free"], &|now| now.row.tax_free = Some(0)),
            (&["amount.tax.vat"], &|now| now.row.vat = Some(0)),
            (&["channel_id"], &|now| now.row.channel_id = payhost_core::id::ChannelId::new(1, [9; 10])),
            (&["method"], &|now| {
                now.row.method = Some(Json::from(json!({"kind": "card", "provider": null})))
            }),
            (&["return_url"], &|now| now.row.return_url = Some("https://shop.example/".to_owned())),
            (&["webhook_url"], &|now| now.row.webhook_url = Some("https://shop.example/".to_owned())),
            (&["language"], &|now| now.row.language = "en".to_owned()),
            (&["expires_at"], &|now| now.row.expires_us += 1),
            (&["device"], &|now| now.option("device", "pc")),
            (&["options"], &|now| now.option("quota", "3")),
            (&["confirm"], &|now| now.row.confirm = Confirm::Manual),
            (&["metadata"], &|now| now.metadata = Map::from_iter([("cart".to_owned(), json!(1))])),
            (&["order_name", "amount.total"], &|now| {
                (now.row.order_name, now.row.total) = ("잼".to_owned(), 1)
            }),
        ];
        for (expected, change) in cases {
            assert_eq!(other(change), *expected);
        }
        let other_buyer = BuyerIo { phone: Some("010-1234-5678".to_owned()), ..BuyerIo::default() };
        let now = Now { buyer: other_buyer, ..Now::of(row("A-1")) };
        assert_eq!(found(&now, true, true), ["buyer.name", "buyer.phone"]);
    }

    #[test]
    fn what_was_not_said_does_not_differ() {
        let mut new = row("A-1");
        new.expires_us += 1;
        new.channel_id = payhost_core::id::ChannelId::new(1, [9; 10]);
        let now = Now::of(new);
        assert!(found(&now, false, true).is_empty());
        // Before a window was opened the default channel of now is as good as the one of then.
        assert_eq!(found(&now, false, false), ["channel_id"]);
    }

    #[test]
    fn options_are_compared_whatever_their_order() {
        let named = |name: &str, value: &str| Named { name: name.to_owned(), value: value.to_owned() };
        let (a, b) = (named("a", "1"), named("b", "2"));
        assert_eq!(options(&[a.clone(), b.clone()]), options(&[b, a]));
    }
}
