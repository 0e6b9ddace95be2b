//! `payhost doctor`: every channel of every shop, or those of one. Invariant: it ends with an error when a channel has one.

use clap::Args;
use payhost_core::id::{ChannelId, ShopId};
use payhost_core::text::printable;
use serde_json::{Value, json};

use super::Arguments;
use super::client::{ApiRequest, Failure, send};
use super::output::Language;

/// `payhost doctor …`
#[derive(Args)]
pub struct DoctorArguments {
    /// Only this shop's channels.
    #[arg(long)]
    shop: Option<ShopId>,
    /// Only this channel.
    #[arg(long)]
    channel: Option<ChannelId>,
}

/// Checks the channels; the texts come from the host and the plugins.
pub async fn run(arguments: &Arguments, doctor: &DoctorArguments) -> Result<Value, Failure> {
    let mut reports = Vec::new();
    for (shop, mode) in scopes(arguments, doctor).await? {
        let listed = send(arguments, ApiRequest::get("/v1/channels").for_shop(shop, mode)).await?;
        for channel in items(&listed) {
            let id = channel.get("id").and_then(Value::as_str).unwrap_or_default();
            if doctor.channel.is_some_and(|wanted| wanted.to_string() != id) {
                continue;
            }
            let request = ApiRequest { verb: "POST", ..ApiRequest::get(format!("/v1/channels/{id}/check")) };
            let report = send(arguments, request.for_shop(shop, mode)).await?;
            reports.push(json!({"shop": shop, "channel": id, "name": channel.get("name"), "report": report}));
        }
    }
    Ok(Value::from(reports))
}

/// Whose channels: a shop's own key says it, else all shops' in both modes.
async fn scopes(
    arguments: &Arguments,
    doctor: &DoctorArguments,
) -> Result<Vec<(Option<ShopId>, &'static str)>, Failure> {
    if arguments.url.is_some() && arguments.key.as_deref().is_some_and(|key| key.starts_with("sk_")) {
        return Ok(vec![(None, "")]);
    }
    let shops = shops(arguments, doctor).await?;
    Ok(shops.into_iter().flat_map(|shop| ["test", "live"].map(|mode| (Some(shop), mode))).collect())
}

async fn shops(arguments: &Arguments, doctor: &DoctorArguments) -> Result<Vec<ShopId>, Failure> {
    if let Some(shop) = doctor.shop {
        return Ok(vec![shop]);
    }
    let mut shops = Vec::new();
    let mut after = String::new();
    loop {
        let page = send(arguments, ApiRequest::get(format!("/v1/shops?limit=100{after}"))).await?;
        let ids: Vec<ShopId> = items(&page)
            .iter()
            .filter_map(|shop| shop.get("id").and_then(Value::as_str)?.parse().ok())
            .collect();
        shops.extend(ids);
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(shops),
        }
    }
}

fn items(page: &Value) -> Vec<Value> {
    page.get("data").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Whether any channel has an error.
pub fn has_errors(reports: &Value) -> bool {
    let reports = reports.as_array().map(Vec::as_slice).unwrap_or_default();
    reports.iter().any(|report| report.pointer("/report/ok") == Some(&Value::Bool(false)))
}

/// The reports for a person: what is so of the whole host once, at the top; then channel by channel.
pub fn readable(reports: &Value, language: Language) -> String {
    let reports = reports.as_array().map(Vec::as_slice).unwrap_or_default();
    if reports.is_empty() {
        return language.choose("아직 채널이 없습니다", "no channels yet").to_owned();
    }
    let mut text = String::new();
    let shared = shared(reports);
    if !shared.is_empty() {
        text.push_str(language.choose("모든 채널\n", "every channel\n"));
        shared.iter().for_each(|finding| text.push_str(&lines(finding, language)));
    }
    for report in reports {
        let of = |name: &str| report.get(name).and_then(Value::as_str).unwrap_or_default();
        text.push_str(&format!("{} {}\n", of("channel"), printable(of("name"), &[])));
        let own: Vec<&Value> = findings(report).iter().filter(|finding| !shared.contains(finding)).collect();
        if own.is_empty() {
            text.push_str(language.choose("  이상 없음\n", "  nothing to do\n"));
        }
        own.into_iter().for_each(|finding| text.push_str(&lines(finding, language)));
    }
    text
}

fn findings(report: &Value) -> &[Value] {
    report.pointer("/report/findings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Findings that every one of several channels has.
fn shared(reports: &[Value]) -> Vec<&Value> {
    let Some((first, rest)) = reports.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return Vec::new();
    };
    let everywhere = |finding: &&Value| rest.iter().all(|report| findings(report).contains(finding));
    findings(first).iter().filter(everywhere).collect()
}

fn lines(finding: &Value, language: Language) -> String {
    let at = |path: &str| finding.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let word = language.choose("/ko", "/en");
    // A plugin's words, perhaps.
    let mut text =
        format!("  {:8}{}\n", printable(at("/severity"), &[]), printable(at(&format!("/text{word}")), &[]));
    let remedy = printable(at(&format!("/remedy{word}")), &[]);
    if !remedy.is_empty() {
        text.push_str(&format!("          → {remedy}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_channel_has_is_said_once_and_in_the_terminals_language() {
        let finding = |words: &str| {
            json!({"severity": "warning", "text": {"ko": format!("한 {words}"), "en": format!("en {words}")},
                   "remedy": {"ko": "고치세요", "en": "mend it"}})
        };
        let report = |channel: &str, findings: Vec<Value>| json!({"channel": channel, "name": "가게", "report": {"ok": true, "findings": findings}});
        let both = json!([
            report("chn_1", vec![finding("grant"), finding("own")]),
            report("chn_2", vec![finding("grant")]),
        ]);
        let text = readable(&both, Language::En);
        assert_eq!(text.matches("en grant").count(), 1, "{text}");
        assert!(text.contains("en own") && text.contains("nothing to do") && !text.contains('한'), "{text}");
        let text = readable(&both, Language::Ko);
        assert!(text.contains("한 grant") && text.contains("고치세요") && !text.contains("en "), "{text}");
        assert_eq!(readable(&json!([]), Language::En), "no channels yet");
    }
}
