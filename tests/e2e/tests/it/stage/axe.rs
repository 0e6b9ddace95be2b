//! axe-core, the accessibility checker of the browsers' own tools. Invariant: a page that it finds fault with fails the test that
//! shows the page. It is installed beside the programs when it is missing.

use std::path::Path;
use std::process::{Command, Stdio};

use fantoccini::Client;
use serde_json::Value;

use super::process::binary;

const VERSION: &str = "4.14.1";
/// Gives `rule: words (selectors)` of each violation. The rules are those of WCAG 2.2 A and AA.
const RUN: &str = "
    var done = arguments[arguments.length - 1];
    axe.run(document, {iframes: false, runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}).then(function (found) {
      done(found.violations.map(function (one) {
        return one.id + ': ' + one.help + ' (' + one.nodes.map(function (node) { return node.target.join(' '); }).join(', ') + ')';
      }));
    }, function (error) { done(['axe-core: ' + error]); });";

/// What it finds in the page, or in the frame, that the browser is in. A page that leaves meanwhile has nothing.
pub async fn violations(tab: &Client) -> Vec<String> {
    if tab.execute(&source(), vec![]).await.is_err() {
        return Vec::new();
    }
    let found = tab.execute_async(RUN, vec![]).await;
    let found = found.ok().and_then(|found| serde_json::from_value::<Vec<String>>(found).ok());
    found.unwrap_or_default()
}

/// The checker's code.
fn source() -> String {
    let folder = binary("payhost").parent().unwrap().parent().unwrap().join("axe-core");
    let file = folder.join("node_modules/axe-core/axe.min.js");
    std::fs::create_dir_all(&folder).unwrap();
    // Tests of several processes install it once.
    let lock = std::fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let manifest = folder.join("node_modules/axe-core/package.json");
    if !std::fs::read_to_string(manifest).is_ok_and(|text| version(&text).as_deref() == Some(VERSION)) {
        install(&folder);
    }
    std::fs::read_to_string(file).unwrap()
}

fn version(manifest: &str) -> Option<String> {
    let manifest: Value = serde_json::from_str(manifest).ok()?;
    Some(manifest.get("version")?.as_str()?.to_owned())
}

fn install(folder: &Path) {
    let needed = "Node with npm (Debian: apt-get install nodejs npm)";
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]).arg(folder);
    npm.arg(format!("axe-core@{VERSION}")).stdin(Stdio::null());
    let outcome = npm.output().unwrap_or_else(|error| panic!("{needed} is needed to check pages: {error}"));
    let words = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{needed} is needed to check pages; npm said: {words}");
}
