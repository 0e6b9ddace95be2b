//! A call goes to an address of the table or nowhere.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inicis_wire::idc::{Idc, IdcError};

fn urls(host: &str) -> (String, String) {
    (format!("https://{host}/api/payAuth"), format!("https://{host}/api/netCancel"))
}

#[test]
fn every_data_centre_is_known_by_its_name() {
    for (name, idc) in [("fc", Idc::Fc), ("ks", Idc::Ks), ("stg", Idc::Stg)] {
        let (auth, cancel) = urls(&format!("{name}stdpay.inicis.com"));
        assert_eq!(Idc::of_pc_return(name, &auth, &cancel), Ok(idc));
        assert_eq!(
            (idc.name(), idc.pc_approval(), idc.pc_net_cancel()),
            (name, auth.as_str(), cancel.as_str())
        );
        let (auth, cancel) = urls(&format!("{name}stdpay.inicis.com:443"));
        assert_eq!(
            Idc::of_pc_return(name, &auth, &cancel),
            Ok(idc),
            "the written-out port is the same address"
        );
    }
}

#[test]
fn a_data_centre_that_is_not_in_the_table_is_refused() {
    let (auth, cancel) = urls("fcstdpay.inicis.com");
    for name in ["", "FC", "fc ", " fc", "dev", "fcstdpay", "evil.example/", "fc\0", "ｆｃ"] {
        assert_eq!(Idc::of_pc_return(name, &auth, &cancel), Err(IdcError::Name), "{name:?}");
    }
}

const ATTACKS: [&str; 34] = [
    "",
    "http://fcstdpay.inicis.com/api/payAuth",
    "HTTPS://fcstdpay.inicis.com/api/payAuth",
    "//fcstdpay.inicis.com/api/payAuth",
    "https:/fcstdpay.inicis.com/api/payAuth",
    "https:\\\\fcstdpay.inicis.com/api/payAuth",
    "https://FCstdpay.inicis.com/api/payAuth",
    "https://fcstdpay.inicis.com./api/payAuth",
    "https://fcstdpay.inicis.com:8443/api/payAuth",
    "https://fcstdpay.inicis.com:0443/api/payAuth",
    "https://fcstdpay.inicis.com:443:443/api/payAuth",
    "https://fcstdpay.inicis.com:/api/payAuth",
    "https://fcstdpay.inicis.com:443@evil.example/api/payAuth",
    "https://fcstdpay.inicis.com@evil.example/api/payAuth",
    "https://user@fcstdpay.inicis.com/api/payAuth",
    "https://user:pass@fcstdpay.inicis.com/api/payAuth",
    "https://evil.example/api/payAuth",
    "https://evil.example/fcstdpay.inicis.com/api/payAuth",
    "https://fcstdpay.inicis.com.evil.example/api/payAuth",
    "https://evilfcstdpay.inicis.com/api/payAuth",
    "https://fcstdpay-inicis.com/api/payAuth",
    "https://fcstdpay.inicis.com/api/payauth",
    "https://fcstdpay.inicis.com/api/payAuth/",
    "https://fcstdpay.inicis.com//api/payAuth",
    "https://fcstdpay.inicis.com/api/../api/payAuth",
    "https://fcstdpay.inicis.com/api/payAuth?x=1",
    "https://fcstdpay.inicis.com/api/payAuth#x",
    "https://fcstdpay.inicis.com/api/payAuth ",
    " https://fcstdpay.inicis.com/api/payAuth",
    "https://fcstdpay.inicis.com/api/payAuth\r\n",
    "https://fcstdpay.inicis.com/api/payAuth\0",
    "https://fcstdpay.inicis.com/api%2FpayAuth",
    "https://fcstdpay。inicis.com/api/payAuth",
    "https://ksstdpay.inicis.com/api/payAuth",
];

#[test]
fn an_address_that_is_not_letter_for_letter_ours_is_refused() {
    let (auth, cancel) = urls("fcstdpay.inicis.com");
    for attack in ATTACKS {
        assert_eq!(Idc::of_pc_return("fc", attack, &cancel), Err(IdcError::Approval("fc")), "{attack:?}");
        let attack = attack.replace("payAuth", "netCancel").replace("payauth", "netcancel");
        assert_eq!(Idc::of_pc_return("fc", &auth, &attack), Err(IdcError::NetCancel("fc")), "{attack:?}");
    }
    assert_eq!(Idc::of_pc_return("fc", &cancel, &auth), Err(IdcError::Approval("fc")), "swapped");
    let (foreign, _) = urls("ksstdpay.inicis.com");
    assert_eq!(
        Idc::of_pc_return("fc", &foreign, &cancel),
        Err(IdcError::Approval("fc")),
        "of another data centre"
    );
}

proptest::proptest! {
    #[test]
    fn no_other_text_is_an_address(text in "\\PC{0,80}") {
        let (auth, cancel) = urls("ksstdpay.inicis.com");
        proptest::prop_assume!(text != auth);
        proptest::prop_assert!(Idc::of_pc_return("ks", &text, &cancel).is_err());
    }
}
