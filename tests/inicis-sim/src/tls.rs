//! Invariant: the certificate authority lives as long as the data directory, so that a client that trusts `ca.pem`
//! still trusts the simulator after a restart; the cryptography provider is named, never the process's default.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Names of §0.3 that the certificate holds.
pub const HOSTS: &[&str] = &[
    "stdpay.inicis.com",
    "stgstdpay.inicis.com",
    "fcstdpay.inicis.com",
    "ksstdpay.inicis.com",
    "mobile.inicis.com",
    "stgmobile.inicis.com",
    "fcmobile.inicis.com",
    "ksmobile.inicis.com",
    "iniapi.inicis.com",
    "stginiapi.inicis.com",
    "inilitepay.inicis.com",
    "inilite.inicis.com",
    "paypro.inicis.com",
    "stgpaypro.inicis.com",
    "fcpaypro.inicis.com",
    "kspaypro.inicis.com",
    "sa.inicis.com",
    "fcsa.inicis.com",
    "kssa.inicis.com",
    "iniweb.inicis.com",
];

/// The certificates cannot be made, read or stored.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of the data directory.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Making or reading a certificate.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS settings.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

/// A server configuration and the authority that signed it.
#[derive(Debug)]
pub struct Tls {
    /// For the acceptor.
    pub config: Arc<ServerConfig>,
    /// The authority's certificate.
    pub ca_pem: String,
}

/// Makes or loads the authority and signs a new certificate for [`HOSTS`].
///
/// # Errors
/// Files or certificates.
pub fn prepare(data: &Path) -> Result<Tls, TlsError> {
    let (ca_pem, issuer) = authority(data)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(HOSTS.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, "inicis-sim");
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &issuer)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Tls { config: Arc::new(config), ca_pem })
}

/// The same parameters with the same key are the same issuer, so the stored certificate need not be parsed.
fn authority(data: &Path) -> Result<(String, Issuer<'static, KeyPair>), TlsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "inicis-sim test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let (key_path, ca_path) = (data.join("ca.key.pem"), data.join("ca.pem"));
    if key_path.exists() && ca_path.exists() {
        let key = KeyPair::from_pem(&read(&key_path)?)?;
        return Ok((read(&ca_path)?, Issuer::new(params, key)));
    }
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    write_private(&key_path, &key.serialize_pem())?;
    std::fs::write(&ca_path, &pem).map_err(|source| TlsError::Io { path: ca_path, source })?;
    Ok((pem, Issuer::new(params, key)))
}

fn read(path: &Path) -> Result<String, TlsError> {
    std::fs::read_to_string(path).map_err(|source| TlsError::Io { path: path.to_owned(), source })
}

fn write_private(path: &Path, text: &str) -> Result<(), TlsError> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| TlsError::Io { path: path.to_owned(), source })
}
