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
    ("Culture", with("gift_voucher", "cultureland")),
    ("DGCL", with("gift_voucher", "smart_culture")),
    ("Bookcash", with("gift_voucher", "booknlife")),
    ("HPMN", with("gift_voucher", "happymoney")),
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

/// `P_TYPE` of an approval on a phone, and what it is to us (`inicis.md §1.3`).
pub const MOBILE_ANSWERS: [(&str, Method); 7] = [
    ("CARD", of("card")),
    ("ISP", of("card")),
    ("BANK", of("transfer")),
    ("VBANK", of("virtual_account")),
    ("MOBILE", of("phone")),
    ("CULTURE", with("gift_voucher", "cultureland")),
    ("HPMN", with("gift_voucher", "happymoney")),
];

/// The method of a mobile approval; a card sale with a wallet's source code is easy pay.
pub fn of_mobile_answer(kind: &str, wallet_code: Option<&str>) -> Option<Method> {
    let (_, method) = MOBILE_ANSWERS.iter().find(|(name, _)| *name == kind)?;
    match wallet_code.and_then(wallet) {
        Some(provider) if method.kind == "card" => Some(with("easy_pay", provider)),
        Some(_) | None => Some(*method),
    }
}

/// How a method is opened on each device; absent: there is no wire fact for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Ours.
    pub method: Method,
    /// `gopaymethod` and a word of `acceptmethod` (empty: none).
    pub pc: Option<(&'static str, &'static str)>,
    /// `P_INI_PAYMENT` and a word of `P_RESERVED` (empty: none).
    pub mobile: Option<(&'static str, &'static str)>,
}

const fn request(
    method: Method,
    pc: Option<(&'static str, &'static str)>,
    mobile: Option<(&'static str, &'static str)>,
) -> Request {
    Request { method, pc, mobile }
}

const fn wallet_request(provider: &'static str, go: &'static str, reserved: &'static str) -> Request {
    request(with("easy_pay", provider), Some((go, "cardonly")), Some(("CARD", reserved)))
}

/// Methods that a payment can be opened with (`inicis.md §1.3`). Wallets are `onlykakaopay` … with `cardonly` on a PC and
/// `CARD` with `d_…=Y` on a phone; the file names four of the former and none of the latter in full. Each row of a wallet names
/// the source of the rest: G7 is `gnuboard/g7-plugin-sirsoft-pay_kginicis`, GB5 `gnuboard/gnuboard5`, FS public code whose
/// repository's name is not known (as in the file's own marks) with the number of unrelated clients seen. Chai has no wire fact
/// anywhere, applepay only in one client: they stay out. `BCSH` on a phone is unverified (`[K]`), and so stays out too.
pub const REQUESTS: [Request; 22] = [
    request(of("card"), Some(("Card", "")), Some(("CARD", ""))),
    request(of("transfer"), Some(("DirectBank", "")), Some(("BANK", ""))),
    request(of("virtual_account"), Some(("VBank", "")), Some(("VBANK", ""))),
    request(of("phone"), Some(("HPP", "")), Some(("MOBILE", ""))),
    request(of("easy_pay"), Some(("EasyPay", "")), None),
    // §1.3; G7, GB5.
    wallet_request("kakaopay", "onlykakaopay", "d_kakaopay=Y"),
    // §1.3; G7, GB5.
    wallet_request("naverpay", "onlynaverpay", "d_npay=Y"),
    // G7, GB5; G7, GB5.
    wallet_request("samsungpay", "onlyssp", "d_samsungpay=Y"),
    // FS (4); FS (6).
    wallet_request("payco", "onlypayco", "d_payco=Y"),
    // FS (7); FS (6).
    wallet_request("tosspay", "onlytosspay", "d_tosspay=Y"),
    // §1.3; FS (5).
    wallet_request("ssgpay", "onlyssgcard", "d_ssgpay=Y"),
    // §1.3; G7, GB5.
    wallet_request("lpay", "onlylpay", "d_lpay=Y"),
    request(with("easy_pay", "chai"), None, None),
    request(with("easy_pay", "applepay"), None, None),
    request(with("gift_voucher", "cultureland"), Some(("Culture", "")), Some(("CULTURE", ""))),
    request(with("gift_voucher", "smart_culture"), Some(("DGCL", "")), None),
    request(with("gift_voucher", "happymoney"), Some(("HPMN", "")), Some(("HPMN", ""))),
    request(with("gift_voucher", "booknlife"), Some(("Bcsh", "")), None),
    request(of("points"), Some(("POINT", "")), None),
    request(with("points", "ok_cashbag"), Some(("OCBPoint", "")), None),
    request(with("points", "gs"), Some(("GSPT", "")), None),
    request(with("points", "u_point"), Some(("UPNT", "")), None),
];

/// The row of a method.
pub fn requested(kind: &str, provider: Option<&str>) -> Option<&'static Request> {
    REQUESTS.iter().find(|row| row.method.kind == kind && row.method.provider == provider)
}

/// `paymethod` of INIAPI (`inicis.md §1.3, §5.1`); absent: not documented. Of virtual accounts this is that of a deposit.
pub fn iniapi(kind: &str) -> Option<&'static str> {
    let table = [
        ("card", "Card"),
        ("easy_pay", "Card"),
        ("transfer", "Acct"),
        ("virtual_account", "Vacct"),
        ("phone", "HPP"),
        ("gift_voucher", "Voucher"),
    ];
    table.iter().find(|(ours, _)| *ours == kind).map(|(_, name)| *name)
}
