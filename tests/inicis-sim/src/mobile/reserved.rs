//! Invariant: P_RESERVED is a list of `name=value` joined by `&`; every name is one of `reference/inicis.md` §2.3, and
//! `d_NAME=Y` of a wallet.

use crate::refusal::Refusal;
use crate::settings::Settings;

/// Which values an option may have.
#[derive(Clone, Copy)]
enum Value {
    Yes,
    No,
    Any,
}

const OPTIONS: &[(&str, Value)] = &[
    ("centerCd", Value::Yes),
    ("amt_hash", Value::Yes),
    ("below1000", Value::Yes),
    ("vbank_receipt", Value::Yes),
    ("bank_receipt", Value::No),
    ("useescrow", Value::Yes),
    ("noeasypay", Value::Yes),
    ("cp_yn", Value::Yes),
    ("dcp_yn", Value::Yes),
    ("twotrs_isp", Value::Yes),
    ("block_isp", Value::Yes),
    ("twotrs_isp_noti", Value::No),
    ("twotrs_bank", Value::Yes),
    ("ismart_use_sign", Value::Yes),
    ("apprun_check", Value::Yes),
    ("app_scheme", Value::Any),
    ("iosapp", Value::Yes),
    ("global_visa3d", Value::Yes),
    ("cardshowopt", Value::Any),
    ("disable_kpay", Value::Yes),
    ("merc_noint", Value::Yes),
    ("noint_quota", Value::Any),
    ("d_card", Value::Any),
    ("d_quota", Value::Any),
];

/// Options of earlier years, which gnuboard5 sends beside `d_kpay`. What they did is not documented, so they do nothing.
const OLDER: &[&str] = &["d_kpay_app"];

/// The options of a request.
#[derive(Clone, Debug, Default)]
pub struct Reserved(Vec<(String, String)>);

impl Reserved {
    /// Reads P_RESERVED; also gives the refusals of options that only older clients send.
    ///
    /// # Errors
    /// Not `name=value`, an unknown name, a name that comes twice, or a value that is not allowed.
    pub fn parse(settings: &Settings, text: &str) -> Result<(Self, Vec<Refusal>), Refusal> {
        let refuse = |what: String| Refusal::new("SIM:RESERV", format!("P_RESERVED: {what}"));
        let (mut options, mut older): (Vec<(String, String)>, Vec<Refusal>) = Default::default();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) =
                part.split_once('=').ok_or_else(|| refuse(format!("{part} 에 값이 없습니다")))?;
            if OLDER.contains(&name) {
                older.push(refuse(format!("알 수 없는 옵션 {name}")));
                continue;
            }
            let wallet = name.strip_prefix("d_").and_then(|n| crate::offer::wallet_on_phone(settings, n));
            let known = OPTIONS.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
            let fits = match known.or_else(|| wallet.map(|_| Value::Yes)) {
                None => return Err(refuse(format!("알 수 없는 옵션 {name}"))),
                // N is the opposite of what the option is for and harmless.
                Some(Value::Yes | Value::No) => matches!(value, "Y" | "N"),
                Some(Value::Any) => !value.is_empty(),
            };
            if !fits {
                return Err(refuse(format!("{name} 의 값이 잘못되었습니다")));
            }
            if options.iter().any(|(n, _)| n == name) {
                return Err(refuse(format!("{name} 이 두 번 왔습니다")));
            }
            options.push((name.to_owned(), value.to_owned()));
        }
        Ok((Self(options), older))
    }

    /// The value of an option, or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// Whether an option is `Y`.
    #[must_use]
    pub fn yes(&self, name: &str) -> bool {
        self.get(name) == "Y"
    }

    /// Names of the wallets that are called directly.
    #[must_use]
    pub fn wallets(&self) -> Vec<&str> {
        let names = self.0.iter().filter(|(_, value)| value == "Y");
        names
            .filter_map(|(name, _)| name.strip_prefix("d_"))
            .filter(|name| !matches!(*name, "card" | "quota"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_the_known_ones_with_known_values() {
        let settings = Settings::default();
        let options = Reserved::parse(&settings, "centerCd=Y&app_scheme=shop://&d_kakaopay=Y").unwrap().0;
        assert!(options.yes("centerCd") && !options.yes("below1000"));
        assert_eq!((options.get("app_scheme"), options.wallets()), ("shop://", vec!["kakaopay"]));
        for bad in ["centercd=Y", "centerCd", "centerCd=1", "d_nobody=Y", "amt_hash=Y&amt_hash=Y"] {
            assert_eq!(Reserved::parse(&settings, bad).unwrap_err().code, "SIM:RESERV", "{bad}");
        }
    }
}
