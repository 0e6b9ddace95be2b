//! The master key. Invariant: it is exactly 32 bytes, is never printed, and is used only through keys derived from it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use super::Key;
use crate::Error;

/// 32 secret bytes that everything secret in the database depends on.
pub struct MasterKey(Key);

impl MasterKey {
    /// From 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A new one from the operating system's randomness.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|_| Error::Random)?;
        Ok(Self(bytes))
    }

    /// From a file or, when there is none, from the value of an environment variable. `variable` is its name, for errors.
    pub fn load(file: Option<&Path>, variable: &str, value: Option<&str>) -> Result<Self, Error> {
        match (file, value) {
            (Some(path), _) => Self::read_file(path),
            (None, Some(value)) => Self::from_text(variable, value),
            (None, None) => Err(Error::MissingMasterKey),
        }
    }

    /// From a file that holds 64 hex digits, base64 of 32 bytes, or 32 raw bytes, and that not everybody on this machine can
    /// read.
    pub fn read_file(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let bad = |why: String| Error::BadMasterKey { source_name: name.clone(), why };
        if is_open_to_others(path).map_err(|error| bad(error.to_string()))? {
            return Err(bad(format!("everybody on this machine can read it; run: chmod o= {name}")));
        }
        let bytes = Zeroizing::new(std::fs::read(path).map_err(|error| bad(error.to_string()))?);
        match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(raw) => Ok(Self::from_bytes(raw)),
            Err(_) => match std::str::from_utf8(&bytes) {
                Ok(text) => Self::from_text(&name, text),
                Err(_) => Err(bad(format!("{} bytes are neither text nor 32 raw bytes", bytes.len()))),
            },
        }
    }

    /// From 64 hex digits or base64 of 32 bytes; white space around it is ignored. `source_name` is for errors.
    pub fn from_text(source_name: &str, text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let decoded = from_hex(text).or_else(|| from_base64(text));
        decoded.map(Self).ok_or_else(|| Error::BadMasterKey {
            source_name: source_name.to_owned(),
            why: format!("{} characters are neither 64 hex digits nor base64 of 32 bytes", text.len()),
        })
    }

    /// Makes a new one and writes it, as hex, to a file that must not exist yet and that only its owner can read.
    pub fn create_file(path: &Path) -> Result<Self, Error> {
        let key = Self::generate()?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file =
            options.open(path).map_err(|error| Error::Io(format!("{}: {error}", path.display())))?;
        let mut text = Zeroizing::new(payhost_core::hex(key.0.as_slice()));
        text.push('\n');
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        Ok(key)
    }

    /// A key for one use.
    pub(super) fn derive(&self, purpose: &str, detail: &[u8]) -> Result<Key, Error> {
        // A zero byte between them: purposes are constants without one, so no two uses meet.
        mac(&self.0, &[purpose.as_bytes(), &[0], detail])
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey")
    }
}

/// Whether somebody may read the file who is neither its owner nor of its group (a group is how containers are given secrets).
fn is_open_to_others(path: &Path) -> std::io::Result<bool> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path)?);
        Ok(mode & 0o007 != 0)
    }
    #[cfg(not(unix))]
    std::fs::metadata(path).map(|_| false)
}

/// HMAC-SHA-256 over the parts.
pub(super) fn mac(key: &Key, parts: &[&[u8]]) -> Result<Key, Error> {
    // HMAC takes keys of any length; the error exists only in the trait.
    let mut mac = Hmac::<Sha256>::new_from_slice(&**key).map_err(|_| Error::Random)?;
    parts.iter().for_each(|part| mac.update(part));
    Ok(Zeroizing::new(mac.finalize().into_bytes().into()))
}

fn from_hex(text: &str) -> Option<Key> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = Zeroizing::new([0; 32]);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let pair =
            std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|d| d.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

/// Base64 in the standard or the URL alphabet, with or without padding.
fn from_base64(text: &str) -> Option<Key> {
    let text: Zeroizing<String> = Zeroizing::new(
        text.trim_end_matches('=')
            .chars()
            .map(|c| {
                if c == '-' {
                    '+'
                } else if c == '_' {
                    '/'
                } else {
                    c
                }
            })
            .collect(),
    );
    let mut decoded = data_encoding::BASE64_NOPAD.decode(text.as_bytes()).ok()?;
    let bytes = <[u8; 32]>::try_from(decoded.as_slice()).ok().map(Zeroizing::new);
    decoded.zeroize();
    bytes
}
