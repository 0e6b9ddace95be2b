//! Invariant: what a method is called in each place of the wire stands in one row of `reference/inicis.md` §1.3 here;
//! a name that the reference does not give is an assumption and says so.

/// A method of payment.
#[derive(Debug, PartialEq, Eq)]
pub struct Method {
    /// In gopaymethod and in a merchant's contract.
    pub name: &'static str,
    /// payMethod of the approval on PC.
    pub answer: &'static str,
    /// paymethod of INIAPI v1; empty where none is known.
    pub iniapi: &'static str,
    /// First three digits of its result codes (§8.4). 500 where no network is known, which is an assumption.
    pub network: &'static str,
    /// First ten characters of a transaction on PC (§0.4). Vouchers and points are assumptions.
    pub pc_prefix: &'static str,
    /// Its name on the phone, if it can be paid there.
    pub mobile: Option<Mobile>,
    /// For people.
    pub label: &'static str,
    /// For people who read English.
    pub english: &'static str,
}

/// A method on the phone.
#[derive(Debug, PartialEq, Eq)]
pub struct Mobile {
    /// P_INI_PAYMENT, and P_TYPE of the answer.
    pub name: &'static str,
    /// First ten characters of a transaction (§0.4).
    pub prefix: &'static str,
}

/// The word of the window for all wallets together; in a merchant's contract it opens them.
pub const EASY_PAY: &str = "EasyPay";

/// Prefix and network of a card that is approved by ISP (§0.4, §8.4).
pub const ISP_PREFIX: &str = "StdpayISP_";
/// Network of ISP.
pub const ISP_NETWORK: &str = "501";

const fn mobile(name: &'static str, prefix: &'static str) -> Option<Mobile> {
    Some(Mobile { name, prefix })
}

const fn method(
    names: [&'static str; 5],
    mobile: Option<Mobile>,
    label: &'static str,
    english: &'static str,
) -> Method {
    let [name, answer, iniapi, network, pc_prefix] = names;
    Method { name, answer, iniapi, network, pc_prefix, mobile, label, english }
}

const CARD_ROW: Method =
    method(["Card", "Card", "Card", "500", "StdpayCARD"], mobile("CARD", "INIMX_CARD"), "신용카드", "Card");

/// The card.
pub const CARD: &Method = &CARD_ROW;

/// The methods that the simulator has. POINT, Paypin and GiftCard have no known answer and are not here.
pub const METHODS: &[Method] = &[
    CARD_ROW,
    method(
        ["DirectBank", "DirectBank", "Acct", "506", "StdpayDBNK"],
        mobile("BANK", "INIMX_BANK"),
        "계좌이체",
        "Bank transfer",
    ),
    method(
        ["VBank", "VBank", "Vacct", "504", "StdpayVBNK"],
        mobile("VBANK", "INIMX_VBNK"),
        "가상계좌",
        "Virtual account",
    ),
    method(["HPP", "HPP", "HPP", "512", "StdpayHPP_"], mobile("MOBILE", "INIMX_HPP_"), "휴대폰", "Phone"),
    method(
        ["Culture", "Culture", "Voucher", "503", "StdpayCULT"],
        mobile("CULTURE", "INIMX_CULT"),
        "문화상품권",
        "Culture voucher",
    ),
    method(["DGCL", "DGCL", "Voucher", "507", "StdpayDGCL"], None, "스마트문상", "Smart voucher"),
    method(
        ["Bcsh", "Bookcash", "Voucher", "516", "StdpayBCSH"],
        mobile("BCSH", "INIMX_BCSH"),
        "도서문화상품권",
        "Book voucher",
    ),
    method(
        ["HPMN", "HPMN", "Voucher", "500", "StdpayHPMN"],
        mobile("HPMN", "INIMX_HPMN"),
        "해피머니",
        "Happy Money",
    ),
    method(["TeenCash", "TEEN", "", "500", "StdpayTEEN"], None, "틴캐시", "TeenCash"),
    method(["PhoneBill", "PhoneBill", "", "511", "StdpayPHNB"], None, "전화결제", "Phone bill"),
    method(["OCBPoint", "OCBPoint", "", "509", "StdpayOCBP"], None, "OK캐쉬백 포인트", "OK Cashbag points"),
    method(["GSPT", "GSPT", "", "500", "StdpayGSPT"], None, "GS&POINT", "GS&POINT"),
    method(["UPNT", "UPNT", "", "500", "StdpayUPNT"], None, "U-Point", "U-Point"),
];

/// A method by its name in gopaymethod.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

/// A method by P_INI_PAYMENT.
#[must_use]
pub fn by_mobile(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.mobile.as_ref().is_some_and(|mobile| mobile.name == name))
}

/// A wallet inside a card payment.
#[derive(Debug, PartialEq, Eq)]
pub struct Wallet {
    /// CARD_SrcCode and P_SRC_CODE (§8.3).
    pub code: &'static str,
    /// In `onlyNAME` and `onlyeasypaycode(NAME)` on PC; `None` where no source names it.
    pub pc: Option<&'static str>,
    /// In `d_NAME=Y` on the phone; `None` where no source names it.
    pub phone: Option<&'static str>,
    /// Card code of its own money or points (§8.2).
    pub money: Option<&'static str>,
    /// For people.
    pub label: &'static str,
}

const fn wallet(
    code: &'static str,
    pc: Option<&'static str>,
    phone: Option<&'static str>,
    money: Option<&'static str>,
    label: &'static str,
) -> Wallet {
    Wallet { code, pc, phone, money, label }
}

/// The wallets of §8.3. Of the names, kakaopay, lpay, naverpay and ssgcard are in §1.3, payco in §1.4, kpay in §2.3; the
/// others are those that gnuboard5, its plug-in G7 and other public clients send (`onlyssp`, `onlytosspay`, `d_npay`,
/// `d_samsungpay`, `d_payco`, `d_tosspay`, `d_ssgpay`).
pub const WALLETS: &[Wallet] = &[
    wallet("O", Some("kakaopay"), Some("kakaopay"), Some("97"), "카카오페이"),
    wallet("I", Some("naverpay"), Some("npay"), Some("91"), "네이버페이"),
    wallet("B", Some("ssp"), Some("samsungpay"), None, "삼성페이"),
    wallet("D", None, None, None, "삼성페이 체크"),
    wallet("C", Some("payco"), Some("payco"), Some("98"), "페이코"),
    wallet("H", Some("tosspay"), Some("tosspay"), Some("93"), "토스페이"),
    wallet("G", Some("ssgcard"), Some("ssgpay"), Some("94"), "SSGPAY"),
    wallet("L", Some("lpay"), Some("lpay"), Some("96"), "L.pay"),
    wallet("R", None, None, None, "차이"),
    wallet("A", Some("kpay"), Some("kpay"), None, "Kpay"),
    wallet("K", None, None, None, "KB Pay"),
    wallet("U", None, None, None, "티머니페이"),
];

/// A wallet by its source code.
#[must_use]
pub fn wallet_by_code(code: &str) -> Option<&'static Wallet> {
    WALLETS.iter().find(|wallet| wallet.code == code)
}

/// Telephone companies of §1.4.
pub const TELCOS: &[&str] = &["SKT", "KTF", "LGT", "MVNO"];
