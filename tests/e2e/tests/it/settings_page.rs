//! `plugins/inicis/SETTINGS.md` says what the plugin's descriptor says.

use serde_json::Value;

use crate::stage::process::{Ended, component};
use crate::stage::{payhost, text};

/// What a setting holds, in a word.
fn kind(kind: &Value) -> String {
    let choices = |list: &Value| {
        list.as_array()
            .unwrap()
            .iter()
            .map(|choice| format!("`{}`", text(choice, "value")))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match kind {
        Value::String(word) => word.clone(),
        Value::Object(members) => {
            let (name, value) = members.iter().next().unwrap();
            match name.as_str() {
                "choice" => format!("one of {}", choices(value)),
                "choices" => format!("a list of {}", choices(value)),
                "integer" => format!("{} to {}", value[0], value[1]),
                other => other.replace('_', " "),
            }
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => panic!("{other}"),
    }
}

/// The page.
fn page(descriptor: &Value) -> String {
    let mut page = "# Settings of the KG INICIS plugin\n\n\
         Written from the plugin's descriptor; a test compares. Secrets are stored encrypted and never shown again: give them as\n\
         `--set key=@FILE`. A setting is required where `purposes` says so.\n\n\
         | key | what | holds | default | purposes | where to find it |\n|---|---|---|---|---|---|\n"
        .to_owned();
    let cell = |text: String| text.replace('|', "\\|").replace('\n', " ");
    for setting in descriptor["settings"].as_array().unwrap() {
        let both =
            |member: &str| format!("{}<br>{}", text(&setting[member], "ko"), text(&setting[member], "en"));
        let required = setting["required_for"].as_array().unwrap();
        let row = [
            format!("`{}`", text(setting, "key")),
            both("title"),
            kind(&setting["kind"]),
            setting["default"].as_str().map(|value| format!("`{value}`")).unwrap_or_default(),
            required.iter().map(|purpose| purpose.as_str().unwrap()).collect::<Vec<_>>().join(", "),
            both("help"),
        ];
        page.push_str(&format!("| {} |\n", row.map(cell).join(" | ")));
    }
    page
}

#[test]
fn the_settings_page_is_the_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = payhost(folder.path());
    command.args(["--json", "plugin", "call"]).arg(component()).arg("plugin.describe");
    let described = Ended::of(&mut command).json();
    let page = page(&described["result"]);
    let committed = include_str!("../../../../plugins/inicis/SETTINGS.md");
    if committed != page {
        let written = std::env::temp_dir().join("SETTINGS.md");
        std::fs::write(&written, &page).unwrap();
        panic!("plugins/inicis/SETTINGS.md is not the descriptor's; copy {} there", written.display());
    }
}
