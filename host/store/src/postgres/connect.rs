//! A new connection. Invariant: what is handed out is authenticated, takes writes, and keeps what it acknowledges.
//!
//! The asynchronous driver does what address and server ask for (passwords, SCRAM, start parameters), on a copy of the socket
//! that it then gives up; from there on the socket is [`Wire`]'s.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::runtime::Builder;
use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::{Config, NoTls};

use super::address::CONNECT;
use super::failure::{Failure, in_words};
use super::wire::{Socket, Wire};
use crate::Error;

/// `off` and the like would acknowledge what a power cut takes back (`remote_apply` is stricter than `on`, so it stays).
pub(super) const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false) \
    WHERE current_setting('synchronous_commit') <> 'remote_apply'";

/// A lock is waited for as long as SQLite waits; a node that hangs in a transaction does not hold its locks for ever. Outside of
/// a transaction that says otherwise nothing can be written.
const SETTINGS: &str = "\
    SET lock_timeout = '5s'; SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'; \
    SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY; SET jit = off;";

/// One of the places where a server may be.
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Connects to the first place of the address that takes writes (after a failover the address stays right). What it gives still
/// has a limit on each read and write. Blocks; not on a thread of an async runtime.
pub(super) fn connect(config: &Config) -> Result<Wire, Error> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let patience = config.get_connect_timeout().copied().unwrap_or(CONNECT);
    let mut why = "no address of the server is known".to_owned();
    for (host, port) in hosts(config) {
        let places = match runtime.block_on(places(host, port)) {
            Ok(places) => places,
            Err(error) => {
                why = error.to_string();
                continue;
            }
        };
        for place in places {
            let socket = runtime.block_on(async {
                let late = |_| Err(format!("no connection within {patience:?}"));
                timeout(patience, reach(&place, config)).await.unwrap_or_else(late)
            });
            match socket.and_then(|socket| configure(Wire::new(socket), patience)) {
                Ok(wire) => return Ok(wire),
                Err(error) => why = error,
            }
        }
    }
    Err(Error::Lost(why))
}

/// Hosts with their ports; where an address is given beside a name, the address counts.
fn hosts(config: &Config) -> Vec<(Host, u16)> {
    let (names, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let host = |number: usize| match addresses.get(number) {
        Some(address) => Some(Host::Tcp(address.to_string())),
        None => names.get(number).cloned(),
    };
    let port = |number: usize| ports.get(number).or(ports.first()).copied().unwrap_or(5432);
    let count = names.len().max(addresses.len());
    (0..count).filter_map(|number| Some((host(number)?, port(number)))).collect()
}

async fn places(host: Host, port: u16) -> io::Result<Vec<Place>> {
    Ok(match host {
        Host::Unix(folder) => vec![Place::Unix(folder.join(format!(".s.PGSQL.{port}")))],
        Host::Tcp(name) => lookup_host((name.as_str(), port)).await?.map(Place::Tcp).collect(),
    })
}

async fn reach(place: &Place, config: &Config) -> Result<Box<dyn Socket>, String> {
    let text = |error: io::Error| error.to_string();
    match place {
        Place::Unix(path) => {
            let socket = UnixStream::connect(path).await.and_then(UnixStream::into_std).map_err(text)?;
            let copy = socket.try_clone().and_then(UnixStream::from_std).map_err(text)?;
            authenticate(copy, config).await?;
            socket.set_nonblocking(false).map_err(text)?;
            Ok(Box::new(socket))
        }
        Place::Tcp(address) => {
            let socket = TcpStream::connect(address).await.and_then(TcpStream::into_std).map_err(text)?;
            socket.set_nodelay(true).and_then(|()| notice_silence(&socket, config)).map_err(text)?;
            let copy = socket.try_clone().and_then(TcpStream::from_std).map_err(text)?;
            authenticate(copy, config).await?;
            socket.set_nonblocking(false).map_err(text)?;
            Ok(Box::new(socket))
        }
    }
}

/// A server that is silent below TCP counts as gone.
fn notice_silence(socket: &std::net::TcpStream, config: &Config) -> io::Result<()> {
    let socket = SockRef::from(socket);
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(config.get_tcp_user_timeout().copied())?;
    if !config.get_keepalives() {
        return Ok(());
    }
    let mut keepalive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
    if let Some(interval) = config.get_keepalives_interval() {
        keepalive = keepalive.with_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        keepalive = keepalive.with_retries(retries);
    }
    socket.set_tcp_keepalive(&keepalive)
}

/// Until the server waits for a statement. The driver's halves are dropped without another word to the server. What they have
/// read beyond, if anything, is no answer: notices, or that the server ends.
async fn authenticate<S>(socket: S, config: &Config) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    config.connect_raw(socket, NoTls).await.map(drop).map_err(|error| in_words(&error))
}

/// The settings of a connection, if its server takes writes.
#[allow(clippy::wildcard_enum_match_arm, reason = "a foreign, open list")]
fn configure(mut wire: Wire, patience: Duration) -> Result<Wire, String> {
    let text = Failure::reason;
    wire.limit(Some(patience)).map_err(text)?;
    let sql = format!("SHOW transaction_read_only; {DURABLE}; {SETTINGS}");
    frontend::query(&sql, &mut wire.out).map_err(|error| error.to_string())?;
    wire.send().map_err(text)?;
    let mut takes_writes = None;
    loop {
        match wire.next().map_err(text)? {
            Message::DataRow(row) => {
                takes_writes.get_or_insert_with(|| row.buffer().ends_with(b"off"));
            }
            Message::ReadyForQuery(_) if takes_writes == Some(true) => return Ok(wire),
            Message::ReadyForQuery(_) => return Err("the server only reads".to_owned()),
            _ => {}
        }
    }
}
