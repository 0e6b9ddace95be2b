//! Answers for people. Invariant: a list is a table of what a person looks for, one line an item, and says when there is more;
//! nothing is printed in one line that nobody could read; with `--json` the API's own words are printed instead. What shops,
//! plugins and gateways wrote stands in its place and moves nothing else on the screen: everything is printed by [`say`], and
//! their line ends are written out.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use payhost_core::id::{ChannelId, EndpointId, EventId, KeyId, NoticeId, PaymentId, ShopId};
use payhost_core::text::printable;
use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use super::client::Failure;

/// Longest text of a cell or of a member, in characters.
const LONGEST: usize = 100;
/// Most members of a list that are written out.
const ITEMS: usize = 12;

/// The language of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Korean.
    Ko,
    /// English.
    En,
}

impl Language {
    /// As the environment says: the first of LC_ALL, LC_MESSAGES and LANG that is set.
    pub fn of_terminal() -> Self {
        let set = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
        Self::of_locale(&set.into_iter().find(|text| !text.is_empty()).unwrap_or_default())
    }

    fn of_locale(locale: &str) -> Self {
        if locale.to_ascii_lowercase().starts_with("ko") { Self::Ko } else { Self::En }
    }

    /// The one of two texts.
    pub fn choose<'a>(self, ko: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Ko => ko,
            Self::En => en,
        }
    }
}

/// Columns of lists, by the prefix of their items' ids; a path leads into an item.
const COLUMNS: &[(&str, &[&str])] = &[
    (
        PaymentId::PREFIX,
        &[
            "id",
            "order_id",
            "state",
            "resolution",
            "amount.total",
            "amount.currency",
            "method.kind",
            "created_at",
        ],
    ),
    (ShopId::PREFIX, &["id", "name", "state", "created_at"]),
    (KeyId::PREFIX, &["id", "name", "mode", "hint", "created_at", "revoked_at"]),
    (ChannelId::PREFIX, &["id", "name", "plugin", "mode", "enabled", "default_for", "missing", "removed_at"]),
    (NoticeId::PREFIX, &["id", "state", "payment_id", "source", "times", "reason", "received_at"]),
    (EndpointId::PREFIX, &["id", "url", "name", "state", "disabled_reason", "last_error"]),
    (EventId::PREFIX, &["id", "type", "timestamp"]),
];
/// Of what waits for a person.
const ATTENTION: &[&str] =
    &["kind", "id", "shop_id", "mode", "order_id", "payment_id", "reason", "since", "next_try_at"];
/// Of a plugin: who it is.
const PLUGIN: &[&str] = &["id", "version", "author", "digest", "interfaces", "installed_at"];
/// And of one that was removed.
const REMOVED: &[&str] = &["removed_at", "for_old_sales"];
/// And what it wants, each with whether that was granted: member, heading, columns.
const WANTED: &[(&str, &str, &[&str])] = &[
    ("hosts", "hosts:", &["granted", "origin", "reason"]),
    ("browser_origins", "in the buyer's browser (--kind browser):", &["granted", "origin", "uses"]),
];

/// Prints lines. Characters that are not seen are written as `\u001b`, which in JSON means the same.
///
/// # Errors
/// When nothing can be written there. A reader that left (`| head`) is none: see [`Failure::reader_left`].
pub fn say(lines: &str) -> Result<(), Failure> {
    write(&printable(lines, &['\n']), "\n")
}

/// Prints a value for a script to the letter; on a terminal as [`say`] does.
pub fn say_value(value: &str) -> Result<(), Failure> {
    if std::io::stdout().is_terminal() { say(value) } else { write(value, "\n") }
}

/// Prints a file that [`csv`] made.
pub fn say_file(text: &str) -> Result<(), Failure> {
    write(text, "")
}

fn write(text: &str, end: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes()));
    written.and_then(|()| out.flush()).map_err(|error| {
        let left = error.kind() == ErrorKind::BrokenPipe;
        if left { Failure::reader_left() } else { format!("the answer cannot be printed: {error}").into() }
    })
}

/// The same for an error; who closed stderr does not want to know.
pub fn complain(lines: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(lines, &['\n']));
}

/// An answer for a person.
pub fn readable(answer: &Value) -> String {
    match answer {
        Value::Object(members) => match members.get("data").and_then(Value::as_array) {
            Some(items) if items.is_empty() => "(none)".to_owned(),
            Some(items) => list(items, members.get("next").and_then(Value::as_str)),
            None if is_plugin(answer) => plugin(answer),
            None => block(answer, 0),
        },
        Value::Null => "done".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => answer.to_string(),
    }
}

fn list(items: &[Value], next: Option<&str>) -> String {
    let text = match columns(items) {
        Some(columns) if columns == ATTENTION => attention(items),
        Some(columns) => table(items, columns),
        None if items.iter().all(is_plugin) => items.iter().map(plugin).collect::<Vec<_>>().join("\n\n"),
        None => items.iter().map(|item| block(item, 0)).collect::<Vec<_>>().join("\n\n"),
    };
    match next {
        Some(next) => format!("{text}\n\nThere is more: --after {} (or --all)", printable(next, &[])),
        None => text,
    }
}

/// What waits for a person, and below the table what each kind means and what to do about it.
fn attention(items: &[Value]) -> String {
    let language = Language::of_terminal();
    let mut text = table(items, ATTENTION);
    let mut explained: Vec<String> = Vec::new();
    for item in items {
        let kind = cell(item, "kind");
        if explained.contains(&kind) {
            continue;
        }
        let words = |member: &str| {
            let text = |language: &str| cell(item, &format!("{member}.{language}"));
            language.choose(&text("ko"), &text("en")).to_owned()
        };
        text.push_str(&printable(&format!("\n\n{kind}: {} {}", words("text"), words("remedy")), &['\n']));
        explained.push(kind);
    }
    text
}

fn columns(items: &[Value]) -> Option<&'static [&'static str]> {
    let first = items.first()?;
    if first.get("kind").is_some() && first.get("remedy").is_some() {
        return Some(ATTENTION);
    }
    let (prefix, _) = first.get("id")?.as_str()?.split_once('_')?;
    COLUMNS.iter().find(|(known, _)| *known == prefix).map(|(_, columns)| *columns)
}

fn is_plugin(item: &Value) -> bool {
    item.get("browser_origins").is_some() && item.get("interfaces").is_some()
}

/// Who it is, and all that it wants: nobody grants what is not shown. Its settings and presets are for `--json`.
fn plugin(item: &Value) -> String {
    let named = |path: &&str| format!("{path}: {}", printable(&cell(item, path), &[]));
    let mut lines: Vec<String> = PLUGIN.iter().map(named).collect();
    lines.extend(REMOVED.iter().filter(|path| !cell(item, path).is_empty()).map(named));
    for (member, heading, columns) in WANTED {
        let wanted = item.get(member).and_then(Value::as_array).filter(|wanted| !wanted.is_empty());
        let Some(wanted) = wanted else { continue };
        lines.push((*heading).to_owned());
        lines.extend(table(wanted, columns).lines().map(|line| format!("  {line}")));
    }
    lines.join("\n")
}

/// The members of an answer, if a path leads to none: a typing error, where a member that is null is none.
pub fn unknown_member(item: &Value, path: &str) -> Option<String> {
    let mut at = item;
    for name in path.split('.') {
        match at {
            Value::Null => return None,
            Value::Object(members) if !members.contains_key(name) => {
                let known: Vec<&str> = members.keys().map(String::as_str).collect();
                return Some(format!("the answer has no member {name:?}; it has: {}", known.join(", ")));
            }
            Value::Object(members) => at = members.get(name)?,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Some(format!("the answer has no member {name:?} in {path:?}"));
            }
        }
    }
    None
}

/// What stands at a path, as text; empty where there is nothing.
pub fn cell(item: &Value, path: &str) -> String {
    let found = if path.is_empty() {
        Some(item)
    } else {
        path.split('.').try_fold(item, |value, name| value.get(name))
    };
    match found {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), ToOwned::to_owned))
            .collect::<Vec<_>>()
            .join(", "),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Object(_))) => other.to_string(),
    }
}

/// Columns as wide as what stands in them; those in which nothing stands are left out.
fn table(items: &[Value], columns: &[&str]) -> String {
    let rows: Vec<Vec<String>> =
        items.iter().map(|item| columns.iter().map(|path| shortened(&cell(item, path))).collect()).collect();
    let used: Vec<(usize, String, usize)> = columns
        .iter()
        .enumerate()
        .filter_map(|(at, path)| {
            let widest = rows.iter().filter_map(|row| row.get(at)).map(|text| text.width()).max()?;
            let title = path.rsplit('.').next().unwrap_or(path).to_uppercase();
            (widest > 0).then(|| (at, title.clone(), widest.max(title.width())))
        })
        .collect();
    let line = |cell_of: &dyn Fn(usize, &str) -> String| {
        let cells = used.iter().map(|(at, title, wide)| {
            let text = cell_of(*at, title);
            let fill = wide.saturating_sub(text.width());
            format!("{text}{}", " ".repeat(fill))
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&|_, title| title.to_owned())];
    lines.extend(rows.iter().map(|row| line(&|at, _| row.get(at).cloned().unwrap_or_default())));
    lines.join("\n")
}

/// One line, in which everything is seen, and not longer than anybody reads.
fn shortened(text: &str) -> String {
    let text = printable(text, &[]);
    let mut line: String = text.chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

/// Members line by line; what is inside them indented.
fn block(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !is_empty(value))
            .map(|(name, value)| (printable(name, &[]), value))
            .map(|(name, value)| match value {
                Value::Object(_) => format!("{indent}{name}:\n{}", block(value, depth.saturating_add(1))),
                Value::Array(items) if items.iter().any(Value::is_object) => {
                    format!("{indent}{name}:\n{}", block(value, depth.saturating_add(1)))
                }
                Value::Array(_) => format!("{indent}{name}: {}", shortened(&cell(value, ""))),
                // A secret is copied from here: it is never shortened.
                Value::String(text) => format!("{indent}{name}: {}", printable(text, &[])),
                Value::Null | Value::Bool(_) | Value::Number(_) => format!("{indent}{name}: {value}"),
            })
            .collect::<Vec<_>>()
            .join("\n"),
        Value::Array(items) => {
            let mut lines: Vec<String> =
                items.iter().take(ITEMS).map(|item| one_line(item, &indent)).collect();
            if items.len() > ITEMS {
                lines.push(format!("{indent}… {} in all (--json shows them)", items.len()));
            }
            lines.join("\n")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => format!("{indent}{value}"),
    }
}

/// The plain members of an item, in one line.
fn one_line(item: &Value, indent: &str) -> String {
    let Value::Object(members) = item else { return format!("{indent}{}", shortened(&item.to_string())) };
    let plain =
        members.iter().filter(|(_, value)| !value.is_object() && !value.is_array() && !value.is_null());
    let of = |value: &Value| cell(value, "");
    let words = plain.map(|(name, value)| format!("{name} {}", of(value))).collect::<Vec<_>>().join(", ");
    format!("{indent}- {}", shortened(&words))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Items as comma-separated values (RFC 4180), a header first. A text that a spreadsheet would run as a formula is kept a text.
pub fn csv(items: &[Value], columns: &[&str]) -> Result<String, String> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(columns).map_err(|error| error.to_string())?;
    for item in items {
        let cells = columns.iter().map(|path| as_text(printable(&cell(item, path), &['\n', '\r', '\t'])));
        writer.write_record(cells).map_err(|error| error.to_string())?;
    }
    let bytes = writer.into_inner().map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

fn as_text(text: String) -> String {
    let is_number = text.parse::<f64>().is_ok();
    let is_formula = !is_number && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_a_table_that_says_when_there_is_more() {
        let payment = |order: &str| {
            json!({"id": "pay_1", "order_id": order, "state": "paid", "resolution": "none",
                   "amount": {"total": 1004, "currency": "KRW"}, "method": null, "created_at": "2026-11-30"})
        };
        let text = readable(&json!({"data": [payment("주문-1"), payment("A-22222")], "next": "pay_1"}));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("ID     ORDER_ID  STATE"), "{text}");
        assert!(!text.contains("KIND"), "a column in which nothing stands is left out: {text}");
        // Hangul takes two columns of a terminal.
        assert!(lines[1].contains("주문-1    paid") && lines[2].contains("A-22222   paid"), "{text}");
        assert!(text.ends_with("There is more: --after pay_1 (or --all)"), "{text}");
        assert_eq!(readable(&json!({"data": [], "next": null})), "(none)");
        assert_eq!(readable(&Value::Null), "done");
    }

    #[test]
    fn a_plugin_is_shown_with_all_that_it_wants() {
        let host = |n: usize| json!({"origin": format!("https://h{n}.example"), "reason": "approval", "granted": n == 0});
        let plugin = json!({
            "id": "gw", "version": "1.0.0", "digest": "ab", "interfaces": ["general-pay"], "author": "Kim",
            "hosts": (0..30).map(host).collect::<Vec<_>>(),
            "browser_origins": [{"origin": "https://pay.example", "uses": ["script", "form"], "granted": false}],
            "descriptor": {"settings": "x".repeat(9_000)}, "installed_at": "2026-11-30",
        });
        for text in [readable(&plugin), readable(&json!({"data": [plugin], "next": null}))] {
            assert!(text.contains("author: Kim") && text.contains("interfaces: general-pay"), "{text}");
            assert!(
                text.contains("true     https://h0.example") && text.contains("false    https://h29.example"),
                "{text}"
            );
            assert!(text.contains("false    https://pay.example  script, form"), "{text}");
            assert!(text.len() < 2_500, "{} bytes", text.len());
        }
    }

    #[test]
    fn no_strangers_text_moves_or_hides_anything_on_the_screen() {
        for (hidden, shown) in [
            ("Kim\u{1b}[8m", "Kim\\u001b[8m"),
            ("x\nstate: paid", "x\\nstate: paid"),
            ("x\rstate: paid", "x\\rstate: paid"),
            ("a\u{9b}2J", "a\\u009b2J"),
            ("\u{202e}lla", "\\u202ella"),
            ("a\u{2028}b", "a\\u2028b"),
        ] {
            let plugin = json!({"id": hidden, "version": hidden, "author": hidden, "interfaces": [hidden],
                "hosts": [{"granted": false, "origin": hidden, "reason": hidden}],
                "browser_origins": [{"granted": false, "origin": hidden, "uses": [hidden]}]});
            let payment = json!({"id": "pay_1", "order_id": hidden, "metadata": {hidden: hidden, "list": [hidden, {"a": hidden, hidden: 1}]},
                "parts": [{"name": hidden, hidden: hidden}]});
            let list = json!({"data": [{"id": "pay_1", "order_id": hidden}], "next": hidden});
            let others = json!({"data": [{"id": hidden, "name": hidden}], "next": null});
            for answer in [plugin, payment, list, others] {
                let text = readable(&answer);
                assert!(text.contains(shown), "{text}");
                assert!(!text.lines().any(|line| line.starts_with("state")), "{text}");
                assert_eq!(printable(&text, &['\n']), text);
            }
        }
        // A reader of the CSV gets the lines, and no escapes.
        assert_eq!(csv(&[json!({"a": "x\u{1b}[8m\ny"})], &["a"]).unwrap(), "a\r\n\"x\\u001b[8m\ny\"\r\n");
    }

    #[test]
    fn every_list_of_things_with_an_id_of_ours_is_a_table() {
        for (prefix, columns) in COLUMNS {
            let item = json!({"id": format!("{prefix}_00000000000000000000000000"), "name": "x", "url": "https://a.example"});
            let text = readable(&json!({"data": [item], "next": null}));
            assert!(text.starts_with("ID") && text.lines().count() == 2, "{prefix}: {text}");
            assert_eq!(columns[0], "id");
        }
        let made = EndpointId::new(1, [1; 10]).to_string();
        let text = readable(&json!({"data": [{"id": made, "url": "https://a.example", "events": ["*"]}]}));
        assert!(text.lines().count() == 2 && text.contains("https://a.example"), "{text}");
    }

    #[test]
    fn a_secret_is_whole_and_a_long_list_is_not() {
        let secret = "s".repeat(200);
        let items: Vec<Value> = (0..40).map(|n| json!({"n": n, "text": "x".repeat(500)})).collect();
        let text = readable(&json!({"id": "key_1", "secret": secret, "things": items, "none": []}));
        assert!(text.contains(&secret) && text.contains("… 40 in all"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 230) && !text.contains("none"), "{text}");
    }

    #[test]
    fn a_table_for_a_spreadsheet_runs_nothing() {
        let items = [json!({"a": "=1+1", "b": {"c": "x, \"y\""}}), json!({"a": -5, "b": {"c": "줄\n바꿈"}})];
        let text = csv(&items, &["a", "b.c"]).unwrap();
        assert_eq!(text, "a,b.c\r\n'=1+1,\"x, \"\"y\"\"\"\r\n-5,\"줄\n바꿈\"\r\n");
    }

    #[test]
    fn the_terminals_language_is_korean_or_english() {
        assert_eq!(Language::of_locale("ko_KR.UTF-8"), Language::Ko);
        assert_eq!(Language::of_locale("C.UTF-8"), Language::En);
        assert_eq!(Language::of_locale(""), Language::En);
    }
}
