//! The ledger file: it survives, it tolerates a torn line, it records refusals.

use std::io::Write;

use inicis_sim::Options;
use serde_json::{Value, json};

use crate::rig::{MID, Rig, client, get};

#[tokio::test]
async fn state_survives_a_restart_and_a_torn_last_line() {
    let rig = Rig::start().await;
    let tid = rig.tid(MID, "O-1", "10000").await;
    rig.part(&tid, "3000", "7000").await;
    let post = rig.authenticate(MID, "O-2", "2000").await;
    let request = rig.approval(&post, 1);
    rig.form_json(get(&post, "authUrl"), &request).await;
    let before = rig.sales().await;
    let Rig { running, data, .. } = rig;
    let ca = running.ca_pem.clone();
    running.stop().await;
    let path = data.path().join("ledger.jsonl");
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"event\":\"canc").unwrap();

    let running = inicis_sim::start(Options::new(data.path())).await.unwrap();
    assert_eq!(running.ca_pem, ca, "a client's trust survives");
    let rig = Rig { http: client(&running), running, data };
    assert_eq!(rig.sales().await, before);
    assert_eq!(rig.form_json(get(&post, "netCancelUrl"), &request).await["resultCode"], "0000");
    assert_eq!(rig.part(&tid, "7000", "0").await["resultCode"], "00");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{text}");
}

#[tokio::test]
async fn a_damaged_line_in_the_middle_is_an_error_and_not_forgotten() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("ledger.jsonl"), "{\"event\":\"no\n{\"event\":\"reset\",\"at\":1}\n")
        .unwrap();
    let error = inicis_sim::start(Options::new(data.path())).await.unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
}

#[tokio::test]
async fn refused_requests_are_recorded_with_their_reason() {
    let rig = Rig::start().await;
    rig.refusal(&rig.form("nobody0000", "O-1", "1000")).await;
    rig.refund(MID, &"x".repeat(40)).await;
    let body: Value = rig.http.get(rig.url("/_sim/events")).send().await.unwrap().json().await.unwrap();
    let events = body["events"].as_array().unwrap();
    let seen: Vec<_> =
        events.iter().map(|e| (e["event"].clone(), e["operation"].clone(), e["code"].clone())).collect();
    let refused = |operation: &str, code: &str| (json!("refused"), json!(operation), json!(code));
    assert_eq!(seen, [refused("window", "500400"), refused("refund", "500623")]);
}

#[tokio::test]
async fn a_reset_empties_the_books_and_stays_after_a_restart() {
    let rig = Rig::start().await;
    rig.sale(MID, "O-1", "1000").await;
    assert_eq!(rig.post_control("/_sim/reset", &json!({})).await.status().as_u16(), 204);
    assert!(rig.sales().await.is_empty());
    let Rig { running, data, .. } = rig;
    running.stop().await;
    let running = inicis_sim::start(Options::new(data.path())).await.unwrap();
    let rig = Rig { http: client(&running), running, data };
    assert!(rig.sales().await.is_empty());
}

#[tokio::test]
async fn many_sales_at_once_are_each_booked_once() {
    let rig = std::sync::Arc::new(Rig::start().await);
    let began = std::time::Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..16 {
        let rig = rig.clone();
        tasks.spawn(async move {
            for n in 0..10 {
                rig.sale(MID, &format!("O-{worker}-{n}"), "1000").await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let sales = rig.sales().await;
    let tids: std::collections::BTreeSet<_> = sales.iter().map(|sale| sale["tid"].to_string()).collect();
    assert_eq!((sales.len(), tids.len()), (160, 160));
    assert!(sales.iter().all(|sale| sale["approvals"] == 1));
    eprintln!("160 sales in {:?}", began.elapsed());
}
