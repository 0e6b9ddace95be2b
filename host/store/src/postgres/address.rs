//! Addresses. Invariant: nothing leaves this machine unencrypted unless the operator said that it may.

use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, TargetSessionAttrs};

use crate::Error;

/// How long a connection may take to come about, and each answer until it is set up.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// How long a server may be silent below TCP before the connection counts as broken.
const SILENT: Duration = Duration::from_secs(15);

/// A server's address in libpq's form. Error texts never hold the address: there may be a password in it.
pub(crate) fn parse(address: &str) -> Result<Config, Error> {
    let mut config: Config = address
        .parse()
        .map_err(|error: tokio_postgres::Error| Error::Address(format!("the PostgreSQL address: {error}")))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(Error::Address(
            "the PostgreSQL address names no host: give postgres://USER@HOST/DATABASE, \
             or a socket's folder as postgres:///DATABASE?host=/run/postgresql"
                .to_owned(),
        ));
    }
    refuse_open_network(&config)?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENT);
    }
    if config.get_application_name().is_none() {
        config.application_name("payhost");
    }
    config.keepalives_idle(SILENT);
    // Of several hosts the one that takes writes: after a failover the address stays right.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    config.load_balance_hosts(LoadBalanceHosts::Disable);
    Ok(config)
}

fn refuse_open_network(config: &Config) -> Result<(), Error> {
    let mode = config.get_ssl_mode();
    if mode == SslMode::Disable {
        return Ok(());
    }
    if !matches!(mode, SslMode::Prefer) {
        return Err(Error::Address(
            "this payhost cannot encrypt its connection to PostgreSQL yet".to_owned(),
        ));
    }
    let by_name = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
    });
    if by_name && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback) {
        return Ok(());
    }
    Err(Error::Address(
        "this payhost cannot encrypt its connection to PostgreSQL yet; use a socket or loopback (a tunnel ends there, too), \
         or say with sslmode=disable that the network in between is trusted"
            .to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_way_goes_unencrypted() {
        for good in [
            "postgres:///payhost?host=/run/postgresql",
            "postgresql://u:p@localhost/payhost",
            "postgres://u@127.0.0.1:5433/payhost",
            "postgres://u@[::1]/payhost",
            "postgres://u@db.internal,other.internal/payhost?sslmode=disable",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "postgres://",
            "postgres://u:secret@db.internal/payhost",
            "postgres://u:secret@localhost,db.internal/payhost",
            "postgres://u:secret@localhost/payhost?hostaddr=10.0.0.1",
            "postgres://u:secret@localhost/payhost?sslmode=require",
            "postgres://u:secret@localhost/payhost?no_such_setting=1",
        ] {
            let Err(Error::Address(text)) = parse(bad) else { panic!("{bad}") };
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
