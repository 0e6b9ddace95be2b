//! What a plugin may call: `crypto`, `http` and `log`, as in wit/imports.wit.

use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift, Lower};

/// Name of the interface `crypto`.
pub const CRYPTO: &str = interface!("crypto");

/// Name of the interface `http`.
pub const HTTP: &str = interface!("http");

/// Name of the interface `log`.
pub const LOG: &str = interface!("log");

/// A piece of what is hashed, encrypted or sent. Pieces are joined without a separator.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// UTF-8.
    #[component(name = "text")]
    Text(String),
    /// Bytes as they are.
    #[component(name = "bytes")]
    Bytes(#[serde(with = "crate::contract::json::base64_bytes")] Vec<u8>),
    /// The value of the secret of this name.
    #[component(name = "secret")]
    Secret(String),
}

/// Nothing was computed.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum CryptoError {
    /// The algorithm's name is not known here.
    #[component(name = "unsupported")]
    Unsupported(String),
    /// The channel has no such secret.
    #[component(name = "missing-secret")]
    MissingSecret(String),
    /// The descriptor does not declare this use of the secret.
    #[component(name = "not-declared")]
    NotDeclared(String),
    /// The input cannot be processed: padding, length.
    #[component(name = "invalid")]
    Invalid(String),
}

/// What the request may do at the gateway. Only paths that the descriptor lists as reads may claim `read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(enum)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Effect {
    /// Nothing but an answer.
    #[component(name = "read")]
    Read,
    /// It may move money.
    #[component(name = "write")]
    Write,
}

/// How a piece is written into a header or a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(enum)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Encoding {
    /// As it is.
    #[component(name = "plain")]
    Plain,
    /// Standard base64 with padding.
    #[component(name = "base64")]
    Base64,
    /// `application/x-www-form-urlencoded`: blank is `+`.
    #[component(name = "form")]
    Form,
}

/// A piece with its writing. A secret needs the use `header` or `body` with the request's origin.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// What.
    pub part: Part,
    /// How.
    pub encoding: Encoding,
}

/// A header of a request; its pieces are joined.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Lower case. `host`, `content-length`, `transfer-encoding` and `connection` are the host's.
    pub name: String,
    /// Joined without a separator.
    pub value: Vec<Piece>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `GET` or `POST`.
    pub verb: String,
    /// `https`, a granted origin, no user info, no fragment.
    pub url: String,
    /// At most 32.
    pub headers: Vec<Header>,
    /// Joined without a separator.
    pub body: Vec<Piece>,
    /// See `effect`.
    pub effect: Effect,
}

/// The gateway's answer, whatever its status. Where a secret of the call stood in it, `[secret]` stands.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// At most 1 MiB; a larger or a compressed one is `unknown`.
    #[serde(with = "crate::contract::json::base64_bytes")]
    pub body: Vec<u8>,
}

/// There is no answer.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum HttpError {
    /// Not allowed; nothing was sent. Says what would allow it.
    #[component(name = "refused")]
    Refused(String),
    /// No connection came about (DNS, TCP, TLS); nothing was sent.
    #[component(name = "not-sent")]
    NotSent(String),
    /// The request, or a part of it, left this machine and no whole answer came.
    #[component(name = "unknown")]
    Unknown(String),
}

/// How urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(enum)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Level {
    /// For the author.
    #[component(name = "debug")]
    Debug,
    /// For the record.
    #[component(name = "info")]
    Info,
    /// Something to look at.
    #[component(name = "warn")]
    Warn,
    /// Does not work.
    #[component(name = "error")]
    Error,
}
