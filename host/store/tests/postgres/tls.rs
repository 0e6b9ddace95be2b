//! TLS: who is believed, and what is said about who is not.

use std::path::PathBuf;
use std::sync::OnceLock;

use own_postgres::{FAST, Server};
use payhost_store::{Error, Options, Store};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use crate::shared;
use crate::suite::Database;
use crate::suite::fixture::ok;
use crate::ways::port;

const NAME: &str = "db.example";

/// A CA, and its certificate as a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A server with a certificate for [`NAME`] that is valid until the first of a year.
    fn server(&self, until: i32) -> Server {
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Server::start_with_tls(FAST, &certificate.pem(), &key.serialize_pem())
    }
}

/// One for all tests of this program.
fn good() -> &'static (Authority, Server) {
    static GOOD: OnceLock<(Authority, Server)> = OnceLock::new();
    GOOD.get_or_init(|| {
        let authority = Authority::new();
        let server = authority.server(4000);
        (authority, server)
    })
}

/// A new database of a server under this name (which leads to this machine), with these parameters.
fn address(server: &Server, name: &str, more: &str) -> String {
    let database = server.database();
    let database = Server::name_of(&database);
    format!("postgres://payhost@{name}:{}/{database}?hostaddr=127.0.0.1{more}", server.port())
}

fn ca(authority: &Authority) -> String {
    format!("&sslrootcert={}", authority.file().display())
}

fn database() -> Database {
    let (authority, server) = good();
    let options = Options::parse(&address(server, NAME, &ca(authority))).unwrap();
    Database { options, keep: Box::new(()) }
}

mod verified {
    crate::cases!(together, super::database);
}

fn refused(address: &str) -> String {
    match Store::open(Options::parse(address).unwrap()) {
        Err(Error::Lost(why) | Error::Address(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{address} was opened"),
    }
}

async fn is_encrypted(store: &Store) -> bool {
    let sql = "SELECT ssl::int FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    ok(store, move |tx| tx.query_one(sql, &[], |row| row.get::<i64>(0))).await == 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_proves_its_name_is_believed_and_everything_is_encrypted() {
    assert!(is_encrypted(&database().open()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_prove_its_name_is_refused_and_the_reason_said() {
    let (authority, server) = good();
    let other = Authority::new();
    let why = refused(&address(server, NAME, &ca(&other)));
    assert!(why.contains("not trusted here") && why.contains("sslrootcert"), "{why}");
    // The operating system does not know it either.
    let why = refused(&address(server, NAME, ""));
    assert!(why.contains("not trusted here"), "{why}");
    for name in ["localhost", "other.example"] {
        let why = refused(&address(server, name, &ca(authority)));
        assert!(why.contains("another name") && why.contains(NAME), "{why}");
    }
    let expired = authority.server(2001);
    let why = refused(&address(&expired, NAME, &ca(authority)));
    assert!(why.contains("has expired"), "{why}");
    let why = refused(&address(&expired, NAME, &format!("{}&sslmode=verify-ca", ca(authority))));
    assert!(why.contains("has expired"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_verify_ca_any_name_of_the_databases_own_ca_is_believed() {
    let (authority, server) = good();
    let of = |authority: &Authority| {
        address(server, "other.example", &format!("{}&sslmode=verify-ca", ca(authority)))
    };
    assert!(is_encrypted(&Store::open(Options::parse(&of(authority)).unwrap()).unwrap()).await);
    let why = refused(&of(&Authority::new()));
    assert!(why.contains("not trusted here"), "{why}");
}

#[test]
fn a_server_without_tls_is_refused_and_the_reason_said() {
    let (authority, _) = good();
    let name = shared().database();
    let name = Server::name_of(&name);
    let port = port(shared());
    let tls = format!("hostaddr=127.0.0.1{}", ca(authority));
    let why = refused(&format!("postgres://payhost@{NAME}:{port}/{name}?{tls}"));
    assert!(why.contains("has no TLS") && why.contains("sslmode=disable"), "{why}");
}

/// The other way round: one that takes nobody without TLS.
#[test]
fn a_server_that_wants_tls_says_so() {
    let (_, server) = good();
    let why = refused(&address(server, NAME, "&sslmode=disable"));
    assert!(why.contains("pg_hba.conf") && why.contains("no encryption"), "{why}");
}

#[test]
fn a_file_that_holds_no_ca_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let refused = || refused(&format!("postgres://payhost@{NAME}/x?sslrootcert={}", file.display()));
    assert!(refused().contains("ca.pem: No such file"), "{}", refused());
    std::fs::write(&file, "nothing").unwrap();
    assert!(refused().contains("no certificate in it"), "{}", refused());
}

/// The server knows by that that nobody stands in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_proved_with_channel_binding() {
    let (authority, _) = good();
    let server = authority.server(4000);
    let sql =
        "SET password_encryption = 'scram-sha-256'; CREATE ROLE scram LOGIN SUPERUSER PASSWORD 'geheim'";
    server.sql("postgres", sql);
    server.write("pg_hba.conf", "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n");
    server.stop();
    server.go();
    let bound = format!("{}&channel_binding=require", ca(authority));
    let good = address(&server, NAME, &bound).replace("payhost@", "scram:geheim@");
    assert!(is_encrypted(&Store::open(Options::parse(&good).unwrap()).unwrap()).await);
    let why = refused(&good.replace("geheim", "falsch"));
    assert!(why.contains("password authentication failed") && !why.contains("falsch"), "{why}");
    // Who asks for no password proves nothing.
    let (_, trusting) = self::good();
    let why = refused(&address(trusting, NAME, &bound));
    assert!(why.contains("channel binding"), "{why}");
}
