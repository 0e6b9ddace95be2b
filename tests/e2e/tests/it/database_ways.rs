//! How a host reaches its database: over TLS with a CA of its own, a socket, a pooler, and with a role that owns nothing. And whether
//! somebody changed beside the program what a database holds.

use std::sync::OnceLock;

use own_postgres::{FAST, Pooler, Server};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::stage::process::Ended;
use crate::stage::{Stage, payhost, postgres, text, try_serve};

const NAME: &str = "db.example";

/// A server with TLS and the certificate of its CA as a file.
struct Secured {
    server: Server,
    folder: tempfile::TempDir,
}

fn authority(folder: &std::path::Path, name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join(name), issuer.pem()).unwrap();
    issuer
}

/// One for all tests of this program.
fn secured() -> &'static Secured {
    static SECURED: OnceLock<Secured> = OnceLock::new();
    SECURED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let issuer = authority(folder.path(), "ca.pem");
        authority(folder.path(), "other.pem");
        let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let server = Server::start_with_tls(FAST, &certificate.pem(), &key.serialize_pem());
        Secured { server, folder }
    })
}

/// Of a database on [`secured`], whose server is believed by a CA's file.
fn verified(direct: &str, ca: &str) -> String {
    let Secured { server, folder } = secured();
    let database = Server::name_of(direct);
    let file = folder.path().join(ca);
    format!(
        "postgres://payhost@{NAME}:{}/{database}?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={}",
        server.port(),
        file.display()
    )
}

fn psql(address: &str, sql: &str) -> Result<u64, String> {
    let (address, sql) = (address.to_owned(), sql.to_owned());
    // The driver has a runtime of its own, so it cannot run on a thread of another.
    let run = move || {
        let mut client = ::postgres::Client::connect(&address, ::postgres::NoTls).unwrap();
        client.execute(&sql, &[]).map_err(|error| error.as_db_error().unwrap().message().to_owned())
    };
    std::thread::spawn(run).join().unwrap()
}

fn check(stage: &Stage, address: &str) -> Ended {
    Ended::of(payhost(stage.folder.path()).args(["--json", "db", "check", "--of", address]))
}

/// A sale, a part of it given back, a deposit's account: everything that writes.
async fn sell(stage: &Stage) -> Value {
    let created = stage.paid("A-1").await;
    let body = json!({"amount": 900, "reason": "고객 변심"});
    let cancelled = stage.cancel_with(&stage.shop, &created, "k-1", &body).await.expect(200);
    assert_eq!(cancelled["state"], "partially_cancelled", "{cancelled}");
    created
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_sells_over_tls_that_proves_the_server_s_name() {
    let direct = secured().server.database();
    let stage = Stage::on_database_through(&verified(&direct, "ca.pem"), &direct).await;
    sell(&stage).await;
    let report = check(&stage, &verified(&direct, "ca.pem")).json();
    assert_eq!(
        (&report["fits"], &report["payments"], &report["facts"]),
        (&json!(true), &json!(1), &json!(2))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_sells_over_a_socket_and_through_a_pooler() {
    let direct = postgres().database();
    assert!(direct.contains("host=/"), "{direct}");
    sell(&Stage::on_database(&direct).await).await;
    let pooler = Pooler::start(postgres(), "transaction");
    let direct = postgres().database();
    let through = format!("{}&pgbouncer=true", pooler.address(Server::name_of(&direct)));
    sell(&Stage::on_database_through(&through, &direct).await).await;
}

#[tokio::test]
async fn a_host_does_not_start_where_its_database_cannot_be_believed() {
    let direct = secured().server.database();
    let good = verified(&direct, "ca.pem");
    for (address, words) in [
        (verified(&direct, "other.pem"), "sslrootcert"),
        (good.replace(NAME, "other.example"), "another name"),
        (good.replace("verify-full", "require"), "verify-full"),
        (good.replace("verify-full", "prefer"), "verify-full"),
        (good.replace("ca.pem", "missing.pem"), "missing.pem"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = payhost(folder.path());
        let Err(said) = try_serve(command.env("PAYHOST_DATABASE", &address), folder.path(), &[]) else {
            panic!("{address} was believed")
        };
        assert!(said.contains(words), "{address}: {said}");
    }
}

/// The addresses of a new database for its owner and for the role that serves.
fn two_roles() -> (String, String, String) {
    let server = postgres();
    let direct = server.database();
    let name = Server::name_of(&direct).to_owned();
    let (owner, serving) = (format!("{name}_owner"), format!("{name}_serving"));
    server.sql("postgres", &format!("CREATE ROLE {owner} LOGIN"));
    server.sql("postgres", &format!("CREATE ROLE {serving} LOGIN"));
    server.sql("postgres", &format!("ALTER DATABASE {name} OWNER TO {owner}"));
    let of = |role: &str| direct.replace("user=payhost", &format!("user={role}"));
    (of(&owner), of(&serving), serving)
}

fn migrate(stage_folder: &std::path::Path, owner: &str, role: &str) -> Ended {
    Ended::of(payhost(stage_folder).args(["db", "migrate", "--owner", owner, "--role", role]))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_that_serves_adds_to_what_happened_and_never_changes_it() {
    let (owner, serving, role) = two_roles();
    let folder = tempfile::tempdir().unwrap();
    // Before the owner made the tables, the serving role is told what to run.
    let mut command = payhost(folder.path());
    let Err(said) = try_serve(command.env("PAYHOST_DATABASE", &serving), folder.path(), &[]) else {
        panic!("a role without rights made the schema")
    };
    assert!(said.contains("payhost db migrate --owner"), "{said}");
    for _ in 0..2 {
        let ended = migrate(folder.path(), &owner, &role);
        assert_eq!(ended.code, 0, "{}", ended.err);
    }
    let stage = Stage::on_database(&serving).await;
    let created = sell(&stage).await;
    let key = stage.new_key(&stage.shop.id, "test").await;
    assert!(key.starts_with("sk_test_"), "settings can be changed");
    let log = std::fs::read_to_string(stage.folder.path().join("payhost.log")).unwrap();
    assert!(!log.contains("may change facts"), "{log}");
    for table in ["fact", "ledger_entry", "event"] {
        for sql in [
            format!("UPDATE {table} SET created_us = 0"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table} CASCADE"),
        ] {
            let said = psql(&serving, &sql).expect_err(&sql);
            assert!(said.contains("permission denied") || said.contains("must be owner"), "{sql}: {said}");
        }
    }
    assert!(psql(&serving, "UPDATE shop SET name = name").unwrap() > 0);
    assert_eq!(text(&stage.payment(&created).await, "state"), "partially_cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_role_for_both_is_refused_by_migrate_and_warned_of_by_serve() {
    let (owner, _, role) = two_roles();
    let folder = tempfile::tempdir().unwrap();
    let owner_role = role.replace("_serving", "_owner");
    for (role, words) in
        [(owner_role.as_str(), "another role"), ("payhost", "another role"), ("nobody_here", "no role")]
    {
        let ended = migrate(folder.path(), &owner, role);
        assert!(ended.code != 0 && ended.err.contains(words), "{role}: {}", ended.err);
    }
    let ended = migrate(folder.path(), "sqlite:x", &role);
    assert!(ended.code != 0 && ended.err.contains("only PostgreSQL has roles"), "{}", ended.err);
    let stage = Stage::on_database(&owner).await;
    let log = std::fs::read_to_string(stage.folder.path().join("payhost.log")).unwrap();
    assert!(log.contains("may change facts, ledger and events"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_beside_the_program_is_found() {
    let direct = postgres().database();
    let stage = Stage::on_database(&direct).await;
    sell(&stage).await;
    let report = check(&stage, &direct).json();
    assert_eq!((&report["fits"], &report["contradictions"]), (&json!(true), &json!([])));
    // A superuser who switches the foreign keys off.
    let by_hand = |sql: &str| {
        let sql = format!("SET session_replication_role = replica; {sql}");
        postgres().sql(Server::name_of(&direct), &sql);
    };
    for (change, undo, rules) in [
        (
            "UPDATE fact SET amount = amount + 1 WHERE kind = 'approved'",
            "UPDATE fact SET amount = amount - 1 WHERE kind = 'approved'",
            &["ledger_differs_from_fact", "ledger_without_fact", "payment_differs_from_facts"][..],
        ),
        (
            "UPDATE payment SET paid = paid + 1",
            "UPDATE payment SET paid = paid - 1",
            &["payment_differs_from_facts"],
        ),
        (
            "UPDATE event SET sequence = sequence + 100 WHERE sequence = 2",
            "UPDATE event SET sequence = sequence - 100 WHERE sequence = 102",
            &["events_have_a_gap"],
        ),
        (
            "CREATE TABLE aside AS SELECT * FROM ledger_entry WHERE account = 'sales'; \
             DELETE FROM ledger_entry WHERE account = 'sales'",
            "INSERT INTO ledger_entry SELECT * FROM aside; DROP TABLE aside",
            &["ledger_differs_from_fact"],
        ),
        (
            "CREATE TABLE aside AS SELECT * FROM fact WHERE kind = 'cancelled'; DELETE FROM fact WHERE kind = 'cancelled'",
            "INSERT INTO fact SELECT * FROM aside; DROP TABLE aside",
            &["ledger_without_fact", "payment_differs_from_facts"],
        ),
        (
            "CREATE TABLE aside AS SELECT * FROM event WHERE sequence = 1; DELETE FROM event WHERE sequence = 1",
            "INSERT INTO event SELECT * FROM aside; DROP TABLE aside",
            &["events_have_a_gap"],
        ),
    ] {
        by_hand(change);
        let ended = check(&stage, &direct);
        assert_ne!(ended.code, 0, "{change}: {}", ended.out);
        let report: Value = serde_json::from_str(&ended.out).unwrap();
        let mut found: Vec<&str> = report["contradictions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["rule"].as_str().unwrap())
            .collect();
        found.dedup();
        assert_eq!(found, rules, "{change}: {report}");
        by_hand(undo);
        assert_eq!(check(&stage, &direct).json()["fits"], json!(true), "{undo}");
    }
}
