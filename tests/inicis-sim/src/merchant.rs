//! Invariant: every merchant that the simulator knows has a 10-character id and its keys as text, never decoded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::method;
use crate::older::Profile;

/// Merchants cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MerchantError {
    /// Not a JSON list of merchants.
    #[error("the merchants file is not a JSON list of merchants: {0}")]
    Json(#[from] serde_json::Error),
    /// A merchant id has 10 characters (§1.2).
    #[error("merchant id {0:?} does not have 10 ASCII characters")]
    Mid(String),
}

/// A merchant with its keys (§0.1) and its contracts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merchant {
    /// 10 characters.
    pub mid: String,
    /// signKey, used as text.
    pub sign_key: String,
    /// Key of P_CHKFAKE.
    pub mobile_hash_key: String,
    /// INIAPI key, 16 characters.
    pub iniapi_key: String,
    /// INIAPI IV, 16 characters, used as text.
    pub iniapi_iv: String,
    /// INILite key of the billing windows.
    #[serde(default)]
    pub inilite_key: Option<String>,
    /// A public test merchant: no KB card (§8.1).
    pub test: bool,
    /// May inquire by order id (§6.1).
    pub inquiry_by_oid: bool,
    /// May cancel a part.
    pub partial_cancel: bool,
    /// An order id that was approved is refused from then on.
    pub duplicate_order_prevention: bool,
    /// Contracted methods in the spelling of gopaymethod; `EasyPay` stands for all wallets.
    #[serde(default = "card_only")]
    pub methods: Vec<String>,
    /// May open one card company directly (`d_card`, §2.3).
    #[serde(default = "yes")]
    pub direct_card: bool,
    /// May refund a virtual account to the buyer's account (§5.1).
    #[serde(default = "yes")]
    pub vacct_refund: bool,
    /// How its requests are judged; absent: as the settings say.
    #[serde(default)]
    pub profile: Option<Profile>,
}

const fn yes() -> bool {
    true
}

fn card_only() -> Vec<String> {
    vec!["Card".to_owned()]
}

/// All merchants by id.
#[derive(Clone, Debug)]
pub struct Merchants(BTreeMap<String, Merchant>);

impl Merchants {
    /// Reads a JSON list of merchants.
    ///
    /// # Errors
    /// Not JSON of that form, or an id that has not 10 characters.
    pub fn from_json(text: &str) -> Result<Self, MerchantError> {
        Self::from_list(serde_json::from_str(text)?)
    }

    /// Merchants from a list.
    ///
    /// # Errors
    /// An id that has not 10 characters.
    pub fn from_list(list: Vec<Merchant>) -> Result<Self, MerchantError> {
        match list.iter().find(|m| m.mid.len() != 10 || !m.mid.is_ascii()) {
            Some(bad) => Err(MerchantError::Mid(bad.mid.clone())),
            None => Ok(Self(list.into_iter().map(|m| (m.mid.clone(), m)).collect())),
        }
    }

    /// All ids.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A merchant by id.
    #[must_use]
    pub fn get(&self, mid: &str) -> Option<&Merchant> {
        self.0.get(mid)
    }
}

impl Default for Merchants {
    /// The public test merchant (§8.1), one with the contract for inquiry by order id, which comes with the prevention
    /// of duplicate orders (§6.1), and one that has cards only and no partial cancel.
    fn default() -> Self {
        let all = || {
            let names = method::METHODS.iter().map(|method| method.name).chain([method::EASY_PAY]);
            names.map(str::to_owned).collect()
        };
        let merchant = |mid: &str, by_oid: bool, partial_cancel: bool, methods: Vec<String>| Merchant {
            mid: mid.to_owned(),
            sign_key: "SU5JTElURV9UUklQTEVERVNfS0VZU1RS".to_owned(),
            mobile_hash_key: "3CB8183A4BE283555ACC8363C0360223".to_owned(),
            iniapi_key: "ItEQKi3rY7uvDS8l".to_owned(),
            iniapi_iv: "HYb3yQ4f65QL89==".to_owned(),
            inilite_key: None,
            test: true,
            inquiry_by_oid: by_oid,
            partial_cancel,
            duplicate_order_prevention: by_oid,
            methods,
            direct_card: partial_cancel,
            vacct_refund: partial_cancel,
            profile: None,
        };
        let list = [
            merchant("INIpayTest", false, true, all()),
            merchant("INIlookup0", true, true, all()),
            merchant("INIcardonl", false, false, card_only()),
        ];
        Self(list.into_iter().map(|m| (m.mid.clone(), m)).collect())
    }
}
