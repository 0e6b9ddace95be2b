//! A new connection. Invariant: what is handed out is authenticated, takes writes, and keeps what it acknowledges.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;
use super::failure::in_words;
use super::session::POOLER;
use crate::Error;

/// What every transaction has, for the rest of a connection.
///
/// `off` and the like would acknowledge what a power cut takes back (`remote_apply` is stricter than `on`, so it stays). A lock is
/// waited for as long as SQLite waits; a node that hangs in a transaction does not hold its locks for ever. Outside of a
/// transaction that says otherwise nothing can be written: behind a BEGIN that is refused nothing is done.
const SESSION: &str = "\
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') <> 'remote_apply'; \
    SET lock_timeout = '5s'; SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'; SET jit = off; \
    SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY";

/// The same within a transaction, where a pooler hands each to another connection. It goes out with BEGIN.
macro_rules! local {
    ($begin:literal) => {
        concat!(
            $begin,
            "; SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') <> 'remote_apply'; \
             SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'; \
             SET LOCAL idle_in_transaction_session_timeout = '60s'; SET LOCAL jit = off"
        )
    };
}

/// Begins a transaction that may write. That it is durable is said each time: a pooler of which nobody told would forget it.
pub(super) const BEGIN_WRITE: &str = "BEGIN READ WRITE; \
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') <> 'remote_apply'";
/// Begins one that only reads, on one state of the database.
pub(super) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// [`BEGIN_WRITE`] with everything that a connection cannot remember.
pub(super) const POOLED_BEGIN_WRITE: &str = local!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
/// [`BEGIN_READ`] with everything that a connection cannot remember.
pub(super) const POOLED_BEGIN_READ: &str = local!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");

/// Connects to the first place of the address that takes writes (after a failover the address stays right). The driver's task is spawned
/// on the current runtime.
pub(super) async fn connect(
    address: &Address,
    tls: &MakeRustlsConnect,
    sets_session: bool,
) -> Result<Client, Error> {
    let patience = address.config.get_connect_timeout().copied().unwrap_or(Duration::MAX);
    let mut reasons = Reasons::default();
    for (host, address_of_it, port) in hosts(&address.config) {
        let found = timeout(patience, places(&host, address_of_it, port)).await;
        let places = match found {
            Ok(Ok(places)) => places,
            Ok(Err(error)) => {
                reasons.add(error.to_string());
                continue;
            }
            Err(_) => {
                reasons.add(format!("its name is not found within {patience:?}"));
                continue;
            }
        };
        for place in places {
            let config = only(&address.config, &host, place, port);
            let client = match timeout(patience, reach(&config, tls)).await {
                Ok(Ok(client)) => client,
                Ok(Err(why)) => {
                    reasons.add(why);
                    continue;
                }
                Err(_) => {
                    reasons.add(format!("no connection within {patience:?}"));
                    continue;
                }
            };
            let limit = if address.pooled { POOLER } else { patience };
            match timeout(limit, set_up(&client, sets_session)).await {
                Ok(Ok(())) => return Ok(client),
                Ok(Err(why)) => reasons.add(why),
                // The pooler answers, and has no connection left.
                Err(_) if address.pooled => return Err(Error::Busy),
                Err(_) => reasons.add(format!("no connection within {patience:?}")),
            }
        }
    }
    Err(Error::Lost(reasons.in_words()))
}

/// Why no place of the address was taken, each reason once.
#[derive(Default)]
struct Reasons(Vec<String>);

impl Reasons {
    fn add(&mut self, why: String) {
        if !self.0.contains(&why) {
            self.0.push(why);
        }
    }

    fn in_words(self) -> String {
        if self.0.is_empty() { "no address of the server is known".to_owned() } else { self.0.join("; ") }
    }
}

/// Hosts with their addresses, where they are given, and ports.
fn hosts(config: &Config) -> Vec<(Option<Host>, Option<IpAddr>, u16)> {
    let (names, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let port = |number: usize| ports.get(number).or(ports.first()).copied().unwrap_or(5432);
    let host = |number: usize| (names.get(number).cloned(), addresses.get(number).copied(), port(number));
    (0..names.len().max(addresses.len())).map(host).collect()
}

/// The addresses of a host; a socket has none. Each is tried with a time limit of its own.
async fn places(host: &Option<Host>, address: Option<IpAddr>, port: u16) -> io::Result<Vec<Option<IpAddr>>> {
    Ok(match (address, host) {
        (Some(address), _) => vec![Some(address)],
        (None, Some(Host::Tcp(name))) => {
            lookup_host((name.as_str(), port)).await?.map(|found| Some(found.ip())).collect()
        }
        (None, Some(Host::Unix(_)) | None) => vec![None],
    })
}

/// The same configuration for one place.
fn only(all: &Config, host: &Option<Host>, address: Option<IpAddr>, port: u16) -> Config {
    let mut one = Config::new();
    match host {
        Some(Host::Tcp(name)) => _ = one.host(name),
        Some(Host::Unix(folder)) => _ = one.host_path(folder),
        None => {}
    }
    if let Some(address) = address {
        one.hostaddr(address);
    }
    one.port(port).ssl_mode(all.get_ssl_mode()).ssl_negotiation(all.get_ssl_negotiation());
    one.channel_binding(all.get_channel_binding()).keepalives(all.get_keepalives());
    one.keepalives_idle(all.get_keepalives_idle());
    macro_rules! copy {
        ($($set:ident: $value:expr),* $(,)?) => {$(
            if let Some(value) = $value {
                one.$set(value);
            }
        )*};
    }
    copy! {
        user: all.get_user(),
        password: all.get_password(),
        dbname: all.get_dbname(),
        options: all.get_options(),
        application_name: all.get_application_name(),
        connect_timeout: all.get_connect_timeout().copied(),
        tcp_user_timeout: all.get_tcp_user_timeout().copied(),
        keepalives_interval: all.get_keepalives_interval(),
        keepalives_retries: all.get_keepalives_retries(),
    }
    one
}

/// A connection. Its driver's task ends when the client is dropped.
async fn reach(config: &Config, tls: &MakeRustlsConnect) -> Result<Client, String> {
    let (client, driver) = config.connect(tls.clone()).await.map_err(|error| in_words(&error))?;
    tokio::spawn(async move {
        // Who uses the connection hears of it.
        if let Err(error) = driver.await {
            tracing::debug!(error = in_words(&error), "a connection to the database ended");
        }
    });
    Ok(client)
}

/// Sets a connection up, if its server takes writes.
async fn set_up(client: &Client, sets_session: bool) -> Result<(), String> {
    let words = |error: tokio_postgres::Error| in_words(&error);
    let asked = "SHOW transaction_read_only";
    let answers = if sets_session {
        client.simple_query(&format!("{asked}; {SESSION}")).await.map_err(words)?
    } else {
        // In a transaction, which a pooler that gives each statement another connection refuses.
        client.batch_execute("BEGIN").await.map_err(words)?;
        let answers = client.simple_query(asked).await.map_err(words)?;
        client.batch_execute("ROLLBACK").await.map_err(words)?;
        answers
    };
    let first_row = answers
        .iter()
        .find_map(|message| if let SimpleQueryMessage::Row(row) = message { row.get(0) } else { None });
    if first_row == Some("off") { Ok(()) } else { Err("the server only reads".to_owned()) }
}
