//! Payment in INICIS's window on a PC (INIStdPay, `inicis.md §1`).
//!
//! Invariant: what is hashed is what is sent. Each step is one file: [`request`] opens the window, [`reply`] reads what comes
//! back through the browser, [`approval`] takes the money and takes it back, [`details`] says what was paid with; [`options`] maps
//! what a shop may choose.

pub mod approval;
pub mod details;
pub mod options;
pub mod reply;
pub mod request;

/// The host that serves INICIS's script and window (`inicis.md §0.3, §1.1`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptHost {
    /// `stdpay.inicis.com`.
    Production,
    /// `stgstdpay.inicis.com`.
    Staging,
}

impl ScriptHost {
    /// Reads the channel's setting: `stdpay` or `stgstdpay`.
    pub fn of_setting(value: &str) -> Option<Self> {
        match value {
            "stdpay" => Some(Self::Production),
            "stgstdpay" => Some(Self::Staging),
            _ => None,
        }
    }

    /// The script of the shop's page. Its tag must say `charset="UTF-8"` (`inicis.md §1.1`).
    pub const fn script(self) -> &'static str {
        match self {
            Self::Production => "https://stdpay.inicis.com/stdjs/INIStdPay.js",
            Self::Staging => "https://stgstdpay.inicis.com/stdjs/INIStdPay.js",
        }
    }

    /// The script of the close page (`inicis.md §1.1`).
    pub const fn close_script(self) -> &'static str {
        match self {
            Self::Production => "https://stdpay.inicis.com/stdjs/INIStdPay_close.js",
            Self::Staging => "https://stgstdpay.inicis.com/stdjs/INIStdPay_close.js",
        }
    }
}
