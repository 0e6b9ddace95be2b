//! Messages of gateways: what is counted, and what is thrown away.

use payhost_core::id::{NoticeId, PaymentId, ShopId};
use payhost_store::rows::notices::{self, Amount, Filter, ForwardState, Notice, NoticeState};
use payhost_store::rows::{After, Mode};
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

pub async fn messages_that_name_no_order_are_counted_with_their_bytes_and_others_by_their_payment(
    database: &Database,
) {
    let store = database.open();
    let (world, other) = (world(&store).await, world(&store).await);
    let payments = [world.stored(&store, "A-1").await.0.id, world.stored(&store, "A-2").await.0.id];
    ok(&store, move |tx| {
        use NoticeState as S;
        for (digest, state) in
            [("a", S::Received), ("b", S::Refused), ("c", S::UnknownOrder), ("d", S::Ignored)]
        {
            keep(tx, &notice(world, digest, state));
        }
        let ours = |digest: &str, payment: PaymentId, state| Notice {
            order_ref: Some(format!("{payment}-{digest}")),
            payment_id: Some(payment),
            ..notice(world, digest, state)
        };
        keep(tx, &Notice { listed: true, ..notice(world, "listed", S::Refused) });
        keep(tx, &Notice { created_us: NOW_US - 9, ..notice(world, "old", S::Refused) });
        keep(tx, &notice(other, "other", S::Refused));
        let [one, two] = payments;
        for (digest, payment, state) in
            [("e", one, S::Applied), ("f", one, S::Read), ("g", two, S::Mismatched), ("h", one, S::Dismissed)]
        {
            keep(tx, &ours(digest, payment, state));
        }
        keep(tx, &Notice { listed: true, ..ours("i", one, S::Read) });
        let amount = |messages, bytes| Amount { messages, bytes };
        assert_eq!(notices::strange(tx, (world.shop, world.channel), NOW_US - 1, 99)?, amount(4, 40));
        assert_eq!(
            notices::strange(tx, (world.shop, world.channel), NOW_US - 1, 3)?,
            amount(3, 30),
            "counted so far"
        );
        let of = |tx: &mut Tx<'_>, shop, payment, most| notices::of_payment(tx, shop, payment, most);
        assert_eq!(of(tx, world.shop, one, 99)?, amount(2, 20), "what a person put aside makes room");
        assert_eq!(of(tx, world.shop, one, 1)?, amount(1, 10), "counted so far");
        assert_eq!(
            (of(tx, world.shop, two, 99)?, of(tx, other.shop, one, 99)?),
            (amount(1, 10), amount(0, 0))
        );
        assert_eq!(notices::unasked_of_payment(tx, world.shop, one, 99)?, amount(1, 10));
        assert_eq!(notices::unasked_of_payment(tx, world.shop, two, 99)?, amount(0, 0));
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

pub async fn what_strangers_said_goes_after_a_time_and_waits_as_one_entry_for_each_payment(
    database: &Database,
) {
    let store = database.open();
    let world = world(&store).await;
    let payments = [world.stored(&store, "A-1").await.0.id, world.stored(&store, "A-2").await.0.id];
    ok(&store, move |tx| {
        use NoticeState as S;
        let old = |digest: &str, at: usize, state| Notice {
            created_us: NOW_US - 9,
            order_ref: Some(digest.to_owned()),
            payment_id: payments.get(at).copied(),
            ..notice(world, digest, state)
        };
        let gone = [
            old("a", 0, S::Mismatched),
            old("b", 0, S::Held),
            old("c", 0, S::Unconfirmed),
            old("d", 1, S::Held),
        ];
        let stay = [
            Notice { listed: true, ..old("listed", 0, S::Mismatched) },
            Notice { created_us: NOW_US, ..old("young", 1, S::Mismatched) },
            old("asked about", 0, S::Doubted),
            old("a fact", 0, S::Applied),
            Notice { order_ref: None, ..old("unread", 2, S::Unreadable) },
            Notice { order_ref: None, ..old("unread too", 2, S::Unreadable) },
        ];
        gone.iter().chain(&stay).for_each(|notice| keep(tx, notice));
        // Each payment once, and what is about none once for its channel.
        let entries = |tx: &mut Tx<'_>, scope| {
            let mut list = Vec::new();
            for row in notices::for_a_person(tx, scope, After::default(), 99).unwrap() {
                let at = row.payment_id.and_then(|known| payments.iter().position(|one| *one == known));
                list.push((at, row.id, notices::waiting_with(tx, &row).unwrap()));
            }
            list.sort_by_key(|(at, ..)| at.unwrap_or(9));
            list
        };
        let scope = Some((world.shop, Mode::Test));
        assert_eq!(
            entries(tx, scope),
            [
                (Some(0), oldest(&[&gone[0], &gone[1], &gone[2], &stay[0]]), 4),
                (Some(1), oldest(&[&gone[3], &stay[1]]), 2),
                (None, oldest(&[&stay[4], &stay[5]]), 2),
            ]
        );
        assert_eq!(entries(tx, Some((world.shop, Mode::Live))), []);
        assert_eq!(notices::for_a_person(tx, None, After::default(), 99)?.len(), 3);
        assert_eq!(
            (notices::forget_unbelieved(tx, NOW_US - 1, 3)?, notices::forget_unbelieved(tx, NOW_US - 1, 9)?),
            (3, 1)
        );
        assert!(gone.iter().all(|notice| there(tx, world.shop, notice.id).is_none()));
        assert!(stay.iter().all(|notice| there(tx, world.shop, notice.id).is_some()));
        assert_eq!(
            entries(tx, scope).iter().map(|entry| (entry.0, entry.2)).collect::<Vec<_>>(),
            [(Some(0), 1), (Some(1), 1), (None, 2)]
        );
        let filter =
            Filter { mode: Mode::Test, state: None, payment: Some(payments[1]), after: None, limit: 9 };
        let listed = notices::list(tx, world.shop, &filter)?;
        assert_eq!(listed.iter().map(|row| row.id).collect::<Vec<_>>(), [stay[1].id]);
        Ok(())
    })
    .await;
}

fn oldest(notices: &[&Notice]) -> NoticeId {
    notices.iter().map(|notice| notice.id).min().unwrap()
}
