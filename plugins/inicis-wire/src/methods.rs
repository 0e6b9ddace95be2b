//! Invariant: a method of ours and a method of INICIS meet only in these tables (`inicis.md §1.3, §8.3`).

/// How money is paid, in the host's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Registry `method`.
    pub kind: &'static str,
    /// Registry `provider`.
    pub provider: Option<&'static str>,
}

const fn of(kind: &'static str) -> Method {
    Method { kind, provider: None }
}

const fn with(kind: &'static str, provider: &'static str) -> Method {
    Method { kind, provider: Some(provider) }
}

/// `payMethod` of an approval on PC, and what it is to us (`inicis.md §1.3`). `Auth` and `Bill` are missing: they issue a
/// billing key and move no money.
pub const PC_ANSWERS: [(&str, Method); 16] = [
    ("Card", of("card")),
    ("VCard", of("card")),
    ("DirectBank", of("transfer")),
    ("iDirectBank", of("transfer")),
    ("VBank", of("virtual_account")),
    ("HPP", of("phone")),
    ("PhoneBill", of("phone")),
    ("Culture", with("gift_voucher", "culture")),
    ("DGCL", with("gift_voucher", "smart_culture")),
    ("Bookcash", with("gift_voucher", "book")),
    ("HPMN", with("gift_voucher", "happy_money")),
    ("TEEN", with("gift_voucher", "teen_cash")),
    ("OCBPoint", with("points", "ok_cashbag")),
    ("GSPT", with("points", "gs")),
    ("UPNT", with("points", "u_point")),
    ("POINT", of("points")),
];

/// Wallet source code of a card sale (`CARD_SrcCode`, `P_SRC_CODE`), and the wallet (`inicis.md §8.3`).
pub const WALLETS: [(&str, &str); 12] = [
    ("A", "kpay"),
    ("B", "samsungpay"),
    ("C", "payco"),
    ("D", "samsungpay"),
    ("G", "ssgpay"),
    ("H", "tosspay"),
    ("I", "naverpay"),
    ("K", "kb_app"),
    ("L", "lpay"),
    ("O", "kakaopay"),
    ("R", "chai"),
    ("U", "tmoney"),
];

/// The method of a PC approval; a card sale with a wallet's source code is easy pay.
pub fn of_pc_answer(pay_method: &str, wallet_code: Option<&str>) -> Option<Method> {
    let (_, method) = PC_ANSWERS.iter().find(|(name, _)| *name == pay_method)?;
    match wallet_code.and_then(wallet) {
        Some(provider) if method.kind == "card" => Some(with("easy_pay", provider)),
        Some(_) | None => Some(*method),
    }
}

/// The wallet of a source code.
pub fn wallet(code: &str) -> Option<&'static str> {
    WALLETS.iter().find(|(name, _)| *name == code).map(|(_, wallet)| *wallet)
}

/// `gopaymethod` of a method that this version offers on PC (`inicis.md §1.3`); absent: not offered.
pub fn pc_request(kind: &str, provider: Option<&str>) -> Option<&'static str> {
    PC_REQUESTS.iter().find(|(k, p, _)| *k == kind && *p == provider).map(|(_, _, name)| *name)
}

/// Methods that a PC payment can be opened with: kind, provider, `gopaymethod` (`inicis.md §1.3`).
pub const PC_REQUESTS: [(&str, Option<&str>, &str); 1] = [("card", None, "Card")];
