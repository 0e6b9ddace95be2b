//! What a plugin says is bounded, printable and free of secret values before it is stored or shown anywhere.

use std::collections::VecDeque;
use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::contract::imports::Level;
use crate::limits::Limits;
use crate::scrubber::Scrubber;
use crate::secrets::Secrets;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// The import `log`.
    Log,
    /// Standard output.
    Stdout,
    /// Standard error: where a panic leaves its message.
    Stderr,
    /// The host, about what it dropped.
    Host,
}

/// One line, scrubbed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How urgent.
    pub level: Level,
    /// Where from.
    pub source: LogSource,
    /// What.
    pub message: String,
    /// Name and value.
    pub fields: Vec<(String, String)>,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        write!(f, "[{level}] {}", self.message)?;
        self.fields.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

/// Whose lines these are, for `tracing`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tags {
    pub(crate) shop: String,
    pub(crate) channel: String,
    pub(crate) plugin: String,
    pub(crate) call: String,
}

/// The lines of one call.
pub(crate) struct Logs {
    tags: Tags,
    secrets: Secrets,
    /// Made when it is needed: most calls say nothing.
    scrubber: OnceLock<Scrubber>,
    lines: VecDeque<LogLine>,
    max_lines: usize,
    bytes_left: usize,
    line_bytes: usize,
    dropped: u64,
    /// Output that has not come to the end of its line: standard output and standard error.
    unfinished: [(LogSource, Vec<u8>); 2],
}

impl Logs {
    pub(crate) fn new(tags: Tags, secrets: &Secrets, limits: &Limits) -> Self {
        Self {
            tags,
            secrets: secrets.clone(),
            scrubber: OnceLock::new(),
            lines: VecDeque::new(),
            max_lines: limits.log_lines,
            bytes_left: limits.log_bytes,
            line_bytes: limits.log_line_bytes,
            dropped: 0,
            unfinished: [(LogSource::Stdout, vec![]), (LogSource::Stderr, vec![])],
        }
    }

    /// Keeps whole lines of an output stream; a line that comes in pieces is put together first, so that nothing hides
    /// between two pieces.
    pub(crate) fn write_output(&mut self, source: LogSource, bytes: &[u8]) {
        let Some(slot) = self.unfinished.iter_mut().find(|(slot, _)| *slot == source) else { return };
        let mut pending = std::mem::take(&mut slot.1);
        let most = self.line_bytes.saturating_mul(2).max(1);
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = most.saturating_sub(pending.len());
            pending.extend_from_slice(piece.get(..room).unwrap_or(piece));
            if pieces.peek().is_some() {
                self.write_line_of(source, &pending);
                pending.clear();
            }
        }
        if let Some(slot) = self.unfinished.iter_mut().find(|(slot, _)| *slot == source) {
            slot.1 = pending;
        }
    }

    fn write_line_of(&mut self, source: LogSource, line: &[u8]) {
        // What Rust adds to every panic helps nobody here.
        if line.is_empty() || line.starts_with(b"note: run with `RUST_BACKTRACE") {
            return;
        }
        let level = if source == LogSource::Stderr { Level::Error } else { Level::Info };
        self.write(level, source, &String::from_utf8_lossy(line), &[]);
    }

    pub(crate) fn scrubber(&self) -> &Scrubber {
        self.scrubber.get_or_init(|| Scrubber::new(&self.secrets))
    }

    /// Keeps a line, or counts it once the call has said enough.
    pub(crate) fn write(
        &mut self,
        level: Level,
        source: LogSource,
        message: &str,
        fields: &[(String, String)],
    ) {
        if self.lines.len() >= self.max_lines || self.bytes_left == 0 {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        let mut left = self.line_bytes.min(self.bytes_left);
        let message = self.clean(message, &mut left);
        let mut kept = Vec::new();
        for (name, value) in fields {
            if left == 0 {
                kept.push(("cut".to_owned(), "true".to_owned()));
                break;
            }
            kept.push((self.clean(name, &mut left), self.clean(value, &mut left)));
        }
        let used = self.line_bytes.min(self.bytes_left).saturating_sub(left).max(1);
        self.bytes_left = self.bytes_left.saturating_sub(used);
        let line = LogLine { level, source, message, fields: kept };
        self.emit(&line);
        self.lines.push_back(line);
    }

    /// Scrubs **before** cutting, so that a cut secret cannot slip through; then cuts and strips.
    fn clean(&self, text: &str, left: &mut usize) -> String {
        // A guest may hand over megabytes: what cannot be kept is not looked at, but a secret on the border is.
        let window = floor(text, left.saturating_mul(2).saturating_add(4096));
        let scrubbed = self.scrubber().scrub(window);
        let shown = scrubbed.as_deref().unwrap_or(window);
        let kept = floor(shown, *left);
        let cut = kept.len() < shown.len() || window.len() < text.len();
        *left = left.saturating_sub(kept.len());
        let mut out: String = kept.chars().map(|c| if is_control(c) { ' ' } else { c }).collect();
        if cut {
            out.push('…');
            *left = 0;
        }
        out
    }

    fn emit(&self, line: &LogLine) {
        let Tags { shop, channel, plugin, call } = &self.tags;
        // `tracing` needs the level at compile time.
        macro_rules! emit {
            ($level:ident) => {
                tracing::$level!(target: "payhost::plugin", %shop, %channel, %plugin, %call, source = ?line.source, "{line}")
            };
        }
        match line.level {
            Level::Debug => emit!(debug),
            Level::Info => emit!(info),
            Level::Warn => emit!(warn),
            Level::Error => emit!(error),
        }
    }

    /// The lines, with a last one about what was dropped.
    pub(crate) fn take(&mut self) -> Vec<LogLine> {
        for at in 0..self.unfinished.len() {
            let Some((source, line)) = self.unfinished.get_mut(at) else { continue };
            let (source, line) = (*source, std::mem::take(line));
            self.write_line_of(source, &line);
        }
        if self.dropped > 0 {
            let message = format!(
                "{} more lines were dropped: a call may write {} lines and the bytes set in its limits",
                self.dropped, self.max_lines
            );
            let line = LogLine { level: Level::Warn, source: LogSource::Host, message, fields: vec![] };
            self.emit(&line);
            self.lines.push_back(line);
            self.dropped = 0;
        }
        std::mem::take(&mut self.lines).into()
    }
}

/// Characters that could forge lines or turn text around on a terminal.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The longest prefix of at most `bytes` bytes that ends between characters.
fn floor(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use payhost_core::hex;
    use zeroize::Zeroizing;

    use super::*;

    fn logs(limits: &Limits) -> Logs {
        let secrets = Secrets::new().with_channel("key", 1, Zeroizing::new("s3cr3t+/한".into()));
        Logs::new(Tags::default(), &secrets, limits)
    }

    #[test]
    fn no_writing_of_a_secret_passes() {
        let value = "s3cr3t+/한";
        let writings = [
            value.to_owned(),
            STANDARD.encode(value),
            URL_SAFE_NO_PAD.encode(value),
            form_urlencoded::byte_serialize(value.as_bytes()).collect(),
            hex(value.as_bytes()),
            hex(value.as_bytes()).to_uppercase(),
        ];
        for writing in writings {
            let mut logs = logs(&Limits::default());
            logs.write(
                Level::Info,
                LogSource::Log,
                &format!("a {writing} b"),
                &[(writing.clone(), writing.clone())],
            );
            let line = logs.take().remove(0).to_string();
            assert!(line.contains("[secret]") && !line.contains(writing.trim_end_matches('=')), "{line}");
        }
    }

    #[test]
    fn a_secret_across_the_cut_does_not_pass() {
        let mut logs = logs(&Limits { log_line_bytes: 10, ..Limits::default() });
        logs.write(Level::Info, LogSource::Log, "1234567s3cr3t+/한", &[]);
        assert_eq!(logs.take()[0].message, "1234567[se…");
    }

    #[test]
    fn control_characters_cannot_forge_lines() {
        let mut logs = logs(&Limits::default());
        logs.write(Level::Info, LogSource::Log, "a\r\nb\u{1b}[31m\u{202e}c\0", &[]);
        assert_eq!(logs.take()[0].message, "a  b [31m c ");
    }

    #[test]
    fn a_storm_is_cut_and_counted() {
        let mut logs = logs(&Limits { log_lines: 3, ..Limits::default() });
        for _ in 0..10 {
            logs.write(Level::Info, LogSource::Log, "x", &[]);
        }
        let lines = logs.take();
        assert_eq!(lines.len(), 4);
        assert!(lines[3].message.starts_with("7 more lines were dropped"));
        let mut logs = self::logs(&Limits { log_bytes: 10, ..Limits::default() });
        logs.write(Level::Info, LogSource::Log, &"y".repeat(1 << 20), &[]);
        logs.write(Level::Info, LogSource::Log, "z", &[]);
        let lines = logs.take();
        assert_eq!(lines[0].message, "yyyyyyyyyy…");
        assert_eq!(lines.len(), 2, "the second is the host's own");
    }
}
