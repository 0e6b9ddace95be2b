//! `POST /v1/channels/{id}/check`: the doctor. Invariant: it only reads; every finding that is not good says what to do.
//!
//! What only the plugin can know (forms of keys, prefixes, probes of the gateway) comes from its own `check`.

use axum::Json;
use axum::extract::State;
use payhost_core::id::ChannelId;
use payhost_engine::contract::plugin::{CHECK, Severity};
use payhost_engine::contract::types::Text;
use payhost_store::Error;
use payhost_store::rows::channels::Channel;
use payhost_store::rows::plugins::{self, GrantKind};
use payhost_store::rows::{Mode, channels, shops};
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::manage::was_removed;
use super::ready::{Moment, Ready, channel_settings};
use super::settings;
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::json::PathId;
use crate::http::problem::Problem;
use crate::payments::attempt::{JournalOf, journal};
use crate::payments::order::base_url;

/// A sentence in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Words {
    /// Korean.
    pub ko: String,
    /// English.
    pub en: String,
}

impl From<Text> for Words {
    fn from(text: Text) -> Self {
        Self { ko: text.ko, en: text.en }
    }
}

/// A sentence in both languages.
pub fn words(ko: impl Into<String>, en: impl Into<String>) -> Words {
    Words { ko: ko.into(), en: en.into() }
}

/// What the doctor found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FindingOut {
    /// `ok`, `hint`, `warning` or `error`.
    pub severity: &'static str,
    /// `host` or `plugin`: who found it.
    pub source: &'static str,
    /// The setting at fault.
    pub setting: Option<String>,
    /// What is so.
    pub text: Words,
    /// What to do about it.
    pub remedy: Option<Words>,
}

/// Everything that was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckOut {
    /// Whether nothing is an error.
    pub ok: bool,
    /// Worst first.
    pub findings: Vec<FindingOut>,
}

/// Worst first; the place is the rank.
const SEVERITIES: &[(Severity, &str)] = &[
    (Severity::Error, "error"),
    (Severity::Warning, "warning"),
    (Severity::Hint, "hint"),
    (Severity::Ok, "ok"),
];

fn finding(severity: Severity, setting: Option<&str>, text: Words, remedy: Option<Words>) -> FindingOut {
    let severity = SEVERITIES.iter().find(|(known, _)| *known == severity).map_or("error", |(_, word)| word);
    FindingOut { severity, source: "host", setting: setting.map(ToOwned::to_owned), text, remedy }
}

/// Looks a channel over: settings, grants, addresses, and what the plugin's own check finds at the gateway.
#[utoipa::path(
    post, path = "/v1/channels/{id}/check", tag = "set-up", params(("id" = String, Path, description = "`chn_…`")),
    responses((status = 200, body = CheckOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn check(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<ChannelId>,
) -> Result<Json<CheckOut>, Problem> {
    let row = host.store().read(move |tx| channels::get(tx, caller.shop_id, id)).await?;
    let row = row.filter(|row| row.mode == caller.mode).ok_or_else(|| Problem::not_found("channel"))?;
    if row.removed_us.is_some() {
        return Err(was_removed());
    }
    let ready = Ready::load(&host, caller.shop_id, id, None).await?;
    let mut findings = own_findings(&host, &ready).await?;
    findings.extend(plugin_findings(&host, &ready).await?);
    findings.sort_by_key(|finding| SEVERITIES.iter().position(|(_, word)| *word == finding.severity));
    Ok(Json(CheckOut { ok: !findings.iter().any(|finding| finding.severity == "error"), findings }))
}

/// What the host can see by itself.
async fn own_findings(host: &Host, ready: &Ready) -> Result<Vec<FindingOut>, Problem> {
    let channel = ready.channel.clone();
    let (shop_id, plugin_id, id) = (channel.shop_id, channel.plugin_id.clone(), channel.id);
    let read = host.store().read(move |tx| {
        let shop = shops::get(tx, shop_id)?.ok_or(Error::NotFound { what: "shop" })?;
        let grants = plugins::grants(tx, &plugin_id)?;
        let secrets = channels::secrets(tx, shop_id, id)?;
        let active = plugins::get(tx, &plugin_id)?.map(|plugin| plugin.active_digest);
        Ok::<_, Error>((shop, grants, secrets, active))
    });
    let (shop, grants, secrets, active) = read.await?;
    let mut findings = Vec::new();
    let set = secrets.into_iter().map(|secret| secret.name).collect();
    let descriptor = ready.plugin.descriptor();
    let purposes: Vec<String> = channel.purposes.to()?;
    for key in settings::missing(descriptor, &purposes, &channel_settings(&channel), &set) {
        let field = descriptor.settings.iter().find(|field| field.key == key);
        let text = words(format!("{key} 값이 없습니다"), format!("{key} is not set"));
        findings.push(finding(
            Severity::Error,
            Some(&key),
            text,
            field.map(|field| field.help.clone().into()),
        ));
    }
    for wanted in &descriptor.hosts {
        if !grants.iter().any(|grant| grant.kind == GrantKind::Host && grant.origin == wanted.origin) {
            let command = format!("payhost plugin grant {} {}", channel.plugin_id, wanted.origin);
            let text = words(
                format!("{} 접속이 허용되지 않았습니다: {}", wanted.origin, wanted.reason.ko),
                format!("{} is not granted: {}", wanted.origin, wanted.reason.en),
            );
            findings.push(finding(Severity::Warning, None, text, Some(words(command.clone(), command))));
        }
    }
    findings.extend(ungranted_pages(ready));
    findings.push(address(&channel, &base_url(host, &shop)));
    if active.is_some_and(|active| active != channel.plugin_digest) {
        let text = words(
            "더 새로운 플러그인 버전이 설치되어 있습니다",
            "a newer version of the plugin is installed",
        );
        let remedy = words("채널을 upgrade: true 로 변경하세요", "change the channel with upgrade: true");
        findings.push(finding(Severity::Hint, None, text, Some(remedy)));
    }
    if !channel.enabled {
        let text = words("꺼져 있는 채널입니다", "the channel is switched off");
        findings.push(finding(
            Severity::Warning,
            None,
            text,
            Some(words("enabled: true 로 변경하세요", "change it with enabled: true")),
        ));
    }
    Ok(findings)
}

/// Origins that the payment window needs in the buyer's browser and may not use.
fn ungranted_pages(ready: &Ready) -> Vec<FindingOut> {
    let (rights, mut findings) = (ready.rights(), Vec::new());
    for wanted in rights.declared {
        let granted = rights.granted.iter().find(|access| access.origin == wanted.origin);
        let missing: Vec<_> = wanted
            .uses
            .iter()
            .filter(|used| granted.is_none_or(|access| !access.uses.contains(*used)))
            .map(String::as_str)
            .collect();
        if missing.is_empty() {
            continue;
        }
        let (origin, uses) = (&wanted.origin, missing.join(", "));
        let command = format!("payhost plugin grant {} {origin} --kind browser", rights.plugin);
        let text = words(
            format!("구매자 브라우저에서 {origin} 사용이 허용되지 않았습니다: {uses}"),
            format!("{origin} is not granted in the buyer's browser: {uses}"),
        );
        findings.push(finding(Severity::Warning, None, text, Some(words(command.clone(), command))));
    }
    findings
}

/// Whether gateways and browsers can use the public address.
fn address(channel: &Channel, base: &str) -> FindingOut {
    let url = Url::parse(base).ok();
    let loopback = url.as_ref().and_then(Url::host_str).is_some_and(|host| {
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    let https = url.as_ref().is_some_and(|url| url.scheme() == "https");
    let remedy = words(
        "payhost serve --public-url https://… 를 게이트웨이에 등록한 도메인으로 설정하세요",
        "set payhost serve --public-url https://… to the domain that is registered at the gateway",
    );
    let live = channel.mode == Mode::Live;
    if https && !loopback {
        let text = words(format!("공개 주소는 {base} 입니다"), format!("the public address is {base}"));
        return finding(Severity::Ok, None, text, None);
    }
    let severity = if live { Severity::Error } else { Severity::Hint };
    let text = words(
        format!("공개 주소 {base} 는 실결제에 쓸 수 없습니다 (https 와 등록된 도메인이 필요합니다)"),
        format!(
            "the public address {base} cannot take live payments (https and the registered domain are needed)"
        ),
    );
    finding(severity, None, text, Some(remedy))
}

/// What the plugin finds.
async fn plugin_findings(host: &Host, ready: &Ready) -> Result<Vec<FindingOut>, Problem> {
    let moment = Moment::now(host);
    let of = JournalOf { call: moment.call, at_ms: moment.now_ms, payment: None, attempt: None };
    let called = ready.call(host, &CHECK, moment, |context| (context,)).await;
    let found = match &called.result {
        Ok(findings) => findings
            .iter()
            .map(|found| FindingOut {
                source: "plugin",
                ..finding(
                    found.severity,
                    found.setting.as_deref(),
                    found.text.clone().into(),
                    found.remedy.clone().map(Into::into),
                )
            })
            .collect(),
        Err(fault) => {
            let text = words(
                format!("플러그인의 점검이 실패했습니다: {fault}"),
                format!("the plugin's check failed: {fault}"),
            );
            vec![finding(Severity::Error, None, text, None)]
        }
    };
    let (host_in, ready_in) = (host.clone(), ready.clone());
    let journaled: Result<(), Error> =
        host.store().transact(move |tx| journal(tx, &host_in, &ready_in, of, &called)).await;
    journaled?;
    Ok(found)
}
