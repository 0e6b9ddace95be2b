//! What this plugin says of itself. Tests change single bytes of these texts in the built component, so each is written once.

use crate::bindings::exports::payhost::plugin::plugin::{
    Choice, Descriptor, Lookup, NeededSecrets, Preset, SecretUse, SettingField, SettingType, WantedHost,
};
use crate::bindings::payhost::plugin::types::{Named, Text};
use crate::bindings::payhost::plugin::{crypto, http};

fn text(en: &str) -> Text {
    Text { ko: en.into(), en: en.into() }
}

fn field(key: &str, kind: SettingType) -> SettingField {
    SettingField {
        key: key.into(),
        kind,
        pattern: None,
        title: text(key),
        help: text(key),
        default: None,
        required_for: vec![],
        shown_when: None,
        renamed_from: None,
    }
}

fn secret(key: &str, uses: Vec<SecretUse>) -> SettingField {
    field(key, SettingType::Secret(uses))
}

const GATEWAY: &str = "https://gateway.test";

/// The descriptor. The author is what the imports said, so that a test can see that they were refused.
pub fn describe() -> Descriptor {
    let request = http::Request {
        verb: "GET".into(),
        url: format!("{GATEWAY}/read"),
        headers: vec![],
        body: vec![],
        effect: http::Effect::Read,
    };
    let sent = http::send(&request);
    let hashed = crypto::digest("sha-256", &[crypto::Part::Text("x".into())]);
    let mut merchant = field("merchant", SettingType::Text);
    merchant.pattern = Some("[a-z]{1,20}".into());
    let mode = Choice { value: "one".into(), label: text("one") };
    let mut settings = vec![merchant, field("choice", SettingType::Choice(vec![mode]))];
    for key in [
        "behaviour",
        "text",
        "url",
        "verb",
        "effect",
        "header",
        "body",
        "secret",
        "place",
        "encoding",
        "times",
    ] {
        settings.push(field(key, SettingType::Text));
    }
    settings.extend([
        secret("sign_key", vec![SecretUse::Digest, SecretUse::HmacKey]),
        secret("seal_key", vec![SecretUse::AesEncrypt("shared_iv".into())]),
        secret("open_key", vec![SecretUse::AesDecrypt("shared_iv".into())]),
        secret("shared_iv", vec![SecretUse::Iv]),
        secret("api_token", vec![SecretUse::Header(vec![GATEWAY.into()])]),
        secret("password", vec![SecretUse::Body(vec![GATEWAY.into()])]),
    ]);
    let host = |origin: &str| WantedHost {
        origin: origin.into(),
        reason: text("payments"),
        read_paths: vec!["/read".into()],
    };
    Descriptor {
        id: "guests".into(),
        name: text("Guests"),
        version: "0.1.0".into(),
        author: format!("{sent:?}; {hashed:?}"),
        summary: text("For tests"),
        settings,
        presets: vec![Preset {
            id: "public_test".into(),
            title: text("Public test"),
            notes: vec![],
            purposes: vec!["pay".into()],
            settings: vec![Named { name: "merchant".into(), value: "merchantofsomelength".into() }],
        }],
        supports: vec![],
        lookup: Lookup::OrderRef,
        settles_within: None,
        undo_within: None,
        hosts: vec![
            host(GATEWAY),
            host("https://other.test"),
            host("https://localhost"),
            host("https://gateway.test:8443"),
        ],
        browser_origins: vec![],
        notice_sources: vec!["192.0.2.0/24".into()],
        needs: vec![NeededSecrets { name: "general-pay".into(), secrets: vec!["sign_key".into()] }],
        charge_rules: None,
    }
}
