//! `POST /v1/payments/{id}/sync`: who asks is told whether the gateway was asked, and what it said.

use serde_json::{Value, json};

use crate::give_up::{approved_by_notice, transfer};
use crate::stage::deposit::{awaiting, deposit, in_state, notify_url, sim};
use crate::stage::http::Answer;
use crate::stage::sale::order_ref;
use crate::stage::{Shop, Stage, text};

async fn sync(stage: &Stage, shop: &Shop, created: &Value) -> Answer {
    stage.call("POST", &format!("/v1/payments/{}/sync", text(created, "id"))).key(&shop.key).send().await
}

/// Whether it was asked, and what it answered.
fn word(synced: &Value) -> (bool, String) {
    (synced["gateway"]["asked"].as_bool().unwrap(), text(&synced["gateway"], "answer"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_notice_never_came_is_asked_about_and_a_person_is_called() {
    let stage = Stage::start().await;
    // The gateway has a wrong address for its notices: nobody listens there.
    let wrong = json!({"urls": {"INIpayTest": "http://127.0.0.1:9/notify"}});
    sim(&stage, "PATCH", "vbank/settings", wrong).await.expect(200);
    let (created, oid) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    let waiting = sync(&stage, &stage.shop, &created).await.expect(200);
    assert_eq!(
        (word(&waiting), text(&waiting, "state")),
        ((true, "same".to_owned()), "awaiting_deposit".into())
    );
    deposit(&stage, &oid, json!({})).await;
    for _ in 0..2 {
        let paid = sync(&stage, &stage.shop, &created).await.expect(202);
        assert_eq!(word(&paid), (true, "paid_there".to_owned()), "{paid}");
        // How much came when, only the notice says.
        assert_eq!((text(&paid, "state"), &paid["amount"]["paid"]), ("awaiting_deposit".into(), &json!(0)));
        assert_eq!(paid["resolution"], "needs_operator");
        assert!(text(&paid["gateway"], "detail").contains("notice"), "{paid}");
    }
    let names = stage.names(&stage.shop, &created).await;
    assert_eq!(names.iter().filter(|name| *name == "payment.alarm").count(), 1, "{names:?}");
    // The gateway sends it again, to where it belongs, and nobody is needed any more.
    let notices = sim(&stage, "GET", "notices", Value::Null).await.expect(200);
    let id = notices["notices"][0]["notice"]["id"].as_u64().or(notices["notices"][0]["id"].as_u64()).unwrap();
    let again = json!({"url": notify_url(&stage, &stage.shop)});
    let sent = sim(&stage, "POST", &format!("notices/{id}/send"), again).await.expect(200);
    assert_eq!(sent["accepted"], 1, "{sent}");
    let paid = in_state(&stage, &stage.shop, &created, "paid").await;
    assert_eq!(paid["resolution"], "none", "{paid}");
    let known = sync(&stage, &stage.shop, &created).await.expect(200);
    assert_eq!(word(&known), (true, "same".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_as_the_gateway_says_unless_it_was_asked() {
    let stage = Stage::start().await;
    let lookup = stage.shop_with_lookup().await;
    for shop in [&stage.shop, &lookup] {
        let created = stage.create_as(shop, "A-1", json!({})).await.expect(201);
        let new = sync(&stage, shop, &created).await.expect(200);
        assert_eq!((word(&new), text(&new, "state")), ((false, "not_asked".to_owned()), "created".into()));
        let window = stage.open(&created).await;
        assert_eq!(word(&sync(&stage, shop, &created).await.expect(200)), (false, "not_asked".to_owned()));
        // Declined: the gateway was asked for an approval, and can be asked by order number only.
        stage.fault("pay_auth", "decline", json!({"code": "500644"})).await;
        stage.come_back(&stage.choose(&window, crate::stage::buyer::pay()).await).await;
        let declined = sync(&stage, shop, &created).await.expect(200);
        let expected = if shop.id == lookup.id { (true, "same") } else { (false, "not_asked") };
        assert_eq!(word(&declined), (expected.0, expected.1.to_owned()), "{declined}");
    }
    let (paid, _) = stage.pay_as(&lookup, "A-2").await;
    assert_eq!(word(&sync(&stage, &lookup, &paid).await.expect(200)), (true, "same".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_gateway_says_nothing_of_an_account_and_nothing_is_changed() {
    let stage = Stage::start().await;
    let (created, _) = awaiting(&stage, &stage.shop, "A-1", "pc").await;
    for (fault, status, code) in [
        ("drop_before", 502, "gateway_silent"),
        ("not_found", 409, "gateway_differs"),
        ("wrong_amount", 409, "gateway_differs"),
        ("wrong_order", 409, "gateway_differs"),
    ] {
        stage.fault("inquiry", fault, json!({})).await;
        sync(&stage, &stage.shop, &created).await.problem(status, code);
        let now = stage.payment(&created).await;
        assert_eq!(
            (text(&now, "state"), text(&now, "resolution")),
            ("awaiting_deposit".into(), "none".into())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_while_an_attempt_is_at_work_is_not_told_that_all_is_known() {
    let stage = Stage::start().await;
    let paid = stage.paid("A-1").await;
    stage.fault("refund", "slow", json!({"ms": 12_000})).await;
    let (cancelled, asked) = tokio::join!(stage.cancel(&stage.shop, &paid, "k-1"), async {
        crate::stage::eventually("the cancel is at work", std::time::Duration::from_secs(10), async || {
            (stage.count("cancelled").await == 1).then_some(())
        })
        .await;
        sync(&stage, &stage.shop, &paid).await
    });
    assert_eq!(word(&asked.expect(202)), (false, "attempt_running".to_owned()));
    cancelled.expect(200);
}

/// Of an approval that only a notice tells of a part was given back in the gateway's admin before the notice came.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_taken_over_from_a_notice_with_what_was_given_back_of_it() {
    let stage = crate::stage::deposit::stage().await;
    let created = stage.create_as(&stage.shop, "A-1", transfer()).await.expect(201);
    let window = stage.open(&created).await;
    sim(&stage, "PATCH", "vbank/settings", json!({"notice": {"hold": true}})).await.expect(200);
    approved_by_notice(&stage, &window.fields).await;
    let sale = stage.sales(order_ref(&window)).await.remove(0);
    let part = json!({"tid": sale["tid"], "price": 900});
    sim(&stage, "POST", "cancel", part).await.expect(204);
    let notices = sim(&stage, "GET", "notices", Value::Null).await.expect(200);
    let id = notices["notices"][0]["notice"]["id"].as_u64().or(notices["notices"][0]["id"].as_u64()).unwrap();
    sim(&stage, "POST", &format!("notices/{id}/send"), json!({})).await.expect(200);
    let now = in_state(&stage, &stage.shop, &created, "partially_cancelled").await;
    assert_eq!((&now["amount"]["paid"], &now["amount"]["cancelled"]), (&json!(20_900), &json!(900)));
}
