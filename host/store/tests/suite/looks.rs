//! The rows that a function reads are those of the shop that it is called for, also where another shop's have the same ids; see `apart`.

use payhost_core::Resolution;
use payhost_core::id::{EventId, ShopId};
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, Started};
use payhost_store::rows::facts::{self, FactRow, Recorded};
use payhost_store::rows::idempotency::{self, Begun};
use payhost_store::rows::payments::{self, Filter};
use payhost_store::rows::{
    After, Mode, Order, api_keys, calls, channels, checkouts, deliveries, endpoints, events, jobs, ledger,
    notices,
};
use payhost_store::{Error, Tx};

use super::Database;
use super::apart::{next, tried};
use super::fixture::{NOW_US, fact_id};
use super::twins::{Rows, plant};

/// What is read of a shop: whose rows those are.
type Look = fn(&mut Tx<'_>, &Rows) -> Result<Vec<ShopId>, Error>;

/// The shops of rows, whether there is one or several.
macro_rules! shops_of {
    ($rows:expr) => {
        $rows?.into_iter().map(|row| row.shop_id).collect::<Vec<_>>()
    };
}

/// Each finds so many rows, all of its shop.
async fn read_only_their_own(database: &Database, looks: &'static [(&'static str, usize, Look)]) {
    let store = database.open();
    let [one, two] = plant(&store).await;
    for (name, count, look) in looks {
        for ours in [one.clone(), two.clone()] {
            tried(&store, move |tx| {
                assert_eq!(look(tx, &ours)?, vec![ours.shop(); *count], "{name}");
                Ok(())
            })
            .await;
        }
    }
}

const ALL: Filter<'_> = Filter {
    mode: Mode::Test,
    order_id: None,
    state: None,
    resolution: None,
    method: None,
    total: None,
    text: None,
    from_us: None,
    until_us: None,
    order: Order::NewestFirst,
    after: None,
    limit: 9,
};

pub async fn payments_are_read_of_one_shop(database: &Database) {
    const LOOKS: &[(&str, usize, Look)] = &[
        ("payments::get", 1, |tx, ours| Ok(shops_of!(payments::get(tx, ours.shop(), ours.payment.id)))),
        ("payments::lock", 1, |tx, ours| Ok(shops_of!(payments::lock(tx, ours.shop(), ours.payment.id)))),
        ("payments::ask_of_checkout", 1, |tx, ours| {
            Ok(shops_of!(payments::ask_of_checkout(tx, ours.shop(), ours.checkout.id)?.all(tx)))
        }),
        ("payments::ask_open_of_order", 1, |tx, ours| {
            Ok(shops_of!(payments::ask_open_of_order(tx, ours.shop(), Mode::Test, "order")?.all(tx)))
        }),
        ("payments::list", 1, |tx, ours| Ok(shops_of!(payments::list(tx, ours.shop(), &ALL)))),
        ("payments::approved_between", 1, |tx, ours| {
            let day = (NOW_US, NOW_US + 1);
            Ok(shops_of!(payments::approved_between(tx, ours.place(), day, None, 9)))
        }),
        ("payments::with_resolution", 1, |tx, ours| {
            let (scope, after) = (Some((ours.shop(), Mode::Test)), After::default());
            Ok(shops_of!(payments::with_resolution(tx, scope, Resolution::InDoubt, after, 9)))
        }),
        ("checkouts::get", 1, |tx, ours| Ok(shops_of!(checkouts::get(tx, ours.shop(), ours.checkout.id)))),
        ("checkouts::by_order_ref", 1, |tx, ours| {
            Ok(shops_of!(checkouts::by_order_ref(tx, ours.shop(), &ours.checkout.order_ref)))
        }),
        ("checkouts::of_payment", 1, |tx, ours| {
            Ok(shops_of!(checkouts::of_payment(tx, ours.shop(), ours.payment.id)))
        }),
        ("attempts::get", 1, |tx, ours| Ok(shops_of!(attempts::get(tx, ours.shop(), ours.attempt.id)))),
        ("attempts::of_payment", 2, |tx, ours| {
            Ok(shops_of!(attempts::of_payment(tx, ours.shop(), ours.payment.id)))
        }),
        ("attempts::ask_open_of", 1, |tx, ours| {
            Ok(shops_of!(attempts::ask_open_of(tx, ours.shop(), ours.payment.id)?.all(tx)))
        }),
        ("attempts::ask_complete_of", 1, |tx, ours| {
            Ok(shops_of!(attempts::ask_complete_of(tx, ours.shop(), ours.checkout.id)?.all(tx)))
        }),
        ("attempts::undos_of", 1, |tx, ours| {
            Ok(shops_of!(attempts::undos_of(tx, ours.shop(), ours.attempt.id)))
        }),
        ("attempts::start, what stands against it", 3, |tx, ours| {
            let reload = ours.world.complete(ours.payment.id, ours.checkout.id);
            let undo = Attempt { parent_id: Some(ours.attempt.id), ..next(ours, AttemptKind::Undo) };
            let mut shops = Vec::new();
            for attempt in [reload, undo, next(ours, AttemptKind::Cancel)] {
                match attempts::start(tx, &attempt)? {
                    Started::Repeated(found) | Started::Blocked(found) => shops.push(found.shop_id),
                    Started::New => {}
                }
            }
            Ok(shops)
        }),
        ("facts::of_payment", 1, |tx, ours| {
            Ok(shops_of!(facts::of_payment(tx, ours.shop(), ours.payment.id)))
        }),
        ("facts::record, what is known", 1, |tx, ours| {
            match facts::record(tx, &FactRow { id: fact_id(), ..ours.fact.clone() })? {
                Recorded::Known(fact) => Ok(vec![fact.shop_id]),
                Recorded::New => Ok(vec![]),
            }
        }),
        ("ledger::of_payment", 2, |tx, ours| {
            Ok(shops_of!(ledger::of_payment(tx, ours.shop(), ours.payment.id)))
        }),
        ("calls::get", 1, |tx, ours| Ok(shops_of!(calls::get(tx, ours.shop(), ours.call.id)))),
        ("calls::of_payment", 1, |tx, ours| {
            Ok(shops_of!(calls::of_payment(tx, ours.shop(), ours.payment.id)))
        }),
        ("idempotency::get", 1, |tx, ours| {
            Ok(shops_of!(idempotency::get(tx, ours.shop(), Mode::Test, "key")))
        }),
        ("idempotency::begin, what is known", 1, |tx, ours| match idempotency::begin(tx, &ours.request)? {
            Begun::Known(row) => Ok(vec![row.shop_id]),
            Begun::New | Begun::OtherRequest => Ok(vec![]),
        }),
        ("jobs::get", 1, |tx, ours| Ok(shops_of!(jobs::get(tx, ours.shop(), &ours.job_key)))),
    ];
    read_only_their_own(database, LOOKS).await;
}

pub async fn what_shops_set_and_are_told_is_read_of_one_shop(database: &Database) {
    const LOOKS: &[(&str, usize, Look)] = &[
        ("channels::get", 1, |tx, ours| Ok(shops_of!(channels::get(tx, ours.shop(), ours.world.channel)))),
        ("channels::lock", 1, |tx, ours| Ok(shops_of!(channels::lock(tx, ours.shop(), ours.world.channel)))),
        ("channels::lock_to_end", 1, |tx, ours| {
            Ok(shops_of!(channels::lock_to_end(tx, ours.shop(), ours.world.channel)))
        }),
        ("channels::list", 1, |tx, ours| Ok(shops_of!(channels::list(tx, ours.shop(), false)))),
        ("channels::in_use", 1, |tx, ours| {
            Ok(shops_of!(channels::in_use(tx, Some((ours.shop(), Mode::Test)), After::default(), 9)))
        }),
        ("channels::default", 1, |tx, ours| {
            Ok(shops_of!(channels::default(tx, ours.shop(), Mode::Test, "pay")))
        }),
        ("channels::defaults", 1, |tx, ours| Ok(shops_of!(channels::defaults(tx, ours.shop())))),
        ("channels::secrets", 1, |tx, ours| {
            Ok(shops_of!(channels::secrets(tx, ours.shop(), ours.world.channel)))
        }),
        ("channels::ask_secrets", 2, |tx, ours| {
            Ok(shops_of!(channels::ask_secrets(tx, ours.shop(), ours.world.channel)?.all(tx)))
        }),
        ("channels::revision, the newest", 1, |tx, ours| {
            Ok(shops_of!(channels::ask_revision(tx, ours.shop(), ours.world.channel, None)?.all(tx)))
        }),
        ("channels::revision", 1, |tx, ours| {
            Ok(shops_of!(channels::ask_revision(tx, ours.shop(), ours.world.channel, Some(2))?.all(tx)))
        }),
        ("api_keys::find", 1, |tx, ours| Ok(shops_of!(api_keys::find(tx, ours.shop(), &[1; 32])))),
        ("api_keys::list", 1, |tx, ours| Ok(shops_of!(api_keys::list(tx, ours.shop())))),
        ("events::get", 1, |tx, ours| Ok(shops_of!(events::get(tx, ours.shop(), ours.event.id)))),
        ("events::of_payment", 1, |tx, ours| {
            Ok(shops_of!(events::of_payment(tx, ours.shop(), ours.payment.id)))
        }),
        ("events::list", 2, |tx, ours| {
            let all = events::Filter { mode: Mode::Test, payment: None, name: None, before: None, limit: 9 };
            Ok(shops_of!(events::list(tx, ours.shop(), &all)))
        }),
        ("events::range", 2, |tx, ours| {
            let ends = (EventId::new(0, [0; 10]), EventId::new(i64::MAX >> 16, [0; 10]));
            Ok(shops_of!(events::range(tx, (ours.shop(), Mode::Test), ends, 9)))
        }),
        ("endpoints::get", 1, |tx, ours| Ok(shops_of!(endpoints::get(tx, ours.shop(), ours.endpoint.id)))),
        ("endpoints::lock", 1, |tx, ours| Ok(shops_of!(endpoints::lock(tx, ours.shop(), ours.endpoint.id)))),
        ("endpoints::list", 1, |tx, ours| Ok(shops_of!(endpoints::list(tx, ours.shop(), Mode::Test)))),
        ("endpoints::switched_off", 1, |tx, ours| {
            endpoints::disable_all(tx, ours.shop(), "410", 1)?;
            let scope = Some((ours.shop(), Mode::Test));
            Ok(shops_of!(endpoints::switched_off(tx, scope, After::default(), 9)))
        }),
        ("deliveries::due", 1, |tx, ours| {
            Ok(shops_of!(deliveries::due(tx, (ours.shop(), ours.endpoint.id), 100, 9)))
        }),
        ("deliveries::list", 1, |tx, ours| {
            Ok(shops_of!(deliveries::list(tx, (ours.shop(), ours.endpoint.id), None, None, 9)))
        }),
        ("notices::get", 1, |tx, ours| Ok(shops_of!(notices::get(tx, ours.shop(), ours.notice.id)))),
        ("notices::list", 3, |tx, ours| {
            let all = notices::Filter { mode: Mode::Test, state: None, payment: None, after: None, limit: 9 };
            Ok(shops_of!(notices::list(tx, ours.shop(), &all)))
        }),
        ("notices::for_a_person", 1, |tx, ours| {
            let scope = Some((ours.shop(), Mode::Test));
            Ok(shops_of!(notices::for_a_person(tx, scope, After::default(), 9)))
        }),
    ];
    read_only_their_own(database, LOOKS).await;
}
