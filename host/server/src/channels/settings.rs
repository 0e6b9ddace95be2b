//! A channel's settings against the plugin's schema. Invariant: what is stored fits the schema of the pinned version; a
//! secret is never stored or shown as a setting; a mistake names the field and says what would fit.

use std::collections::{BTreeMap, BTreeSet};

use payhost_engine::Pattern;
use payhost_engine::contract::plugin::{Choice, Descriptor, Lookup, Preset, SettingField, SettingType};
use serde_json::{Map, Value};

use crate::http::problem::Problem;

/// Longest value, in bytes.
const VALUE_MAX: usize = 4096;

/// What a shop chose, sorted into the two kinds of storage.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Plain settings by key.
    pub settings: BTreeMap<String, String>,
    /// Secrets to store; an absent key leaves what is there.
    pub secrets: BTreeMap<String, String>,
    /// Keys that were given as `null`: back to the default, or forgotten.
    pub cleared: BTreeSet<String>,
}

/// Reads values as they came in, each against its field.
pub fn read(descriptor: &Descriptor, given: &Map<String, Value>) -> Result<Checked, Problem> {
    let mut checked = Checked::default();
    for (key, value) in given {
        let path = format!("settings.{key}");
        let field = find(descriptor, key).ok_or_else(|| unknown(descriptor, key, &path))?;
        if let SettingType::ReadOnly(_) = field.kind {
            return Err(Problem::field(path, "this is filled in by the host and only shown"));
        }
        let Some(text) = as_text(value).map_err(|words| Problem::field(&*path, words))? else {
            checked.cleared.insert(field.key.clone());
            continue;
        };
        check_value(field, &text).map_err(|words| Problem::field(path, words))?;
        match field.kind {
            SettingType::Secret(_) => checked.secrets.insert(field.key.clone(), text),
            SettingType::Text
            | SettingType::Switch
            | SettingType::Integer(_)
            | SettingType::Choice(_)
            | SettingType::Choices(_)
            | SettingType::ReadOnly(_) => checked.settings.insert(field.key.clone(), text),
        };
    }
    Ok(checked)
}

/// The values of a preset, as if the shop had typed them.
pub fn preset<'a>(descriptor: &'a Descriptor, id: &str) -> Result<(&'a Preset, Map<String, Value>), Problem> {
    let preset = descriptor.presets.iter().find(|preset| preset.id == id).ok_or_else(|| {
        let known: Vec<_> = descriptor.presets.iter().map(|preset| preset.id.as_str()).collect();
        Problem::field("preset", format!("the plugin has no such preset; it has: {}", known.join(", ")))
    })?;
    let values = preset.settings.iter().map(|named| (named.name.clone(), Value::from(named.value.clone())));
    Ok((preset, values.collect()))
}

/// What names the shop at its gateway: the text settings that a purpose requires and that have no default (a merchant id). Two
/// channels of a plugin for which these agree are one merchant to the gateway; empty: the plugin has none.
pub fn merchant<'a>(
    descriptor: &'a Descriptor,
    settings: &'a BTreeMap<String, String>,
) -> BTreeMap<&'a str, &'a str> {
    let named = descriptor.settings.iter().filter(|field| {
        matches!(field.kind, SettingType::Text) && !field.required_for.is_empty() && field.default.is_none()
    });
    named.filter_map(|field| Some((field.key.as_str(), settings.get(&field.key)?.as_str()))).collect()
}

/// Why a live channel has no preset.
pub const NO_PRESET_LIVE: &str = "a preset is a public test merchant, which keeps no money for the shop: a live channel needs the \
                                  shop's own merchant id and keys in `settings`";

/// Refuses what belongs to a public test merchant: a live channel that sold through one would give goods away, for such a
/// merchant's money is given back. Values that everybody may choose (choices, switches, numbers, defaults) belong to nobody.
pub fn refuse_public(descriptor: &Descriptor, checked: &Checked) -> Result<(), Problem> {
    let given = checked.settings.iter().chain(&checked.secrets);
    for (key, value) in given {
        let own = find(descriptor, key).is_some_and(|field| {
            matches!(field.kind, SettingType::Text | SettingType::Secret(_))
                && field.default.as_deref() != Some(value.as_str())
        });
        let has = |preset: &&Preset| {
            preset.settings.iter().any(|named| named.name == *key && named.value == *value)
        };
        if let Some(preset) = descriptor.presets.iter().filter(|_| own).find(has) {
            let words = format!(
                "this is of the public test merchant {:?}, whose money is given back: a live channel needs the shop's own",
                preset.title.en
            );
            return Err(Problem::field(format!("settings.{key}"), words));
        }
    }
    Ok(())
}

/// Names of required fields that are still empty.
pub fn missing(
    descriptor: &Descriptor,
    purposes: &[String],
    settings: &BTreeMap<String, String>,
    secrets: &BTreeSet<String>,
) -> Vec<String> {
    let needed = |field: &&SettingField| field.required_for.iter().any(|purpose| purposes.contains(purpose));
    let there = |field: &SettingField| match field.kind {
        SettingType::Secret(_) => secrets.contains(&field.key),
        SettingType::Text
        | SettingType::Switch
        | SettingType::Integer(_)
        | SettingType::Choice(_)
        | SettingType::Choices(_) => settings.contains_key(&field.key) || field.default.is_some(),
        SettingType::ReadOnly(_) => true,
    };
    let shown = |field: &SettingField| match &field.shown_when {
        None => true,
        Some(when) => {
            let value = settings.get(&when.key).map(String::as_str);
            let fallback = find(descriptor, &when.key).and_then(|field| field.default.as_deref());
            value.or(fallback).is_some_and(|value| when.values.iter().any(|wanted| wanted == value))
        }
    };
    let fields = descriptor.settings.iter().filter(needed);
    fields.filter(|field| shown(field) && !there(field)).map(|field| field.key.clone()).collect()
}

/// Settings with the defaults of everything that was not chosen.
pub fn with_defaults(descriptor: &Descriptor, chosen: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let defaults =
        descriptor.settings.iter().filter_map(|field| Some((field.key.clone(), field.default.clone()?)));
    let mut settings: BTreeMap<_, _> = defaults.collect();
    settings.extend(chosen.iter().map(|(key, value)| (key.clone(), value.clone())));
    settings
}

/// How the gateway can be asked, with these settings (defaults filled in).
pub fn lookup(descriptor: &Descriptor, settings: &BTreeMap<String, String>) -> Lookup {
    match &descriptor.lookup {
        Lookup::BySetting(key) => match settings.get(key).map(String::as_str) {
            Some("order_ref") => Lookup::OrderRef,
            Some("gateway_ref") => Lookup::GatewayRef,
            _ => Lookup::None,
        },
        fixed @ (Lookup::OrderRef | Lookup::GatewayRef | Lookup::None) => fixed.clone(),
    }
}

fn find<'a>(descriptor: &'a Descriptor, key: &str) -> Option<&'a SettingField> {
    let fields = &descriptor.settings;
    fields.iter().find(|field| field.key == key || field.renamed_from.as_deref() == Some(key))
}

fn unknown(descriptor: &Descriptor, key: &str, path: &str) -> Problem {
    let known: Vec<_> = descriptor.settings.iter().map(|field| field.key.as_str()).collect();
    Problem::field(path, format!("the plugin has no setting {key:?}; it has: {}", known.join(", ")))
}

fn as_text(value: &Value) -> Result<Option<String>, &'static str> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => Ok(Some(value.to_string())),
        Value::Object(_) => Err("a setting is text, a number, a switch or a list"),
    }
}

fn check_value(field: &SettingField, text: &str) -> Result<(), String> {
    if text.len() > VALUE_MAX {
        return Err(format!("at most {VALUE_MAX} bytes"));
    }
    if let Some(pattern) = &field.pattern {
        // Compiled within the engine's bounds, as it was when the plugin was loaded, and kept nowhere.
        let fits = Pattern::new(pattern).is_ok_and(|pattern| pattern.fits(text));
        if !fits {
            return Err(format!("this does not look like {:?}: {}", field.title.en, field.help.en));
        }
    }
    match &field.kind {
        SettingType::Text | SettingType::Secret(_) if text.is_empty() => {
            Err("empty; leave it out or send null to clear it".into())
        }
        SettingType::Switch if text != "true" && text != "false" => Err("true or false".into()),
        SettingType::Integer((least, most)) => match text.parse::<i64>() {
            Ok(number) if (*least..=*most).contains(&number) => Ok(()),
            _ => Err(format!("a whole number from {least} to {most}")),
        },
        SettingType::Choice(choices) if !has(choices, text) => Err(format!("one of: {}", values(choices))),
        SettingType::Choices(choices) => match serde_json::from_str::<Vec<String>>(text) {
            Ok(list) if list.iter().all(|value| has(choices, value)) => Ok(()),
            _ => Err(format!("a list of some of: {}", values(choices))),
        },
        SettingType::Text
        | SettingType::Switch
        | SettingType::Choice(_)
        | SettingType::Secret(_)
        | SettingType::ReadOnly(_) => Ok(()),
    }
}

fn has(choices: &[Choice], value: &str) -> bool {
    choices.iter().any(|choice| choice.value == value)
}

fn values(choices: &[Choice]) -> String {
    choices.iter().map(|choice| choice.value.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use payhost_engine::contract::types::Text;
    use serde_json::json;

    use super::*;

    fn text(words: &str) -> Text {
        Text { ko: words.into(), en: words.into() }
    }

    fn field(key: &str, kind: SettingType, pattern: Option<&str>, default: Option<&str>) -> SettingField {
        SettingField {
            key: key.into(),
            kind,
            pattern: pattern.map(Into::into),
            title: text(key),
            help: text("see the admin"),
            default: default.map(Into::into),
            required_for: vec!["pay".into()],
            shown_when: None,
            renamed_from: None,
        }
    }

    fn descriptor() -> Descriptor {
        Descriptor {
            id: "gw".into(),
            name: text("GW"),
            version: "1.0.0".into(),
            author: "x".into(),
            summary: text("x"),
            settings: vec![
                field("mid", SettingType::Text, Some("[A-Z]{3}"), None),
                field("key", SettingType::Secret(vec![]), None, None),
                field("quota", SettingType::Integer((0, 36)), None, Some("12")),
                field(
                    "lookup",
                    SettingType::Choice(vec![Choice { value: "a".into(), label: text("a") }]),
                    None,
                    Some("a"),
                ),
                field("notify", SettingType::ReadOnly("notify_url".into()), None, None),
            ],
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

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn settings_and_secrets_are_kept_apart() {
        let checked =
            read(&descriptor(), &object(json!({"mid": "ABC", "key": "s3cret", "quota": 6}))).unwrap();
        assert_eq!(checked.settings.get("quota").unwrap(), "6");
        assert_eq!(checked.secrets.get("key").unwrap(), "s3cret");
        assert!(!checked.settings.contains_key("key"));
    }

    #[test]
    fn a_mistake_names_the_field() {
        for (given, path) in [
            (json!({"mid": "abc"}), "settings.mid"),
            (json!({"mid": "ABCD"}), "settings.mid"),
            (json!({"quota": 99}), "settings.quota"),
            (json!({"quota": "x"}), "settings.quota"),
            (json!({"lookup": "b"}), "settings.lookup"),
            (json!({"other": "b"}), "settings.other"),
            (json!({"key": ""}), "settings.key"),
            (json!({"notify": "x"}), "settings.notify"),
            (json!({"mid": {"a": 1}}), "settings.mid"),
        ] {
            let problem = read(&descriptor(), &object(given.clone())).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some(path), "{given}");
        }
    }

    #[test]
    fn what_belongs_to_a_public_test_merchant_is_known_by_value() {
        let mut descriptor = descriptor();
        let pair = |name: &str, value: &str| payhost_engine::contract::types::Named {
            name: name.into(),
            value: value.into(),
        };
        let settings = vec![pair("mid", "TST"), pair("key", "public"), pair("quota", "6")];
        descriptor.presets =
            vec![Preset { id: "test".into(), title: text("t"), notes: vec![], purposes: vec![], settings }];
        let field = |given: Value| {
            let checked = read(&descriptor, &object(given)).unwrap();
            refuse_public(&descriptor, &checked).err().and_then(|problem| problem.field)
        };
        assert_eq!(field(json!({"mid": "TST"})).as_deref(), Some("settings.mid"));
        assert_eq!(field(json!({"mid": "ABC", "key": "public"})).as_deref(), Some("settings.key"));
        assert_eq!(field(json!({"mid": "ABC", "key": "own", "quota": 6})), None);
    }

    #[test]
    fn what_is_missing_is_listed_and_defaults_count() {
        let descriptor = descriptor();
        let none = BTreeMap::new();
        let purposes = vec!["pay".to_owned()];
        let missing = missing(&descriptor, &purposes, &none, &BTreeSet::from(["key".to_owned()]));
        assert_eq!(missing, ["mid"]);
    }
}
