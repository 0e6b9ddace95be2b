//! Invariant: a call works with settings that are present and of the right form, or it ends as `misconfigured` before it
//! sends anything.

use inicis_wire::iniapi::is_ipv4;
use inicis_wire::pc::ScriptHost;

use crate::bindings::payhost::plugin::types::{Context, PluginError};

/// Keys of the plain settings; those of secrets are `inicis_wire::recipe::secret`.
pub mod key {
    /// MID.
    pub const MID: &str = "mid";
    /// `order_ref` or `gateway_ref`.
    pub const LOOKUP_BY: &str = "lookup_by";
    /// IPv4 address that INIAPI is told.
    pub const CLIENT_IP: &str = "client_ip";
    /// `stdpay` or `stgstdpay`.
    pub const PC_SCRIPT_HOST: &str = "pc_script_host";
}

/// The text of a setting; empty when there is none.
pub fn setting<'a>(context: &'a Context, key: &str) -> &'a str {
    context.settings.iter().find(|s| s.key == key).map_or("", |s| s.value.as_str())
}

/// Whether the text has the form of a MID: ten letters or digits (`inicis.md §1.2`).
pub fn is_mid(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The merchant.
pub fn mid(context: &Context) -> Result<&str, PluginError> {
    let mid = setting(context, key::MID);
    if is_mid(mid) {
        return Ok(mid);
    }
    Err(PluginError::Misconfigured("mid: the merchant id must be 10 letters or digits".into()))
}

/// The address that INIAPI is told.
pub fn client_ip(context: &Context) -> Result<&str, PluginError> {
    let address = setting(context, key::CLIENT_IP);
    if is_ipv4(address) {
        return Ok(address);
    }
    Err(PluginError::Misconfigured("client_ip: INIAPI demands an IPv4 address".into()))
}

/// The host of the window.
pub fn script_host(context: &Context) -> Result<ScriptHost, PluginError> {
    ScriptHost::of_setting(setting(context, key::PC_SCRIPT_HOST))
        .ok_or_else(|| PluginError::Misconfigured("pc_script_host: must be stdpay or stgstdpay".into()))
}

/// Whether the merchant may ask by order number.
pub fn asks_by_order(context: &Context) -> bool {
    setting(context, key::LOOKUP_BY) == "order_ref"
}
