//! When a no is known: every reader of an answer against everything that an answer can look like. The promise of this file: what
//! is not plainly a yes or a known no is unclear, in every product, so that no approval is ever taken for a refusal.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inicis_wire::Unclear;
use inicis_wire::codes::{self, Class, Operation};
use inicis_wire::iniapi::answer::{self, RefundAnswer};
use inicis_wire::iniapi::inquiry::{self, Inquired};
use inicis_wire::iniapi::issue::{self, IssueAnswer};
use inicis_wire::mobile::approval as mobile;
use inicis_wire::notice::{self, Said};
use inicis_wire::pc::approval::{self as pc, NetCancelled};

const TID: &str = "StdpayCARDINIpayTest20241117211120693165";
const MID: &str = "INIpayTest";
const OID: &str = "order-1";

/// What a reader made of an answer.
#[derive(Debug, Clone, PartialEq)]
enum Read {
    Yes,
    /// With the code and the class that the shop is told.
    No(String, Class),
    Unclear,
}

/// A reader, with a yes and a no as its product writes them.
struct Reader {
    name: &'static str,
    read: fn(&[u8]) -> Read,
    /// A whole success.
    yes: fn() -> Vec<(&'static str, String)>,
    /// Of a refusal: the members beside the code that it must have.
    no: fn() -> Vec<(&'static str, String)>,
    /// The member that is the code.
    code: &'static str,
    /// The code of a known no.
    known: &'static str,
    /// Members of the success that a refusal never has.
    only_when_done: &'static [&'static str],
    /// Text answers in place of JSON.
    text: bool,
}

fn no(refused: &inicis_wire::KnownRefusal, operation: Operation) -> Read {
    Read::No(refused.code().to_owned(), codes::meaning(refused.code(), operation).class)
}

fn read_pc(body: &[u8]) -> Read {
    match pc::read(200, body) {
        Ok(pc::Answer::Approved(_)) => Read::Yes,
        Ok(pc::Answer::Declined(refused)) => no(&refused, Operation::Approve),
        Ok(pc::Answer::AlreadyApproved) | Err(Unclear(_)) => Read::Unclear,
    }
}

fn read_pc_net_cancel(body: &[u8]) -> Read {
    match pc::read_net_cancel(200, body, OID) {
        Ok(NetCancelled::Reversed) => Read::Yes,
        Ok(NetCancelled::Refused(refused)) => no(&refused, Operation::NetCancel),
        Err(Unclear(_)) => Read::Unclear,
    }
}

fn read_mobile(body: &[u8]) -> Read {
    match mobile::read(200, body) {
        Ok(mobile::Answer::Approved(_)) => Read::Yes,
        Ok(mobile::Answer::Declined(refused)) => no(&refused, Operation::Approve),
        Err(Unclear(_)) => Read::Unclear,
    }
}

fn read_mobile_net_cancel(body: &[u8]) -> Read {
    match mobile::read_net_cancel(200, body) {
        Ok(None) => Read::Yes,
        Ok(Some(refused)) => no(&refused, Operation::NetCancel),
        Err(Unclear(_)) => Read::Unclear,
    }
}

fn read_refund(body: &[u8]) -> Read {
    match answer::read(200, body) {
        Ok(RefundAnswer::Done(_)) => Read::Yes,
        Ok(RefundAnswer::No(refused)) => no(&refused, Operation::Cancel),
        Err(Unclear(_)) => Read::Unclear,
    }
}

fn read_issue(body: &[u8]) -> Read {
    match issue::read(200, body) {
        Ok(IssueAnswer::Opened(_)) => Read::Yes,
        Ok(IssueAnswer::No(refused)) => no(&refused, Operation::Issue),
        Err(Unclear(_)) => Read::Unclear,
    }
}

fn read_inquiry(body: &[u8]) -> Read {
    match inquiry::read(200, body, MID) {
        Ok(Inquired::Found(_)) => Read::Yes,
        Ok(Inquired::NotFound(refused) | Inquired::No(refused)) => no(&refused, Operation::Inquire),
        Err(Unclear(_)) => Read::Unclear,
    }
}

fn members(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// Every reader of an answer to something that was sent. One reader serves v1 and v2 of the refund, and the close of an account.
const READERS: [Reader; 8] = [
    Reader {
        name: "approval on a PC",
        read: read_pc,
        yes: || {
            members(&[
                ("resultCode", "0000"),
                ("resultMsg", "정상처리되었습니다."),
                ("tid", TID),
                ("mid", MID),
                ("MOID", OID),
                ("TotPrice", "2000"),
                ("payMethod", "Card"),
                ("applDate", "20241117"),
                ("applTime", "211120"),
                ("applNum", "12345678"),
                ("authSignature", "abc"),
            ])
        },
        // A refusal may have a number and what the order knew.
        no: || {
            members(&[
                ("resultMsg", "한도초과"),
                ("tid", TID),
                ("MOID", OID),
                ("TotPrice", "2000"),
                ("applNum", ""),
            ])
        },
        code: "resultCode",
        known: "500645",
        only_when_done: &["applDate", "applTime", "applNum", "authSignature"],
        text: false,
    },
    Reader {
        name: "net cancel on a PC",
        read: read_pc_net_cancel,
        yes: || {
            members(&[
                ("resultCode", "0000"),
                ("resultMsg", "정상처리되었습니다."),
                ("tid", TID),
                ("moid", OID),
                ("mid", MID),
            ])
        },
        no: || members(&[("resultMsg", "해당 거래 없음"), ("tid", "")]),
        code: "resultCode",
        known: "500623",
        only_when_done: &[],
        text: false,
    },
    Reader {
        name: "approval on a phone",
        read: read_mobile,
        yes: || {
            members(&[
                ("P_STATUS", "00"),
                ("P_RMESG1", "성공적으로 처리 하였습니다."),
                ("P_TID", TID),
                ("P_TYPE", "CARD"),
                ("P_MID", MID),
                ("P_OID", OID),
                ("P_AMT", "2000"),
                ("P_AUTH_DT", "20241117211120"),
                ("P_AUTH_NO", "12345678"),
            ])
        },
        no: || {
            members(&[
                ("P_RMESG1", "[500645] 한도초과"),
                ("P_TID", TID),
                ("P_AMT", "2000"),
                ("P_AUTH_NO", ""),
            ])
        },
        code: "P_STATUS",
        known: "01",
        only_when_done: &["P_AUTH_NO"],
        text: true,
    },
    Reader {
        name: "net cancel on a phone",
        read: read_mobile_net_cancel,
        yes: || members(&[("P_STATUS", "00"), ("P_RMESG1", "정상처리"), ("P_TID", TID)]),
        no: || members(&[("P_RMESG1", "[500623] 해당 거래 없음"), ("P_TID", TID)]),
        code: "P_STATUS",
        known: "01",
        only_when_done: &[],
        text: true,
    },
    Reader {
        name: "refund",
        read: read_refund,
        yes: || {
            members(&[
                ("resultCode", "00"),
                ("resultMsg", "정상처리되었습니다."),
                ("cancelDate", "20220210"),
                ("cancelTime", "004139"),
                ("detailResultCode", ""),
            ])
        },
        // As captured: a refusal has a moment.
        no: || {
            members(&[
                ("resultMsg", "기 취소 거래"),
                ("cancelDate", "20230912"),
                ("cancelTime", "154230"),
                ("cshrCancelNum", ""),
                ("detailResultCode", ""),
            ])
        },
        code: "resultCode",
        known: "01",
        only_when_done: &[],
        text: false,
    },
    Reader {
        name: "partial refund",
        read: read_refund,
        yes: || {
            members(&[
                ("resultCode", "00"),
                ("resultMsg", "정상처리되었습니다."),
                ("tid", TID),
                ("prtcPrice", "500"),
                ("prtcRemains", "1500"),
            ])
        },
        no: || members(&[("resultMsg", "잔액 초과"), ("detailResultCode", "500826"), ("prtcPrice", "")]),
        code: "resultCode",
        known: "01",
        only_when_done: &["prtcPrice", "prtcRemains"],
        text: false,
    },
    Reader {
        name: "virtual account",
        read: read_issue,
        yes: || {
            members(&[
                ("resultCode", "00"),
                ("resultMsg", "정상처리되었습니다."),
                ("tid", TID),
                ("vacct", "56211102003544"),
                ("price", "2000"),
            ])
        },
        no: || members(&[("resultMsg", "은행 점검 중"), ("detailResultCode", "504652")]),
        code: "resultCode",
        known: "01",
        only_when_done: &["vacct"],
        text: false,
    },
    Reader {
        name: "inquiry",
        read: read_inquiry,
        yes: || {
            members(&[
                ("resultCode", "SUCCESS"),
                ("resultMsg", "정상처리되었습니다."),
                ("mid", MID),
                ("oid", OID),
                ("tid", TID),
                ("price", "2000"),
                ("paymethod", "Card"),
                ("transactionStatus", "APPROVAL"),
            ])
        },
        no: || members(&[("resultMsg", "해당 거래 없음"), ("detailResultCode", "500623")]),
        code: "resultCode",
        known: "01",
        only_when_done: &["transactionStatus"],
        text: false,
    },
];

/// A value of an answer.
#[derive(Clone)]
enum Value {
    Text(String),
    /// JSON as it stands.
    Raw(&'static str),
}

/// Success as any product writes it, and as somebody could write it.
const CLOTHES: [&str; 22] = [
    "0", "00", "000", "0000", "00000000", "0000 ", " 0000", "00 ", "00\\t", "SUCCESS", "success", "Success",
    "SUCCESS ", "2", "02", "002", "220000", "110000", "0.0", "+0", "-0", "00.",
];

fn write(reader: &Reader, members: &[(String, Value)]) -> Vec<u8> {
    let pairs: Vec<String> = members
        .iter()
        .map(|(name, value)| match (reader.text, value) {
            (true, Value::Text(text)) => format!("{name}={}", text.replace("\\t", "\t")),
            (true, Value::Raw(raw)) => format!("{name}={raw}"),
            (false, Value::Text(text)) => format!("\"{name}\":\"{text}\""),
            (false, Value::Raw(raw)) => format!("\"{name}\":{raw}"),
        })
        .collect();
    if reader.text { pairs.join("&").into_bytes() } else { format!("{{{}}}", pairs.join(",")).into_bytes() }
}

fn owned(members: Vec<(&'static str, String)>) -> Vec<(String, Value)> {
    members.into_iter().map(|(name, value)| (name.to_owned(), Value::Text(value))).collect()
}

fn yes(reader: &Reader) -> Vec<(String, Value)> {
    owned((reader.yes)())
}

fn refusal(reader: &Reader, code: Value) -> Vec<(String, Value)> {
    let mut members = vec![(reader.code.to_owned(), code)];
    members.extend(owned((reader.no)()));
    members
}

fn with(mut members: Vec<(String, Value)>, name: &str, value: Value) -> Vec<(String, Value)> {
    for (known, old) in &mut members {
        if known == name {
            *old = value.clone();
        }
    }
    members
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

#[test]
fn a_known_success_is_a_yes_and_a_known_refusal_is_a_no() {
    for reader in &READERS {
        assert_eq!((reader.read)(&write(reader, &yes(reader))), Read::Yes, "{}", reader.name);
        let read = (reader.read)(&write(reader, &refusal(reader, text(reader.known))));
        assert!(matches!(read, Read::No(..)), "{}: {read:?}", reader.name);
    }
}

#[test]
fn an_unlisted_refusal_of_the_known_shape_is_a_no_of_the_class_other() {
    for reader in &READERS {
        for code in ["500999", "999999", "E101", "V999", "1195", "FAIL", "0001", "99"] {
            let read = (reader.read)(&write(
                reader,
                &with(refusal(reader, text(code)), "detailResultCode", text(code)),
            ));
            // A phone's no is 01 and nothing else: another value is not documented.
            let expected = if reader.text { Read::Unclear } else { Read::No(code.to_owned(), Class::Other) };
            assert_eq!(read, expected, "{} {code}", reader.name);
        }
        if reader.text {
            let body = with(refusal(reader, text("01")), "P_RMESG1", text("[999999] 거절"));
            assert!(
                matches!((reader.read)(&write(reader, &body)), Read::No(code, _) if code == "01"),
                "{}",
                reader.name
            );
        }
    }
}

#[test]
fn a_success_in_other_clothes_is_never_a_no() {
    for reader in &READERS {
        let own = yes(reader).iter().find_map(|(name, value)| match value {
            Value::Text(text) if *name == reader.code => Some(text.clone()),
            Value::Text(_) | Value::Raw(_) => None,
        });
        let own = own.unwrap();
        for code in CLOTHES.iter().filter(|code| **code != own) {
            let dressed = with(yes(reader), reader.code, text(code));
            assert_eq!((reader.read)(&write(reader, &dressed)), Read::Unclear, "{} {code:?}", reader.name);
            // And without anything that only an approval has.
            let bare = refusal(reader, text(code));
            assert_eq!((reader.read)(&write(reader, &bare)), Read::Unclear, "{} {code:?} bare", reader.name);
        }
        if !reader.text {
            for raw in ["0", "00.0", "0e0", "false", "true", "null", "[]", "{}", "[\"0000\"]"] {
                let dressed = with(yes(reader), reader.code, Value::Raw(raw));
                assert_eq!((reader.read)(&write(reader, &dressed)), Read::Unclear, "{} {raw}", reader.name);
            }
        }
    }
}

#[test]
fn a_number_for_text_is_unclear() {
    for reader in READERS.iter().filter(|reader| !reader.text) {
        for raw in ["0", "1", "500645", "1.5"] {
            let body = refusal(reader, Value::Raw(raw));
            assert_eq!((reader.read)(&write(reader, &body)), Read::Unclear, "{} {raw}", reader.name);
        }
        let body = with(refusal(reader, text(reader.known)), "resultMsg", Value::Raw("7"));
        assert_eq!((reader.read)(&write(reader, &body)), Read::Unclear, "{} message", reader.name);
        if (reader.no)().iter().any(|(name, _)| *name == "detailResultCode") {
            let body = with(refusal(reader, text(reader.known)), "detailResultCode", Value::Raw("500826"));
            assert_eq!((reader.read)(&write(reader, &body)), Read::Unclear, "{} detail", reader.name);
        }
    }
}

#[test]
fn an_answer_without_code_or_message_is_unclear() {
    for reader in &READERS {
        for whole in [yes(reader), refusal(reader, text(reader.known))] {
            let without: Vec<_> = whole.iter().filter(|(name, _)| *name != reader.code).cloned().collect();
            assert_eq!((reader.read)(&write(reader, &without)), Read::Unclear, "{}", reader.name);
            for empty in ["", " "] {
                let body = with(whole.clone(), reader.code, text(empty));
                assert_eq!((reader.read)(&write(reader, &body)), Read::Unclear, "{} {empty:?}", reader.name);
            }
        }
        let message = if reader.text { "P_RMESG1" } else { "resultMsg" };
        let mut whole = refusal(reader, text(reader.known));
        whole.retain(|(name, _)| name != message);
        assert_eq!((reader.read)(&write(reader, &whole)), Read::Unclear, "{}", reader.name);
        // A message may be there and say nothing (`inicis.md §2.4, §5.1`).
        let silent = with(refusal(reader, text(reader.known)), message, text(""));
        assert!(matches!((reader.read)(&write(reader, &silent)), Read::No(..)), "{}", reader.name);
    }
}

#[test]
fn a_doubled_member_makes_an_answer_unclear() {
    for reader in &READERS {
        for whole in [yes(reader), refusal(reader, text(reader.known))] {
            let code = whole.iter().find(|(name, _)| *name == reader.code).cloned().unwrap();
            for twin in [code.1, text("0000"), text("500645"), text("01")] {
                for first in [false, true] {
                    let mut body = whole.clone();
                    body.insert(if first { 0 } else { body.len() }, (reader.code.to_owned(), twin.clone()));
                    assert_eq!((reader.read)(&write(reader, &body)), Read::Unclear, "{}", reader.name);
                }
            }
        }
        // Of a no every member counts, and its case does not.
        for (name, _) in refusal(reader, text(reader.known)) {
            for twin in [name.clone(), name.to_ascii_lowercase(), name.to_ascii_uppercase()] {
                let mut body = refusal(reader, text(reader.known));
                body.push((twin.clone(), text("x")));
                assert_eq!((reader.read)(&write(reader, &body)), Read::Unclear, "{} {twin}", reader.name);
            }
        }
    }
}

#[test]
fn a_no_that_carries_what_only_a_thing_done_has_is_unclear() {
    for reader in &READERS {
        let done = (reader.yes)();
        for name in reader.only_when_done {
            let value =
                done.iter().find(|(known, _)| known == name).map_or("56211102003544", |(_, value)| value);
            let mut body = refusal(reader, text(reader.known));
            body.retain(|(known, _)| known != name);
            body.push(((*name).to_owned(), text(value)));
            assert_eq!((reader.read)(&write(reader, &body)), Read::Unclear, "{} {name}", reader.name);
        }
    }
}

#[test]
fn a_refused_detail_is_no_success_either() {
    for reader in READERS.iter().filter(|reader| !reader.text) {
        if !(reader.no)().iter().any(|(name, _)| *name == "detailResultCode") {
            continue;
        }
        for code in CLOTHES {
            let body = with(refusal(reader, text("01")), "detailResultCode", text(code));
            assert_eq!((reader.read)(&write(reader, &body)), Read::Unclear, "{} {code:?}", reader.name);
        }
    }
}

#[test]
fn a_code_has_the_form_of_a_code() {
    for reader in READERS.iter().filter(|reader| !reader.text) {
        for code in ["승인", "５００６４５", "500 645", "50064550064", "<html>", "\\u0000"] {
            let expected = if code == "<html>" { Read::No(code.into(), Class::Other) } else { Read::Unclear };
            let mut body = refusal(reader, text(code));
            body.retain(|(name, _)| name != "detailResultCode");
            assert_eq!((reader.read)(&write(reader, &body)), expected, "{} {code:?}", reader.name);
        }
    }
}

#[test]
fn a_phones_notice_of_a_failure_with_an_approval_in_it_is_kept() {
    let body = |more: &str| format!("P_STATUS=01&P_TYPE=CARD&P_MID={MID}&P_OID={OID}&P_RMESG1=x{more}");
    let read = |more: &str| notice::read("POST", body(more).as_bytes(), MID).map(|notice| notice.said);
    assert!(matches!(read("&P_AUTH_NO="), Ok(Said::Ignored(_))));
    assert!(read("&P_AUTH_NO=12345678").is_err());
    for status in ["0", "000", "00+", "SUCCESS", "2", "1"] {
        let body = body("").replace("P_STATUS=01", &format!("P_STATUS={status}"));
        let said = notice::read("POST", body.as_bytes(), MID);
        // A notice's fields are read without the blanks around them (`inicis.md §3.1`).
        assert!(said.is_err(), "{status}");
    }
}
