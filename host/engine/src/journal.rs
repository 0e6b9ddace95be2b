//! A record holds all that a call saw and said, and never a secret's value: pieces keep the secret's name.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract::Lazy;
use crate::contract::imports::{Effect, HttpError, Piece, Response};
use crate::contract::types::Context;
use crate::fault::Fault;
use crate::scrubber::Scrubber;

/// One run of a plugin function, as it is kept and can be run again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The call's id.
    pub call_id: String,
    /// SHA-256 of the component, lower-case hex.
    pub plugin_digest: String,
    /// Full name of the interface.
    pub interface: String,
    /// Name of the function.
    pub function: String,
    /// The call's moment, milliseconds.
    pub now_ms: i64,
    /// The call's seed, lower-case hex.
    pub seed: String,
    /// What the plugin was told of the channel; absent for `describe`.
    pub context: Option<Arc<Context>>,
    /// Arguments by parameter name, without `context`.
    pub args: Lazy,
    /// What the plugin asked of the host, in order. `crypto` is pure and is computed again; `log` changes nothing.
    pub imports: Vec<ImportRecord>,
    /// Secrets that were used.
    pub secrets_used: Vec<SecretUsed>,
    /// How it ended.
    pub ended: Ended,
    /// Whether running it again must reach the same end: no one-time secret was used, nothing was blotted out, and no
    /// limit stopped it.
    pub replayable: bool,
    /// Bytes that it would have had, where it was too large to be stored whole ([`CallRecord::pack`]): arguments, bodies and
    /// the answer are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capped: Option<usize>,
}

/// A secret that a call used: its name and version, not its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretUsed {
    /// Key of the setting, or the name of the one-time secret.
    pub name: String,
    /// Version of the channel's secret; absent for a one-time secret.
    pub version: Option<u32>,
    /// Of a one-time secret, its keyed hash in place of its value, where the call was given a key
    /// ([`crate::Secrets::with_hash_key`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyed_hash: Option<String>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// With this result, in the one JSON form.
    Answered(Lazy),
    /// With a fault.
    Fault(FaultRecord),
}

/// A fault in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRecord {
    /// Stable name, as `cpu_limit`.
    pub name: String,
    /// The sentence.
    pub text: String,
}

impl From<&Fault> for FaultRecord {
    fn from(fault: &Fault) -> Self {
        Self { name: fault.name().to_owned(), text: fault.to_string() }
    }
}

/// Something that a plugin asked of the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportRecord {
    /// A request.
    Http {
        /// What was asked for.
        request: HttpRequestRecord,
        /// What came of it; absent when the call was killed before anything came.
        answer: Option<HttpAnswerRecord>,
    },
}

/// A request as the plugin made it: secrets by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpRequestRecord {
    /// `GET` or `POST`.
    pub verb: String,
    /// As the plugin gave it.
    pub url: String,
    /// Names and pieces.
    pub headers: Vec<(String, Vec<Piece>)>,
    /// Pieces.
    pub body: Vec<Piece>,
    /// As the plugin claimed it.
    pub effect: Effect,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpAnswerRecord {
    /// An answer of the gateway.
    Ok(Response),
    /// None.
    Err(HttpError),
}

/// Blots secret values out of everything in a record; whether there were any.
pub(crate) fn scrub_record(record: &mut CallRecord, scrubber: &Scrubber) -> bool {
    if scrubber.is_empty() {
        return false;
    }
    let mut blotted = record.args.change(|args| scrub_json(args, scrubber));
    if let Ended::Answered(answer) = &mut record.ended {
        blotted |= answer.change(|answer| scrub_json(answer, scrubber));
    }
    scrub_imports(&mut record.imports, scrubber) || blotted
}

pub(crate) fn scrub_imports(imports: &mut [ImportRecord], scrubber: &Scrubber) -> bool {
    let mut blotted = false;
    for import in imports {
        let ImportRecord::Http { answer, .. } = import;
        let Some(HttpAnswerRecord::Ok(response)) = answer else { continue };
        if let Some(body) = scrubber.scrub_bytes(&response.body) {
            response.body = body;
            blotted = true;
        }
        for (_, value) in &mut response.headers {
            if let Some(scrubbed) = scrubber.scrub(value) {
                *value = scrubbed;
                blotted = true;
            }
        }
    }
    blotted
}

/// Texts in JSON; those that are base64 of bytes are looked into as well.
fn scrub_json(value: &mut Value, scrubber: &Scrubber) -> bool {
    match value {
        Value::String(text) => match scrubber.scrub_text_or_base64(text) {
            Some(scrubbed) => {
                *text = scrubbed;
                true
            }
            None => false,
        },
        // Counted, not asked with `any`: every one of them must be looked at.
        Value::Array(values) => {
            values.iter_mut().filter_map(|v| scrub_json(v, scrubber).then_some(())).count() > 0
        }
        Value::Object(map) => {
            map.values_mut().filter_map(|v| scrub_json(v, scrubber).then_some(())).count() > 0
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
