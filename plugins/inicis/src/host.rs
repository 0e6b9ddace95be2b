//! Invariant: a secret goes to the host by name; an answer that did not come is told apart by what left this machine.

use inicis_wire::recipe::{Part as Piece, Recipe, base64, hex, secret};

use crate::bindings::payhost::plugin::crypto::{self, CryptoError, Part};
use crate::bindings::payhost::plugin::http::{
    self, Effect, Encoding, Header, HttpError, Piece as BodyPiece, Request, Response,
};
use crate::bindings::payhost::plugin::types::PluginError;
use crate::words;

/// The recipe's digest as lower-case hex.
pub fn digest(recipe: Recipe) -> Result<String, PluginError> {
    raw(recipe).map(|bytes| hex(&bytes))
}

/// The recipe's digest as base64, for `P_CHKFAKE` (`inicis.md §2.2`).
pub fn digest_base64(recipe: Recipe) -> Result<String, PluginError> {
    raw(recipe).map(|bytes| base64(&bytes))
}

/// A one-time value, encrypted alone with the INIAPI key and IV, as base64 (`inicis.md §5.4`).
pub fn encrypted(one_time: &str) -> Result<String, PluginError> {
    let parts = [Part::Secret(one_time.to_owned())];
    crypto::encrypt("aes-128-cbc-pkcs7", secret::INIAPI_KEY, &parts)
        .map(|bytes| base64(&bytes))
        .map_err(crypto_error)
}

fn raw(recipe: Recipe) -> Result<Vec<u8>, PluginError> {
    let parts: Vec<Part> = recipe
        .parts
        .into_iter()
        .map(|part| match part {
            Piece::Text(text) => Part::Text(text),
            Piece::Secret(name) => Part::Secret(name.to_owned()),
        })
        .collect();
    crypto::digest(recipe.algorithm.name(), &parts).map_err(crypto_error)
}

/// What a refused use of a secret means.
pub fn crypto_error(error: CryptoError) -> PluginError {
    let why = match error {
        CryptoError::MissingSecret(name) => format!("{name}: this secret is not set"),
        CryptoError::NotDeclared(what) => format!("the plugin may not use a secret like this: {what}"),
        CryptoError::Unsupported(name) => format!("this host does not know the algorithm {name}"),
        CryptoError::Invalid(what) => format!("a value cannot be encrypted: {what}"),
    };
    PluginError::Misconfigured(why)
}

/// An answer: status and body.
pub type Answer = (u16, Vec<u8>);

/// Posts text.
///
/// `refused` means that nothing was sent and a grant is missing: `misconfigured`. `not-sent` means that no connection came
/// about, so nothing left this machine: `gateway` with the class `gateway_down`, because trying again is safe. Everything
/// later is `unknown`.
pub fn post(url: &str, content_type: &str, body: String, effect: Effect) -> Result<Answer, PluginError> {
    match exchange(url, content_type, body, effect) {
        Ok(response) => Ok((response.status, response.body)),
        Err(HttpError::Refused(why)) => Err(PluginError::Misconfigured(why)),
        Err(HttpError::NotSent(why)) => Err(PluginError::Gateway(words::not_reached(why))),
        Err(HttpError::Unknown(why)) => Err(PluginError::Unknown(why)),
    }
}

/// Posts text; the host's own words for what became of it.
pub fn exchange(url: &str, content_type: &str, body: String, effect: Effect) -> Result<Response, HttpError> {
    http::send(&Request {
        verb: "POST".to_owned(),
        url: url.to_owned(),
        headers: vec![Header {
            name: "content-type".to_owned(),
            value: vec![plain(content_type.to_owned())],
        }],
        body: vec![plain(body)],
        effect,
    })
}

fn plain(text: String) -> BodyPiece {
    BodyPiece { part: Part::Text(text), encoding: Encoding::Plain }
}
