//! Invariant: an account to refund to is a bank of §8.3, a holder, and a number that decrypts to digits
//! (`reference/inicis.md` §5.1, §5.4).

use crate::codes;
use crate::hash;
use crate::ledger::RefundAccount;
use crate::merchant::Merchant;
use crate::refusal::Refusal;
use crate::stdpay::rules::digits;

/// Most bytes of a holder's name; as long as VACT_Name (§1.8), which is an assumption.
const HOLDER_MAX: usize = 20;

/// Reads the three fields of a refund to an account.
///
/// # Errors
/// One is missing, the number does not decrypt (201) or is not digits, or the bank is unknown.
pub fn read(merchant: &Merchant, number: &str, bank: &str, holder: &str) -> Result<RefundAccount, Refusal> {
    let named = [("refundAcctNum", number), ("refundBankCode", bank), ("refundAcctName", holder)];
    if let Some((name, _)) = named.iter().find(|(_, value)| value.is_empty()) {
        return Err(Refusal::new("SIM:FIELD", format!("{name}: 필수 항목이 없습니다")));
    }
    let plain = hash::iniapi_decrypt(&merchant.iniapi_key, &merchant.iniapi_iv, number)
        .ok_or_else(|| Refusal::coded("504201", "refundAcctNum"))?;
    if !digits(&plain) || plain.len() > 20 {
        return Err(Refusal::new("SIM:FIELD", "refundAcctNum: 계좌번호는 20자리까지의 숫자여야 합니다"));
    }
    if !codes::BANK_CODES.contains(&bank) {
        return Err(Refusal::new("SIM:FIELD", format!("refundBankCode: 알 수 없는 은행 {bank}")));
    }
    if holder.chars().count() > HOLDER_MAX {
        return Err(Refusal::new("SIM:LENGTH", "refundAcctName: 너무 깁니다"));
    }
    Ok(RefundAccount { number: plain, bank: bank.to_owned(), holder: holder.to_owned() })
}
