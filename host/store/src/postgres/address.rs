//! Addresses. Invariant: nothing leaves this machine unencrypted, or for a server that has not proved its name, unless the operator
//! said that it may.
//!
//! An address is libpq's (a URL). Most parameters are the driver's; these are read here:
//!
//! | parameter | what |
//! |---|---|
//! | `sslmode=verify-full` | TLS; the certificate is of a CA that is trusted and for the host's name. What is not said is this for every host that is not this machine, and no TLS for a socket and loopback |
//! | `sslmode=verify-ca` | TLS; any certificate of the CA in `sslrootcert=FILE` |
//! | `sslmode=disable` | no TLS: the operator says that the network is trusted |
//! | `sslmode=require`, `prefer`, `allow` | refused: none of them knows who answers |
//! | `sslrootcert=FILE`, `system` | the CAs that are trusted, as PEM; the operating system's if nothing is said |
//! | `pgbouncer=true` | a pooler gives each transaction another connection to the server |

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, TargetSessionAttrs};

use super::failure::in_words;
use crate::Error;

/// How long a connection may take to come about and be set up.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a server may be silent below TCP before the connection counts as broken.
const SILENT: Duration = Duration::from_secs(15);

/// How far the probes of a silent connection are apart.
const PROBES_APART: Duration = Duration::from_secs(5);

/// The driver's own setting, if the address has none.
const DEFAULT_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

/// Where a database is, and how it is reached.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// What the driver reads.
    pub(super) config: Config,
    pub(super) protection: Protection,
    /// A pooler in between gives each transaction another connection to the server: nothing outlives a transaction.
    pub(super) pooled: bool,
}

/// What protects a connection from others on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Protection {
    /// Nothing does; nobody else is on it.
    None,
    /// A server proves who it is.
    Tls {
        roots: Roots,
        /// Its certificate is for the host's name, not only of a CA that is trusted.
        checks_name: bool,
    },
}

/// Whose certificates are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// Those that the operating system trusts.
    System,
    /// Those of the CAs in a file.
    File(PathBuf),
}

/// The parameters that are read here.
#[derive(Default)]
struct Parameters {
    mode: Option<String>,
    roots: Option<String>,
    pooled: bool,
}

/// Reads an address. Error texts never hold it: there may be a password in it.
pub(crate) fn parse(address: &str) -> Result<Address, Error> {
    let (address, parameters) = split(address)?;
    let mut config: Config = address
        .parse()
        .map_err(|error| Error::Address(format!("the PostgreSQL address: {}", in_words(&error))))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(Error::Address(
            "the PostgreSQL address names no host: give postgres://USER@HOST/DATABASE, \
             or a socket's folder as postgres:///DATABASE?host=/run/postgresql"
                .to_owned(),
        ));
    }
    let protection = protection(&config, parameters.mode.as_deref(), parameters.roots)?;
    config.ssl_mode(if protection == Protection::None { SslMode::Disable } else { SslMode::Require });
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENT);
    }
    if config.get_application_name().is_none() {
        config.application_name("payhost");
    }
    if config.get_keepalives_idle() == DEFAULT_IDLE {
        config.keepalives_idle(SILENT);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(PROBES_APART);
    }
    refuse_other_servers(&config)?;
    // Whether a server takes writes is asked with the rest of what a new connection needs.
    config.target_session_attrs(TargetSessionAttrs::Any);
    config.load_balance_hosts(LoadBalanceHosts::Disable);
    Ok(Address { config, protection, pooled: parameters.pooled })
}

/// Takes the parameters out that the driver does not know, or knows less of.
fn split(address: &str) -> Result<(String, Parameters), Error> {
    // A password may hold a question mark.
    let (credentials, rest) = address.split_at(address.find('@').unwrap_or(0));
    let mut parameters = Parameters::default();
    let Some((place, query)) = rest.split_once('?') else { return Ok((address.to_owned(), parameters)) };
    let mut others = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        match name {
            "sslmode" => parameters.mode = Some(value),
            "sslrootcert" => parameters.roots = Some(value),
            "pgbouncer" => {
                parameters.pooled = match value.as_str() {
                    "true" => true,
                    "false" => false,
                    _ => return Err(Error::Address("pgbouncer is true or false".to_owned())),
                };
            }
            _ => others.push(pair),
        }
    }
    Ok((format!("{credentials}{place}?{}", others.join("&")), parameters))
}

/// A host writes, and goes to the first server that takes writes.
fn refuse_other_servers(config: &Config) -> Result<(), Error> {
    let is_wanted =
        matches!(config.get_target_session_attrs(), TargetSessionAttrs::Any | TargetSessionAttrs::ReadWrite);
    if !is_wanted {
        return Err(Error::Address(
            "target_session_attrs asks for a server that only reads, and a host writes".to_owned(),
        ));
    }
    if config.get_load_balance_hosts() == LoadBalanceHosts::Random {
        return Err(Error::Address(
            "load_balance_hosts is not supported: a host takes the first server that takes writes".to_owned(),
        ));
    }
    Ok(())
}

fn protection(config: &Config, mode: Option<&str>, roots: Option<String>) -> Result<Protection, Error> {
    let refuse = |why: &str| Err(Error::Address(why.to_owned()));
    let checks_name = match mode {
        None if roots.is_none() && is_here(config) => return Ok(Protection::None),
        Some("disable") if roots.is_some() => {
            return refuse(
                "sslrootcert says whose certificates are trusted, and sslmode=disable that none is asked for: give one",
            );
        }
        Some("disable") => return Ok(Protection::None),
        None | Some("verify-full") => true,
        Some("verify-ca") => false,
        Some("require") => {
            return refuse(
                "sslmode=require encrypts without asking who answers, so whoever stands in between reads and changes everything: \
                 say sslmode=verify-full, with sslrootcert=FILE if the certificate is of a CA that this machine does not know \
                 (the database's provider gives that file)",
            );
        }
        Some("prefer" | "allow") => {
            return refuse(
                "sslmode=prefer and allow go on unencrypted when anybody in between says that the server has no TLS: \
                 say sslmode=verify-full, or sslmode=disable if the network in between is trusted",
            );
        }
        Some(_) => return refuse("sslmode is verify-full, verify-ca or disable"),
    };
    let roots = match roots.as_deref() {
        None | Some("system") => Roots::System,
        Some(file) => Roots::File(file.into()),
    };
    if !checks_name && roots == Roots::System {
        return refuse(
            "sslmode=verify-ca takes any certificate of the CAs that are trusted, and the system trusts those that anybody gets one of: \
             give the database's own CA with sslrootcert=FILE, or say sslmode=verify-full",
        );
    }
    if config.get_hosts().iter().any(|host| matches!(host, Host::Unix(_))) {
        return refuse(
            "there is no TLS over a socket: leave sslmode and sslrootcert out, or name no other hosts beside it",
        );
    }
    if config.get_hosts().is_empty() {
        return refuse("hostaddr is no name that a certificate could be for: give the host's name, too");
    }
    Ok(Protection::Tls { roots, checks_name })
}

/// Whether every host is this machine. (A tunnel ends here, too.)
fn is_here(config: &Config) -> bool {
    let is_loopback = |name: &str| name.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let mut hosts = config.get_hosts().iter();
    hosts.all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || is_loopback(name),
    }) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(roots: Roots, checks_name: bool) -> Protection {
        Protection::Tls { roots, checks_name }
    }

    fn protection_of(address: &str) -> Protection {
        let address = parse(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let encrypts = address.config.get_ssl_mode() == SslMode::Require;
        assert_eq!(encrypts, address.protection != Protection::None);
        address.protection
    }

    fn refused(address: &str) -> String {
        let Err(Error::Address(text)) = parse(address) else { panic!("{address}") };
        assert!(!text.contains("secret"), "{text}");
        text
    }

    #[test]
    fn what_stays_on_this_machine_or_on_a_trusted_network_is_not_encrypted() {
        for address in [
            "postgres:///payhost?host=/run/postgresql",
            "postgresql://u:p@localhost/payhost",
            "postgres://u@127.0.0.1:5433/payhost",
            "postgres://u@[::1]/payhost?",
            "postgres://u@db.internal,other.internal/payhost?sslmode=disable",
        ] {
            assert_eq!(protection_of(address), Protection::None, "{address}");
        }
    }

    #[test]
    fn every_other_host_must_prove_its_name_unless_a_weaker_proof_was_asked_for() {
        let file = || Roots::File("/etc/ca s.pem".into());
        for (address, wanted) in [
            ("postgres://u:secret@db.internal/payhost", tls(Roots::System, true)),
            ("postgres://u:secret@localhost,db.internal/payhost", tls(Roots::System, true)),
            ("postgres://u:se?cret@db/payhost?sslmode=verify-full", tls(Roots::System, true)),
            ("postgres://u@localhost/payhost?hostaddr=10.0.0.1", tls(Roots::System, true)),
            ("postgres://u@localhost/payhost?sslmode=verify-full", tls(Roots::System, true)),
            ("postgres://u@localhost/payhost?sslrootcert=/etc/ca%20s.pem", tls(file(), true)),
            (
                "postgres://u@db/p?sslmode=verify-ca&sslrootcert=/etc/ca%20s.pem&connect_timeout=1",
                tls(file(), false),
            ),
            ("postgres://u@db/p?sslrootcert=system", tls(Roots::System, true)),
        ] {
            assert_eq!(protection_of(address), wanted, "{address}");
        }
    }

    #[test]
    fn what_would_be_weaker_than_it_sounds_is_refused_in_words() {
        for (address, says) in [
            ("postgres://", "names no host"),
            ("postgres://u:secret@db/payhost?sslmode=require", "without asking who answers"),
            ("postgres://u:secret@localhost/payhost?sslmode=require", "without asking who answers"),
            ("postgres://u:secret@db/payhost?sslmode=prefer", "go on unencrypted"),
            ("postgres://u:secret@db/payhost?sslmode=allow", "go on unencrypted"),
            ("postgres://u:secret@db/payhost?sslmode=on", "verify-full, verify-ca or disable"),
            ("postgres://u:secret@db/payhost?sslmode=verify-ca", "sslrootcert=FILE"),
            ("postgres://u:secret@db/payhost?sslmode=verify-ca&sslrootcert=system", "sslrootcert=FILE"),
            ("postgres://u:secret@db/payhost?sslmode=disable&sslrootcert=/ca.pem", "give one"),
            ("postgres:///payhost?host=/run/postgresql&sslmode=verify-full", "no TLS over a socket"),
            ("postgres:///payhost?host=/run/postgresql&host=db.internal", "no TLS over a socket"),
            ("postgres:///payhost?hostaddr=10.0.0.1", "give the host's name"),
            ("postgres://u:secret@localhost/payhost?no_such_setting=1", "no_such_setting"),
            ("postgres://u:secret@localhost/payhost?pgbouncer=yes", "true or false"),
        ] {
            let text = refused(address);
            assert!(text.contains(says), "{address}: {text}");
        }
    }

    #[test]
    fn a_pooler_is_named_in_the_address() {
        let pooled = |address: &str| parse(address).unwrap().pooled;
        assert!(pooled("postgres://u@localhost:6432/payhost?pgbouncer=true"));
        assert!(!pooled("postgres://u@localhost:6432/payhost?pgbouncer=false"));
        assert!(!pooled("postgres://u@localhost/payhost"));
    }
}
