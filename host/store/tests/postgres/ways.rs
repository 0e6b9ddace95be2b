//! Ways to the server: addresses, passwords, hosts that do not answer.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use own_postgres::{FAST, Server};
use payhost_store::{Error, Options, Store};

use crate::shared;
use crate::suite::fixture::ok;

fn open(address: &str) -> Result<Store, Error> {
    Store::open(Options::parse(address).unwrap())
}

fn refused(address: &str) -> String {
    match open(address) {
        Err(Error::Lost(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{address} was opened"),
    }
}

/// A port that leads to the server's socket: a tunnel, to which the server has no TLS.
pub fn port(server: &Server) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, path) = (listener.local_addr().unwrap().port(), server.socket_folder().join(".s.PGSQL.5432"));
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let server = UnixStream::connect(&path).unwrap();
            let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let (mut client, mut server) = (client, server);
            thread::spawn(move || {
                let _ = std::io::copy(&mut down, &mut up);
                let _ = up.shutdown(std::net::Shutdown::Both);
            });
            thread::spawn(move || {
                let _ = std::io::copy(&mut client, &mut server);
                let _ = server.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_password_is_given_as_the_server_asks_for_it() {
    let server = Server::start(FAST);
    let (database, port) = (server.database(), port(&server));
    let name = Server::name_of(&database);
    for (user, stored) in [("scram", "scram-sha-256"), ("digest", "md5"), ("clear", "scram-sha-256")] {
        let sql = format!(
            "SET password_encryption = '{stored}'; CREATE ROLE {user} LOGIN SUPERUSER PASSWORD 'geheim {user}'"
        );
        server.sql(name, &sql);
    }
    let rules = "local all payhost trust\nlocal all scram scram-sha-256\nlocal all digest md5\nlocal all clear password\n";
    server.write("pg_hba.conf", rules);
    let folder = server.socket_folder().display();
    server.stop();
    server.go();
    for user in ["scram", "digest", "clear"] {
        let store = open(&format!("postgres://{user}:geheim%20{user}@127.0.0.1:{port}/{name}")).unwrap();
        let who = "SELECT current_user::text || current_setting('application_name')";
        let who = ok(&store, move |tx| tx.query_one(who, &[], |row| row.get::<String>(0)));
        assert_eq!(who.await, format!("{user}payhost"));
        let why = refused(&format!("postgres://{user}:geheim@127.0.0.1:{port}/{name}"));
        assert!(why.contains("password authentication failed") && !why.contains("geheim"), "{why}");
        let why = refused(&format!("postgres:///{name}?user={user}&host={folder}"));
        assert!(why.contains("password missing"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_host_that_takes_writes_is_taken() {
    let (server, standby) = (shared(), Server::start(FAST));
    let database = server.database();
    let name = Server::name_of(&database);
    standby.sql("postgres", &format!("CREATE DATABASE {name}"));
    standby.sql(name, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    let (folder, other) = (server.socket_folder().display(), standby.socket_folder().display());
    let store =
        open(&format!("postgres:///{name}?user=payhost&host=/nowhere&host={other}&host={folder}")).unwrap();
    let where_from = "SELECT current_setting('unix_socket_directories')";
    let taken = ok(&store, |tx| tx.query_one(where_from, &[], |row| row.get::<String>(0)));
    assert_eq!(taken.await, folder.to_string());
    let why = refused(&format!("postgres:///{name}?user=payhost&host=/nowhere&host={other}"));
    // Why each was not taken.
    assert_eq!(
        why,
        "error connecting to server: No such file or directory (os error 2); the server only reads"
    );
}

/// A server that accepts and then does this with what it is sent.
fn impostor(folder: &Path, behaves: fn(UnixStream)) -> String {
    let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            thread::spawn(move || behaves(client));
        }
    });
    format!("postgres:///any?user=payhost&connect_timeout=1&host={}", folder.display())
}

/// AuthenticationOk, ReadyForQuery.
const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

/// Welcomes, and waits for what is asked.
fn welcome(client: &mut UnixStream) {
    client.write_all(WELCOME).unwrap();
    let (mut heard, mut chunk) = (Vec::new(), [0; 4096]);
    while !heard.windows(5).any(|part| part == b"BEGIN") {
        match client.read(&mut chunk) {
            Ok(count @ 1..) => heard.extend_from_slice(&chunk[..count]),
            Ok(0) | Err(_) => return,
        }
    }
}

fn hold(mut client: UnixStream) {
    let _ = client.read_to_end(&mut Vec::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_or_nonsense_is_not_waited_for() {
    type Case = (fn(UnixStream), &'static str);
    let cases: [Case; 5] = [
        (hold, "no connection within 1s"),
        (
            |mut client| {
                client.write_all(b"!\0\0\0\x04").unwrap();
                hold(client);
            },
            "unknown message tag",
        ),
        (
            |mut client| {
                welcome(&mut client);
                hold(client);
            },
            "no connection within 1s",
        ),
        (
            |mut client| {
                welcome(&mut client);
                client.write_all(b"!\0\0\0\x04").unwrap();
                hold(client);
            },
            "unknown message tag",
        ),
        (|mut client| welcome(&mut client), "connection closed"),
    ];
    for (behaves, says) in cases {
        let folder = tempfile::tempdir().unwrap();
        let why = refused(&impostor(folder.path(), behaves));
        assert!(why.contains(says), "{why}");
    }
}

/// The time limit is for setting up alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_may_take_longer_than_a_connection() {
    let store = open(&format!("{}&connect_timeout=1", shared().database())).unwrap();
    let slow =
        ok(&store, |tx| tx.query_one("SELECT 1::bigint FROM pg_sleep(1.1)", &[], |row| row.get::<i64>(0)));
    assert_eq!(slow.await, 1);
}
