//! Invariant: a receipt's address is made of a TID that INICIS could have given, so that nothing else gets into a link.

/// Whether the text can be a TID: letters, digits and `_`, at most 40 (`inicis.md §0.4`).
pub fn is_tid(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The page that shows a buyer the receipt of a card sale or virtual account (`inicis.md §6.4`).
pub fn sale_url(tid: &str) -> Option<String> {
    is_tid(tid).then(|| {
        format!(
            "https://iniweb.inicis.com/DefaultWebApp/mall/cr/cm/mCmReceipt_head.jsp?noTid={tid}&noMethod=1"
        )
    })
}

/// The page that shows a buyer the cash receipt of a sale (`inicis.md §6.4`).
pub fn cash_url(tid: &str) -> Option<String> {
    is_tid(tid).then(|| {
        format!("https://iniweb.inicis.com/DefaultWebApp/mall/cr/cm/Cash_mCmReceipt.jsp?noTid={tid}&clpaymethod=22")
    })
}

/// The receipt of a sale of a method, where a page for it is documented; `cash`: whether a cash receipt was made.
pub fn url(kind: &str, cash: bool, tid: &str) -> Option<String> {
    match kind {
        "card" | "easy_pay" | "virtual_account" => sale_url(tid),
        _ if cash => cash_url(tid),
        _ => None,
    }
}
