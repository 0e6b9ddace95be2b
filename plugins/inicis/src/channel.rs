//! Invariant: a call works with settings that are present and of the right form, or it ends as `misconfigured` before it
//! sends anything.

use inicis_wire::form::Charset;
use inicis_wire::iniapi::is_ipv4;
use inicis_wire::merchants::TEST_MIDS;
use inicis_wire::options::{Deadline, PhoneGoods};
use inicis_wire::pc::ScriptHost;
use inicis_wire::{clock, methods};

use crate::bindings::payhost::plugin::types::{Context, Mode, PluginError};

/// Keys of the plain settings; those of secrets are `inicis_wire::recipe::secret`.
pub mod key {
    /// MID.
    pub const MID: &str = "mid";
    /// `order_ref` or `gateway_ref`.
    pub const LOOKUP_BY: &str = "lookup_by";
    /// Seconds.
    pub const SETTLES_WITHIN: &str = "settles_within";
    /// Seconds.
    pub const UNDO_WITHIN: &str = "undo_within";
    /// IPv4 address that INIAPI is told.
    pub const CLIENT_IP: &str = "client_ip";
    /// `stdpay` or `stgstdpay`.
    pub const PC_SCRIPT_HOST: &str = "pc_script_host";
    /// `digital` or `physical`.
    pub const PHONE_GOODS: &str = "phone_goods";
    /// `card`, `transfer`, `virtual_account` or `phone`.
    pub const MOBILE_METHOD: &str = "mobile_method";
    /// `utf8` or `euc-kr`.
    pub const MOBILE_CHARSET: &str = "mobile_charset";
    /// `shop://`.
    pub const APP_SCHEME: &str = "app_scheme";
    /// Text of `P_APP_BASE`.
    pub const APP_BASE: &str = "app_base";
    /// Days until a deposit is due.
    pub const DEPOSIT_DAYS: &str = "deposit_days";
    /// `v2` or `v1`.
    pub const INIAPI_VERSION: &str = "iniapi_version";
}

/// Most days of the setting. INICIS's own limit is not known.
pub const DEPOSIT_DAYS_MAX: i64 = 90;

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

/// The merchant of a new sale: in live mode none of INICIS's public test merchants, whose sales are given back every night
/// (channel guide of seed 004). What such a merchant sold can still be asked about and cancelled.
pub fn selling_mid(context: &Context) -> Result<&str, PluginError> {
    let mid = mid(context)?;
    match context.mode {
        Mode::Live if TEST_MIDS.contains(&mid) => Err(PluginError::Misconfigured(format!(
            "mid: {mid} is a public test merchant of INICIS, whose sales are given back; a live channel needs the shop's own"
        ))),
        Mode::Live | Mode::Test => Ok(mid),
    }
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

/// What is sold by phone, unless a payment says otherwise. A channel of an older version has no such setting: goods, as the
/// guide's `digital` is off by default (`portone.md §3.1`).
pub fn phone_goods(context: &Context) -> Result<PhoneGoods, PluginError> {
    match setting(context, key::PHONE_GOODS) {
        "" => Ok(PhoneGoods::Physical),
        text => PhoneGoods::of(text)
            .ok_or_else(|| PluginError::Misconfigured("phone_goods: must be digital or physical".into())),
    }
}

/// `P_INI_PAYMENT` of a mobile payment without a method.
pub fn mobile_method(context: &Context) -> Result<&'static str, PluginError> {
    let kind = match setting(context, key::MOBILE_METHOD) {
        "" => "card",
        kind => kind,
    };
    methods::requested(kind, None)
        .and_then(|row| row.mobile)
        .map(|(payment, _)| payment)
        .ok_or_else(|| PluginError::Misconfigured("mobile_method: not a method of the mobile window".into()))
}

/// Until when a deposit is taken unless a payment says otherwise: 23:59 in Korea, so many days from today. Absent: INICIS
/// decides.
pub fn deposit_deadline(context: &Context) -> Result<Option<Deadline>, PluginError> {
    let text = setting(context, key::DEPOSIT_DAYS);
    if text.is_empty() {
        return Ok(None);
    }
    let days = text.parse().ok().filter(|days| (1..=DEPOSIT_DAYS_MAX).contains(days));
    let day = days.and_then(|days| clock::kst14(context.now_ms + days * 86_400_000));
    let date = day.as_deref().and_then(|day| day.get(..8)).ok_or_else(|| {
        PluginError::Misconfigured(format!("deposit_days: must be from 1 to {DEPOSIT_DAYS_MAX}"))
    })?;
    Ok(Some(Deadline { date: date.to_owned(), time: "2359".to_owned() }))
}

/// Charset of the mobile window's results; its form is always EUC-KR.
pub fn mobile_charset(context: &Context) -> Result<Charset, PluginError> {
    match setting(context, key::MOBILE_CHARSET) {
        "" | "utf8" => Ok(Charset::Utf8),
        "euc-kr" => Ok(Charset::EucKr),
        _ => Err(PluginError::Misconfigured("mobile_charset: must be utf8 or euc-kr".into())),
    }
}

/// Whether refunds go through the older INIAPI.
pub fn iniapi_v1(context: &Context) -> bool {
    setting(context, key::INIAPI_VERSION) == "v1"
}
