//! `payhost listen`. Invariant: every event from its start on is forwarded once to a developer's machine, signed like a
//! webhook; it reads the API and writes nothing, so that endpoints and their deliveries stay as they are.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use payhost_core::id::ShopId;
use serde_json::Value;
use url::Url;

use super::Arguments;
use super::client::{self, ApiRequest, Failure};
use super::output::say;
use crate::time::{Clock, SystemClock};
use crate::webhooks::Secret;

/// Time between two looks.
const REST: Duration = Duration::from_millis(500);
/// Pages that are read back at most; what is older was missed while nobody listened.
const PAGES: usize = 50;

/// Where to.
#[derive(Args)]
pub struct ListenArguments {
    /// Address on this machine, such as `http://127.0.0.1:3000/webhooks`.
    #[arg(long)]
    forward_to: Url,
    /// The shop; with a shop's own key it is known.
    #[arg(long, env = "PAYHOST_SHOP")]
    shop: Option<ShopId>,
    /// `test` or `live`.
    #[arg(long, default_value = "test", env = "PAYHOST_MODE")]
    mode: String,
    /// File with the secret that signs (`whsec_…`); made if it is not there. Absent: a new secret, which is printed.
    #[arg(long)]
    secret_file: Option<PathBuf>,
}

/// Forwards until Ctrl-C.
pub async fn run(arguments: &Arguments, listen: &ListenArguments) -> Result<(), Failure> {
    if listen.forward_to.scheme() != "http" {
        return Err("--forward-to: an address on this machine, which begins with http://".into());
    }
    let (secret, named) = match &listen.secret_file {
        None => (Secret::new(), None),
        Some(file) => (secret_of(file)?, Some(file.display())),
    };
    let local = crate::http::client::for_commands()?;
    let mut seen: HashSet<String> = HashSet::new();
    news(arguments, listen, &mut seen, 1).await?;
    match named {
        Some(file) => say(&format!("listening; events are signed with the secret in {file}"))?,
        None => say(&format!("listening; events are signed with this secret: {}", secret.shown()))?,
    }
    loop {
        for event in news(arguments, listen, &mut seen, PAGES).await? {
            let (name, id) = (text(&event, "type"), text(&event, "id"));
            let outcome = forward(&local, listen, &secret, &event, id).await;
            say(&format!("{name} {id} -> {outcome}"))?;
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(REST) => {}
        }
    }
}

/// The secret in a file, which only its user may read; made if it is not there.
fn secret_of(file: &Path) -> Result<Secret, String> {
    let named = |error: &dyn std::fmt::Display| format!("--secret-file {}: {error}", file.display());
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    match made {
        Ok(mut made) => {
            let secret = Secret::new();
            made.write_all(secret.shown().as_bytes()).map_err(|error| named(&error))?;
            Ok(secret)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
            Secret::read(text.trim()).ok_or_else(|| named(&"it has no secret (whsec_…)"))
        }
        Err(error) => Err(named(&error)),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Events that were not seen before, oldest first. A whole page is looked at each time, because an event may be seen a moment
/// later than one that is younger.
async fn news(
    arguments: &Arguments,
    listen: &ListenArguments,
    seen: &mut HashSet<String>,
    pages: usize,
) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    let mut after = String::new();
    for _ in 0..pages {
        let request =
            ApiRequest::get(format!("/v1/events?limit=100{after}")).for_shop(listen.shop, &listen.mode);
        let page = client::send_to_server(arguments, request).await?;
        let events = page.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
        let before = found.len();
        let all = events.len();
        found.extend(events.into_iter().filter(|event| seen.insert(text(event, "id").to_owned())));
        match page.get("next").and_then(Value::as_str) {
            Some(next) if found.len().saturating_sub(before) == all => after = format!("&after={next}"),
            _ => break,
        }
    }
    found.reverse();
    Ok(found)
}

async fn forward(
    local: &reqwest::Client,
    listen: &ListenArguments,
    secret: &Secret,
    event: &Value,
    id: &str,
) -> String {
    let (body, now_s) = (event.to_string(), SystemClock.now_us() / 1_000_000);
    let request = local
        .post(listen.forward_to.clone())
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", now_s.to_string())
        .header("webhook-signature", secret.sign(id, now_s, &body))
        .body(body);
    match request.send().await {
        Ok(answer) => answer.status().as_u16().to_string(),
        Err(error) => error.to_string(),
    }
}
