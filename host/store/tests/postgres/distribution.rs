//! Rows can be distributed by shop. Read from the server's catalogue, of every table that there is: one that is added is by shop, or
//! stands in the list below.

use std::collections::BTreeSet;

use payhost_store::{Error, Store, Tx};

use crate::suite::fixture::ok;
use crate::{database, shared};

/// Tables that are of no shop: of the host, and small. (The first is the list of shops.)
const OF_NO_SHOP: [&str; 10] = [
    "shop",
    "component",
    "gateway_map",
    "host_job",
    "meta",
    "operator_key",
    "plugin",
    "plugin_grant",
    "refinery_schema_history",
    "settings_change",
];

/// Tables of the schema, and whether each has a shop.
const TABLES: &str = "SELECT t.relname::text, EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'shop_id' \
     AND a.attnotnull)::int::bigint FROM pg_class t WHERE t.relkind IN ('r', 'p') AND t.relnamespace = 'public'::regnamespace";

/// Primary keys, unique rules and exclusions: the table, and the name and the first column (none: an expression).
const INDEXES: &str = "SELECT t.relname::text, c.relname::text, i.indisprimary::int::bigint, a.attname::text FROM pg_index i \
     JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid \
     LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0] AND i.indkey[0] > 0 \
     WHERE (i.indisunique OR i.indisexclusion) AND t.relnamespace = 'public'::regnamespace";

/// Foreign keys: the table, the name, the table that is pointed to, and the first column of both.
const FOREIGN_KEYS: &str = "SELECT t.relname::text, f.conname::text, o.relname::text, a.attname::text, b.attname::text FROM pg_constraint f \
     JOIN pg_class t ON t.oid = f.conrelid JOIN pg_class o ON o.oid = f.confrelid \
     JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1] \
     JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = f.confkey[1] WHERE f.contype = 'f'";

const TRIGGERS: &str = "SELECT t.relname::text, g.tgname::text FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid \
     WHERE NOT g.tgisinternal";

type Names = BTreeSet<String>;

/// What stands against distributing the rows by shop, in words.
async fn against(store: &Store) -> Names {
    ok(store, |tx| {
        let tables = tx.query(TABLES, &[], |row| Ok((row.get::<String>(0)?, row.get::<bool>(1)?)))?;
        let of =
            |has_shop| tables.iter().filter(move |(_, has)| *has == has_shop).map(|(name, _)| name.clone());
        let (of_shops, of_none): (Names, Names) = (of(true).collect(), of(false).collect());
        let listed: Names = OF_NO_SHOP.map(str::to_owned).into();
        let mut found = Names::new();
        found.extend(
            of_none.difference(&listed).map(|table| format!("{table} has no shop and is not listed")),
        );
        found.extend(
            listed
                .difference(&of_none)
                .map(|table| format!("{table} is listed and not a table without shop")),
        );
        found.extend(unique_rules(tx, &of_shops)?);
        found.extend(foreign_keys(tx, &of_shops)?);
        let triggers = tx.query(TRIGGERS, &[], |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?)))?;
        found.extend(triggers.into_iter().map(|(table, name)| format!("{table} has the trigger {name}")));
        Ok(found)
    })
    .await
}

fn unique_rules(tx: &mut Tx<'_>, of_shops: &Names) -> Result<Names, Error> {
    let rules = tx.query(INDEXES, &[], |row| {
        let (table, name): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((table, name, row.get::<bool>(2)?, row.get::<Option<String>>(3)?))
    })?;
    let with_key: Names = rules.iter().filter(|rule| rule.2).map(|rule| rule.0.clone()).collect();
    let without_key = of_shops.difference(&with_key).map(|table| format!("{table} has no primary key"));
    let others = rules
        .iter()
        .filter(|(table, _, _, first)| of_shops.contains(table) && first.as_deref() != Some("shop_id"));
    let others = others.map(|(table, name, _, first)| format!("{name} of {table} begins with {first:?}"));
    Ok(without_key.chain(others).collect())
}

fn foreign_keys(tx: &mut Tx<'_>, of_shops: &Names) -> Result<Names, Error> {
    let keys = tx.query(FOREIGN_KEYS, &[], |row| {
        let (table, name, other): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((table, name, other, row.get::<String>(3)?, row.get::<String>(4)?))
    })?;
    let mut found = Names::new();
    for (table, name, other, from, to) in keys {
        let is_by_shop = match (of_shops.contains(&table), of_shops.contains(&other)) {
            (true, true) => from == "shop_id" && to == "shop_id",
            // The shop's own row, or a small table of the host.
            (true, false) => other != "shop" || (from == "shop_id" && to == "id"),
            (false, true) => false,
            (false, false) => true,
        };
        if !is_by_shop {
            found.insert(format!("{name} of {table} points from {from} to {other}.{to}"));
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stands_against_distributing_the_rows_by_shop() {
    assert_eq!(against(&database().open()).await, Names::new());
}

/// The test above would see what somebody adds without a thought.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_stand_against_it_is_seen() {
    let store = database().open();
    let name = ok(&store, |tx| tx.query_one("SELECT current_database()::text", &[], |row| row.get(0)));
    let name: String = name.await;
    for (sql, says) in [
        ("CREATE TABLE a (id TEXT PRIMARY KEY)", "a has no shop and is not listed"),
        ("CREATE TABLE b (shop_id TEXT, id TEXT PRIMARY KEY)", "b has no shop and is not listed"),
        (
            "CREATE TABLE c (shop_id TEXT NOT NULL, id TEXT PRIMARY KEY)",
            "c_pkey of c begins with Some(\"id\")",
        ),
        ("CREATE TABLE d (shop_id TEXT NOT NULL)", "d has no primary key"),
        ("CREATE UNIQUE INDEX e ON job (key, shop_id)", "e of job begins with Some(\"key\")"),
        ("CREATE UNIQUE INDEX f ON job (lower(key))", "f of job begins with None"),
        // A small table of the host is on every server.
        ("ALTER TABLE call ADD COLUMN g TEXT REFERENCES plugin (id)", ""),
        (
            "CREATE UNIQUE INDEX h ON channel (id); ALTER TABLE notice ADD CONSTRAINT h FOREIGN KEY (channel_id) \
             REFERENCES channel (id)",
            "h of notice points from channel_id to channel.id",
        ),
        (
            "ALTER TABLE call ADD CONSTRAINT i FOREIGN KEY (id) REFERENCES shop (id)",
            "i of call points from id to shop.id",
        ),
        (
            "CREATE FUNCTION j() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER j AFTER INSERT ON job EXECUTE FUNCTION j()",
            "job has the trigger j",
        ),
    ] {
        let before = against(&store).await;
        shared().sql(&name, sql);
        let now = against(&store).await;
        let new: Vec<_> = now.difference(&before).collect();
        assert_eq!(new.is_empty(), says.is_empty(), "{sql}: {new:?}");
        assert!(says.is_empty() || new.iter().any(|what| *what == says), "{sql}: {new:?}");
    }
}
