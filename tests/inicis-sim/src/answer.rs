//! Invariant: an answer is fields until the last moment, so that a fault changes values and not bytes, and the charset
//! that the merchant chose is applied once.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::form::Charset;
use crate::hash;

/// How the fields are written (§1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One flat object of strings on PC; INIAPI always.
    Json,
    /// Element names of a fork (§1.8); the root element's name is an assumption.
    Xml,
    /// `name=value` joined by `&`, names of a fork (§1.8).
    Nvp,
    /// `name=value` joined by `&` with the names as they are, values not encoded: the answers of the phone (§2.5).
    Text,
    /// The same with values percent-encoded.
    EncodedText,
}

impl Format {
    /// Reads the field `format`; omitted it is XML (§1.7).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "XML" => Some(Self::Xml),
            "JSON" => Some(Self::Json),
            "NVP" => Some(Self::Nvp),
            _ => None,
        }
    }
}

/// What an operation answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Fields in order, by their JSON names.
    pub fields: Map<String, Value>,
    /// How they are written.
    pub format: Format,
    /// Charset of the body.
    pub charset: Charset,
    /// The merchant's timestamp, when the answer carries an authSignature.
    pub tstamp: Option<String>,
}

/// Values of a phone's answer that stand there as they came, whatever the others are: captured answers have a name with `&&`
/// and an address with its query among the fields.
const AS_THEY_CAME: &[&str] = &["P_UNAME", "P_NOTI", "P_NEXT_URL"];

/// The one value of a phone's answer that is percent-encoded among values that are not (captured: `dXNlcG9pbnQ9MCY%3D`).
const ALWAYS_ENCODED: &[&str] = &["P_MERCHANT_RESERVED"];

impl Answer {
    /// A JSON answer in UTF-8.
    #[must_use]
    pub fn json(fields: Map<String, Value>) -> Self {
        Self { fields, format: Format::Json, charset: Charset::Utf8, tstamp: None }
    }

    /// The text of a field; absent or null is empty.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Signs the answer as §1.9 says, if it is one that is signed.
    pub fn sign(&mut self) {
        let Some(tstamp) = &self.tstamp else { return };
        let (moid, mid, price) = (self.text("MOID"), self.text("mid"), self.text("TotPrice"));
        let signature = hash::auth_signature(moid, mid, price, tstamp);
        self.fields.insert("authSignature".to_owned(), Value::String(signature));
    }

    /// Content type and body.
    #[must_use]
    pub fn render(&self) -> (String, Vec<u8>) {
        let (kind, text) = match self.format {
            Format::EncodedText => return ("text/plain".to_owned(), self.encoded()),
            Format::Text => ("text/plain", self.text_pairs()),
            Format::Json => ("application/json", Value::Object(self.fields.clone()).to_string()),
            Format::Xml => ("text/xml", self.xml()),
            Format::Nvp => ("text/plain", self.nvp()),
        };
        (format!("{kind};charset={}", self.charset.name()), self.charset.encode(&text))
    }

    fn text_pairs(&self) -> String {
        let pair = |(name, value): (&String, &Value)| {
            let value = value.as_str().unwrap_or_default();
            if ALWAYS_ENCODED.contains(&name.as_str()) {
                let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
                return format!("{name}={encoded}");
            }
            format!("{name}={value}")
        };
        self.fields.iter().map(pair).collect::<Vec<_>>().join("&")
    }

    /// With values percent-encoded in the charset, but for those that never are.
    fn encoded(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in &self.fields {
            let bytes = self.charset.encode(value.as_str().unwrap_or_default());
            if !body.is_empty() {
                body.push(b'&');
            }
            body.extend_from_slice(name.as_bytes());
            body.push(b'=');
            if AS_THEY_CAME.contains(&name.as_str()) {
                body.extend(bytes);
            } else {
                body.extend(form_urlencoded::byte_serialize(&bytes).flat_map(str::bytes));
            }
        }
        body
    }

    fn forked(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (fork_name(name), value.as_str().unwrap_or_default()))
    }

    fn xml(&self) -> String {
        let mut text = format!("<?xml version=\"1.0\" encoding=\"{}\"?>\n<response>", self.charset.name());
        for (name, value) in self.forked() {
            let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let _ = write!(text, "<{name}>{value}</{name}>");
        }
        text.push_str("</response>");
        text
    }

    fn nvp(&self) -> String {
        let pairs: Vec<String> = self.forked().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }
}

/// Names of the XML and NVP forms in the documented examples of a fork (§1.8), not confirmed for INICIS.
fn fork_name(name: &str) -> &str {
    match name {
        "TotPrice" => "applPrice",
        "MOID" => "oid",
        "CARD_Code" => "cardCode",
        "CARD_Num" => "cardNum",
        "CARD_Quota" => "cardQuota",
        "CARD_BankCode" => "cardBankCode",
        "CARD_Interest" => "cardNoInterest",
        "CARD_ApplPrice" => "price",
        "CARD_PRTC_CODE" => "prtcCode",
        "VACT_Num" => "vactNum",
        "VACT_BankCode" => "vactBankCode",
        "VACT_Name" => "vactName",
        "VACT_Date" => "vactDate",
        "VACT_Time" => "vactTime",
        other => other,
    }
}

/// An object of strings from pairs.
#[must_use]
pub fn object<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
}
