//! A descriptor that is accepted holds together and is bounded: every key, pattern, origin and secret that it names exists and
//! is well formed, nothing in it is larger than `limits.rs` says, and no use of a secret lets the plugin read it (an IV beside a
//! decrypting key excepted: see [`pairs`]).

mod limits;
mod pattern;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::contract::plugin::{Descriptor, Lookup, SecretUse, SettingField, SettingType, Span};
use crate::contract::types::Text;
use crate::egress::{BrowserAccess, Origin, OriginError};
use crate::policy::{Host, Policy, Uses};

pub use pattern::Pattern;

/// What is wrong with a descriptor, for the plugin's author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// It has more of something than a descriptor may have.
    #[error("{what}: {found}, and a descriptor may have {most}")]
    TooMuch {
        /// What.
        what: &'static str,
        /// How much it may have.
        most: usize,
        /// How much it has.
        found: usize,
    },
    /// An id, key or version is not written as it must be.
    #[error("{what} `{value}` must be {rule}")]
    Name {
        /// Which one.
        what: &'static str,
        /// Its value.
        value: String,
        /// The rule.
        rule: &'static str,
    },
    /// A text with characters that are not seen: of control, of direction, without width.
    #[error(
        "the text `{0}` has characters that are not seen (shown here as \\u…): one line of plain text is expected"
    )]
    Hidden(String),
    /// A label lacks Korean or English.
    #[error("the text of {0} must not be empty, neither in Korean nor in English")]
    EmptyText(String),
    /// Two things have one name.
    #[error("{what} `{value}` appears twice")]
    Twice {
        /// What.
        what: &'static str,
        /// Its name.
        value: String,
    },
    /// A pattern is no regular expression.
    #[error("the pattern of setting `{key}` is not a regular expression: {error}")]
    Pattern {
        /// The setting.
        key: String,
        /// Why.
        error: String,
    },
    /// A default or preset that the setting itself would refuse.
    #[error("{place} gives setting `{key}` the value `{value}`, which the setting does not allow")]
    Value {
        /// Where it stands.
        place: String,
        /// The setting.
        key: String,
        /// The value.
        value: String,
    },
    /// Something names a setting that is not there.
    #[error("{place} names the {kind} `{key}`, which is not among the settings")]
    Missing {
        /// Where it is named.
        place: String,
        /// `setting` or `secret`.
        kind: &'static str,
        /// The name.
        key: String,
    },
    /// An origin that is none.
    #[error("{place}: {source}")]
    Origin {
        /// Where it stands.
        place: String,
        /// Why.
        source: OriginError,
    },
    /// A secret would go to an origin that is not among the hosts.
    #[error("secret `{key}` may go to {origin}, which is not among the plugin's hosts")]
    NotAHost {
        /// The secret.
        key: String,
        /// The origin.
        origin: Origin,
    },
    /// Uses of a secret that would let the plugin read it or another one.
    #[error("secret `{key}`: {rule}")]
    SecretUse {
        /// The secret.
        key: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// A read path that is none.
    #[error("read path `{path}` of {origin} must begin with `/` and have no `?`, `#`, `%`, `..` or `//`")]
    ReadPath {
        /// The host.
        origin: Origin,
        /// The path.
        path: String,
    },
    /// A notice source that is neither address nor network.
    #[error("notice source `{0}` is neither an IP address nor a network such as `192.0.2.0/24`")]
    NoticeSource(String),
}

type Check<T = ()> = Result<T, DescriptorError>;

/// Checks a descriptor and takes from it what the plugin may do.
pub(crate) fn accept(descriptor: &Descriptor) -> Check<Policy> {
    limits::check(descriptor)?;
    limits::printable(descriptor)?;
    names(descriptor)?;
    let fields = settings(&descriptor.settings)?;
    presets(descriptor, &fields)?;
    values(descriptor)?;
    if let Lookup::BySetting(key) = &descriptor.lookup {
        exists(&fields, key, "setting", || "`lookup`".to_owned())?;
    }
    let spans =
        [("`settles-within`", &descriptor.settles_within), ("`undo-within`", &descriptor.undo_within)];
    for (place, span) in spans {
        if let Some(Span::BySetting(key)) = span {
            exists(&fields, key, "setting", || place.to_owned())?;
        }
    }
    let hosts = hosts(descriptor)?;
    let browser = browser_origins(descriptor)?;
    let mut policy = Policy { plugin: descriptor.id.clone(), hosts, browser, ..Policy::default() };
    for field in &descriptor.settings {
        if let SettingType::Secret(uses) = &field.kind {
            policy.secrets.insert(field.key.clone(), secret_uses(&field.key, uses, &policy)?);
        }
    }
    pairs(&policy)?;
    for needed in &descriptor.needs {
        for key in &needed.secrets {
            if !policy.secrets.contains_key(key) {
                let place = format!("`needs` of {}", needed.name);
                return Err(DescriptorError::Missing { place, kind: "secret", key: key.clone() });
            }
        }
    }
    for source in &descriptor.notice_sources {
        if source.parse::<std::net::IpAddr>().is_err() && source.parse::<ipnet::IpNet>().is_err() {
            return Err(DescriptorError::NoticeSource(source.clone()));
        }
    }
    Ok(policy)
}

const ID_RULE: &str = "1 to 40 lower-case letters, digits and `-`, beginning with a letter";
const KEY_RULE: &str = "1 to 40 lower-case letters, digits and `_`, beginning with a letter";
const VERSION_RULE: &str = "a semantic version such as `1.2.0`";

fn names(descriptor: &Descriptor) -> Check {
    name("the plugin's id", &descriptor.id, is_name(&descriptor.id, '-'), ID_RULE)?;
    name("the plugin's version", &descriptor.version, is_version(&descriptor.version), VERSION_RULE)?;
    text(&descriptor.name, || "the plugin's name".to_owned())?;
    text(&descriptor.summary, || "the plugin's summary".to_owned())
}

fn name(what: &'static str, value: &str, good: bool, rule: &'static str) -> Check {
    if good { Ok(()) } else { Err(DescriptorError::Name { what, value: value.to_owned(), rule }) }
}

fn is_name(name: &str, joint: char) -> bool {
    name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == joint)
}

fn is_version(version: &str) -> bool {
    version.len() <= 64 && semver::Version::parse(version).is_ok()
}

fn text(text: &Text, place: impl FnOnce() -> String) -> Check {
    let empty = text.ko.trim().is_empty() || text.en.trim().is_empty();
    if empty { Err(DescriptorError::EmptyText(place())) } else { Ok(()) }
}

/// The settings by key.
type Fields<'a> = BTreeMap<&'a str, &'a SettingField>;

fn settings(settings: &[SettingField]) -> Check<Fields<'_>> {
    let mut fields = Fields::new();
    for field in settings {
        name("the setting's key", &field.key, is_name(&field.key, '_'), KEY_RULE)?;
        text(&field.title, || format!("setting `{}`", field.key))?;
        if fields.insert(&field.key, field).is_some() {
            return Err(DescriptorError::Twice { what: "the setting", value: field.key.clone() });
        }
    }
    for field in settings {
        if let Some(shown) = &field.shown_when {
            exists(&fields, &shown.key, "setting", || format!("`shown-when` of setting `{}`", field.key))?;
        }
    }
    Ok(fields)
}

fn exists(fields: &Fields<'_>, key: &str, kind: &'static str, place: impl FnOnce() -> String) -> Check {
    if fields.contains_key(key) {
        return Ok(());
    }
    Err(DescriptorError::Missing { place: place(), kind, key: key.to_owned() })
}

fn presets(descriptor: &Descriptor, fields: &Fields<'_>) -> Check {
    let mut seen = BTreeSet::new();
    for preset in &descriptor.presets {
        name("the preset's id", &preset.id, is_name(&preset.id, '_'), KEY_RULE)?;
        text(&preset.title, || format!("preset `{}`", preset.id))?;
        if !seen.insert(&preset.id) {
            return Err(DescriptorError::Twice { what: "the preset", value: preset.id.clone() });
        }
        for setting in &preset.settings {
            exists(fields, &setting.name, "setting", || format!("preset `{}`", preset.id))?;
        }
    }
    Ok(())
}

/// Whether every default and every value of a preset fits its setting. One pattern is compiled at a time and dropped.
fn values(descriptor: &Descriptor) -> Check {
    for field in &descriptor.settings {
        let wrong = |error| DescriptorError::Pattern { key: field.key.clone(), error };
        let pattern = field.pattern.as_deref().map(Pattern::new).transpose().map_err(wrong)?;
        if let Some(default) = &field.default {
            allowed(field, pattern.as_ref(), default, || "its default".to_owned())?;
        }
        for preset in &descriptor.presets {
            for setting in preset.settings.iter().filter(|setting| setting.name == field.key) {
                allowed(field, pattern.as_ref(), &setting.value, || format!("preset `{}`", preset.id))?;
            }
        }
    }
    Ok(())
}

/// Whether a setting takes a value.
fn allowed(
    field: &SettingField,
    pattern: Option<&Pattern>,
    value: &str,
    place: impl FnOnce() -> String,
) -> Check {
    let fits = match &field.kind {
        SettingType::Text | SettingType::Secret(_) => true,
        SettingType::Switch => matches!(value, "true" | "false"),
        SettingType::Integer((low, high)) => value.parse::<i64>().is_ok_and(|n| (*low..=*high).contains(&n)),
        SettingType::Choice(choices) => choices.iter().any(|choice| choice.value == value),
        SettingType::Choices(choices) => serde_json::from_str::<Vec<String>>(value).is_ok_and(|values| {
            values.iter().all(|value| choices.iter().any(|choice| choice.value == *value))
        }),
        SettingType::ReadOnly(_) => false,
    };
    if fits && pattern.is_none_or(|pattern| pattern.fits(value)) {
        return Ok(());
    }
    // A preset's secret is public, but a message is no place for it.
    let value = if matches!(field.kind, SettingType::Secret(_)) { "…" } else { value };
    Err(DescriptorError::Value { place: place(), key: field.key.clone(), value: value.to_owned() })
}

fn origin_of(text: &str, place: impl FnOnce() -> String) -> Check<Origin> {
    text.parse().map_err(|source| DescriptorError::Origin { place: place(), source })
}

fn hosts(descriptor: &Descriptor) -> Check<Vec<Host>> {
    let mut hosts: Vec<Host> = Vec::new();
    for wanted in &descriptor.hosts {
        let origin = origin_of(&wanted.origin, || "`hosts`".to_owned())?;
        text(&wanted.reason, || format!("the reason for {origin}"))?;
        for path in &wanted.read_paths {
            let odd = path.contains("..") || path.contains("//") || path.contains(['?', '#', '%', '\\', ' ']);
            if !path.starts_with('/') || odd {
                return Err(DescriptorError::ReadPath { origin, path: path.clone() });
            }
        }
        if hosts.iter().any(|host| host.origin == origin) {
            return Err(DescriptorError::Twice { what: "the host", value: origin.to_string() });
        }
        hosts.push(Host { origin, read_paths: wanted.read_paths.clone() });
    }
    Ok(hosts)
}

/// A use is a word of the registry `browser-use`; one that this host does not know opens nothing.
fn browser_origins(descriptor: &Descriptor) -> Check<Vec<BrowserAccess>> {
    let mut known: Vec<BrowserAccess> = Vec::new();
    for declared in &descriptor.browser_origins {
        let origin = origin_of(&declared.origin, || "`browser-origins`".to_owned())?;
        for used in &declared.uses {
            name("the use of a browser origin", used, is_name(used, '_'), KEY_RULE)?;
        }
        if known.iter().any(|access| access.origin == origin) {
            return Err(DescriptorError::Twice { what: "the browser origin", value: origin.to_string() });
        }
        known.push(BrowserAccess { origin, uses: declared.uses.iter().cloned().collect() });
    }
    Ok(known)
}

fn secret_uses(key: &str, declared: &[SecretUse], policy: &Policy) -> Check<Uses> {
    let origins = |origins: &[String]| -> Check<Vec<Origin>> {
        let parse = |text: &String| {
            let origin = origin_of(text, || format!("secret `{key}`"))?;
            if policy.host(&origin).is_some() {
                return Ok(origin);
            }
            Err(DescriptorError::NotAHost { key: key.to_owned(), origin })
        };
        origins.iter().map(parse).collect()
    };
    let mut uses = Uses::default();
    for declared in declared {
        match declared {
            SecretUse::Digest => uses.digest = true,
            SecretUse::HmacKey => uses.hmac_key = true,
            SecretUse::AesEncrypt(iv) => uses.encrypt_iv = Some(iv.clone()),
            SecretUse::AesDecrypt(iv) => uses.decrypt_iv = Some(iv.clone()),
            SecretUse::Iv => uses.iv = true,
            SecretUse::Header(to) => uses.header.extend(origins(to)?),
            SecretUse::Body(to) => uses.body.extend(origins(to)?),
        }
    }
    Ok(uses)
}

/// Key and IV are one declared pair, and no key serves both directions: with both, a plugin could decrypt what it had
/// encrypted, or what the gateway never meant for it.
///
/// **The IV of a decrypting key is not secret from the plugin.** The first block of a CBC plaintext is `D(C1) xor IV`; the same
/// `C1` in second place gives `D(C1) xor C0`, and the difference is the IV. No wording of errors hides that, so an IV may be
/// nothing but an IV: what a plugin can compute must open nothing else.
fn pairs(policy: &Policy) -> Check {
    let broken = |key: &str, rule| Err(DescriptorError::SecretUse { key: key.to_owned(), rule });
    for (key, uses) in &policy.secrets {
        if uses.iv && *uses != (Uses { iv: true, ..Uses::default() }) {
            return broken(
                key,
                "it is an IV, which is not secret from a plugin that decrypts; declare no other use",
            );
        }
        if uses.encrypt_iv.is_some() && uses.decrypt_iv.is_some() {
            return broken(key, "it both encrypts and decrypts; a key serves one direction only");
        }
        let Some(iv) = uses.encrypt_iv.as_ref().or(uses.decrypt_iv.as_ref()) else { continue };
        match policy.secrets.get(iv) {
            Some(partner) if partner.iv => {}
            Some(_) => return broken(key, "the IV that it names does not declare the use `iv`"),
            None => {
                let place = format!("secret `{key}`");
                return Err(DescriptorError::Missing { place, kind: "secret", key: iv.clone() });
            }
        }
    }
    Ok(())
}
