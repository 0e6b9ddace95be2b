//! Shops are kept apart, also where their rows have the same ids: each function reads and changes the rows of the shop that it is
//! called for. Every function of `payhost_store::rows` for a shop's rows stands in one of the tables here, or in those of `looks`.

use std::collections::BTreeSet;

use payhost_core::id::{EventId, ShopId};
use payhost_core::{FactKind, Resolution};
use payhost_store::rows::attempts::{self, Attempt, AttemptKind, AttemptState, Started};
use payhost_store::rows::channels::{self, Channel, ChannelDefault};
use payhost_store::rows::checkouts::{self, Checkout, CheckoutState};
use payhost_store::rows::deliveries::{self, Delivery, DeliveryState};
use payhost_store::rows::endpoints::{self, Endpoint, Health, Queue};
use payhost_store::rows::events::{self, Event};
use payhost_store::rows::idempotency::{self, Begun, Idempotency};
use payhost_store::rows::in_use::{InUse, in_use};
use payhost_store::rows::jobs::{self, Claim, Lane};
use payhost_store::rows::ledger::{self, Of};
use payhost_store::rows::notices::{self, Amount, ForwardState, Notice, NoticeState};
use payhost_store::rows::payments::{self, Payment};
use payhost_store::rows::{After, Mode, api_keys, calls, facts, plugins, shops as shop_rows};
use payhost_store::{Blob, Error, Sealed, Store, Tx};

use super::Database;
use super::fixture::{NOW_US, json_of, ok};
use super::twins::{Rows, as_of, plant, rows_of};

pub async fn rows_with_the_same_ids_are_kept_in_two_shops(database: &Database) {
    let store = database.open();
    let [one, two] = plant(&store).await;
    ok(&store, move |tx| {
        let (ours, theirs) = (rows_of(tx, one.shop())?, rows_of(tx, two.shop())?);
        let empty: Vec<_> = ours.iter().filter(|(_, rows)| rows.is_empty()).collect();
        assert!(empty.is_empty(), "every table of shops is planted: {empty:?}");
        assert_eq!(as_of(ours, one.shop(), two.shop()), theirs);
        Ok(())
    })
    .await;
}

/// What is done to the rows of a shop.
type Work = fn(&mut Tx<'_>, &Rows) -> Result<(), Error>;

fn nothing(_: &mut Tx<'_>, _: &Rows) -> Result<(), Error> {
    Ok(())
}

/// Runs a closure whose changes nobody keeps.
pub async fn tried(store: &Store, work: impl FnOnce(&mut Tx<'_>) -> Result<(), Error> + Send + 'static) {
    let result: Result<(), Error> = store
        .transact(move |tx| {
            work(tx)?;
            Err(Error::Stale { what: "trial" })
        })
        .await;
    assert_eq!(result, Err(Error::Stale { what: "trial" }));
}

/// Of each: its name, what makes both shops ready for it, and itself, which changes something of its shop.
async fn change_only_their_own(database: &Database, changes: &'static [(&'static str, Work, Work)]) {
    let store = database.open();
    let [one, two] = plant(&store).await;
    for (name, ready, change) in changes {
        // Whose row is found first without the shop is the one or the other's.
        for (ours, theirs) in [(one.clone(), two.clone()), (two.clone(), one.clone())] {
            tried(&store, move |tx| {
                ready(tx, &ours)?;
                ready(tx, &theirs)?;
                let before = (rows_of(tx, ours.shop())?, rows_of(tx, theirs.shop())?);
                change(tx, &ours)?;
                let after = (rows_of(tx, ours.shop())?, rows_of(tx, theirs.shop())?);
                assert_ne!(before.0, after.0, "{name} changed nothing");
                assert_eq!(before.1, after.1, "{name} changed another shop's rows");
                Ok(())
            })
            .await;
        }
    }
}

/// An undo, a cancel or the like that is about to begin.
pub fn next(ours: &Rows, kind: AttemptKind) -> Attempt {
    Attempt { shop_id: ours.shop(), ..ours.world.attempt(ours.payment.id, kind) }
}

fn settled(tx: &mut Tx<'_>, attempt: &Attempt) -> Result<(), Error> {
    attempts::settle(tx, &Attempt { state: AttemptState::Failed, ..attempt.clone() })
}

pub async fn changes_to_payments_are_of_one_shop(database: &Database) {
    const CHANGES: &[(&str, Work, Work)] = &[
        ("payments::save", nothing, |tx, ours| {
            payments::save(tx, &mut Payment { opened: true, ..ours.payment.clone() }, NOW_US)
        }),
        ("payments::revise", nothing, |tx, ours| {
            payments::revise(tx, &Payment { total: 2000, ..ours.payment.clone() })
        }),
        ("checkouts::advance", nothing, |tx, ours| {
            let returned = Checkout { state: CheckoutState::Returned, ..ours.checkout.clone() };
            checkouts::advance(tx, &returned, CheckoutState::Opened)
        }),
        ("attempts::settle", nothing, |tx, ours| settled(tx, &ours.attempt)),
        ("attempts::take_over", nothing, |tx, ours| {
            let (key, until) = ((ours.shop(), ours.attempt.id), ours.attempt.lease_until_us);
            attempts::take_over(tx, key, "job", until, until + 1).map(|was| assert!(was))
        }),
        (
            "attempts::start",
            |tx, both| settled(tx, &both.attempt),
            |tx, ours| {
                attempts::start(tx, &next(ours, AttemptKind::Cancel)).map(|new| assert_eq!(new, Started::New))
            },
        ),
        (
            "attempts::start, an undo",
            |tx, both| settled(tx, &both.undo),
            |tx, ours| {
                let again = Attempt { parent_id: Some(ours.attempt.id), ..next(ours, AttemptKind::Undo) };
                attempts::start(tx, &again).map(|new| assert_eq!(new, Started::New))
            },
        ),
        (
            "attempts::start_unopposed",
            |tx, both| settled(tx, &both.attempt),
            |tx, ours| attempts::start_unopposed(tx, &next(ours, AttemptKind::Cancel)),
        ),
        ("facts::record", nothing, |tx, ours| {
            let fact = ours.world.fact(ours.payment.id, FactKind::Cancelled, 0, 100);
            facts::record(tx, &fact).map(|recorded| assert!(recorded.is_new()))
        }),
        ("idempotency::begin", nothing, |tx, ours| {
            let (request_hash, created_us) = (Blob(vec![2]), ours.request.expires_us);
            let later =
                Idempotency { request_hash, created_us, expires_us: created_us + 1, ..ours.request.clone() };
            idempotency::begin(tx, &later).map(|begun| assert_eq!(begun, Begun::New))
        }),
        ("idempotency::finish", nothing, |tx, ours| {
            let body = Sealed::from_bytes(vec![1]);
            idempotency::finish(tx, (ours.shop(), Mode::Test, "key"), 200, &body, Some(ours.payment.id))
        }),
        ("idempotency::release", nothing, |tx, ours| {
            idempotency::release(tx, ours.shop(), Mode::Test, "key")
        }),
    ];
    change_only_their_own(database, CHANGES).await;
}

fn claimed(tx: &mut Tx<'_>, both: &Rows) -> Result<(), Error> {
    let by = Claim { lane: Lane::Work, now_us: 100, lease_until_us: 200, token: "token" };
    let jobs = jobs::claim(tx, &by, &[(both.shop(), 9)])?;
    assert_eq!(jobs.iter().map(|job| (job.shop_id, job.id)).collect::<Vec<_>>(), [(both.shop(), both.job)]);
    Ok(())
}

pub async fn changes_to_jobs_are_of_one_shop(database: &Database) {
    const CHANGES: &[(&str, Work, Work)] = &[
        ("jobs::enqueue", nothing, |tx, ours| jobs::enqueue(tx, &ours.job(50), 1)),
        ("jobs::claim", nothing, claimed),
        ("jobs::finish", claimed, |tx, ours| {
            jobs::finish(tx, (ours.shop(), ours.job), "token", 1).map(|was| assert!(was))
        }),
        ("jobs::retry_at", claimed, |tx, ours| {
            jobs::retry_at(tx, (ours.shop(), ours.job, "token"), 300, None, 1).map(|was| assert!(was))
        }),
        ("jobs::give_up", claimed, |tx, ours| {
            let error = Sealed::from_bytes(vec![1]);
            jobs::give_up(tx, (ours.shop(), ours.job), "token", &error, 1).map(|was| assert!(was))
        }),
        ("jobs::silence", nothing, |tx, ours| {
            jobs::silence(tx, (ours.shop(), &ours.job_key), Some("gw/test"), 1).map(|oldest| assert!(oldest))
        }),
        (
            "jobs::silence, answered",
            |tx, both| jobs::silence(tx, (both.shop(), &both.job_key), Some("gw/test"), 1).map(|_| ()),
            |tx, ours| {
                jobs::silence(tx, (ours.shop(), &ours.job_key), None, 2).map(|oldest| assert!(!oldest))
            },
        ),
        ("jobs::take_back", nothing, |tx, ours| jobs::take_back(tx, ours.shop(), &ours.job_key)),
    ];
    change_only_their_own(database, CHANGES).await;
}

fn leased(tx: &mut Tx<'_>, both: &Rows) -> Result<(), Error> {
    let by = endpoints::Claim { queue: Queue::Working, now_us: 100, lease_until_us: 200, token: "token" };
    let claimed = endpoints::claim(tx, &by, &[(both.shop(), 9)])?;
    assert_eq!(
        claimed.iter().map(|row| (row.shop_id, row.id)).collect::<Vec<_>>(),
        [(both.shop(), both.endpoint.id)]
    );
    Ok(())
}

fn delivered(tx: &mut Tx<'_>, both: &Rows) -> Result<(), Error> {
    let done = Delivery { state: DeliveryState::Delivered, tries: 1, ..both.delivery.clone() };
    deliveries::record(tx, &done, 0).map(|was| assert!(was))
}

fn retired(tx: &mut Tx<'_>, both: &Rows) -> Result<(), Error> {
    deliveries::forget_all(tx, both.shop(), both.endpoint.id, 9).map(|gone| assert_eq!(gone, 1))?;
    endpoints::retire(tx, both.shop(), both.endpoint.id, 1).map(|was| assert!(was))
}

pub async fn changes_to_events_and_endpoints_are_of_one_shop(database: &Database) {
    const CHANGES: &[(&str, Work, Work)] = &[
        ("events::insert", nothing, |tx, ours| {
            let next = EventId::new(NOW_US / 1000, [9; 10]);
            events::insert(tx, &Event { id: next, sequence: Some(2), ..ours.event.clone() })
        }),
        ("events::take_from_outbox", nothing, |tx, ours| {
            let taken = events::take_from_outbox(tx, ours.shop(), 9)?;
            let wanted = [ours.event.id, ours.loose.id].map(|event_id| (ours.shop(), event_id));
            assert_eq!(taken.iter().map(|row| (row.shop_id, row.event_id)).collect::<Vec<_>>(), wanted);
            Ok(())
        }),
        ("endpoints::update", nothing, |tx, ours| {
            endpoints::update(tx, &Endpoint { name: "new".to_owned(), ..ours.endpoint.clone() })
        }),
        ("endpoints::disable_all", nothing, |tx, ours| endpoints::disable_all(tx, ours.shop(), "410", 1)),
        ("endpoints::wake", nothing, |tx, ours| endpoints::wake(tx, ours.shop(), ours.endpoint.id, 50)),
        ("endpoints::claim", nothing, leased),
        ("endpoints::release", leased, |tx, ours| {
            endpoints::release(tx, ours.shop(), ours.endpoint.id, "token", 100).map(|was| assert!(was))
        }),
        ("endpoints::settle_due", nothing, |tx, ours| {
            endpoints::settle_due(tx, &Endpoint { enabled: false, ..ours.endpoint.clone() })
        }),
        ("endpoints::note, taken", nothing, |tx, ours| {
            endpoints::note(tx, ours.shop(), ours.endpoint.id, &Health::Took { slow: true }, 1)
        }),
        ("endpoints::note, refused", nothing, |tx, ours| {
            let health = Health::Refused { error: "500".to_owned(), failing: true };
            endpoints::note(tx, ours.shop(), ours.endpoint.id, &health, 1)
        }),
        ("endpoints::gave_up", nothing, |tx, ours| {
            let found = endpoints::gave_up(tx, ours.shop(), ours.endpoint.id)?.unwrap();
            assert_eq!((found.shop_id, found.given_up), (ours.shop(), 1));
            Ok(())
        }),
        ("endpoints::retire", nothing, |tx, ours| {
            endpoints::retire(tx, ours.shop(), ours.endpoint.id, 1).map(|was| assert!(was))
        }),
        ("endpoints::remove", retired, |tx, ours| endpoints::remove(tx, ours.shop(), ours.endpoint.id)),
        ("deliveries::again", delivered, |tx, ours| {
            deliveries::again(tx, &ours.delivery, None).map(|was| assert!(was))
        }),
        ("deliveries::record", nothing, delivered),
        ("deliveries::forget", delivered, |tx, ours| {
            let before = EventId::new(i64::MAX >> 16, [0; 10]);
            let place = (ours.shop(), ours.endpoint.id);
            deliveries::forget(tx, place, before, 9).map(|gone| assert_eq!(gone, 1))
        }),
        ("deliveries::forget_all", nothing, |tx, ours| {
            deliveries::forget_all(tx, ours.shop(), ours.endpoint.id, 9).map(|gone| assert_eq!(gone, 1))
        }),
    ];
    change_only_their_own(database, CHANGES).await;
}

pub async fn changes_to_notices_are_of_one_shop(database: &Database) {
    const CHANGES: &[(&str, Work, Work)] = &[
        ("notices::keep", nothing, |tx, ours| {
            let known = notices::keep(tx, &ours.notice)?.unwrap();
            assert_eq!((known.shop_id, known.times), (ours.shop(), 2));
            Ok(())
        }),
        ("notices::set_raw", nothing, |tx, ours| notices::set_raw(tx, ours.shop(), ours.notice.id, None)),
        ("notices::remove", nothing, |tx, ours| {
            notices::remove(tx, ours.shop(), ours.strange.id, NoticeState::Refused).map(|was| assert!(was))
        }),
        ("notices::forwarded", nothing, |tx, ours| {
            let taken = Notice { forward: Some(ForwardState::Forwarded), ..ours.notice.clone() };
            notices::forwarded(tx, &taken).map(|was| assert!(was))
        }),
        ("notices::advance", nothing, |tx, ours| {
            let applied = Notice { state: NoticeState::Applied, ..ours.notice.clone() };
            notices::advance(tx, &applied, NoticeState::Read).map(|was| assert!(was))
        }),
    ];
    change_only_their_own(database, CHANGES).await;
}

/// No payment needs secrets any more.
fn over(tx: &mut Tx<'_>, both: &Rows) -> Result<(), Error> {
    let (state, resolution) = (payhost_core::PaymentState::Expired, Resolution::None);
    payments::save(tx, &mut Payment { state, resolution, expired: true, ..both.payment.clone() }, NOW_US)
}

pub async fn changes_to_channels_and_keys_are_of_one_shop(database: &Database) {
    const CHANGES: &[(&str, Work, Work)] = &[
        ("channels::update", nothing, |tx, ours| {
            channels::update(tx, &Channel { name: "new".to_owned(), ..ours.channel.clone() })
        }),
        ("channels::remove", nothing, |tx, ours| {
            channels::remove(tx, ours.shop(), Some(ours.world.channel), 1)
        }),
        ("channels::remove, all", nothing, |tx, ours| channels::remove(tx, ours.shop(), None, 1)),
        (
            "channels::set_default",
            |tx, both| {
                let id = payhost_core::id::ChannelId::new(1, [1; 10]);
                channels::insert(tx, &Channel { id, ..both.channel.clone() })
            },
            |tx, ours| {
                let channel_id = payhost_core::id::ChannelId::new(1, [1; 10]);
                channels::set_default(tx, &ChannelDefault { channel_id, ..ours.default() })
            },
        ),
        ("channels::put_secret", nothing, |tx, ours| {
            ours.set_secret(tx, 9).map(|version| assert_eq!(version, 3))
        }),
        ("channels::remove_secret", nothing, |tx, ours| {
            channels::remove_secret(tx, ours.place(), "sign_key", 9).map(|was| assert!(was))
        }),
        ("channels::revise", nothing, |tx, ours| {
            let settings = json_of(serde_json::json!({"mid": "b"}));
            let changed = Channel { settings, ..ours.channel.clone() };
            channels::revise(tx, &changed, 9).map(|number| assert_eq!(number, 3))
        }),
        ("channels::purge_secrets", nothing, |tx, ours| {
            channels::purge_secrets(tx, ours.place(), 9).map(|gone| assert_eq!(gone, 1))
        }),
        (
            "channels::purge_secrets, of a removed channel whose payment is over",
            |tx, both| channels::remove(tx, both.shop(), None, 5),
            |tx, ours| {
                // The other shop's payment is open and needs its own.
                over(tx, ours)?;
                channels::purge_secrets(tx, ours.place(), 9).map(|gone| assert_eq!(gone, 2))
            },
        ),
        ("api_keys::revoke", nothing, |tx, ours| {
            api_keys::revoke(tx, Some(ours.shop()), ours.key.id, 1).map(|was| assert!(was))
        }),
        ("api_keys::revoke_all", nothing, |tx, ours| api_keys::revoke_all(tx, ours.shop(), 1)),
    ];
    change_only_their_own(database, CHANGES).await;
}

/// What is counted, and what is told with yes or no: of the first shop, while the second has as much or nothing.
pub async fn what_is_counted_is_of_one_shop(database: &Database) {
    let store = database.open();
    let [one, two] = plant(&store).await;
    let needs = |ours: &Rows| InUse {
        payable: 1,
        unresolved: 1,
        attempts: 1,
        notices: 1,
        payments: vec![ours.payment.id],
        ..InUse::default()
    };
    for (ours, theirs) in [(one.clone(), two.clone()), (two, one)] {
        let needs = needs(&ours);
        tried(&store, move |tx| {
            let (shop, payment, of_ten) = (ours.shop(), ours.payment.id, Amount { messages: 1, bytes: 10 });
            assert_eq!(in_use(tx, shop, None)?, needs);
            assert_eq!(in_use(tx, shop, Some(ours.world.channel))?, needs);
            assert_eq!(notices::strange(tx, ours.place(), 0, 9)?, Amount { messages: 2, bytes: 20 });
            assert_eq!(notices::of_payment(tx, shop, payment, 9)?, of_ten);
            assert_eq!(notices::unasked_of_payment(tx, shop, payment, 9)?, of_ten);
            assert_eq!(notices::waiting_with(tx, &ours.held)?, 1);
            assert_eq!(events::loose_since(tx, shop, EventId::new(0, [0; 10]), 9)?, 1);
            for of in [Of::Payment(shop, payment), Of::Shop(shop)] {
                let amounts: Vec<_> = ledger::balances(tx, of)?.into_iter().map(|line| line.amount).collect();
                assert_eq!(amounts, [1000, -1000], "{of:?}");
            }
            // Theirs goes, ours stays; and the other way round.
            assert!(channels::ask_hold(tx, shop, ours.world.channel)?.first(tx)?.is_some());
            assert!(notices::is_awaited(tx, shop, payment)?);
            channels::remove(tx, theirs.shop(), None, 1)?;
            let applied = Notice { state: NoticeState::Applied, ..theirs.notice.clone() };
            assert!(notices::advance(tx, &applied, NoticeState::Read)?);
            assert!(notices::remove(tx, theirs.shop(), theirs.strange.id, NoticeState::Refused)?);
            assert!(
                notices::is_awaited(tx, shop, payment)? && !notices::is_awaited(tx, theirs.shop(), payment)?
            );
            let is_held = |tx: &mut Tx<'_>, shop| channels::ask_hold(tx, shop, ours.world.channel)?.first(tx);
            assert_eq!((is_held(tx, shop)?, is_held(tx, theirs.shop())?), (Some(ours.world.channel), None));
            let is_known = |tx: &mut Tx<'_>, shop| notices::is_known(tx, shop, ours.world.channel, "strange");
            assert!(is_known(tx, shop)? && !is_known(tx, theirs.shop())?);
            Ok(())
        })
        .await;
    }
}

/// A channel that a shop removed needs its plugin's hosts for old sales; another shop's channel of the same id sells on.
pub async fn grants_and_accounts_that_wait_are_those_of_one_shops_channel(database: &Database) {
    let store = database.open();
    let [one, two] = plant(&store).await;
    ok(&store, move |tx| {
        let grant = plugins::PluginGrant {
            plugin_id: "gateway".to_owned(),
            kind: plugins::GrantKind::Host,
            origin: "https://a".to_owned(),
            uses: json_of(serde_json::json!([])),
            granted_us: 1,
            withdrawn_us: None,
        };
        plugins::grant(tx, &grant)?;
        channels::remove(tx, one.shop(), None, 1)?;
        plugins::remove(tx, "gateway", 2)?;
        let count = |tx: &mut Tx<'_>, of: &Rows| {
            plugins::ask_grants_of(tx, of.shop(), of.world.channel)?.all(tx).map(|grants| grants.len())
        };
        assert_eq!((count(tx, &one)?, count(tx, &two)?), (1, 0));
        let (of_plugin, named) = channels::of_plugin_of_any_shop(tx, "gateway", 9)?;
        assert_eq!((of_plugin, named[0].shop_id), (1, two.shop()));
        // The first shop's account waits; both were opened with revision 1, and the newest one has other settings.
        let state = payhost_core::PaymentState::AwaitingDeposit;
        payments::save(tx, &mut Payment { state, ..one.payment.clone() }, NOW_US)?;
        for both in [&one, &two] {
            let settings = json_of(serde_json::json!({"mid": "b"}));
            channels::revise(tx, &Channel { settings, ..both.channel.clone() }, 9)?;
        }
        let awaited =
            |tx: &mut Tx<'_>, of: &Rows| channels::awaited_revisions(tx, of.shop(), of.world.channel, 9);
        assert_eq!((awaited(tx, &one)?, awaited(tx, &two)?), (vec![1], vec![]));
        Ok(())
    })
    .await;
}

/// What the host throws away of all shops, of which each has one.
pub async fn what_is_thrown_away_row_by_row_is_one_shops_row_at_a_time(database: &Database) {
    type Purge = fn(&mut Tx<'_>, i64) -> Result<u64, Error>;
    const PURGES: &[(&str, Work, Purge)] = &[
        ("idempotency::purge", nothing, |tx, limit| idempotency::purge(tx, NOW_US + 10, limit)),
        ("calls::forget", nothing, |tx, limit| calls::forget(tx, NOW_US, limit)),
        ("notices::forget_strange", nothing, |tx, limit| notices::forget_strange(tx, NOW_US + 1, limit)),
        ("notices::forget_unbelieved", nothing, |tx, limit| {
            notices::forget_unbelieved(tx, NOW_US + 1, limit)
        }),
        (
            "notices::forget",
            |tx, both| {
                let applied = Notice { state: NoticeState::Applied, ..both.notice.clone() };
                notices::advance(tx, &applied, NoticeState::Read).map(|was| assert!(was))
            },
            |tx, limit| notices::forget(tx, NOW_US + 1, limit),
        ),
        (
            "jobs::purge_done",
            |tx, both| {
                claimed(tx, both)?;
                jobs::finish(tx, (both.shop(), both.job), "token", 1).map(|was| assert!(was))
            },
            |tx, limit| jobs::purge_done(tx, 2, limit),
        ),
    ];
    let store = database.open();
    let both = plant(&store).await;
    for (name, ready, purge) in PURGES {
        let both = both.clone();
        tried(&store, move |tx| {
            both.iter().try_for_each(|rows| ready(tx, rows))?;
            let all = |tx: &mut Tx<'_>| {
                Ok::<_, Error>([rows_of(tx, both[0].shop())?, rows_of(tx, both[1].shop())?])
            };
            let before = all(tx)?;
            assert_eq!(purge(tx, 1)?, 1, "{name}");
            let between = all(tx)?;
            let changed = |one: &[_; 2], other: &[_; 2]| (0..2).filter(|at| one[*at] != other[*at]).count();
            assert_eq!(changed(&before, &between), 1, "{name}: one row");
            assert_eq!(purge(tx, 9)?, 1, "{name}");
            let after = all(tx)?;
            assert_eq!((changed(&between, &after), changed(&before, &after)), (1, 2), "{name}: the other");
            assert_eq!(purge(tx, 9)?, 0, "{name}");
            Ok(())
        })
        .await;
    }
}

/// Rows of one id in two shops stand behind each other on every page.
pub async fn lists_over_shops_go_from_one_shops_row_to_the_others(database: &Database) {
    type List = fn(&mut Tx<'_>, After<'_>) -> Result<Vec<(String, ShopId)>, Error>;
    const LISTS: &[(&str, Work, List)] = &[
        ("payments::with_resolution", nothing, |tx, after| {
            let rows = payments::with_resolution(tx, None, Resolution::InDoubt, after, 1)?;
            Ok(rows.into_iter().map(|row| (row.id.to_string(), row.shop_id)).collect())
        }),
        ("channels::in_use", nothing, |tx, after| {
            let rows = channels::in_use(tx, None, after, 1)?;
            Ok(rows.into_iter().map(|row| (row.id.to_string(), row.shop_id)).collect())
        }),
        ("notices::for_a_person", nothing, |tx, after| {
            let rows = notices::for_a_person(tx, None, after, 1)?;
            Ok(rows.into_iter().map(|row| (row.id.to_string(), row.shop_id)).collect())
        }),
        (
            "endpoints::switched_off",
            |tx, both| endpoints::disable_all(tx, both.shop(), "410", 1),
            |tx, after| {
                let rows = endpoints::switched_off(tx, None, after, 1)?;
                Ok(rows.into_iter().map(|row| (row.id.to_string(), row.shop_id)).collect())
            },
        ),
    ];
    let store = database.open();
    let both = plant(&store).await;
    for (name, ready, list) in LISTS {
        let both = both.clone();
        tried(&store, move |tx| {
            both.iter().try_for_each(|rows| ready(tx, rows))?;
            let (mut seen, mut last) = (Vec::new(), (String::new(), String::new()));
            loop {
                let page = list(tx, After { id: &last.0, shop: &last.1 })?;
                let Some((id, shop)) = page.into_iter().next() else { break };
                last = (id.clone(), shop.to_string());
                seen.push((id, shop));
            }
            assert_eq!(
                seen.iter().map(|(_, shop)| *shop).collect::<Vec<_>>(),
                both.each_ref().map(Rows::shop),
                "{name}"
            );
            assert_eq!(seen.iter().map(|(id, _)| id).collect::<BTreeSet<_>>().len(), 1, "{name}: of one id");
            Ok(())
        })
        .await;
    }
}

/// What the host looks for over all shops.
pub async fn what_is_looked_for_over_all_shops_finds_each(database: &Database) {
    let store = database.open();
    let [one, two] = plant(&store).await;
    ok(&store, move |tx| {
        let shops = [one.shop(), two.shop()];
        let sorted = |mut found: Vec<(ShopId, i64)>| {
            found.sort_unstable();
            found
        };
        assert_eq!(sorted(jobs::look(tx, Lane::Work, 100, None)?.shops), shops.map(|shop| (shop, 1)));
        assert_eq!(sorted(endpoints::due(tx, Queue::Working, 100)?), shops.map(|shop| (shop, 1)));
        assert_eq!(events::shops_in_outbox(tx, None, 9)?, shops);
        assert_eq!(events::shops_in_outbox(tx, Some(shops[0]), 9)?, shops[1..]);
        let places = [one.place(), two.place()];
        assert_eq!(channels::with_retired_secrets(tx, 9, None, 1)?, places[..1]);
        assert_eq!(channels::with_retired_secrets(tx, 9, Some(places[0]), 1)?, places[1..]);
        assert_eq!(channels::of_plugin_of_any_shop(tx, "gateway", 9)?.0, 2);
        assert_eq!(payments::unresolved(tx)?, [(Resolution::InDoubt, 2, NOW_US)]);
        let calls = calls::last_of_all_shops(tx, None, 9)?;
        assert_eq!(calls.iter().map(|call| call.shop_id).collect::<Vec<_>>(), shops);
        assert_eq!(ledger::balances(tx, Of::All)?[0].amount, 2000);
        assert_eq!(
            shop_rows::list(tx, false, None, 9)?.iter().map(|shop| shop.id).collect::<Vec<_>>(),
            shops
        );
        // Of two jobs of one id and key one is the oldest of its silent gateway, and both wake, one after the other.
        let silent =
            |tx: &mut Tx<'_>, of: &Rows, at| jobs::silence(tx, (of.shop(), &of.job_key), Some("gw/test"), at);
        assert_eq!((silent(tx, &two, 7)?, silent(tx, &one, 7)?, silent(tx, &two, 8)?), (true, true, false));
        let by = Claim { lane: Lane::Work, now_us: 100, lease_until_us: 100, token: "t" };
        for shop in shops {
            let job = jobs::claim(tx, &by, &[(shop, 1)])?.remove(0);
            assert!(jobs::retry_at(tx, (shop, job.id, "t"), 1_000, None, 1)?);
        }
        assert_eq!(jobs::wake(tx, "gw/test", 500, 5, 0)?, 2);
        let due =
            |tx: &mut Tx<'_>, of: &Rows| jobs::get(tx, of.shop(), &of.job_key).map(|job| job.unwrap().due_us);
        assert_eq!((due(tx, &one)?, due(tx, &two)?), (500, 505));
        Ok(())
    })
    .await;
}

/// An id is unique within its shop, and there it is.
pub async fn an_id_is_used_once_in_its_shop(database: &Database) {
    const AGAIN: &[(&str, Work)] = &[
        ("payment_pkey", |tx, ours| {
            payments::insert(tx, &Payment { order_id: "other".to_owned(), ..ours.payment.clone() })
        }),
        ("checkout_pkey", |tx, ours| {
            checkouts::insert(tx, &Checkout { order_ref: "other".to_owned(), ..ours.checkout.clone() })
        }),
        ("checkout_order_ref", |tx, ours| {
            checkouts::insert(
                tx,
                &Checkout {
                    order_ref: ours.checkout.order_ref.clone(),
                    ..ours.world.checkout(&ours.payment)
                },
            )
        }),
        ("attempt_pkey", |tx, ours| {
            settled(tx, &ours.attempt)?;
            let again = Attempt { id: ours.attempt.id, ..next(ours, AttemptKind::Cancel) };
            attempts::start(tx, &again).map(|_| ())
        }),
        ("call_pkey", |tx, ours| calls::insert(tx, &ours.call)),
        ("event_pkey", |tx, ours| events::insert(tx, &ours.loose)),
        ("webhook_endpoint_pkey", |tx, ours| endpoints::insert(tx, &ours.endpoint)),
        ("channel_pkey", |tx, ours| channels::insert(tx, &ours.channel)),
        ("api_key_hash", |tx, ours| api_keys::insert(tx, &super::keys::api_key(ours.shop(), 1))),
    ];
    let store = database.open();
    let both = plant(&store).await;
    for (rule, again) in AGAIN {
        for ours in both.clone() {
            let error = super::fixture::err(&store, move |tx| again(tx, &ours)).await;
            assert!(error.is_unique(rule), "{rule}: {error:?}");
        }
    }
}
