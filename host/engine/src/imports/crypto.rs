//! A secret is used only as declared, and nothing that comes out of here lets a plugin compute its value; the IV of a key that
//! decrypts is the exception, and opens nothing else.
//!
//! **The IV.** A plugin chooses what is decrypted, and the first block of a CBC plaintext is `D(C1) xor IV`: with `C1` in second place
//! it has `D(C1) xor C0`, and so the IV. That cannot be hidden (not by the errors either, which tell nothing but that there is no
//! plaintext), so an IV has no other use (`descriptor/`), and nothing is decrypted while its value is part of another secret.
//!
//! **Derived secrets.** What `digest` and `hmac` make of a secret comes back to the plugin, because it is made to be shown:
//! a gateway's signature goes into a form on the buyer's page, and so does the plain hash of a key where a gateway asks for
//! one. The use `digest` therefore says "hashes of this may be public", which is right for a long random key and wrong for a
//! password. Where the hash of a secret is itself a key (it encrypts, or opens an account), it must not come back, and no
//! use makes it: the descriptor asks for the derived value as a secret of its own, which the shop enters and whose uses are
//! declared like any other's.
//!
//! **One-time values.** A card or account number is short: whoever may compute its hash beside the hashes of guesses finds it,
//! and a key does not help where the host applies it to the guesses too. So no digest and no keyed hash takes one, and a call
//! that encrypts a one-time value encrypts nothing else.

use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;
use zeroize::Zeroizing;

use crate::contract::imports::{CRYPTO, CryptoError, Part};
use crate::policy::Uses;
use crate::secrets::Secret;
use crate::state::State;

type Computed = Result<Vec<u8>, CryptoError>;
type Store<'a> = StoreContextMut<'a, State>;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut instance = linker.instance(CRYPTO)?;
    instance.func_wrap("digest", |mut store: Store<'_>, (algorithm, parts): (String, Vec<Part>)| {
        let computed = digest(store.data_mut(), &algorithm, &parts);
        finish(&store, computed)
    })?;
    instance.func_wrap(
        "hmac",
        |mut store: Store<'_>, (algorithm, key, parts): (String, String, Vec<Part>)| {
            let computed = hmac(store.data_mut(), &algorithm, &key, &parts);
            finish(&store, computed)
        },
    )?;
    instance.func_wrap(
        "encrypt",
        |mut store: Store<'_>, (algorithm, key, parts): (String, String, Vec<Part>)| {
            let computed = encrypt(store.data_mut(), &algorithm, &key, &parts);
            finish(&store, computed)
        },
    )?;
    instance.func_wrap(
        "decrypt",
        |mut store: Store<'_>, (algorithm, key, ciphertext): (String, String, Vec<u8>)| {
            let computed = decrypt(store.data_mut(), &algorithm, &key, &ciphertext);
            finish(&store, computed)
        },
    )
}

/// Computing is the host's work, but the plugin pays for it. While a plugin describes itself nothing is computed.
fn finish(store: &Store<'_>, computed: Computed) -> wasmtime::Result<(Computed,)> {
    store.data().bill_host_work()?;
    if store.data().policy.plugin.is_empty() {
        return Ok((Err(CryptoError::NotDeclared("`describe` runs without any grant".to_owned())),));
    }
    Ok((computed,))
}

fn digest(state: &mut State, algorithm: &str, parts: &[Part]) -> Computed {
    let mut hasher = match algorithm {
        "sha-256" => Hasher::Sha256(Sha256::new()),
        "sha-512" => Hasher::Sha512(Sha512::new()),
        _ => return Err(CryptoError::Unsupported(algorithm.to_owned())),
    };
    each(state, parts, "digest", Some(|uses: &Uses| uses.digest), &mut |bytes| hasher.update(bytes))?;
    Ok(match hasher {
        Hasher::Sha256(hasher) => hasher.finalize().to_vec(),
        Hasher::Sha512(hasher) => hasher.finalize().to_vec(),
    })
}

enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }
}

fn hmac(state: &mut State, algorithm: &str, key: &str, parts: &[Part]) -> Computed {
    let invalid = |error: &dyn std::fmt::Display| CryptoError::Invalid(error.to_string());
    let key = channel_secret(state, key, "hmac-key", |uses| uses.hmac_key)?;
    let add = "digest";
    match algorithm {
        "hmac-sha-256" => {
            let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|error| invalid(&error))?;
            each(state, parts, add, Some(|uses: &Uses| uses.digest), &mut |bytes| mac.update(bytes))?;
            Ok(mac.finalize().into_bytes().to_vec())
        }
        "hmac-sha-512" => {
            let mut mac = Hmac::<Sha512>::new_from_slice(key.as_bytes()).map_err(|error| invalid(&error))?;
            each(state, parts, add, Some(|uses: &Uses| uses.digest), &mut |bytes| mac.update(bytes))?;
            Ok(mac.finalize().into_bytes().to_vec())
        }
        _ => Err(CryptoError::Unsupported(algorithm.to_owned())),
    }
}

fn encrypt(state: &mut State, algorithm: &str, key: &str, parts: &[Part]) -> Computed {
    let bits = key_bits(algorithm)?;
    let (key, iv) = pair(state, key, "aes-encrypt", |uses| uses.encrypt_iv.as_deref())?;
    // With text of its own before a one-time value a plugin could find it byte by byte: the IV is always the same.
    if parts.len() > 1 && parts.iter().any(|part| matches!(part, Part::Secret(_))) {
        let text = "a one-time value is encrypted alone, with no other part beside it".to_owned();
        return Err(CryptoError::NotDeclared(text));
    }
    not_beside_guesses(state, parts)?;
    let mut plaintext = Zeroizing::new(Vec::new());
    each(state, parts, "encrypt", None, &mut |bytes| plaintext.extend_from_slice(bytes))?;
    let (key, iv) = (key.as_bytes(), iv.as_bytes());
    let wrong = |_| wrong_length(bits);
    Ok(match bits {
        Bits::Aes128 => cbc::Encryptor::<aes::Aes128>::new_from_slices(key, iv)
            .map_err(wrong)?
            .encrypt_padded_vec::<Pkcs7>(&plaintext),
        Bits::Aes256 => cbc::Encryptor::<aes::Aes256>::new_from_slices(key, iv)
            .map_err(wrong)?
            .encrypt_padded_vec::<Pkcs7>(&plaintext),
    })
}

/// Key and IV are always the same: equal plaintexts have equal ciphertexts, so a call encrypts a one-time value or texts of its
/// own, never both.
fn not_beside_guesses(state: &mut State, parts: &[Part]) -> Result<(), CryptoError> {
    let one_time = match parts {
        [Part::Secret(name)] => Some(name.clone()),
        _ => None,
    };
    let before = state.encrypted.get_or_insert_with(|| one_time.clone());
    if *before == one_time {
        return Ok(());
    }
    let text = "a call that encrypts a one-time value encrypts nothing else".to_owned();
    Err(CryptoError::NotDeclared(text))
}

fn decrypt(state: &mut State, algorithm: &str, key: &str, ciphertext: &[u8]) -> Computed {
    let bits = key_bits(algorithm)?;
    let name = key;
    let (key, iv) = pair(state, key, "aes-decrypt", |uses| uses.decrypt_iv.as_deref())?;
    if encrypts(state, &key) {
        let text = format!("`{name}` has the value of a key that encrypts; a key serves one direction only");
        return Err(CryptoError::NotDeclared(text));
    }
    if let Some(other) = holds(state, &iv) {
        let text = format!(
            "the value of `{other}` holds that of the IV of `{name}`, which whoever decrypts can compute;              this channel must have another IV"
        );
        return Err(CryptoError::NotDeclared(text));
    }
    let (key, iv) = (key.as_bytes(), iv.as_bytes());
    let wrong = |_| wrong_length(bits);
    // One error for whatever is wrong with the ciphertext.
    let padding =
        |_| CryptoError::Invalid("the ciphertext is not whole blocks, or its padding is wrong".to_owned());
    match bits {
        Bits::Aes128 => cbc::Decryptor::<aes::Aes128>::new_from_slices(key, iv)
            .map_err(wrong)?
            .decrypt_padded_vec::<Pkcs7>(ciphertext)
            .map_err(padding),
        Bits::Aes256 => cbc::Decryptor::<aes::Aes256>::new_from_slices(key, iv)
            .map_err(wrong)?
            .decrypt_padded_vec::<Pkcs7>(ciphertext)
            .map_err(padding),
    }
}

#[derive(Clone, Copy)]
enum Bits {
    Aes128,
    Aes256,
}

fn key_bits(algorithm: &str) -> Result<Bits, CryptoError> {
    match algorithm {
        "aes-128-cbc-pkcs7" => Ok(Bits::Aes128),
        "aes-256-cbc-pkcs7" => Ok(Bits::Aes256),
        _ => Err(CryptoError::Unsupported(algorithm.to_owned())),
    }
}

fn wrong_length(bits: Bits) -> CryptoError {
    let key = match bits {
        Bits::Aes128 => 16,
        Bits::Aes256 => 32,
    };
    CryptoError::Invalid(format!(
        "the key must be {key} ASCII characters and its IV 16; check the channel's secrets"
    ))
}

/// Whether a value is that of a key that is declared for encryption: the same value under two names would serve both ways.
fn encrypts(state: &State, value: &str) -> bool {
    let declared = state.policy.secrets.iter().filter(|(_, uses)| uses.encrypt_iv.is_some());
    let mut values = declared.filter_map(|(name, _)| state.secrets.get(name));
    values.any(|secret| secret.value.as_str() == value)
}

/// A secret that is no IV and whose value holds this one.
fn holds(state: &State, iv: &str) -> Option<String> {
    let is_iv = |name: &str| state.policy.secrets.get(name).is_some_and(|uses| uses.iv);
    let mut others = state.secrets.iter().filter(|(name, _)| !is_iv(name));
    let found = others.find(|(_, secret)| !iv.is_empty() && secret.value.contains(iv));
    found.map(|(name, _)| name.to_owned())
}

/// Hands every part's bytes to `add`. A channel's secret needs the declared use; without one only one-time values may be there,
/// and with one only the channel's.
fn each(
    state: &mut State,
    parts: &[Part],
    purpose: &str,
    declared: Option<fn(&Uses) -> bool>,
    add: &mut dyn FnMut(&[u8]),
) -> Result<(), CryptoError> {
    for part in parts {
        match part {
            Part::Text(text) => add(text.as_bytes()),
            Part::Bytes(bytes) => add(bytes),
            Part::Secret(name) => {
                let secret = find(state, name)?;
                let allowed = match declared {
                    Some(declared) if secret.version.is_some() => {
                        state.policy.secrets.get(name).is_some_and(declared)
                    }
                    Some(_) => false,
                    None => secret.version.is_none(),
                };
                if !allowed {
                    return Err(not_declared(name, purpose));
                }
                add(secret.value.as_bytes());
                state.used(name);
            }
        }
    }
    Ok(())
}

/// The value of a channel's secret that is declared for a use. One-time values are no keys.
fn channel_secret(
    state: &mut State,
    name: &str,
    purpose: &str,
    declared: impl Fn(&Uses) -> bool,
) -> Result<Zeroizing<String>, CryptoError> {
    let secret = find(state, name)?;
    if secret.version.is_none() || !state.policy.secrets.get(name).is_some_and(declared) {
        return Err(not_declared(name, purpose));
    }
    let value = secret.value.clone();
    state.used(name);
    Ok(value)
}

/// A key with the IV that its declaration names.
fn pair(
    state: &mut State,
    key: &str,
    purpose: &str,
    iv_of: impl Fn(&Uses) -> Option<&str>,
) -> Result<(Zeroizing<String>, Zeroizing<String>), CryptoError> {
    let value = channel_secret(state, key, purpose, |uses| iv_of(uses).is_some())?;
    let iv = state.policy.secrets.get(key).and_then(iv_of).unwrap_or_default().to_owned();
    let iv = channel_secret(state, &iv, "iv", |uses| uses.iv)?;
    Ok((value, iv))
}

fn find<'a>(state: &'a State, name: &str) -> Result<&'a Secret, CryptoError> {
    state.secrets.get(name).ok_or_else(|| CryptoError::MissingSecret(name.to_owned()))
}

fn not_declared(name: &str, purpose: &str) -> CryptoError {
    CryptoError::NotDeclared(format!(
        "`{name}` is not declared for the use `{purpose}` in the descriptor's settings"
    ))
}
