//! `payhost plugin call`: one function of a component file, without an installation. Invariant: the sandbox is the host's own,
//! with the same checks and limits; only the network's answers may come from a script.
//!
//! `wit/README.md` describes files and output.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use payhost_engine::contract::imports::{HttpError, Response};
use payhost_engine::contract::plugin::{Descriptor, SettingType};
use payhost_engine::contract::types::{Mode, Setting};
use payhost_engine::contract::{AnyFunction, find};
use payhost_engine::egress::Script;
use payhost_engine::{
    CallSetup, Called, EgressPolicy, Engine, HttpRequestRecord, ImportRecord, Options, Secrets, Transport,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::channels::settings::with_defaults;
use crate::time::{Clock, SystemClock, parse_moment};

/// `payhost plugin call …`
#[derive(Args)]
pub struct CallArguments {
    /// The component file.
    component: PathBuf,
    /// `interface.function`, as `general-pay.begin`.
    function: String,
    /// Arguments: a JSON object by parameter name, without `context`.
    #[arg(long)]
    args: Option<PathBuf>,
    /// Settings: a JSON object. Defaults of the descriptor are filled in.
    #[arg(long)]
    settings: Option<PathBuf>,
    /// Secrets: a JSON object. A name that is no secret of the descriptor is a one-time secret.
    #[arg(long)]
    secrets: Option<PathBuf>,
    /// The call's moment, RFC 3339. Default: now.
    #[arg(long)]
    now: Option<String>,
    /// Answers in place of the network: a JSON list of `{request: {method, url}, response}` or `{request, error}`.
    #[arg(long)]
    http: Option<PathBuf>,
    /// An origin that the plugin may reach.
    #[arg(long = "grant")]
    grants: Vec<String>,
    /// `test` or `live`.
    #[arg(long, default_value = "test")]
    mode: String,
}

/// Runs it and gives `{result or fault, requests, log, cost}`.
pub async fn run(arguments: &CallArguments) -> Result<Value, String> {
    let function = function(&arguments.function)?;
    let bytes = std::fs::read(&arguments.component)
        .map_err(|error| format!("{}: {error}", arguments.component.display()))?;
    let engine = Engine::new(Options::default()).map_err(|error| error.to_string())?;
    let plugin = engine.load(&bytes).await.map_err(|error| error.to_string())?;
    let descriptor = plugin.descriptor();
    let settings: BTreeMap<String, Value> = file(arguments.settings.as_deref())?;
    let settings = settings.into_iter().map(|(key, value)| (key, as_text(&value))).collect();
    let settings =
        with_defaults(descriptor, &settings).into_iter().map(|(key, value)| Setting { key, value });
    let mode = match arguments.mode.as_str() {
        "test" => Mode::Test,
        "live" => Mode::Live,
        other => return Err(format!("--mode {other}: test or live")),
    };
    let setup = setup(arguments, descriptor)?;
    let context = setup.context(mode, settings.collect());
    let given: Map<String, Value> = file(arguments.args.as_deref())?;
    let called = function.call_json(&engine, &plugin, context, Value::Object(given), setup).await;
    Ok(shown(called.map_err(|error| error.to_string())?))
}

fn function(name: &str) -> Result<&'static dyn AnyFunction, String> {
    let (interface, function) = name
        .split_once('.')
        .ok_or_else(|| format!("{name}: expected interface.function, as general-pay.begin"))?;
    find(interface, function).ok_or_else(|| {
        let known = payhost_engine::contract::functions().iter().map(|function| {
            let interface = function.interface().rsplit('/').next().unwrap_or_default();
            format!("{}.{}", interface.split('@').next().unwrap_or_default(), function.name())
        });
        format!("there is no function {name}; there are: {}", known.collect::<Vec<_>>().join(", "))
    })
}

fn setup(arguments: &CallArguments, descriptor: &Descriptor) -> Result<CallSetup, String> {
    let now_us = match &arguments.now {
        None => SystemClock.now_us(),
        Some(text) => parse_moment(text)
            .ok_or_else(|| format!("--now {text}: RFC 3339, as 2026-11-21T10:00:00+09:00"))?,
    };
    let mut setup = CallSetup::new("plugin-call", now_us / 1000, [0; 16]);
    let granted =
        arguments.grants.iter().map(|text| text.parse().map_err(|error| format!("--grant {text}: {error}")));
    setup.egress =
        Arc::new(EgressPolicy { granted: granted.collect::<Result<_, String>>()?, map: Vec::new() });
    let secrets: BTreeMap<String, String> = file(arguments.secrets.as_deref())?;
    setup.secrets = secrets.into_iter().fold(Secrets::new(), |secrets, (name, value)| {
        let declared = descriptor
            .settings
            .iter()
            .any(|field| field.key == name && matches!(field.kind, SettingType::Secret(_)));
        let value = Zeroizing::new(value);
        if declared { secrets.with_channel(name, 1, value) } else { secrets.with_one_time(name, value) }
    });
    if let Some(path) = &arguments.http {
        let lines: Vec<Line> = file(Some(path))?;
        setup.transport = Transport::Scripted(Arc::new(Lines(Mutex::new(lines.into()))));
    }
    Ok(setup)
}

fn file<T: DeserializeOwned + Default>(path: Option<&Path>) -> Result<T, String> {
    let Some(path) = path else { return Ok(T::default()) };
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// One answer of a script.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    request: Expected,
    #[serde(default)]
    response: Option<ScriptedResponse>,
    #[serde(default)]
    error: Option<HttpError>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    method: String,
    url: String,
}

/// Its body is `body` (base64, as in the one JSON form) or `text`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptedResponse {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    text: Option<String>,
}

fn ok() -> u16 {
    200
}

struct Lines(Mutex<std::collections::VecDeque<Line>>);

impl Script for Lines {
    fn answer(&self, request: &HttpRequestRecord) -> Result<Response, HttpError> {
        let line = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let refused = |words: String| Err(HttpError::Refused(words));
        let Some(line) = line else {
            return refused(format!("the script has no answer left for {} {}", request.verb, request.url));
        };
        if line.request.method != request.verb || line.request.url != request.url {
            let Expected { method, url } = line.request;
            return refused(format!(
                "the script expects {method} {url}, the plugin asked for {} {}",
                request.verb, request.url
            ));
        }
        match (line.response, line.error) {
            (Some(response), None) => {
                let body = match (response.body, response.text) {
                    (Some(base64), None) => {
                        STANDARD.decode(base64).map_err(|error| HttpError::Refused(error.to_string()))?
                    }
                    (None, text) => text.unwrap_or_default().into_bytes(),
                    (Some(_), Some(_)) => return refused("a response has body or text, not both".to_owned()),
                };
                Ok(Response { status: response.status, headers: response.headers, body })
            }
            (None, Some(error)) => Err(error),
            _ => refused("a line of the script has a response or an error".to_owned()),
        }
    }
}

fn shown(called: Called<Value>) -> Value {
    let requests: Vec<&HttpRequestRecord> =
        called.record().imports.iter().map(|ImportRecord::Http { request, .. }| request).collect();
    let log: Vec<String> = called.log.iter().map(ToString::to_string).collect();
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let cost = json!({
        "cpu_us": micros(called.cost.cpu),
        "wall_us": micros(called.cost.wall),
        "peak_memory_bytes": called.cost.peak_memory_bytes,
    });
    let (name, value) = match &called.result {
        Ok(value) => ("result", value.clone()),
        Err(fault) => ("fault", json!({"name": fault.name(), "text": fault.to_string()})),
    };
    let mut shown = Map::new();
    shown.insert(name.to_owned(), value);
    shown.insert("requests".to_owned(), json!(requests));
    shown.insert("log".to_owned(), json!(log));
    shown.insert("cost".to_owned(), cost);
    Value::Object(shown)
}
