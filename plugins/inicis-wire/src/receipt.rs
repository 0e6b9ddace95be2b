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
