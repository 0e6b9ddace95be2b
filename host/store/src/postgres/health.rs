//! Whether the server can be reached. Invariant: a short outage (a restart, a failover) is waited for, a long one is
//! answered at once, and a server that is down is not stormed: one connection at a time is tried, with growing pauses.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;
use super::connect::connect;
use super::settings::Settings;
use super::tls::connector;
use crate::Error;

/// How long an outage may last before closures are refused instead of waiting. A buyer's request waits no longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The pauses between tries: from 50 ms, doubled up to 1 s, so that service is back within 1 s after the server is.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The server, and how it is.
pub(crate) struct Server {
    address: Address,
    tls: MakeRustlsConnect,
    health: Health,
    /// What shops and operators set, as last read.
    pub(super) settings: Settings,
}

impl Server {
    /// Nothing is known of it yet. Reads the file of the CAs that are trusted.
    pub(crate) fn new(address: Address) -> Result<Self, Error> {
        let tls = connector(&address)?;
        Ok(Self { address, tls, health: Health::default(), settings: Settings::default() })
    }

    /// Whether a pooler in between gives each transaction another connection.
    pub(super) fn is_pooled(&self) -> bool {
        self.address.pooled
    }

    /// A connection for what is done before the pool begins, tried once. It sets nothing: who knows whose it is.
    pub(super) async fn connect_once(&self) -> Result<Client, Error> {
        connect(&self.address, &self.tls, false).await
    }

    /// A new connection. Waits for a short outage, too.
    pub(super) async fn connect(&self) -> Result<Client, Error> {
        loop {
            match self.health.turn(Instant::now()) {
                Turn::Refuse(error) => return Err(error),
                Turn::Wait(pause) => tokio::time::sleep(pause).await,
                Turn::Try => match connect(&self.address, &self.tls, !self.address.pooled).await {
                    Ok(client) => {
                        // Perhaps another server: its numbers are its own.
                        self.settings.forget();
                        self.health.up();
                        return Ok(client);
                    }
                    // A pooler that has no connection left is no outage.
                    Err(Error::Busy) => return Err(Error::Busy),
                    Err(error) => self.health.down(Instant::now(), error),
                },
            }
        }
    }
}

/// What is known about the server by everybody who needs a connection.
#[derive(Default)]
struct Health {
    outage: Mutex<Option<Outage>>,
}

struct Outage {
    since: Instant,
    pause: Duration,
    next_try: Instant,
    why: Error,
}

/// What to do about a connection.
enum Turn {
    /// Connect.
    Try,
    /// Ask again after this pause.
    Wait(Duration),
    /// Give up.
    Refuse(Error),
}

impl Health {
    /// What to do at this moment. After [`Turn::Try`] tell how it went.
    fn turn(&self, now: Instant) -> Turn {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(outage) = outage.as_mut() else { return Turn::Try };
        if now >= outage.next_try {
            outage.next_try = now + outage.pause;
            return Turn::Try;
        }
        if now.duration_since(outage.since) >= PATIENCE {
            return Turn::Refuse(outage.why.clone());
        }
        Turn::Wait(outage.next_try.duration_since(now))
    }

    /// The server was reached.
    fn up(&self) {
        if self.outage.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("the database can be reached again");
        }
    }

    /// The server was not reached.
    fn down(&self, now: Instant, why: Error) {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, pause) = match outage.as_ref() {
            Some(known) => (known.since, known.pause.saturating_mul(2).min(PAUSE.1)),
            None => {
                tracing::error!(error = %why, "the database cannot be reached");
                (now, PAUSE.0)
            }
        };
        *outage = Some(Outage { since, pause, next_try: now + pause, why });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_waited_for_and_then_refused_with_one_try_per_pause() {
        let health = Health::default();
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        assert!(matches!(health.turn(start), Turn::Try));
        health.down(start, Error::Busy);
        assert!(matches!(health.turn(after(10)), Turn::Wait(pause) if pause == Duration::from_millis(40)));
        assert!(matches!(health.turn(after(50)), Turn::Try));
        assert!(matches!(health.turn(after(51)), Turn::Wait(_)), "one try per pause");
        health.down(after(60), Error::Busy);
        assert!(matches!(health.turn(after(159)), Turn::Wait(_)));
        for ms in [160, 400, 900, 1800, 2900] {
            assert!(matches!(health.turn(after(ms)), Turn::Try), "{ms}");
            health.down(after(ms), Error::Busy);
        }
        assert!(matches!(health.turn(after(3001)), Turn::Refuse(Error::Busy)));
        assert!(matches!(health.turn(after(3900)), Turn::Try), "it is still looked after");
        health.up();
        assert!(matches!(health.turn(after(3901)), Turn::Try));
    }
}
