//! What every component says of itself.
//!
//! Mirrors wit/plugin.wit to the letter; the trial instance at load proves it.

use crate::contract::types::{Context, Method, Named, Text};
use crate::contract::{Function, Network};
use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift, Lower};

/// Name of the interface.
pub const INTERFACE: &str = interface!("plugin");

/// What a shop may do with a secret, and with which partner secret.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum SecretUse {
    /// As a piece of a digest.
    #[component(name = "digest")]
    Digest,
    /// As the key of a keyed hash.
    #[component(name = "hmac-key")]
    HmacKey,
    /// As an encryption key; the value names the secret that is its IV.
    #[component(name = "aes-encrypt")]
    AesEncrypt(String),
    /// As a decryption key; the value names the secret that is its IV.
    #[component(name = "aes-decrypt")]
    AesDecrypt(String),
    /// As the IV of a declared key; it has no other use. A plugin that decrypts can compute the IV of its key, so an IV is not
    /// secret from it.
    #[component(name = "iv")]
    Iv,
    /// In a header, to these origins.
    #[component(name = "header")]
    Header(Vec<String>),
    /// In a body, to these origins.
    #[component(name = "body")]
    Body(Vec<String>),
}

/// What a setting holds.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum SettingType {
    /// One line of text.
    #[component(name = "text")]
    Text,
    /// `true` or `false`.
    #[component(name = "switch")]
    Switch,
    /// A whole number between two bounds.
    #[component(name = "integer")]
    Integer((i64, i64)),
    /// One of these.
    #[component(name = "choice")]
    Choice(Vec<Choice>),
    /// A JSON list of some of these.
    #[component(name = "choices")]
    Choices(Vec<Choice>),
    /// A secret: kept encrypted, used by name, never shown again.
    #[component(name = "secret")]
    Secret(Vec<SecretUse>),
    /// Shown to be copied elsewhere; the host fills it. Registry `read-only`: `notify_url`.
    #[component(name = "read-only")]
    ReadOnly(String),
}

/// One choice of a setting.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// What is stored.
    pub value: String,
    /// What is shown.
    pub label: Text,
}

/// A setting that counts only while another one has a value.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct ShownWhen {
    /// Its key.
    pub key: String,
    /// Any of these.
    pub values: Vec<String>,
}

/// One field of the channel form.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct SettingField {
    /// Lower-case ASCII with underscores.
    pub key: String,
    /// What it holds.
    pub kind: SettingType,
    /// A regular expression that the whole value must match; anchors are implied.
    pub pattern: Option<String>,
    /// Label.
    pub title: Text,
    /// What it is for and where it is found.
    pub help: Text,
    /// When nothing was chosen.
    pub default: Option<String>,
    /// Purposes (`pay`, `billing`, `key_in`, `escrow`) that cannot do without.
    #[component(name = "required-for")]
    pub required_for: Vec<String>,
    /// Absent: always shown.
    #[component(name = "shown-when")]
    pub shown_when: Option<ShownWhen>,
    /// Key that an older version used.
    #[component(name = "renamed-from")]
    pub renamed_from: Option<String>,
}

/// A ready-made channel, such as a gateway's public test merchant.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Lower-case ASCII with underscores.
    pub id: String,
    /// Label.
    pub title: Text,
    /// What a person must know before using it.
    pub notes: Vec<Text>,
    /// Purposes that it serves.
    pub purposes: Vec<String>,
    /// Settings and public test secrets.
    pub settings: Vec<Named>,
}

/// What the gateway can do with one method.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct MethodSupport {
    /// Which method.
    pub method: Method,
    /// What the buyer reads.
    pub title: Text,
    /// Whether parts can be cancelled.
    #[component(name = "partial-cancel")]
    pub partial_cancel: bool,
    /// Whether a cancel needs the buyer's bank account.
    #[component(name = "cancel-needs-account")]
    pub cancel_needs_account: bool,
    /// Days after the sale while a cancel is taken; absent: not known.
    #[component(name = "cancel-within-days")]
    pub cancel_within_days: Option<u32>,
    /// Whether the gateway offers escrow with it.
    pub escrow: bool,
    /// Whether the gateway issues cash receipts with it.
    #[component(name = "cash-receipt")]
    pub cash_receipt: bool,
    /// Whether tax-free and VAT parts can be given.
    #[component(name = "tax-split")]
    pub tax_split: bool,
    /// Most months; 0: none.
    #[component(name = "instalments-max")]
    pub instalments_max: u32,
    /// Least total of an instalment payment, minor units.
    #[component(name = "instalments-from")]
    pub instalments_from: Option<i64>,
    /// ISO 4217.
    pub currencies: Vec<String>,
    /// Least amount, minor units; absent: not known.
    #[component(name = "amount-min")]
    pub amount_min: Option<i64>,
    /// Most, minor units; absent: not known.
    #[component(name = "amount-max")]
    pub amount_max: Option<i64>,
}

/// How the gateway can be asked about a payment whose end is not known.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum Lookup {
    /// By our order number, always.
    #[component(name = "order-ref")]
    OrderRef,
    /// Only by its own number.
    #[component(name = "gateway-ref")]
    GatewayRef,
    /// Not at all.
    #[component(name = "none")]
    None,
    /// As the channel's setting of this key says; its value is `order_ref`, `gateway_ref` or `none`.
    #[component(name = "by-setting")]
    BySetting(String),
}

/// A length of time that may differ between merchants.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(variant)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// So many milliseconds, always.
    #[component(name = "fixed")]
    Fixed(i64),
    /// As the channel's setting of this key says: an `integer` of seconds. Not known while it is empty.
    #[component(name = "by-setting")]
    BySetting(String),
}

/// A host that the plugin wants to reach.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct WantedHost {
    /// `https://host` with an optional port.
    pub origin: String,
    /// What for, so that an operator can decide.
    pub reason: Text,
    /// Paths that never move money. All others do.
    #[component(name = "read-paths")]
    pub read_paths: Vec<String>,
}

/// An origin that the gateway's window needs in the buyer's browser. The operator grants it, for these uses, like a host.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct BrowserOrigin {
    /// `https://host` with an optional port: a whole host name, no wildcard, no path.
    pub origin: String,
    /// Registry `browser-use`: `script`, `frame`, `style`, `img`, `connect`, `ancestor`, `form`, `redirect`.
    pub uses: Vec<String>,
}

/// Secrets that an interface cannot work without.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct NeededSecrets {
    /// Interface name, as `general-pay`.
    pub name: String,
    /// Keys of settings.
    pub secrets: Vec<String>,
}

/// Everything about the plugin that does not depend on a channel.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    /// Lower-case ASCII with `-`; the same in every version.
    pub id: String,
    /// What shops see.
    pub name: Text,
    /// Semantic version.
    pub version: String,
    /// Who answers for it.
    pub author: String,
    /// One sentence.
    pub summary: Text,
    /// The channel form, in order.
    pub settings: Vec<SettingField>,
    /// Ready-made channels.
    pub presets: Vec<Preset>,
    /// Methods with what each can do.
    pub supports: Vec<MethodSupport>,
    /// How to ask about a payment.
    pub lookup: Lookup,
    /// After this long a sale that the gateway does not know was never made. Absent: not known.
    #[component(name = "settles-within")]
    pub settles_within: Option<Span>,
    /// How long an approval can be undone. Absent: not known.
    #[component(name = "undo-within")]
    pub undo_within: Option<Span>,
    /// Hosts.
    pub hosts: Vec<WantedHost>,
    /// Where the buyer's browser goes because of this plugin, and what the window page may load.
    #[component(name = "browser-origins")]
    pub browser_origins: Vec<BrowserOrigin>,
    /// Addresses or networks that notices come from.
    #[component(name = "notice-sources")]
    pub notice_sources: Vec<String>,
    /// Secrets per interface.
    pub needs: Vec<NeededSecrets>,
    /// Subscription only; absent elsewhere.
    #[component(name = "charge-rules")]
    pub charge_rules: Option<ChargeRules>,
}

/// What a gateway demands of repeated charges.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct ChargeRules {
    /// Whether every charge must have the first one's amount.
    #[component(name = "fixed-amount")]
    pub fixed_amount: bool,
    /// Days before and after the monthly date; absent: any day.
    #[component(name = "day-window")]
    pub day_window: Option<u32>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(enum)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Severity {
    /// Nothing to do.
    #[component(name = "ok")]
    Ok,
    /// Could be better.
    #[component(name = "hint")]
    Hint,
    /// Will hurt some day.
    #[component(name = "warning")]
    Warning,
    /// Does not work.
    #[component(name = "error")]
    Error,
}

/// What the doctor found.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower, Serialize, Deserialize)]
#[component(record)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// The setting at fault.
    pub setting: Option<String>,
    /// What is so.
    pub text: Text,
    /// What to do about it.
    pub remedy: Option<Text>,
}

/// Who am I. Runs without any grant: no import but `log` works.
pub const DESCRIBE: Function<(), Descriptor> = Function::new(INTERFACE, "describe", &[], Network::Refused);

/// Looks at a channel's settings and asks the gateway harmless questions (reads only).
pub const CHECK: Function<(Context,), Vec<Finding>> = Function::new(INTERFACE, "check", &[], Network::Reads);
