//! Harmless questions to INIAPI: is it reached, are key and merchant ours, does it answer by order number, is our clock right
//! (`inicis.md §0.3, §5.3, §6.1`).
//!
//! Invariant: reads only, about sales that do not exist: their numbers are made of the call's seed.

use inicis_wire::codes::{self, Class, Operation};
use inicis_wire::iniapi::inquiry::{self, Inquired};
use inicis_wire::iniapi::is_ipv4;
use inicis_wire::iniapi::v2::{self, By};
use inicis_wire::recipe::secret;
use inicis_wire::{KnownRefusal, clock};

use super::{finding, text};
use crate::bindings::exports::payhost::plugin::plugin::{Finding, Severity};
use crate::bindings::payhost::plugin::http::{Effect, HttpError};
use crate::bindings::payhost::plugin::types::{Context, Text};
use crate::channel::{self, key};
use crate::host;

/// Clocks may differ by so much: a minute, ours. INICIS's own window is not known (`inicis.md §10.2`).
const SKEW_MS: i64 = 60_000;

/// What came of one question.
enum Asked {
    /// INICIS knows the sale that we made up, or says that it does not.
    Answered,
    /// Another no.
    No(KnownRefusal),
    /// No answer, with the finding that says so.
    Silent(Finding),
}

/// Asks, if the channel has what a question needs.
pub fn findings(context: &Context, found: &mut Vec<Finding>) {
    let mid = channel::setting(context, key::MID);
    let client_ip = channel::setting(context, key::CLIENT_IP);
    let keyed = context.secrets.iter().any(|set| set == secret::INIAPI_KEY);
    if !channel::is_mid(mid) || !is_ipv4(client_ip) || !keyed {
        return;
    }
    let digits: String =
        context.seed.chars().filter(char::is_ascii_digit).chain("000000".chars()).take(6).collect();
    let Some(now) = clock::kst14(context.now_ms) else { return };
    let tid = format!("StdpayCARD{mid}{now}{digits}");
    match ask(context, mid, By::Tid(&tid), client_ip, found) {
        Asked::Silent(silent) => found.push(silent),
        Asked::Answered => {
            found.push(reached());
            by_order(context, mid, client_ip, &format!("doctor-{now}-{digits}"), found);
        }
        Asked::No(no) => {
            found.push(refused(&no));
            if !is_ours(&no) {
                by_order(context, mid, client_ip, &format!("doctor-{now}-{digits}"), found);
            }
        }
    }
}

fn reached() -> Finding {
    let says = text("INIAPI가 응답했고 키를 받아들였습니다.", "INIAPI answers and takes the key.");
    finding(Severity::Ok, secret::INIAPI_KEY, says, None)
}

/// Whether the no is about our key or merchant.
fn is_ours(no: &KnownRefusal) -> bool {
    let class = codes::meaning(no.code(), Operation::Inquire).class;
    matches!(class, Class::Signature | Class::NotContracted)
}

/// A no to a question about a sale that does not exist.
fn refused(no: &KnownRefusal) -> Finding {
    let meaning = codes::meaning(no.code(), Operation::Inquire);
    let says = |ko: &str, en: &str| Text {
        ko: format!("{ko} ({}: {})", no.code(), no.message()),
        en: format!("{en} ({}: {})", no.code(), no.message()),
    };
    if meaning.class == Class::Signature {
        let remedy = text(
            "상점관리자의 INIAPI key와 같은지, 그 키가 이 상점 아이디의 것인지 확인하세요.",
            "Compare the INIAPI key with the merchant admin, and make sure that it belongs to this merchant id.",
        );
        let says = says("INIAPI가 키를 거절했습니다.", "INIAPI refuses the key.");
        return finding(Severity::Error, secret::INIAPI_KEY, says, Some(remedy));
    }
    if meaning.class == Class::NotContracted {
        let remedy = text(
            "상점 아이디와 계약 상태를 확인하세요.",
            "Check the merchant id and the state of the contract.",
        );
        let says = says("INIAPI가 이 상점을 거절했습니다.", "INIAPI refuses this merchant.");
        return finding(Severity::Error, key::MID, says, Some(remedy));
    }
    let says = says("INIAPI가 응답했습니다.", "INIAPI answers.");
    finding(Severity::Ok, secret::INIAPI_KEY, says, None)
}

/// Whether INICIS answers by order number, beside what the channel is set to. What it says without the contract is not
/// documented: only a plain "no such sale" is taken for a sign of it.
fn by_order(context: &Context, mid: &str, client_ip: &str, oid: &str, found: &mut Vec<Finding>) {
    let set = channel::asks_by_order(context);
    let asked = ask(context, mid, By::Oid(oid), client_ip, &mut Vec::new());
    let answers = matches!(asked, Asked::Answered);
    let (severity, says, remedy) = match (set, answers) {
        (true, true) => (
            Severity::Ok,
            text("주문번호로 거래를 조회할 수 있습니다.", "Sales can be asked about by order number."),
            None,
        ),
        (true, false) => (
            Severity::Warning,
            text(
                "주문번호 조회로 설정했지만 KG이니시스가 '거래 없음'이라고 답하지 않았습니다.",
                "The look-up is by order number, but INICIS did not answer \"no such sale\".",
            ),
            Some(text(
                "주문번호 중복방지 계약을 확인하고, 없으면 조회 방식을 거래번호로 바꾸세요.",
                "Check the contract for duplicate-order prevention; without it set the look-up to the gateway's number.",
            )),
        ),
        (false, true) => (
            Severity::Hint,
            text(
                "KG이니시스가 주문번호 조회에 답합니다. 주문번호 중복방지 계약이 있는 것으로 보입니다.",
                "INICIS answers by order number: the contract for duplicate-order prevention seems to be there.",
            ),
            Some(text(
                "계약을 확인한 뒤 조회 방식을 주문번호로 바꾸면, 잃어버린 승인 응답을 바로 확인할 수 있습니다.",
                "Confirm the contract and set the look-up to the order number: a lost approval is then found at once.",
            )),
        ),
        (false, false) => return,
    };
    found.push(finding(severity, key::LOOKUP_BY, says, remedy));
}

fn ask(context: &Context, mid: &str, by: By<'_>, client_ip: &str, found: &mut Vec<Finding>) -> Asked {
    let Ok(request) = v2::inquiry(mid, by, client_ip, context.now_ms) else {
        return Asked::Silent(unclear("the question cannot be written"));
    };
    let Ok(hash) = host::digest(request.hash()) else {
        return Asked::Silent(unclear("the question cannot be signed"));
    };
    let sent = host::exchange(request.service.url(), v2::CONTENT_TYPE, request.body(&hash), Effect::Read);
    let response = match sent {
        Ok(response) => response,
        Err(HttpError::Refused(why)) => return Asked::Silent(not_granted(&why)),
        Err(HttpError::NotSent(why)) => return Asked::Silent(not_reached(&why)),
        Err(HttpError::Unknown(why)) => return Asked::Silent(unclear(&why)),
    };
    let date = response.headers.iter().find(|(name, _)| name == "date").map(|(_, value)| value);
    found.extend(date.and_then(|date| clock::from_http_date(date)).and_then(|at| skew(context.now_ms - at)));
    match inquiry::read(response.status, &response.body, mid) {
        Ok(Inquired::Found(_) | Inquired::NotFound(_)) => Asked::Answered,
        Ok(Inquired::No(no)) => Asked::No(no),
        Err(why) => Asked::Silent(unclear(&why.0)),
    }
}

/// Addresses of INIAPI for a firewall (`inicis.md §0.3`).
fn not_reached(why: &str) -> Finding {
    let says = Text {
        ko: format!("iniapi.inicis.com에 연결되지 않았습니다: {why}"),
        en: format!("iniapi.inicis.com was not reached: {why}"),
    };
    let remedy = text(
        "방화벽에서 118.129.210.166, 183.109.71.79의 443 포트로 나가는 연결을 허용하고 TLS 1.2 이상을 쓰는지 확인하세요.",
        "Let the firewall pass port 443 of 118.129.210.166 and 183.109.71.79, and use TLS 1.2 or newer.",
    );
    Finding { severity: Severity::Error, setting: None, text: says, remedy: Some(remedy) }
}

fn not_granted(why: &str) -> Finding {
    let says = Text {
        ko: format!("플러그인이 iniapi.inicis.com에 접속하도록 허용되지 않았습니다: {why}"),
        en: format!("the plugin may not reach iniapi.inicis.com: {why}"),
    };
    let remedy = text(
        "운영자에게 이 플러그인의 접속 주소를 승인해 달라고 요청하세요.",
        "Ask the operator to grant the plugin's hosts.",
    );
    Finding { severity: Severity::Error, setting: None, text: says, remedy: Some(remedy) }
}

fn unclear(why: &str) -> Finding {
    let says = Text {
        ko: format!("INIAPI의 답을 이해하지 못했습니다: {why}"),
        en: format!("INIAPI gave no answer that can be understood: {why}"),
    };
    let remedy = text(
        "잠시 후 다시 점검하세요. 계속되면 프록시나 DNS 설정을 확인하세요.",
        "Check again later; if it stays, look at proxies and DNS.",
    );
    Finding { severity: Severity::Warning, setting: None, text: says, remedy: Some(remedy) }
}

fn skew(ahead_ms: i64) -> Option<Finding> {
    if ahead_ms.abs() <= SKEW_MS {
        return None;
    }
    let seconds = ahead_ms.abs() / 1000;
    let (ko, en) = if ahead_ms > 0 { ("빠릅니다", "ahead of") } else { ("늦습니다", "behind") };
    let says = Text {
        ko: format!(
            "서버 시계가 KG이니시스보다 {seconds}초 {ko}. 결제 요청의 타임스탬프가 거절될 수 있습니다."
        ),
        en: format!(
            "The server's clock is {seconds} s {en} INICIS's: timestamps of payments may be refused."
        ),
    };
    let remedy = text("서버 시간을 NTP로 맞추세요.", "Set the server's clock by NTP.");
    Some(Finding { severity: Severity::Error, setting: None, text: says, remedy: Some(remedy) })
}
