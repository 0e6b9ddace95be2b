//! Invariant: what the control API may change about accounts and notices is one value; it is in the ledger once it was
//! changed, so that a restart keeps it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::notice::Dress;

/// Switches of accounts and notices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VbankSettings {
    /// Where PC notices go: one address per merchant id (§3.1). A merchant without one gets none.
    pub urls: BTreeMap<String, String>,
    /// Where escrow notices go.
    pub escrow_urls: BTreeMap<String, String>,
    /// By how much the waiting times between repeats are divided.
    pub speed: u32,
    /// How long an answer is waited for. Unknown at INICIS.
    pub timeout_ms: u64,
    /// Whether money is taken after the deadline. Unknown (§9 item 17).
    pub accepts_late_deposit: bool,
    /// Whether another sum than the price is taken, also in several deposits. Possible (§9 item 17).
    pub accepts_wrong_amount: bool,
    /// Whether money is taken after a deposit was taken back. Unknown.
    pub accepts_deposit_after_cancel: bool,
    /// How notices look and travel unless the call says otherwise.
    pub notice: Dress,
}

impl Default for VbankSettings {
    fn default() -> Self {
        Self {
            urls: BTreeMap::new(),
            escrow_urls: BTreeMap::new(),
            speed: 1,
            timeout_ms: 10_000,
            accepts_late_deposit: true,
            accepts_wrong_amount: true,
            accepts_deposit_after_cancel: true,
            notice: Dress::default(),
        }
    }
}

/// Lays the members of an object over a value; inside of `notice`, `urls` and `escrow_urls` member by member, where null
/// takes an address away.
///
/// # Errors
/// An unknown member, or one of another type.
pub fn overlaid<T>(base: &T, patch: &Value) -> Result<T, serde_json::Error>
where
    T: Serialize + serde::de::DeserializeOwned,
{
    let mut whole = serde_json::to_value(base)?;
    if let (Value::Object(whole), Value::Object(patch)) = (&mut whole, patch) {
        for (name, value) in patch {
            match (whole.get_mut(name), value) {
                (Some(Value::Object(inner)), Value::Object(members)) => {
                    inner.extend(members.clone());
                    if name.ends_with("urls") {
                        inner.retain(|_, url| !url.is_null());
                    }
                }
                _ => {
                    whole.insert(name.clone(), value.clone());
                }
            }
        }
    }
    serde_json::from_value(whole)
}
