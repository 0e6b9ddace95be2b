//! Behaviours that use `http` and `crypto`, rightly and wrongly.

use crate::bindings::payhost::plugin::types::Context;
use crate::bindings::payhost::plugin::{crypto, http};
use crate::setting;

/// Does it; `None`: this is not one of these.
pub fn run(behaviour: &str, context: &Context) -> Option<String> {
    let text = || crypto::Part::Text(setting(context, "text").to_owned());
    let secret = || crypto::Part::Secret(setting(context, "secret").to_owned());
    let name = setting(context, "secret");
    Some(match behaviour {
        "fetch" => fetch(context),
        "fetch, then panic" => {
            let answer = fetch(context);
            panic!("after {answer}")
        }
        "digest" => shown(crypto::digest("sha-256", &[secret(), text()])),
        "digest sha-512" => shown(crypto::digest("sha-512", &[text()])),
        "digest md5" => shown(crypto::digest("md5", &[text()])),
        "hmac" => shown(crypto::hmac("hmac-sha-256", name, &[text()])),
        "encrypt" => shown(crypto::encrypt("aes-128-cbc-pkcs7", name, &[text()])),
        "encrypt a secret" => shown(crypto::encrypt("aes-128-cbc-pkcs7", "seal_key", &[secret()])),
        "encrypt beside a secret" => {
            shown(crypto::encrypt("aes-128-cbc-pkcs7", "seal_key", &[text(), secret()]))
        }
        "guess a secret" => guess(secret(), text()),
        "hash a secret" => shown(crypto::hmac("hmac-sha-256", "sign_key", &[secret()])),
        "decrypt" => shown(crypto::decrypt("aes-128-cbc-pkcs7", name, &unhex(setting(context, "text")))),
        "all crypto" => every_use(name),
        "seal, then open" => {
            let sealed = crypto::encrypt("aes-128-cbc-pkcs7", "seal_key", &[secret()]).unwrap();
            shown(crypto::decrypt("aes-128-cbc-pkcs7", name, &sealed))
        }
        _ => return None,
    })
}

/// A secret and a guess at it, in both orders: whether the ciphertexts are there to be compared.
fn guess(secret: crypto::Part, guess: crypto::Part) -> String {
    let sealed = |part| crypto::encrypt("aes-128-cbc-pkcs7", "seal_key", &[part]);
    let said = [sealed(secret.clone()), sealed(guess), sealed(secret)];
    said.map(|answer| answer.map_or_else(|error| format!("{error:?}"), |_| "sealed".to_owned())).join("; ")
}

/// Whatever `crypto` answers to a name, with every function and with algorithms that would cut the answer.
fn every_use(name: &str) -> String {
    let secret = || crypto::Part::Secret(name.to_owned());
    let mut said = Vec::new();
    for algorithm in ["identity", "none", "", "sha-256/8", "sha-256:0..4", "crc32", "xor", "base64"] {
        said.push(shown(crypto::digest(algorithm, &[secret()])));
        said.push(shown(crypto::hmac(algorithm, name, &[])));
        said.push(shown(crypto::encrypt(algorithm, "seal_key", &[secret()])));
        said.push(shown(crypto::decrypt(algorithm, name, &[])));
    }
    said.join("\n")
}

/// Hex, or the error's case and text.
fn shown(result: Result<Vec<u8>, crypto::CryptoError>) -> String {
    match result {
        Ok(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Err(error) => format!("{error:?}"),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Sends what the settings say, `times` times (once by default); tells every answer on a line.
pub fn fetch(context: &Context) -> String {
    let times = setting(context, "times").parse().unwrap_or(1);
    (0..times).map(|_| one(context)).collect::<Vec<_>>().join("\n")
}

fn one(context: &Context) -> String {
    let or = |key, default: &'static str| match setting(context, key) {
        "" => default.to_owned(),
        value => value.to_owned(),
    };
    let encoding = match setting(context, "encoding") {
        "base64" => http::Encoding::Base64,
        "form" => http::Encoding::Form,
        _ => http::Encoding::Plain,
    };
    let plain =
        |text: &str| http::Piece { part: crypto::Part::Text(text.into()), encoding: http::Encoding::Plain };
    let secret = || http::Piece { part: crypto::Part::Secret(setting(context, "secret").into()), encoding };
    let mut headers = Vec::new();
    for line in setting(context, "header").split('|').filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once('=').unwrap();
        headers.push(http::Header { name: name.into(), value: vec![plain(value)] });
    }
    let mut body = Vec::new();
    if !setting(context, "body").is_empty() {
        body.push(plain(setting(context, "body")));
    }
    match setting(context, "place") {
        "header" => headers
            .push(http::Header { name: "authorization".into(), value: vec![plain("Bearer "), secret()] }),
        "body" => body.push(secret()),
        _ => {}
    }
    let effect = if setting(context, "effect") == "read" { http::Effect::Read } else { http::Effect::Write };
    let request = http::Request {
        verb: or("verb", "POST"),
        url: setting(context, "url").into(),
        headers,
        body,
        effect,
    };
    match http::send(&request) {
        Ok(response) => format!("{} {}", response.status, String::from_utf8_lossy(&response.body)),
        Err(http::HttpError::Refused(text)) => format!("refused: {text}"),
        Err(http::HttpError::NotSent(text)) => format!("not sent: {text}"),
        Err(http::HttpError::Unknown(text)) => format!("unknown: {text}"),
    }
}
