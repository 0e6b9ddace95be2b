//! Invariant: whatever `reference/inicis.md` leaves open is a switch here with its default, never a constant elsewhere.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::older::Profile;
use crate::vbank::settings::VbankSettings;

/// How the simulator behaves where INICIS is not documented. Times are milliseconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How requests of merchants without a profile of their own are judged.
    pub profile: Profile,
    /// How old the timestamp of a request form, an approval or an INIAPI call may be. Unknown at INICIS.
    pub timestamp_past_ms: i64,
    /// How far a timestamp may lie ahead: the official PHP client runs up to 0.5 s ahead (§1.5).
    pub timestamp_future_ms: i64,
    /// Life of an authToken: 5 minutes at a fork, not confirmed for INICIS (§11).
    pub auth_token_life_ms: i64,
    /// How long after the approval a net cancel is taken. Unknown (§11).
    pub net_cancel_window_ms: i64,
    /// Whether a net cancel that comes before its approval makes the later approval fail. Unknown. The default, no, is
    /// the harsher case for a host: "nothing to cancel" does not yet mean that nothing will be charged.
    pub early_net_cancel_blocks_approval: bool,
    /// Whether authUrl must be called at the data centre that issued the token (§1.4, centerCd(Y)).
    pub token_bound_to_idc: bool,
    /// Data centre: `fc`, `ks` or `stg`; none alternates between fc and ks. The simulator cannot see whether a page
    /// loaded the staging script, because both names lead to the same browser origin.
    pub idc: Option<String>,
    /// resultCode of a declined approval; none means that the six digits themselves are the resultCode. Unknown.
    pub approval_decline_result_code: Option<String>,
    /// resultCode of the return post when the buyer cancels. V801 is reported by one client only (§1.12).
    pub buyer_cancel_result_code: String,
    /// resultCode of the return post when the authentication fails. Unknown.
    pub authentication_failure_result_code: String,
    /// Most bytes of price: 8 to 64 by version (§1.2).
    pub price_max_bytes: usize,
    /// Most bytes of merchantData: 1000 or 2000 by source (§1.2).
    pub merchant_data_max_bytes: usize,
    /// Whether another port of the same host is another domain for V023. Unknown.
    pub v023_compares_port: bool,
    /// Whether a refund must have a msg: required in practice (§5.3).
    pub require_refund_msg: bool,
    /// Whether INIAPI refuses a timestamp that the merchant already used for the same type (631). Its scope is unknown.
    pub refuse_duplicate_timestamp: bool,
    /// Whether the v1 inquiry by order id needs the contract, as v2 does (§6.1). Unknown.
    pub v1_inquiry_by_oid_needs_contract: bool,
    /// Card companies that are approved by ISP (VCard, P_ISP_CARDCODE). The reference gives no list.
    pub isp_cards: Vec<String>,
    /// More names of wallets in `only…`, `onlyeasypaycode(…)` and `d_…`, with their source code (§8.3).
    pub wallet_names: BTreeMap<String, String>,
    /// Deposit deadline in days when the merchant gives none: 10 on the phone (§2.1), unknown on PC.
    pub vbank_default_days: i64,
    /// How long a refund to an account is told as `WAITING_FOR_REFUND` (§6.1), until `refundDate`. Unknown.
    pub vbank_refund_wait_ms: i64,
    /// Whether v2 `refund` closes a virtual account that nobody paid into, as GVacct does in v1. Unknown.
    pub v2_refund_closes_unpaid_vbank: bool,
    /// Methods of which a part can be cancelled (699 otherwise). The reference gives no list.
    pub partial_cancel_methods: Vec<String>,
    /// Most partial cancels of one sale (705). Unknown, so none.
    pub partial_cancel_most_times: Option<usize>,
    /// How long after the approval a cancel is taken (667). It differs by contract and method, so none.
    pub cancel_period_ms: Option<i64>,
    /// Most bytes of P_NOTI: about 600 to 800 (§2.1).
    pub p_noti_max_bytes: usize,
    /// Whether P_NOTI comes back when the authentication failed. §2.4 lists it without a condition.
    pub mobile_failure_echoes_noti: bool,
    /// Whether values of a mobile answer are percent-encoded: often not (§2.5).
    pub mobile_answer_url_encoded: bool,
    /// Virtual accounts and notices, until the control API changes them.
    pub vbank: VbankSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            profile: Profile::Strict,
            timestamp_past_ms: 30 * 60_000,
            timestamp_future_ms: 5_000,
            auth_token_life_ms: 5 * 60_000,
            net_cancel_window_ms: 10 * 60_000,
            early_net_cancel_blocks_approval: false,
            token_bound_to_idc: true,
            idc: None,
            approval_decline_result_code: None,
            buyer_cancel_result_code: "SIM:CANCEL".to_owned(),
            authentication_failure_result_code: "SIM:AUTH".to_owned(),
            price_max_bytes: 64,
            merchant_data_max_bytes: 1000,
            v023_compares_port: false,
            require_refund_msg: true,
            refuse_duplicate_timestamp: false,
            v1_inquiry_by_oid_needs_contract: true,
            isp_cards: vec!["11".to_owned(), "06".to_owned()],
            wallet_names: BTreeMap::new(),
            vbank_default_days: 10,
            vbank_refund_wait_ms: 0,
            v2_refund_closes_unpaid_vbank: false,
            partial_cancel_methods: ["Card", "DirectBank", "VBank"].map(str::to_owned).to_vec(),
            partial_cancel_most_times: None,
            cancel_period_ms: None,
            p_noti_max_bytes: 800,
            mobile_failure_echoes_noti: true,
            mobile_answer_url_encoded: false,
            vbank: VbankSettings::default(),
        }
    }
}

impl Settings {
    /// Whether a time in milliseconds lies in the window around now.
    #[must_use]
    pub fn in_window(&self, at_ms: i64, now_ms: i64) -> bool {
        let age = now_ms.saturating_sub(at_ms);
        age <= self.timestamp_past_ms && age >= -self.timestamp_future_ms
    }
}
