//! The return post is believed only in form.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inicis_wire::form::FormError;
use inicis_wire::idc::{Idc, IdcError};
use inicis_wire::pc::reply::{self, Reply, ReplyError};

const FORM: &str = "application/x-www-form-urlencoded";
const MID: &str = "INIpayTest";
const OID: &str = "order-1";

fn good() -> Vec<(&'static str, &'static str)> {
    vec![
        ("resultCode", "0000"),
        ("resultMsg", "%EC%84%B1%EA%B3%B5"),
        ("mid", MID),
        ("orderNumber", OID),
        ("authToken", "a%2Bb%2Fc%3D%3D"),
        ("authUrl", "https%3A%2F%2Ffcstdpay.inicis.com%2Fapi%2FpayAuth"),
        ("netCancelUrl", "https%3A%2F%2Ffcstdpay.inicis.com%2Fapi%2FnetCancel"),
        ("idc_name", "fc"),
        ("charset", "UTF-8"),
        ("merchantData", ""),
    ]
}

fn body(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("&").into_bytes()
}

fn read(fields: &[(&str, &str)]) -> Result<Reply, ReplyError> {
    reply::read("POST", FORM, &body(fields), MID, OID)
}

fn with(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    good().into_iter().map(|(n, v)| if n == name { (n, value) } else { (n, v) }).collect()
}

#[test]
fn a_whole_return_gives_a_token_decoded_once() {
    let Reply::Authenticated(ticket) = read(&good()).unwrap() else { panic!() };
    assert_eq!((ticket.token.as_str(), ticket.idc), ("a+b/c==", Idc::Fc));
}

#[test]
fn a_token_is_not_decoded_twice() {
    let Reply::Authenticated(ticket) = read(&with("authToken", "a%252Bb")).unwrap() else { panic!() };
    assert_eq!(ticket.token, "a%2Bb");
    assert_eq!(
        read(&with("authToken", "a+b")),
        Err(ReplyError::Token),
        "a raw plus is a blank, which no token has"
    );
}

#[test]
fn a_return_of_another_merchant_or_order_is_forged() {
    assert_eq!(read(&with("mid", "OTHERMID00")), Err(ReplyError::Merchant));
    assert_eq!(read(&with("orderNumber", "order-2")), Err(ReplyError::Order));
    let declined = |name, value| {
        let fields = [("resultCode", "V801"), ("mid", MID), ("orderNumber", OID)];
        read(&fields.map(|(n, v)| if n == name { (n, value) } else { (n, v) }))
    };
    assert_eq!(declined("mid", "OTHERMID00"), Err(ReplyError::Merchant));
    assert_eq!(declined("orderNumber", "order-2"), Err(ReplyError::Order));
}

#[test]
fn foreign_addresses_are_forged() {
    assert_eq!(read(&with("idc_name", "xx")), Err(ReplyError::Address(IdcError::Name)));
    assert_eq!(read(&with("idc_name", "ks")), Err(ReplyError::Address(IdcError::Approval("ks"))));
    assert_eq!(
        read(&with("authUrl", "https%3A%2F%2Fevil.example%2Fapi%2FpayAuth")),
        Err(ReplyError::Address(IdcError::Approval("fc")))
    );
    assert_eq!(
        read(&with("netCancelUrl", "https%3A%2F%2Fevil.example%2Fapi%2FnetCancel")),
        Err(ReplyError::Address(IdcError::NetCancel("fc")))
    );
}

#[test]
fn every_field_that_counts_must_be_there_once() {
    for name in ["resultCode", "mid", "orderNumber", "authToken", "authUrl", "netCancelUrl", "idc_name"] {
        let without: Vec<_> = good().into_iter().filter(|(n, _)| *n != name).collect();
        assert_eq!(read(&without), Err(ReplyError::Form(FormError::Missing(name))), "{name}");
        let empty: Vec<_> = good().into_iter().map(|(n, v)| (n, if n == name { "" } else { v })).collect();
        assert_eq!(read(&empty), Err(ReplyError::Form(FormError::Missing(name))), "{name}");
        let mut doubled = good();
        doubled.push((name, "x"));
        assert_eq!(read(&doubled), Err(ReplyError::Form(FormError::Doubled(name))), "{name}");
        let encoded = name.replace('e', "%65");
        let mut hidden = good();
        hidden.push((encoded.as_str(), "x"));
        assert_eq!(
            read(&hidden),
            Err(ReplyError::Form(FormError::Doubled(name))),
            "a name may be encoded too"
        );
    }
}

#[test]
fn what_is_not_a_form_post_is_refused() {
    let body = body(&good());
    for (verb, media) in [
        ("GET", FORM),
        ("post", FORM),
        ("POST", ""),
        ("POST", "application/json"),
        ("POST", "multipart/form-data; boundary=x"),
        ("POST", "text/plain"),
    ] {
        assert_eq!(reply::read(verb, media, &body, MID, OID), Err(ReplyError::NotAForm), "{verb} {media}");
    }
    for media in
        ["application/x-www-form-urlencoded;charset=UTF-8", "Application/X-WWW-Form-Urlencoded ; charset=x"]
    {
        assert!(reply::read("POST", media, &body, MID, OID).is_ok(), "{media}");
    }
    assert_eq!(
        reply::read("POST", FORM, &vec![b'a'; 64 * 1024 + 1], MID, OID),
        Err(ReplyError::Form(FormError::TooLarge(64 * 1024)))
    );
}

#[test]
fn a_decline_keeps_code_and_words_in_either_charset() {
    for (bytes, said) in [
        (&b"resultCode=V801&resultMsg=%EC%B7%A8%EC%86%8C"[..], "취소"),
        (&b"resultCode=V801&resultMsg=%C3%EB%BC%D2"[..], "취소"),
        (&b"resultCode=V801"[..], ""),
    ] {
        let Ok(Reply::Declined(no)) = reply::read("POST", FORM, bytes, MID, OID) else { panic!() };
        assert_eq!((no.code.as_str(), no.message.as_str()), ("V801", said));
    }
}

#[test]
fn a_field_that_counts_in_another_charset_is_refused() {
    assert_eq!(
        read(&with("orderNumber", "%C3%EB")),
        Err(ReplyError::Form(FormError::Charset("orderNumber")))
    );
}
