//! What a statement reads, whatever else a table holds: counted by the server, not timed.

use payhost_store::Store;
use payhost_store::rows::jobs::{self, Claim, Lane};
use payhost_store::rows::shops;

use crate::database;
use crate::suite::fixture::{job, ok, shop, shop_id};

/// Rows of `job` that this transaction read so far.
fn read_so_far(tx: &mut payhost_store::Tx<'_>) -> Result<i64, payhost_store::Error> {
    let sql = "SELECT (seq_tup_read + COALESCE(idx_tup_fetch, 0))::bigint FROM pg_stat_xact_user_tables WHERE relname = 'job'";
    tx.query_one(sql, &[], |row| row.get(0))
}

/// 100,000 due jobs of one shop, and statistics that know of them, or do not.
async fn flooded(store: &Store, known: bool) -> payhost_core::id::ShopId {
    let flooding = shop_id();
    ok(store, move |tx| {
        shops::insert(tx, &shop(flooding))?;
        let sql = format!(
            "INSERT INTO job (id, lane, kind, key, shop_id, payload, due_us, tries, state, created_us, updated_us) \
             SELECT 'job_' || n, 'work', 'notice', 'flood ' || n, '{flooding}', '{{}}', n, 0, 'waiting', 0, 0 \
             FROM generate_series(1, 100000) AS n"
        );
        tx.execute(&sql, &[])?;
        if known { tx.execute("ANALYZE job", &[]).map(|_| ()) } else { Ok(()) }
    })
    .await;
    flooding
}

async fn reads_little(known: bool) {
    let store = database().open();
    flooded(&store, known).await;
    let quiet = shop_id();
    ok(&store, move |tx| {
        shops::insert(tx, &shop(quiet))?;
        jobs::enqueue(tx, &job(quiet, "quiet", 50_000), 0)
    })
    .await;
    // More often than a statement is planned anew for its parameters.
    for round in 0..8 {
        let (shops, looked) = ok(&store, move |tx| {
            let before = read_so_far(tx)?;
            let due = jobs::look(tx, Lane::Work, 200_000, None)?;
            Ok((due.shops, read_so_far(tx)? - before))
        })
        .await;
        assert!(shops.iter().any(|(shop, _)| *shop == quiet), "in the look {round}");
        assert!(looked < 400, "a look read {looked} rows");
        let (claimed, took) = ok(&store, move |tx| {
            let before = read_so_far(tx)?;
            let token = format!("token {round}");
            let by = Claim { lane: Lane::Work, now_us: 200_000, lease_until_us: 200_000, token: &token };
            let claimed = jobs::claim(tx, &by, &[(quiet, 16)])?;
            Ok((claimed.len(), read_so_far(tx)? - before))
        })
        .await;
        assert_eq!(claimed, 1);
        assert!(took < 20, "a claim read {took} rows");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_and_a_claim_read_little_beside_a_hundred_thousand_due_jobs_of_another_shop() {
    reads_little(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_read_as_little_before_the_server_knows_of_the_flood() {
    reads_little(false).await;
}
