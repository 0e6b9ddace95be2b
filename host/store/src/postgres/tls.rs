//! TLS. Invariant: a server is believed only with a certificate of a CA that is trusted, for the host's name unless the address asked
//! for less; a refusal says in words what is wrong.
//!
//! rustls with ring, as everywhere in this program. The connector offers the certificate's hash for SCRAM's channel binding, so that
//! a password is not proved to somebody in between (`channel_binding=require` insists on it).

use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres::config::SslNegotiation;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Address, Protection, Roots};
use crate::Error;

/// What connects to an address. Reads the CA's file.
pub(super) fn connector(address: &Address) -> Result<MakeRustlsConnect, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match &address.protection {
        // It is never asked.
        Protection::None => builder.with_root_certificates(RootCertStore::empty()),
        Protection::Tls { roots: Roots::System, .. } => builder.with_platform_verifier().map_err(unusable)?,
        Protection::Tls { roots: Roots::File(file), checks_name: true } => {
            builder.with_root_certificates(roots_of(file)?)
        }
        Protection::Tls { roots: Roots::File(file), checks_name: false } => {
            let verifier = AnyName::new(roots_of(file)?, provider)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let mut config = builder.with_no_client_auth();
    if address.config.get_ssl_negotiation() == SslNegotiation::Direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(MakeRustlsConnect::new(config))
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::Address(format!("TLS to PostgreSQL: {error}"))
}

fn roots_of(file: &Path) -> Result<RootCertStore, Error> {
    let refuse = |why: String| Error::Address(format!("sslrootcert {}: {why}", file.display()));
    let pem = std::fs::read(file).map_err(|error| refuse(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
        roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refuse("there is no certificate in it (PEM)".to_owned()));
    }
    Ok(roots)
}

/// `verify-ca`: any name will do.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl AnyName {
    fn new(roots: RootCertStore, provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        verifier.build().map(Self).map_err(unusable)
    }
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // The name is compared last: everything else was found good.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// What is wrong with a server's certificate, if that is why there is no connection, and what to do.
pub(super) fn certificate_in_words(error: &tokio_postgres::Error) -> Option<String> {
    let mut next = error.source();
    let found = loop {
        let error = next?;
        let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match within.and_then(|within| within.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(found)) => break found,
            Some(_) | None => next = error.source(),
        }
    };
    Some(in_words(found))
}

#[allow(clippy::wildcard_enum_match_arm, reason = "a foreign, open list")]
fn in_words(error: &CertificateError) -> String {
    let why = match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "it is of a CA that is not trusted here; give the CA's certificate with sslrootcert=FILE"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name than the address has; say the name that it is for"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired; the server needs a new one"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; compare the clocks"
        }
        // The library has no case of its own for it.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "it is a CA's own certificate; the server needs one that the CA signed (with basicConstraints CA:FALSE)"
        }
        _ => "it is refused",
    };
    format!("the server's certificate does not prove who it is: {why} ({error})")
}
