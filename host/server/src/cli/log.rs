//! The log of `payhost serve`. Invariant: a line is one flat object (or, on a terminal, one line of text) with what happened and
//! the ids of what it is about (request, key, shop, payment, attempt …), wherever it was written; no query, no token, and no
//! path of the machine that built the program.

use std::fmt;
use std::io::IsTerminal as _;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Lines on stderr: JSON when it is not a terminal. `RUST_LOG` says how much.
pub fn to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = if std::io::stderr().is_terminal() {
        lines.try_init()
    } else {
        lines.fmt_fields(JsonFields::new()).event_format(Flat).try_init()
    };
    // Already set: an embedder's choice stands.
    let _ = set;
    std::panic::set_hook(Box::new(panicked));
}

/// A panic is a line of the log like any other; its place is named as our sources name it.
fn panicked(info: &std::panic::PanicHookInfo<'_>) {
    let place = info.location().map(|at| format!("{}:{}", source_name(at.file()), at.line()));
    let words = info.payload_as_str().unwrap_or_default();
    tracing::error!(place = place.unwrap_or_default(), words, "a panic");
}

/// A source file without the folder of the machine that it was built on.
fn source_name(file: &str) -> &str {
    match file.rsplit_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/')) {
        Some((_, inside)) => inside,
        None => file.rsplit_once("/library/").map_or(file, |(_, inside)| inside),
    }
}

/// One JSON object for a line: the fields of the spans around it from the outside in, then its own. A name that stands twice has
/// the innermost value.
struct Flat;

impl<S, N> FormatEvent<S, N> for Flat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        let now = jiff::Timestamp::now();
        line.insert("timestamp".to_owned(), Value::from(format!("{now:.6}")));
        line.insert("level".to_owned(), Value::from(event.metadata().level().as_str()));
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let Some(fields) = extensions.get::<FormattedFields<N>>() else { continue };
            if let Ok(Value::Object(fields)) = serde_json::from_str(fields.as_str()) {
                line.extend(fields);
            }
        }
        event.record(&mut Fields(&mut line));
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Puts fields into an object.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        // Of the `log` crate's records: the path of a source file on the machine that built it.
        if !field.name().starts_with("log.") {
            self.0.insert(field.name().trim_start_matches("r#").to_owned(), value);
        }
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::from(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::from(value));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put(field, u64::try_from(value).map_or_else(|_| Value::from(value.to_string()), Value::from));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::from(value));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_flat_and_has_the_ids_of_what_it_is_about() {
        let lines = Lines::default();
        let into = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(JsonFields::new())
            .event_format(Flat)
            .with_writer(move || into.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("request", request = "req_1", shop = tracing::field::Empty);
            span.record("shop", "shop_1");
            let _inside = span.enter();
            tracing::warn!(attempt = "att_1", amount = 1004, good = true, log.file = "/home/x/y.rs", "said");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let line: Value = serde_json::from_str(&text).unwrap();
        let mut names: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["amount", "attempt", "good", "level", "message", "request", "shop", "timestamp"]);
        assert_eq!(
            (&line["shop"], &line["amount"], &line["message"]),
            (&"shop_1".into(), &1004.into(), &"said".into())
        );
        assert!(line.as_object().unwrap().values().all(|value| !value.is_object()), "{line}");
    }

    #[test]
    fn a_place_has_no_folder_of_the_builder() {
        for (file, shown) in [
            ("/home/x/.cargo/registry/src/index-1949/serde-1.0.0/src/lib.rs", "serde-1.0.0/src/lib.rs"),
            ("/rustc/0123/library/core/src/option.rs", "core/src/option.rs"),
            ("host/server/src/host.rs", "host/server/src/host.rs"),
        ] {
            assert_eq!(source_name(file), shown);
        }
    }
}
