//! Through a pooler that gives each transaction another connection to the server.

use std::sync::OnceLock;

use own_postgres::{Pooler, SAFE, Server};
use payhost_store::rows::{meta, shops};
use payhost_store::{Error, Options, Store, params};

use crate::suite::Database;
use crate::suite::fixture::{err, ok, world};
use crate::{rests, shared};

/// One for all tests of this program.
fn pooler() -> &'static Pooler {
    static POOLER: OnceLock<Pooler> = OnceLock::new();
    POOLER.get_or_init(|| Pooler::start(shared(), "transaction"))
}

/// Of a new database behind it.
fn address() -> String {
    let database = shared().database();
    format!("{}&pgbouncer=true", pooler().address(Server::name_of(&database)))
}

fn database() -> Database {
    Database { options: Options::parse(&address()).unwrap(), keep: Box::new(()) }
}

mod transactions {
    crate::cases!(together, super::database);
}

fn open(address: &str) -> Store {
    Store::open(Options::parse(address).unwrap()).unwrap()
}

fn refused(address: &str) -> String {
    match Store::open(Options::parse(address).unwrap()) {
        Err(Error::Lost(why) | Error::Address(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{address} was opened"),
    }
}

#[test]
fn a_pooler_that_gives_each_statement_another_connection_is_refused_in_words() {
    let pooler = Pooler::start(shared(), "statement");
    let database = shared().database();
    let address = pooler.address(Server::name_of(&database));
    for more in ["", "&pgbouncer=true"] {
        let why = refused(&format!("{address}{more}"));
        assert!(why.contains("pool_mode = statement") && why.contains("pool_mode = transaction"), "{why}");
    }
}

/// What a connection is set to, and what it has prepared, would be another's.
#[test]
fn a_pooler_of_which_the_address_says_nothing_is_refused_in_words() {
    let why = refused(&address().replace("&pgbouncer=true", ""));
    assert!(why.contains("pgbouncer=true"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_leaves_a_connection_to_its_client_is_like_none() {
    let pooler = Pooler::start(shared(), "session");
    let database = shared().database();
    let address = pooler.address(Server::name_of(&database));
    for more in ["", "&pgbouncer=true"] {
        let store = open(&format!("{address}{more}"));
        ok(&store, move |tx| meta::set(tx, more, "1")).await;
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_durable_whatever_the_database_is_set_to() {
    let address = address();
    let name = Server::name_of(&address);
    let careless = format!(
        "ALTER DATABASE {name} SET synchronous_commit = off; \
         ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'; \
         ALTER DATABASE {name} SET statement_timeout = '1h'"
    );
    shared().sql("postgres", &careless);
    let store = open(&address);
    const SETTINGS: [&str; 5] = [
        "synchronous_commit",
        "transaction_isolation",
        "transaction_read_only",
        "statement_timeout",
        "lock_timeout",
    ];
    let settings = |tx: &mut payhost_store::Tx<'_>| -> Result<Vec<String>, Error> {
        let show = |name| tx.query_one(&format!("SHOW {name}"), &[], |row| row.get::<String>(0));
        SETTINGS.into_iter().map(show).collect()
    };
    for _ in 0..3 {
        assert_eq!(ok(&store, settings).await, ["on", "read committed", "off", "1min", "5s"]);
        let read: Result<_, Error> = store.read(settings).await;
        assert_eq!(read.unwrap(), ["on", "repeatable read", "on", "1min", "5s"]);
    }
    // And nothing of it is left on a connection that is another's next.
    let left = "SELECT current_setting('synchronous_commit')";
    let beside = postgres_of(&pooler().address(name), left);
    assert_eq!(beside, "off");
}

/// What a statement answers to who knows nothing of the store.
fn postgres_of(address: &str, sql: &str) -> String {
    let (address, sql) = (address.to_owned(), sql.to_owned());
    let ask = move || {
        let config: postgres::Config = address.parse().unwrap();
        let rows = config.connect(postgres::NoTls).unwrap().simple_query(&sql).unwrap();
        let first = rows.iter().find_map(|row| {
            if let postgres::SimpleQueryMessage::Row(row) = row {
                row.get(0).map(ToOwned::to_owned)
            } else {
                None
            }
        });
        first.unwrap()
    };
    std::thread::spawn(ask).join().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_prepared_on_a_connection_that_is_another_s_next() {
    let store = open(&address());
    world(&store).await;
    let prepared = "SELECT COUNT(*) FROM pg_prepared_statements";
    for _ in 0..4 {
        assert_eq!(ok(&store, move |tx| tx.query_one(prepared, &[], |row| row.get::<i64>(0))).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_together_make_one_schema() {
    let address = address();
    let start = || {
        let options = Options::parse(&address).unwrap();
        tokio::task::spawn_blocking(move || Store::open(options).map(|_| ()))
    };
    let (a, b, c) = tokio::join!(start(), start(), start());
    assert_eq!((a.unwrap(), b.unwrap(), c.unwrap()), (Ok(()), Ok(()), Ok(())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_set_at_one_host_counts_at_the_others_at_once() {
    let address = address();
    let (one, two) = (open(&address), open(&address));
    let world = world(&one).await;
    for name in ["서점", "책방", "문고"] {
        ok(&one, move |tx| {
            let shop = shops::get(tx, world.shop)?.unwrap();
            shops::update(tx, &shops::Shop { name: name.to_owned(), ..shop })
        })
        .await;
        for store in [&one, &two] {
            let read: Result<_, Error> =
                store.read(move |tx| tx.keep_settings().and_then(|()| shops::get(tx, world.shop))).await;
            assert_eq!(read.unwrap().unwrap().name, name);
        }
    }
}

const GIVE: &str = "INSERT INTO meta (key, value) VALUES ($1, '1')";

/// The server ends in the middle of COMMIT, and the pooler says what it makes of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_the_pooler_lost_is_not_guessed_at() {
    let address = address();
    let store = open(&address);
    let sql = "CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                   PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
               CREATE CONSTRAINT TRIGGER give_up AFTER INSERT ON meta DEFERRABLE INITIALLY DEFERRED
                   FOR EACH ROW WHEN (NEW.key = 'deadly') EXECUTE FUNCTION give_up()";
    shared().sql(Server::name_of(&address), sql);
    for waits in [true, false] {
        let error = err(&store, move |tx| {
            if waits { meta::set(tx, "deadly", "1") } else { tx.execute_later(GIVE, params!["deadly"]) }
        });
        assert_eq!(error.await, Error::Unanswered);
        let kept: Result<_, Error> = store.read(|tx| meta::get(tx, "deadly")).await;
        assert_eq!(kept, Ok(None));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_behind_the_pooler_is_found_again() {
    let server = Server::start(SAFE);
    let pooler = Pooler::start(&server, "transaction");
    let database = server.database();
    let store = open(&format!("{}&pgbouncer=true", pooler.address(Server::name_of(&database))));
    ok(&store, |tx| meta::set(tx, "a", "1")).await;
    let held = err(&store, move |tx| {
        meta::set(tx, "b", "1")?;
        server.kill();
        server.go();
        let again = meta::set(tx, "b", "2");
        // It lives as long as the program.
        std::mem::forget(server);
        again
    });
    let held = held.await;
    assert!(matches!(held, Error::Lost(_)), "{held:?}");
    let again = async { while store.transact(|tx| meta::set(tx, "c", "1")).await.is_err() {} };
    tokio::time::timeout(std::time::Duration::from_secs(60), again).await.expect("it is found again");
    let kept =
        ok(&store, |tx| tx.query("SELECT key FROM meta ORDER BY key", &[], |row| row.get::<String>(0)));
    assert_eq!(kept.await, ["a", "c"]);
    rests(&open(&database)).await;
}
