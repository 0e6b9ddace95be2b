//! Who may do what. Invariant: a role that serves, and owns no table, can add facts, ledger lines and events, and can never change or
//! remove one.
//!
//! The tables belong to a migration role. `payhost db migrate` connects as that role, brings the schema up to date and grants the
//! serving role what it needs. One role for both works too; then only the program keeps these tables append-only, and a start warns.

use std::sync::Arc;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::address::Address;
use super::failure::in_words;
use super::health::Server;
use super::migrate;
use crate::{Error, copy};

/// Tables of which no row is ever changed or removed.
const APPEND_ONLY: [&str; 3] = ["fact", "ledger_entry", "event"];

/// Brings the schema up to date as the role of an address, to whom the tables belong, and lets another role serve. Blocks.
pub(crate) fn prepare(owner: Address, serving: &str) -> Result<(), Error> {
    let server = Arc::new(Server::new(owner)?);
    let serving = serving.to_owned();
    migrate::block_on(async move {
        migrate::run(&server).await?;
        let client = server.connect_once().await?;
        refuse_one_role(&client, &serving).await?;
        client.batch_execute(&grants(&serving)).await.map_err(failed)
    })
}

/// All statements together, of which the server makes one transaction.
fn grants(serving: &str) -> String {
    let role = quoted(serving);
    let tables = copy::columns().map(|(table, _)| table);
    let mut statements = vec![
        "DO $$ BEGIN EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM PUBLIC', current_schema()); END $$".to_owned(),
        format!(
            "DO $$ BEGIN EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %1$I FROM %2$I', current_schema(), {0}); \
             EXECUTE format('GRANT USAGE ON SCHEMA %1$I TO %2$I', current_schema(), {0}); END $$",
            literal(serving)
        ),
        format!("GRANT SELECT ON refinery_schema_history TO {role}"),
        format!("GRANT SELECT, UPDATE ON settings_change TO {role}"),
    ];
    statements.extend(tables.map(|table| {
        let rights =
            if APPEND_ONLY.contains(&table) { "SELECT, INSERT" } else { "SELECT, INSERT, UPDATE, DELETE" };
        format!("GRANT {rights} ON {table} TO {role}")
    }));
    statements.join("; ")
}

/// A role that may act as the owner could undo every restriction.
async fn refuse_one_role(client: &Client, serving: &str) -> Result<(), Error> {
    let sql =
        "SELECT (NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1))::int::bigint, current_user::text";
    let values: [(&(dyn ToSql + Sync), Type); 1] = [(&serving, Type::TEXT)];
    let rows = client.query_typed(sql, &values).await.map_err(failed)?;
    let row = rows.first().ok_or_else(|| Error::Migration("an answer without rows".to_owned()))?;
    let (is_missing, owner): (i64, String) =
        (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
    if is_missing == 1 {
        return Err(Error::Migration(format!(
            "the server has no role {serving:?}: make it first (CREATE ROLE … LOGIN PASSWORD …)"
        )));
    }
    let sql = "SELECT (rolsuper OR pg_has_role(rolname, current_user, 'MEMBER'))::int::bigint FROM pg_roles WHERE rolname = $1";
    let rows = client.query_typed(sql, &values).await.map_err(failed)?;
    let acts_as_owner: i64 = rows.first().map_or(Ok(1), |row| row.try_get(0)).map_err(failed)?;
    if acts_as_owner == 1 {
        return Err(Error::Migration(format!(
            "{serving:?} may act as {owner:?}, to whom the tables belong, and so change facts, ledger and events: \
             name another role, which is no superuser and no member of that one"
        )));
    }
    Ok(())
}

/// Warns when the role that serves may change what is append-only.
pub(super) async fn warn_of_one_role(client: &Client) -> Result<(), Error> {
    let tables = APPEND_ONLY.map(literal).join(", ");
    let sql = format!(
        "SELECT COALESCE(bool_or(has_table_privilege(t.oid, 'UPDATE, DELETE, TRUNCATE')), false)::int::bigint FROM pg_class t \
         WHERE t.relname IN ({tables}) AND t.relnamespace = current_schema()::regnamespace"
    );
    let rows = client.query_typed(&sql, &[]).await.map_err(failed)?;
    let is_one: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0)).map_err(failed)?;
    if is_one == 1 {
        tracing::warn!(
            "the database role that serves may change facts, ledger and events, because the tables belong to it or it is a superuser: \
             serve with a role of its own (payhost db migrate --role)"
        );
    }
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn failed(error: tokio_postgres::Error) -> Error {
    Error::Migration(in_words(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_s_name_cannot_leave_its_quotes() {
        assert_eq!(quoted(r#"a"; DROP TABLE fact; --"#), r#""a""; DROP TABLE fact; --""#);
        assert_eq!(literal("o'x"), "'o''x'");
    }

    #[test]
    fn what_is_append_only_is_neither_changed_nor_removed() {
        let statements = grants("serving");
        for table in APPEND_ONLY {
            assert!(statements.contains(&format!("GRANT SELECT, INSERT ON {table} TO")), "{statements}");
        }
        assert!(statements.contains("GRANT SELECT, INSERT, UPDATE, DELETE ON payment TO"), "{statements}");
    }
}
