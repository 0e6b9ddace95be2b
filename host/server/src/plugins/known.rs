//! A component under an id that is installed already. Invariant: nothing takes the place of an installed plugin by its name
//! alone: another author, an older version, or other contents of the same version are told, and wait for the operator's word.

use std::cmp::Ordering;

use payhost_engine::contract::plugin::Descriptor;
use payhost_store::rows::plugins::{self, Component};
use payhost_store::{Error, Tx};
use semver::Version;

/// What must be said before this component becomes the active one of its plugin: nothing, or a sentence.
pub fn objection(tx: &mut Tx<'_>, new: &Component) -> Result<Option<String>, Error> {
    let Some(plugin) = plugins::get(tx, &new.plugin_id)? else { return Ok(None) };
    let versions = plugins::component_heads(tx, &new.plugin_id)?;
    let active = versions.iter().find(|version| version.digest == plugin.active_digest);
    let active = active.ok_or(Error::NotFound { what: "component" })?;
    let author = |component: &Component| -> Result<String, Error> {
        component.descriptor.to().map(|descriptor: Descriptor| descriptor.author)
    };
    if active.digest == new.digest {
        return Ok(None);
    }
    let authors = (author(active)?, author(new)?);
    let differences = differences(active, new, &authors, &versions);
    if differences.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!(
        "a plugin `{}` is installed already, and {}. If this file shall take its place, install it with --replace \
         (?replace=true)",
        new.plugin_id,
        differences.join("; ")
    )))
}

fn differences(
    active: &Component,
    new: &Component,
    (its, theirs): &(String, String),
    versions: &[Component],
) -> Vec<String> {
    let mut said = Vec::new();
    if its != theirs {
        said.push(format!("its author is {its:?}, while this file says {theirs:?}"));
    }
    if order(&new.version, &active.version) == Ordering::Less {
        said.push(format!("its version is {}, while this file is the older {}", active.version, new.version));
    }
    let same = |known: &&Component| {
        known.digest != new.digest && order(&known.version, &new.version) == Ordering::Equal
    };
    if let Some(known) = versions.iter().find(same) {
        said.push(format!(
            "version {} is known with the SHA-256 {}, while this file has {}: the same version with other contents",
            known.version, known.digest, new.digest
        ));
    }
    said
}

/// By precedence. (The engine takes semantic versions only; a text that is none comes before all.)
fn order(one: &str, other: &str) -> Ordering {
    match (Version::parse(one), Version::parse(other)) {
        (Ok(one), Ok(other)) => one.cmp_precedence(&other),
        (one, other) => one.is_ok().cmp(&other.is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use payhost_store::{Blob, Json};

    use super::*;

    fn component(version: &str, digest: &str) -> Component {
        Component {
            digest: digest.to_owned(),
            plugin_id: "gw".to_owned(),
            version: version.to_owned(),
            bytes: Blob(vec![]),
            descriptor: Json::of("").unwrap(),
            interfaces: Json::of("").unwrap(),
            installed_us: 0,
        }
    }

    fn said(active: &str, new: (&str, &str), theirs: &str, known: &[(&str, &str)]) -> Vec<String> {
        let versions: Vec<_> = known.iter().map(|(version, digest)| component(version, digest)).collect();
        let authors = ("Kim".to_owned(), theirs.to_owned());
        differences(&component(active, "a"), &component(new.0, new.1), &authors, &versions)
    }

    #[test]
    fn a_newer_version_of_the_same_author_is_no_question() {
        for (active, new) in [("1.2.0", "1.10.0"), ("1.2.0-rc.1", "1.2.0"), ("0.9.9", "1.0.0")] {
            assert!(said(active, (new, "b"), "Kim", &[(active, "a")]).is_empty(), "{active} {new}");
        }
    }

    #[test]
    fn another_author_an_older_version_and_other_contents_are_told() {
        let stranger = said("1.2.0", ("1.3.0", "b"), "Lee", &[("1.2.0", "a")]);
        assert!(stranger.len() == 1 && stranger[0].contains("\"Kim\"") && stranger[0].contains("\"Lee\""));
        let older = said("1.10.0", ("1.9.9", "b"), "Kim", &[("1.10.0", "a")]);
        assert!(older.len() == 1 && older[0].contains("the older 1.9.9"), "{older:?}");
        let same = said("1.2.0", ("1.2.0+other", "b"), "Kim", &[("1.2.0", "a")]);
        assert!(same.len() == 1 && same[0].contains("the same version with other contents"), "{same:?}");
        // A version that was active once counts as well.
        let known = said("1.1.0", ("1.2.0", "c"), "Kim", &[("1.1.0", "a"), ("1.2.0", "b")]);
        assert!(known.len() == 1 && known[0].contains("known with the SHA-256 b"), "{known:?}");
    }
}
