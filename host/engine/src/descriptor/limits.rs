//! Nothing in a descriptor is without a bound, and the bounds are one table: what is not in it cannot grow. Nor does any of its text
//! hold characters that are not seen.
//!
//! A descriptor is kept for as long as its plugin is loaded, shown to every shop, and looked through at every change of a
//! channel. The largest that we know of (KG INICIS) stays below a tenth of each bound.

use payhost_core::text::{self, is_hidden};

use super::{Check, DescriptorError};
use crate::contract::plugin::{Descriptor, Lookup, SecretUse, SettingField, SettingType, Span};
use crate::contract::types::Text;

/// One bound.
pub(super) struct Limit {
    /// What is counted, for the plugin's author.
    pub(super) what: &'static str,
    /// Most of it.
    pub(super) most: usize,
    /// The largest that a descriptor has.
    largest: fn(&Descriptor) -> usize,
}

const fn limit(what: &'static str, most: usize, largest: fn(&Descriptor) -> usize) -> Limit {
    Limit { what, most, largest }
}

/// All bounds. Members by number first, so that what is looked through for its size is bounded already.
pub(super) const LIMITS: &[Limit] = &[
    limit("settings", 100, |d| d.settings.len()),
    limit("choices of a setting", 200, |d| most(d.settings.iter().map(choices))),
    limit("values of a `shown-when`", 100, |d| most(d.settings.iter().map(shown_values))),
    limit("purposes of a `required-for`", 16, |d| most(d.settings.iter().map(|s| s.required_for.len()))),
    limit("uses of a secret", 16, |d| most(d.settings.iter().map(|s| uses(s).len()))),
    limit("origins of a use of a secret", 32, |d| most(all_uses(d).map(|used| origins(used).len()))),
    limit("presets", 32, |d| d.presets.len()),
    limit("settings of a preset", 100, |d| most(d.presets.iter().map(|preset| preset.settings.len()))),
    limit("notes of a preset", 16, |d| most(d.presets.iter().map(|preset| preset.notes.len()))),
    limit("purposes of a preset", 16, |d| most(d.presets.iter().map(|preset| preset.purposes.len()))),
    limit("methods", 64, |d| d.supports.len()),
    limit("currencies of a method", 200, |d| most(d.supports.iter().map(|method| method.currencies.len()))),
    limit("hosts", 32, |d| d.hosts.len()),
    limit("read paths of a host", 64, |d| most(d.hosts.iter().map(|host| host.read_paths.len()))),
    limit("browser origins", 32, |d| d.browser_origins.len()),
    limit("uses of a browser origin", 16, |d| most(d.browser_origins.iter().map(|o| o.uses.len()))),
    limit("notice sources", 64, |d| d.notice_sources.len()),
    limit("`needs`", 16, |d| d.needs.len()),
    limit("secrets of a `needs`", 100, |d| most(d.needs.iter().map(|needed| needed.secrets.len()))),
    limit("bytes of a pattern", 512, |d| longest(d.settings.iter().filter_map(|s| s.pattern.as_deref()))),
    limit("bytes of a value", 4 << 10, |d| longest(values(d).into_iter())),
    limit("bytes of a text", 4 << 10, |d| {
        longest(texts(d).into_iter().flat_map(|text| [text.ko.as_str(), &text.en]))
    }),
    limit("bytes of a name", 256, |d| longest(names(d).into_iter())),
    limit("bytes of the whole descriptor as JSON", 256 << 10, |d| {
        serde_json::to_vec(d).map_or(usize::MAX, |json| json.len())
    }),
];

/// Refuses what goes beyond a bound, with the bound.
pub(super) fn check(descriptor: &Descriptor) -> Check {
    for Limit { what, most, largest } in LIMITS {
        let found = largest(descriptor);
        if found > *most {
            return Err(DescriptorError::TooMuch { what, most: *most, found });
        }
    }
    Ok(())
}

/// Refuses a text that would be shown otherwise than it is written: an operator grants, and a shop sets up, what they read.
pub(super) fn printable(descriptor: &Descriptor) -> Check {
    let shown = texts(descriptor).into_iter().flat_map(|text| [text.ko.as_str(), &text.en]);
    let patterns = descriptor.settings.iter().filter_map(|setting| setting.pattern.as_deref());
    let mut all = shown.chain(values(descriptor)).chain(names(descriptor)).chain(patterns);
    match all.find(|text| text.contains(is_hidden)) {
        Some(text) => Err(DescriptorError::Hidden(text::printable(text, &[]))),
        None => Ok(()),
    }
}

fn most(counts: impl Iterator<Item = usize>) -> usize {
    counts.max().unwrap_or(0)
}

fn longest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    most(texts.map(str::len))
}

fn choices(field: &SettingField) -> usize {
    match &field.kind {
        SettingType::Choice(choices) | SettingType::Choices(choices) => choices.len(),
        SettingType::Text
        | SettingType::Switch
        | SettingType::Integer(_)
        | SettingType::Secret(_)
        | SettingType::ReadOnly(_) => 0,
    }
}

fn shown_values(field: &SettingField) -> usize {
    field.shown_when.as_ref().map_or(0, |shown| shown.values.len())
}

fn uses(field: &SettingField) -> &[SecretUse] {
    match &field.kind {
        SettingType::Secret(uses) => uses,
        SettingType::Text
        | SettingType::Switch
        | SettingType::Integer(_)
        | SettingType::Choice(_)
        | SettingType::Choices(_)
        | SettingType::ReadOnly(_) => &[],
    }
}

fn all_uses(descriptor: &Descriptor) -> impl Iterator<Item = &SecretUse> {
    descriptor.settings.iter().flat_map(uses)
}

fn origins(used: &SecretUse) -> &[String] {
    match used {
        SecretUse::Header(origins) | SecretUse::Body(origins) => origins,
        SecretUse::Digest
        | SecretUse::HmacKey
        | SecretUse::AesEncrypt(_)
        | SecretUse::AesDecrypt(_)
        | SecretUse::Iv => &[],
    }
}

/// Everything that a person reads.
fn texts(descriptor: &Descriptor) -> Vec<&Text> {
    let mut texts = vec![&descriptor.name, &descriptor.summary];
    for field in &descriptor.settings {
        texts.extend([&field.title, &field.help]);
        if let SettingType::Choice(choices) | SettingType::Choices(choices) = &field.kind {
            texts.extend(choices.iter().map(|choice| &choice.label));
        }
    }
    texts.extend(descriptor.presets.iter().flat_map(|preset| preset.notes.iter().chain([&preset.title])));
    texts.extend(descriptor.supports.iter().map(|method| &method.title));
    texts.extend(descriptor.hosts.iter().map(|host| &host.reason));
    texts
}

/// Values of settings, wherever they stand.
fn values(descriptor: &Descriptor) -> Vec<&str> {
    let mut values: Vec<&str> = Vec::new();
    for field in &descriptor.settings {
        values.extend(field.default.as_deref());
        values.extend(field.shown_when.iter().flat_map(|shown| shown.values.iter().map(String::as_str)));
        if let SettingType::Choice(choices) | SettingType::Choices(choices) = &field.kind {
            values.extend(choices.iter().map(|choice| choice.value.as_str()));
        }
    }
    let given = descriptor.presets.iter().flat_map(|preset| &preset.settings);
    values.extend(given.map(|setting| setting.value.as_str()));
    values
}

/// Everything else that is text: keys, words of registries, origins, paths, addresses.
fn names(descriptor: &Descriptor) -> Vec<&str> {
    let mut names = vec![descriptor.id.as_str(), &descriptor.version, &descriptor.author];
    for field in &descriptor.settings {
        names.push(&field.key);
        names.extend(field.renamed_from.as_deref());
        names.extend(field.shown_when.as_ref().map(|shown| shown.key.as_str()));
        names.extend(field.required_for.iter().map(String::as_str));
        if let SettingType::ReadOnly(what) = &field.kind {
            names.push(what);
        }
    }
    for used in all_uses(descriptor) {
        names.extend(origins(used).iter().map(String::as_str));
        if let SecretUse::AesEncrypt(iv) | SecretUse::AesDecrypt(iv) = used {
            names.push(iv);
        }
    }
    for preset in &descriptor.presets {
        names.push(&preset.id);
        names.extend(preset.purposes.iter().map(String::as_str));
        names.extend(preset.settings.iter().map(|setting| setting.name.as_str()));
    }
    for method in &descriptor.supports {
        names.push(&method.method.kind);
        names.extend(method.method.provider.as_deref());
        names.extend(method.currencies.iter().map(String::as_str));
    }
    for host in &descriptor.hosts {
        names.push(&host.origin);
        names.extend(host.read_paths.iter().map(String::as_str));
    }
    for origin in &descriptor.browser_origins {
        names.push(&origin.origin);
        names.extend(origin.uses.iter().map(String::as_str));
    }
    names.extend(descriptor.notice_sources.iter().map(String::as_str));
    for needed in &descriptor.needs {
        names.push(&needed.name);
        names.extend(needed.secrets.iter().map(String::as_str));
    }
    if let Lookup::BySetting(key) = &descriptor.lookup {
        names.push(key);
    }
    for span in [&descriptor.settles_within, &descriptor.undo_within] {
        if let Some(Span::BySetting(key)) = span {
            names.push(key);
        }
    }
    names
}
