//! Both backends have one schema.

use std::collections::{BTreeMap, BTreeSet};

use payhost_store::rows::jobs;
use payhost_store::{Error, Options, Store};

use crate::copying::fill;
use crate::suite::fixture::{job, ok, shop_id};
use crate::{database, shared};

type Lines = BTreeSet<String>;

async fn lines(store: &Store, sql: &'static str) -> Lines {
    ok(store, move |tx| tx.query(sql, &[], |row| row.get::<String>(0))).await.into_iter().collect()
}

/// What is compared, in words that are the same for both: (what, SQLite's catalog, PostgreSQL's).
const TABLE: &[(&str, &str, &str)] = &[
    (
        "columns with type, place, nullability and place in the primary key",
        "SELECT m.name || '.' || c.name || ' ' || c.cid || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk \
         FROM sqlite_master m, pragma_table_xinfo(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'refinery%'",
        "SELECT t.relname || '.' || c.attname || ' ' || c.attnum - 1 || ' ' || \
         CASE format_type(c.atttypid, NULL) WHEN 'bigint' THEN 'INTEGER' WHEN 'bytea' THEN 'BLOB' ELSE 'TEXT' END \
         || ' ' || c.attnotnull::int || ' ' || COALESCE(array_position(p.conkey, c.attnum), 0) \
         FROM pg_class t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 \
         LEFT JOIN pg_constraint p ON p.conrelid = t.oid AND p.contype = 'p' \
         WHERE t.relkind = 'r' AND t.relnamespace = 'public'::regnamespace AND t.relname NOT LIKE 'refinery%' \
         AND t.relname <> 'settings_change'",
    ),
    (
        "indexes with table, columns, uniqueness and whether they are partial",
        "SELECT i.name || ' ' || m.name || ' ' || i.\"unique\" || ' ' || i.partial || ' ' || \
         (SELECT group_concat(c.name, ',') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno) c) \
         FROM sqlite_master m, pragma_index_list(m.name) i WHERE m.type = 'table' AND i.origin = 'c'",
        "SELECT c.relname || ' ' || t.relname || ' ' || i.indisunique::int || ' ' || (i.indpred IS NOT NULL)::int || ' ' || \
         (SELECT string_agg(a.attname, ',' ORDER BY k.at) FROM unnest(i.indkey) WITH ORDINALITY k (col, at) \
          JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.col) \
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid \
         WHERE NOT i.indisprimary AND t.relnamespace = 'public'::regnamespace",
    ),
    (
        "foreign keys with their columns",
        "SELECT m.name || ' ' || f.\"table\" || ' ' || group_concat(f.\"from\" || '>' || f.\"to\", ',') \
         FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table' GROUP BY m.name, f.id",
        "SELECT t.relname || ' ' || o.relname || ' ' || \
         (SELECT string_agg(a.attname || '>' || b.attname, ',' ORDER BY k.at) \
          FROM unnest(f.conkey, f.confkey) WITH ORDINALITY k (col, other, at) \
          JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.col \
          JOIN pg_attribute b ON b.attrelid = o.oid AND b.attnum = k.other) \
         FROM pg_constraint f JOIN pg_class t ON t.oid = f.conrelid JOIN pg_class o ON o.oid = f.confrelid \
         WHERE f.contype = 'f'",
    ),
];

async fn both() -> (tempfile::TempDir, Store, Store) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Store::open(Options::sqlite(folder.path().join("payhost.db"))).unwrap();
    (folder, sqlite, database().open())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_catalogs_say_the_same() {
    let (_folder, sqlite, postgres) = both().await;
    for (what, ours, theirs) in TABLE {
        let (ours, theirs) = (lines(&sqlite, ours).await, lines(&postgres, theirs).await);
        assert!(ours.len() > 5, "{what}: {ours:?}");
        let differ: Vec<_> = ours.symmetric_difference(&theirs).collect();
        assert!(differ.is_empty(), "{what}: {differ:#?}");
    }
}

/// A plan that is made while a table is empty is kept until the server has statistics, which the host asks for after its first few hundred
/// commits (postgres/statistics.rs). Until then any index that begins with the shop is as good a guess as the primary key, so that a
/// look-up may read the entries of the shop, of which there are no more than that; it never reads the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_a_table_that_was_empty_is_found_by_an_index_of_its_shop() {
    let postgres = database().open();
    let tables = "SELECT table_name::text FROM information_schema.columns \
                  WHERE table_schema = 'public' AND column_name IN ('shop_id', 'id') \
                  GROUP BY table_name HAVING COUNT(*) = 2";
    let tables = lines(&postgres, tables).await;
    assert!(tables.len() > 8, "{tables:?}");
    let of_shop = "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                   JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] AND a.attname = 'shop_id'";
    let of_shop = lines(&postgres, of_shop).await;
    for table in tables {
        let sql = format!("EXPLAIN SELECT * FROM {table} WHERE shop_id = 'shop' AND id = 'id'");
        let plan = ok(&postgres, move |tx| tx.query(&sql, &[], |row| row.get::<String>(0))).await.join("\n");
        let index = plan.split_once("using ").and_then(|(_, rest)| rest.split(' ').next());
        let is_searched = plan.contains("Index Cond") && plan.contains("shop_id = 'shop'");
        assert!(is_searched && index.is_some_and(|index| of_shop.contains(index)), "{table}: {plan}");
    }
}

/// What the host lets the server gather early (postgres/statistics.rs) is enough as soon as a shop has more than a few rows: all that a
/// condition names is looked up in the index. (With a row in each shop any index that begins with the shop is as good.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_statistics_each_row_is_found_by_the_index_that_is_made_for_it() {
    const FOUND: &[(&str, &[&str], &str)] = &[
        ("payment", &["id"], "payment_pkey"),
        ("payment", &["mode", "order_id"], "payment_order"),
        ("checkout", &["id"], "checkout_pkey"),
        ("checkout", &["order_ref"], "checkout_order_ref"),
        ("checkout", &["payment_id"], "checkout_payment"),
        ("attempt", &["id"], "attempt_pkey"),
        ("attempt", &["payment_id"], "attempt_payment"),
        ("fact", &["channel_id", "kind", "gateway_ref", "sequence"], "fact_once"),
        ("event", &["id"], "event_pkey"),
        ("notice", &["id"], "notice_pkey"),
        ("notice", &["channel_id", "digest"], "notice_once"),
        ("call", &["id"], "call_pkey"),
        ("call", &["payment_id"], "call_payment"),
        ("job", &["id"], "job_pkey"),
        ("job", &["key"], "job_key"),
    ];
    let store = database().open();
    fill(&store).await;
    let shop = shop_id();
    ok(&store, move |tx| (0..70).try_for_each(|at| jobs::enqueue(tx, &job(shop, &at.to_string(), at), 0)))
        .await;
    let tables: BTreeSet<&str> = FOUND.iter().map(|(table, ..)| *table).collect();
    let analyze = format!("ANALYZE {}", Vec::from_iter(tables).join(", "));
    ok(&store, move |tx| tx.execute(&analyze, &[])).await;
    for (table, columns, index) in FOUND {
        let plan = ok(&store, move |tx| {
            // The values of a row of the shop that has most.
            let condition = columns
                .iter()
                .map(|name| format!("' AND {name} = ' || quote_literal({name})"))
                .collect::<Vec<_>>();
            let row = format!(
                "SELECT 'shop_id = ' || quote_literal(shop_id) || {} FROM {table} WHERE shop_id = (SELECT shop_id FROM {table} \
                 GROUP BY shop_id ORDER BY COUNT(*) DESC LIMIT 1) LIMIT 1",
                condition.join(" || ")
            );
            let condition: String = tx.query_one(&row, &[], |row| row.get(0))?;
            // A few rows are read as fast without an index.
            tx.execute("SET LOCAL enable_seqscan = off", &[])?;
            let sql = format!("EXPLAIN SELECT * FROM {table} WHERE {condition}");
            tx.query(&sql, &[], |row| row.get::<String>(0))
        });
        let plan = plan.await.join("\n");
        assert!(plan.contains(&format!(" {index} ")) && !plan.contains("Filter"), "{index}: {plan}");
    }
}

/// SQLite's catalog keeps checks as text, so their names are taken from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_have_the_same_named_checks() {
    let (_folder, sqlite, postgres) = both().await;
    let ours: BTreeMap<String, String> = ok(&sqlite, |tx| {
        let sql = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL";
        tx.query(sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))
    })
    .await
    .into_iter()
    .collect();
    let mut named = Lines::new();
    for (table, sql) in &ours {
        let words: Vec<&str> = sql.split_whitespace().collect();
        let checks = words.windows(3).filter(|w| w[0] == "CONSTRAINT" && w[2] == "CHECK");
        named.extend(checks.map(|w| format!("{table} {}", w[1])));
        assert_eq!(
            sql.matches("CHECK (").count(),
            sql.matches("CONSTRAINT ").count(),
            "a check has no name: {sql}"
        );
    }
    let theirs = lines(
        &postgres,
        "SELECT t.relname || ' ' || c.conname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid \
         WHERE c.contype = 'c'",
    )
    .await;
    assert!(named.len() > 30);
    assert_eq!(named, theirs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_sorts_by_bytes_on_both() {
    let (_folder, sqlite, postgres) = both().await;
    let other = lines(
        &postgres,
        "SELECT t.relname || '.' || c.attname FROM pg_class t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 \
         JOIN pg_collation l ON l.oid = c.attcollation WHERE t.relkind = 'r' AND t.relname NOT LIKE 'refinery%' \
         AND t.relnamespace = 'public'::regnamespace AND l.collname <> 'C'",
    )
    .await;
    assert!(other.is_empty(), "{other:?}");
    for store in [sqlite, postgres] {
        let keys = ok(&store, |tx| {
            for key in ["b", "B", "a", "ä", "책", "_", "a b"] {
                payhost_store::rows::meta::set(tx, key, "1")?;
            }
            tx.query("SELECT key FROM meta ORDER BY key", &[], |row| row.get::<String>(0))
        })
        .await;
        assert_eq!(keys, ["B", "_", "a", "a b", "b", "ä", "책"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_refused() {
    let database = database();
    let store = database.open();
    let name =
        ok(&store, |tx| tx.query_one("SELECT current_database()::text", &[], |row| row.get::<String>(0)))
            .await;
    store.close().await;
    let sql = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (9999, 'later', '', '0')";
    shared().sql(&name, sql);
    let error = Store::open(database.options.clone()).unwrap_err();
    assert!(matches!(error, Error::NewerSchema { found: 9999, .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_another_commit_is_refused_in_words_and_left_alone() {
    let address = shared().database();
    Store::open(Options::parse(&address).unwrap()).unwrap().close().await;
    shared()
        .sql(own_postgres::Server::name_of(&address), "UPDATE refinery_schema_history SET checksum = '1'");
    let Err(Error::Migration(why)) = Store::open(Options::parse(&address).unwrap()) else {
        panic!("it was opened")
    };
    assert!(why.contains("another state of payhost") && why.contains("db copy"), "{why}");
}

/// A migration is one transaction, so what a node that died left is nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_cannot_be_made_whole_is_not_begun() {
    let address = shared().database();
    let name = own_postgres::Server::name_of(&address);
    shared().sql(name, "CREATE TABLE settings_change (mine BIGINT)");
    let Err(Error::Migration(why)) = Store::open(Options::parse(&address).unwrap()) else {
        panic!("it was opened")
    };
    assert!(why.contains("settings_change"), "{why}");
    shared().sql(name, "DROP TABLE settings_change");
    assert!(Store::open(Options::parse(&address).unwrap()).is_ok());
}

#[test]
fn a_database_that_is_not_there_is_refused_in_words() {
    let error = Store::open(Options::parse(&shared().address("nowhere")).unwrap()).unwrap_err();
    assert!(error.to_string().contains("\"nowhere\" does not exist"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_durable_whatever_the_server_is_set_to() {
    let address = shared().database();
    let name = own_postgres::Server::name_of(&address);
    let careless =
        "synchronous_commit = off; ALTER DATABASE {} SET default_transaction_isolation = 'serializable'";
    shared().sql("postgres", &format!("ALTER DATABASE {name} SET {}", careless.replace("{}", name)));
    let store = Store::open(Options::parse(&address).unwrap()).unwrap();
    let settings = ["synchronous_commit", "transaction_isolation", "transaction_read_only"];
    let found = ok(&store, move |tx| {
        settings
            .iter()
            .map(|name| tx.query_one(&format!("SHOW {name}"), &[], |row| row.get::<String>(0)))
            .collect()
    });
    let found: Vec<String> = found.await;
    assert_eq!(found, ["on", "read committed", "off"]);
}
