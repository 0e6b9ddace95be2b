//! `payhost doctor`: every channel of every shop, or those of one. Invariant: it ends with an error when a channel has one.

use clap::Args;
use payhost_core::id::{ChannelId, ShopId};
use serde_json::{Value, json};

use super::Arguments;
use super::client::{ApiRequest, send};

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
pub async fn run(arguments: &Arguments, doctor: &DoctorArguments) -> Result<Value, String> {
    let mut reports = Vec::new();
    for shop in shops(arguments, doctor).await? {
        for mode in ["test", "live"] {
            let listed = send(arguments, ApiRequest::get("/v1/channels").for_shop(shop, mode)).await?;
            for channel in items(&listed) {
                let id = channel.get("id").and_then(Value::as_str).unwrap_or_default();
                if doctor.channel.is_some_and(|wanted| wanted.to_string() != id) {
                    continue;
                }
                let request =
                    ApiRequest { verb: "POST", ..ApiRequest::get(format!("/v1/channels/{id}/check")) };
                let report = send(arguments, request.for_shop(shop, mode)).await?;
                reports.push(
                    json!({"shop": shop, "channel": id, "name": channel.get("name"), "report": report}),
                );
            }
        }
    }
    Ok(Value::from(reports))
}

async fn shops(arguments: &Arguments, doctor: &DoctorArguments) -> Result<Vec<ShopId>, String> {
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

/// The reports for a person.
pub fn readable(reports: &Value) -> String {
    let mut text = String::new();
    for report in reports.as_array().map(Vec::as_slice).unwrap_or_default() {
        let of = |name: &str| report.get(name).and_then(Value::as_str).unwrap_or_default();
        text.push_str(&format!("{} {}\n", of("channel"), of("name")));
        let findings =
            report.pointer("/report/findings").and_then(Value::as_array).cloned().unwrap_or_default();
        for finding in findings {
            let at =
                |path: &str| finding.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
            text.push_str(&format!("  {:8}{}\n", at("/severity"), at("/text/ko")));
            if !at("/remedy/ko").is_empty() {
                text.push_str(&format!("          → {}\n", at("/remedy/ko")));
            }
        }
    }
    if text.is_empty() { "no channels yet".to_owned() } else { text }
}
