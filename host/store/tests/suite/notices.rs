//! Messages of gateways: what is counted, and what is thrown away.

use payhost_core::id::{NoticeId, ShopId};
use payhost_store::rows::Mode;
use payhost_store::rows::notices::{self, Amount, ForwardState, Notice, NoticeState};
use payhost_store::{Sealed, Tx};

use super::Database;
use super::fixture::{NOW_US, World, fresh, ok, world};

/// A message that names no order, from nobody whom the plugin lists.
pub fn notice(world: World, digest: &str, state: NoticeState) -> Notice {
    let (now_ms, random) = fresh();
    Notice {
        id: NoticeId::new(now_ms, random),
        shop_id: world.shop,
        channel_id: world.channel,
        mode: Mode::Test,
        digest: digest.to_owned(),
        source: "203.0.113.9".to_owned(),
        listed: false,
        size: 10,
        order_ref: None,
        raw: Some(Sealed::from_bytes(vec![1])),
        times: 1,
        state,
        reading: Some(Sealed::from_bytes(vec![2])),
        reply: None,
        reply_type: None,
        summary: Sealed::from_bytes(vec![1]),
        payment_id: None,
        reason: None,
        forward: None,
        forward_status: None,
        forwarded_us: None,
        since_us: 1,
        created_us: NOW_US,
        updated_us: NOW_US,
    }
}

fn keep(tx: &mut Tx<'_>, notice: &Notice) {
    assert_eq!(notices::keep(tx, notice).unwrap(), None);
}

fn there(tx: &mut Tx<'_>, shop: ShopId, id: NoticeId) -> Option<Notice> {
    notices::get(tx, shop, id).unwrap()
}

pub async fn messages_that_name_no_order_are_counted_with_their_bytes_and_those_of_an_order_by_it(
    database: &Database,
) {
    let store = database.open();
    let (world, other) = (world(&store).await, world(&store).await);
    ok(&store, move |tx| {
        use NoticeState as S;
        for (digest, state) in
            [("a", S::Received), ("b", S::Refused), ("c", S::UnknownOrder), ("d", S::Ignored)]
        {
            keep(tx, &notice(world, digest, state));
        }
        let ours = |digest: &str, order: &str| Notice {
            order_ref: Some(order.to_owned()),
            ..notice(world, digest, S::Applied)
        };
        keep(tx, &Notice { listed: true, ..notice(world, "listed", S::Refused) });
        keep(tx, &Notice { created_us: NOW_US - 9, ..notice(world, "old", S::Refused) });
        keep(tx, &notice(other, "other", S::Refused));
        for (digest, order) in [("e", "one"), ("f", "one"), ("g", "two")] {
            keep(tx, &ours(digest, order));
        }
        keep(tx, &Notice { listed: true, ..ours("h", "one") });
        let amount = |messages, bytes| Amount { messages, bytes };
        assert_eq!(notices::strange(tx, world.channel, NOW_US - 1, 99)?, amount(4, 40));
        assert_eq!(notices::strange(tx, world.channel, NOW_US - 1, 3)?, amount(3, 30), "counted so far");
        assert_eq!(notices::of_order(tx, world.channel, "one", 99)?, amount(2, 20));
        assert_eq!(notices::of_order(tx, other.channel, "one", 99)?, amount(0, 0));
        let full = |messages, bytes| amount(4, 40).is_full(amount(messages, bytes), 10);
        assert_eq!((full(4, 99), full(5, 49), full(5, 50)), (true, true, false));
        Ok(())
    })
    .await;
}

pub async fn what_named_no_order_goes_and_what_named_one_loses_only_its_message(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    ok(&store, move |tx| {
        use NoticeState as S;
        let old = |digest: &str, state| Notice { created_us: NOW_US - 9, ..notice(world, digest, state) };
        let gone = [S::Refused, S::UnknownOrder, S::Unreadable, S::Ignored];
        let gone = gone.map(|state| old(state.as_str(), state));
        let stay = [
            notice(world, "young", S::Refused),
            old("not read", S::Received),
            Notice { forward: Some(ForwardState::Waiting), ..old("to be sent on", S::UnknownOrder) },
            Notice { order_ref: Some("one".to_owned()), ..old("ours", S::Applied) },
            Notice { order_ref: Some("one".to_owned()), ..old("escrow", S::Ignored) },
            Notice { order_ref: Some("one".to_owned()), ..old("held", S::Held) },
        ];
        gone.iter().chain(&stay).for_each(|notice| keep(tx, notice));
        assert_eq!(
            (notices::forget_strange(tx, NOW_US - 1, 3)?, notices::forget_strange(tx, NOW_US - 1, 9)?),
            (3, 1)
        );
        assert!(gone.iter().all(|notice| there(tx, world.shop, notice.id).is_none()));
        assert!(
            stay.iter()
                .all(|notice| there(tx, world.shop, notice.id).is_some_and(|found| found.raw.is_some()))
        );
        assert_eq!((notices::forget(tx, NOW_US - 1, 9)?, notices::forget(tx, NOW_US - 1, 9)?), (2, 0));
        let kept = stay.each_ref().map(|notice| there(tx, world.shop, notice.id).unwrap().raw.is_some());
        assert_eq!(kept, [true, true, true, false, false, true]);
        // Taken by the older cart: the message is theirs.
        let taken = Notice { forward: Some(ForwardState::Forwarded), ..stay[2].clone() };
        assert!(notices::forwarded(tx, &taken)?);
        assert!(!notices::forwarded(tx, &taken)?);
        let found = there(tx, world.shop, taken.id).unwrap();
        assert_eq!((found.raw, found.reading, found.forward), (None, None, Some(ForwardState::Forwarded)));
        notices::set_raw(tx, world.shop, taken.id, Some(&Sealed::from_bytes(vec![3])))?;
        assert!(there(tx, world.shop, taken.id).unwrap().raw.is_some());
        assert!(!notices::remove(tx, world.shop, taken.id, S::Received)?);
        assert!(notices::remove(tx, world.shop, taken.id, S::UnknownOrder)?);
        assert_eq!(there(tx, world.shop, taken.id), None);
        Ok(())
    })
    .await;
}
