//! `plugin.describe`: everything that the host and a shop need to know before a channel exists.
//!
//! Invariant: nothing is claimed that `reference/inicis.md` marks unknown: how long a lost sale settles and how long an
//! approval can be undone are settings without a default.

mod presets;
mod settings;
mod supports;
mod windows;

use inicis_wire::Sentence;
use inicis_wire::iniapi::ORIGIN;
use inicis_wire::iniapi::v2::INQUIRY_PATH;
use inicis_wire::recipe::secret;

use crate::bindings::exports::payhost::plugin::plugin::{
    BrowserOrigin, Descriptor, Lookup, NeededSecrets, Span, WantedHost,
};
use crate::bindings::payhost::plugin::types::Text;
use crate::channel::key;
use crate::words;

/// A text of ours.
fn text(ko: &'static str, en: &'static str) -> Text {
    words::text(Sentence { ko, en })
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

/// The descriptor.
pub fn descriptor() -> Descriptor {
    Descriptor {
        id: "inicis".to_owned(),
        name: text("KG이니시스", "KG INICIS"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        author: "payhost".to_owned(),
        summary: text(
            "KG이니시스 결제창으로 결제를 받고 취소합니다.",
            "Takes and cancels payments through KG INICIS's payment window.",
        ),
        settings: settings::fields(),
        presets: presets::presets(),
        supports: supports::supports(),
        lookup: Lookup::BySetting(key::LOOKUP_BY.to_owned()),
        settles_within: Some(Span::BySetting(key::SETTLES_WITHIN.to_owned())),
        undo_within: Some(Span::BySetting(key::UNDO_WITHIN.to_owned())),
        hosts: hosts(),
        browser_origins: browser_origins(),
        notice_sources: strings(&NOTICE_SOURCES),
        needs: vec![
            NeededSecrets { name: "general-pay".to_owned(), secrets: strings(&[secret::SIGN_KEY]) },
            NeededSecrets {
                name: "money".to_owned(),
                secrets: strings(&[secret::INIAPI_KEY, secret::SIGN_KEY]),
            },
            NeededSecrets { name: "vbank-notice".to_owned(), secrets: strings(&[secret::INIAPI_KEY]) },
        ],
        charge_rules: None,
    }
}

/// Senders of deposit notices: of PC virtual accounts the first three, of mobile ones the last with the second and the first
/// (`inicis.md §3.1, §3.2`).
const NOTICE_SOURCES: [&str; 4] = ["203.238.37.15", "183.109.71.153", "39.115.212.9", "118.129.210.25"];

/// Hosts of approval and INIAPI (`inicis.md §0.3`).
fn hosts() -> Vec<WantedHost> {
    let approval = |(origin, reason): (&str, Text)| WantedHost {
        origin: origin.to_owned(),
        reason,
        read_paths: Vec::new(),
    };
    let pc = || text("PC 결제의 승인과 망취소", "Approval and net cancel of PC payments");
    let mobile = || text("모바일 결제의 승인과 망취소", "Approval and net cancel of mobile payments");
    let wanted = PC_ORIGINS.map(|origin| (origin, pc())).into_iter();
    let mut hosts: Vec<WantedHost> =
        wanted.chain(MOBILE_ORIGINS.map(|origin| (origin, mobile()))).map(approval).collect();
    hosts.push(WantedHost {
        origin: ORIGIN.to_owned(),
        reason: text("취소, 부분취소와 거래 조회(INIAPI)", "Cancels and inquiries (INIAPI)"),
        read_paths: strings(&[INQUIRY_PATH, "/api/v1/extra"]),
    });
    hosts
}

const PC_ORIGINS: [&str; 3] =
    ["https://fcstdpay.inicis.com", "https://ksstdpay.inicis.com", "https://stgstdpay.inicis.com"];
const MOBILE_ORIGINS: [&str; 3] =
    ["https://fcmobile.inicis.com", "https://ksmobile.inicis.com", "https://stgmobile.inicis.com"];

/// What the window needs in the buyer's browser (`inicis.md §1.1`). The mobile window is a page of its own, reached by a form
/// post: it needs nothing else in ours.
fn browser_origins() -> Vec<BrowserOrigin> {
    let wanted =
        |origin: &str, uses: &[&str]| BrowserOrigin { origin: origin.to_owned(), uses: strings(uses) };
    let overlay = ["script", "frame", "style", "img", "connect"];
    vec![
        wanted("https://stdpay.inicis.com", &overlay),
        wanted("https://stgstdpay.inicis.com", &overlay),
        wanted("https://mobile.inicis.com", &["form"]),
    ]
}
