//! Every bound and every rule of a descriptor, at the edge.

use super::limits::LIMITS;
use super::*;
use crate::contract::plugin::{
    BrowserOrigin, Choice, MethodSupport, NeededSecrets, Preset, ShownWhen, WantedHost,
};
use crate::contract::types::{Method, Named};

fn text_of(bytes: usize) -> Text {
    Text { ko: "x".repeat(bytes), en: "x".into() }
}

fn field(key: &str, kind: SettingType) -> SettingField {
    SettingField {
        key: key.into(),
        kind,
        pattern: None,
        title: text_of(1),
        help: text_of(1),
        default: None,
        required_for: vec![],
        shown_when: None,
        renamed_from: None,
    }
}

fn preset(settings: Vec<Named>) -> Preset {
    Preset { id: "test".into(), title: text_of(1), notes: vec![], purposes: vec![], settings }
}

fn method() -> MethodSupport {
    MethodSupport {
        method: Method { kind: "card".into(), provider: None },
        title: text_of(1),
        partial_cancel: true,
        cancel_needs_account: false,
        cancel_within_days: None,
        escrow: false,
        cash_receipt: false,
        tax_split: false,
        instalments_max: 0,
        instalments_from: None,
        currencies: vec![],
        amount_min: None,
        amount_max: None,
    }
}

/// A descriptor with the least that is good.
fn descriptor() -> Descriptor {
    Descriptor {
        id: "gw".into(),
        name: text_of(1),
        version: "1.0.0".into(),
        author: "x".into(),
        summary: text_of(1),
        settings: vec![],
        presets: vec![],
        supports: vec![],
        lookup: Lookup::None,
        settles_within: None,
        undo_within: None,
        hosts: vec![],
        browser_origins: vec![],
        notice_sources: vec![],
        needs: vec![],
        charge_rules: None,
    }
}

fn with(change: impl FnOnce(&mut Descriptor)) -> Descriptor {
    let mut descriptor = descriptor();
    change(&mut descriptor);
    descriptor
}

fn one_field(kind: SettingType, change: impl FnOnce(&mut SettingField)) -> Descriptor {
    let mut field = field("k", kind);
    change(&mut field);
    with(|d| d.settings = vec![field])
}

fn host(origin: &str) -> WantedHost {
    WantedHost { origin: origin.into(), reason: text_of(1), read_paths: vec![] }
}

fn words(n: usize) -> Vec<String> {
    (0..n).map(|at| format!("w{}", letters(at))).collect()
}

/// A number in letters, for names.
fn letters(mut at: usize) -> String {
    let mut text = String::new();
    loop {
        text.push(char::from(b'a' + u8::try_from(at % 26).unwrap()));
        at /= 26;
        if at == 0 {
            return text;
        }
    }
}

fn hosts(n: usize) -> Vec<WantedHost> {
    (0..n).map(|at| host(&format!("https://h{at}.example"))).collect()
}

/// A good descriptor with so much of what a limit counts.
fn grown(what: &str, n: usize) -> Descriptor {
    let choice = |at: usize| Choice { value: format!("v{at}"), label: text_of(1) };
    let named = |at: usize| Named { name: format!("k{}", letters(at)), value: "v".into() };
    let fields = |n: usize| (0..n).map(|at| field(&format!("k{}", letters(at)), SettingType::Text)).collect();
    match what {
        "settings" => with(|d| d.settings = fields(n)),
        "choices of a setting" => one_field(SettingType::Choice((0..n).map(choice).collect()), |_| ()),
        "values of a `shown-when`" => one_field(SettingType::Text, |f| {
            f.shown_when = Some(ShownWhen { key: "k".into(), values: words(n) })
        }),
        "purposes of a `required-for`" => one_field(SettingType::Text, |f| f.required_for = words(n)),
        "uses of a secret" => one_field(SettingType::Secret(vec![SecretUse::Digest; n]), |_| ()),
        "origins of a use of a secret" => {
            let origins = vec!["https://h0.example".to_owned(); n];
            let mut d = one_field(SettingType::Secret(vec![SecretUse::Body(origins)]), |_| ());
            d.hosts = hosts(1);
            d
        }
        "presets" => with(|d| {
            let named = |id: String| Preset { id, ..preset(vec![]) };
            d.presets = words(n).into_iter().map(named).collect();
        }),
        "settings of a preset" => with(|d| {
            d.settings = fields(100);
            d.presets = vec![preset((0..n).map(|at| named(at % 100)).collect())];
        }),
        "notes of a preset" => {
            with(|d| d.presets = vec![Preset { notes: vec![text_of(1); n], ..preset(vec![]) }])
        }
        "purposes of a preset" => with(|d| d.presets = vec![Preset { purposes: words(n), ..preset(vec![]) }]),
        "methods" => with(|d| d.supports = vec![method(); n]),
        "currencies of a method" => {
            with(|d| d.supports = vec![MethodSupport { currencies: words(n), ..method() }])
        }
        "hosts" => with(|d| d.hosts = hosts(n)),
        "read paths of a host" => with(|d| {
            let read_paths = words(n).into_iter().map(|word| format!("/{word}")).collect();
            d.hosts = vec![WantedHost { read_paths, ..host("https://h.example") }];
        }),
        "browser origins" => with(|d| {
            let origin = |at: usize| BrowserOrigin { origin: format!("https://h{at}.example"), uses: vec![] };
            d.browser_origins = (0..n).map(origin).collect();
        }),
        "uses of a browser origin" => with(|d| {
            d.browser_origins = vec![BrowserOrigin { origin: "https://h.example".into(), uses: words(n) }];
        }),
        "notice sources" => with(|d| d.notice_sources = vec!["192.0.2.1".into(); n]),
        "`needs`" => with(|d| d.needs = vec![NeededSecrets { name: "money".into(), secrets: vec![] }; n]),
        "secrets of a `needs`" => {
            let mut d = one_field(SettingType::Secret(vec![]), |_| ());
            d.needs = vec![NeededSecrets { name: "money".into(), secrets: vec!["k".into(); n] }];
            d
        }
        "bytes of a pattern" => one_field(SettingType::Text, |f| f.pattern = Some("x".repeat(n))),
        "bytes of a value" => one_field(SettingType::Text, |f| f.default = Some("x".repeat(n))),
        "bytes of a text" => one_field(SettingType::Text, |f| f.help = text_of(n)),
        "bytes of a name" => with(|d| d.author = "x".repeat(n)),
        "bytes of the whole descriptor as JSON" => whole(n),
        other => panic!("a limit without a test: {other}"),
    }
}

/// A descriptor whose JSON has so many bytes.
fn whole(n: usize) -> Descriptor {
    let mut d = with(|d| d.settings = words(100).iter().map(|key| field(key, SettingType::Text)).collect());
    let mut missing = n - serde_json::to_vec(&d).unwrap().len();
    for field in &mut d.settings {
        let more = missing.min(4_000);
        field.help.ko.push_str(&"x".repeat(more));
        missing -= more;
    }
    assert_eq!((missing, serde_json::to_vec(&d).unwrap().len()), (0, n));
    d
}

#[test]
fn every_limit_holds_at_its_edge_and_names_what_is_too_much() {
    for limit in LIMITS {
        let most = accept(&grown(limit.what, limit.most));
        assert!(most.is_ok(), "{}: {:?}", limit.what, most.err());
        let error = accept(&grown(limit.what, limit.most + 1)).unwrap_err();
        let expected = DescriptorError::TooMuch { what: limit.what, most: limit.most, found: limit.most + 1 };
        assert_eq!(error, expected);
        assert!(error.to_string().contains(limit.what) && error.to_string().contains("may have"), "{error}");
    }
}

#[test]
fn six_thousand_patterns_are_refused_before_one_is_compiled() {
    // Each would take a quarter of a MiB; the last is no pattern at all, and nobody gets as far as that.
    let mut bomb = grown("settings", 6_000);
    for field in &mut bomb.settings {
        field.pattern = Some(r"[\w가-힣]{1,60}".into());
    }
    bomb.settings.last_mut().unwrap().pattern = Some("(".into());
    let error = accept(&bomb).unwrap_err();
    assert!(matches!(error, DescriptorError::TooMuch { what: "settings", .. }), "{error}");
}

#[test]
fn a_browser_origin_is_written_to_the_letter_and_named_when_it_is_not() {
    let wants = |origin: &str, used: &str| {
        with(|d| d.browser_origins = vec![BrowserOrigin { origin: origin.into(), uses: vec![used.into()] }])
    };
    let accepted = accept(&wants("https://pay.example:8443", "script")).unwrap();
    assert_eq!(accepted.browser[0].origin.to_string(), "https://pay.example:8443");
    for origin in [
        "https://*",
        "https://*.example",
        "https://pay.example; script-src *",
        "https://pay.example;script-src",
        "https://pay.example/path",
        "https://'unsafe-inline'",
        "http://pay.example",
        "'self'",
        "*",
        "data:",
        "",
    ] {
        let error = accept(&wants(origin, "script")).unwrap_err();
        assert!(matches!(error, DescriptorError::Origin { .. }), "{origin}: {error}");
        assert!(error.to_string().starts_with("`browser-origins`: "), "{error}");
    }
    let error = accept(&wants("https://pay.example", "script; img")).unwrap_err();
    assert!(error.to_string().contains("the use of a browser origin `script; img`"), "{error}");
    let twice = with(|d| {
        let origin = BrowserOrigin { origin: "https://pay.example".into(), uses: vec![] };
        let same = BrowserOrigin { origin: "https://PAY.example:443".into(), uses: vec![] };
        d.browser_origins = vec![origin, same];
    });
    assert!(accept(&twice).unwrap_err().to_string().contains("appears twice"));
}

#[test]
fn an_iv_is_nothing_but_an_iv() {
    let secret = |key: &str, uses: Vec<SecretUse>| field(key, SettingType::Secret(uses));
    let with_iv = |iv_uses: Vec<SecretUse>| {
        with(|d| {
            d.hosts = hosts(1);
            d.settings =
                vec![secret("open_key", vec![SecretUse::AesDecrypt("iv".into())]), secret("iv", iv_uses)];
        })
    };
    assert!(accept(&with_iv(vec![SecretUse::Iv])).is_ok());
    let host = || vec!["https://h0.example".to_owned()];
    for other in [
        SecretUse::Digest,
        SecretUse::HmacKey,
        SecretUse::Header(host()),
        SecretUse::Body(host()),
        SecretUse::AesEncrypt("iv".into()),
    ] {
        let error = accept(&with_iv(vec![SecretUse::Iv, other])).unwrap_err();
        assert!(matches!(&error, DescriptorError::SecretUse { key, .. } if key == "iv"), "{error}");
    }
}

#[test]
fn a_version_is_a_semantic_one() {
    for good in ["1.2.0", "0.0.1-rc.1", "1.0.0+build.7"] {
        assert!(accept(&with(|d| d.version = good.into())).is_ok(), "{good}");
    }
    for bad in ["1", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "", "v1.2.3", "1.2.3 "] {
        assert!(accept(&with(|d| d.version = bad.into())).is_err(), "{bad}");
    }
}

#[test]
fn a_text_that_is_shown_otherwise_than_it_is_written_is_refused_wherever_it_stands() {
    for hidden in ["\u{1b}[8m", "a\nb", "\u{202e}", "\u{9b}", "\u{200b}", "\r", "\0"] {
        let bad = || Text { ko: "x".into(), en: format!("x{hidden}") };
        let bad_ko = || Text { ko: format!("x{hidden}"), en: "x".into() };
        let word = || format!("x{hidden}");
        let choice = |value: String, label: Text| {
            one_field(SettingType::Choice(vec![Choice { value, label }]), |_| {})
        };
        for (place, descriptor) in [
            ("author", with(|d| d.author = word())),
            ("name", with(|d| d.name = bad())),
            ("name in Korean", with(|d| d.name = bad_ko())),
            ("summary", with(|d| d.summary = bad())),
            ("title", one_field(SettingType::Text, |field| field.title = bad())),
            ("help", one_field(SettingType::Text, |field| field.help = bad())),
            ("default", one_field(SettingType::Text, |field| field.default = Some(word()))),
            ("pattern", one_field(SettingType::Text, |field| field.pattern = Some(word()))),
            ("choice", choice(word(), text_of(1))),
            ("label", choice("x".into(), bad())),
            ("method", with(|d| d.supports = vec![MethodSupport { title: bad(), ..method() }])),
            ("currency", with(|d| d.supports = vec![MethodSupport { currencies: vec![word()], ..method() }])),
            ("reason", with(|d| d.hosts = vec![WantedHost { reason: bad(), ..host("https://a.example") }])),
            (
                "read path",
                with(|d| {
                    d.hosts = vec![WantedHost {
                        read_paths: vec![format!("/{hidden}")],
                        ..host("https://a.example")
                    }];
                }),
            ),
            ("preset", with(|d| d.presets = vec![Preset { title: bad(), ..preset(vec![]) }])),
            ("note", with(|d| d.presets = vec![Preset { notes: vec![bad()], ..preset(vec![]) }])),
            ("purpose", with(|d| d.presets = vec![Preset { purposes: vec![word()], ..preset(vec![]) }])),
        ] {
            let refused = accept(&descriptor).unwrap_err();
            assert!(matches!(refused, DescriptorError::Hidden(_)), "{place}: {refused}");
            assert!(!refused.to_string().contains(hidden), "{place}: the words are as dangerous: {refused}");
        }
    }
}
