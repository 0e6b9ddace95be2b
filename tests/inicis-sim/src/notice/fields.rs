//! Invariant: a notice has the fields of `reference/inicis.md` §2.7, §3.1, §3.2 or §3.3 in their spelling and no others;
//! a value that the reference does not give is a plain number or empty.

use serde::Deserialize;

use super::{Dress, Kind};
use crate::clock::{kst_date_time, kst14};
use crate::codes;
use crate::form::{Charset, Fields};
use crate::ledger::{Authentication, Deposit, Sale, VirtualAccount};
use crate::method;

type Form = Vec<(String, String)>;

/// Values of cl_status (§3.3).
pub const ESCROW_STATUSES: &[&str] = &["2", "3", "31", "32", "4", "8", "10"];

/// What a PC message has beside the sale and the deposit.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Counts messages.
    pub number: u64,
    /// `no_tid`.
    pub tid: &'a str,
    /// A test merchant: the bank has a name that says so.
    pub test: bool,
    /// Deposit, or one that was taken back.
    pub kind: Kind,
}

fn form(pairs: Vec<(&str, String)>) -> Form {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Cuts a text to bytes of EUC-KR, never inside a character.
fn cut(text: &str, most: usize) -> String {
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if Charset::EucKr.encode(&short).len() > most {
            short.pop();
            break;
        }
    }
    short
}

/// The deposit notice of a PC's account, and of one that was opened by INIAPI (§3.1).
#[must_use]
pub fn pc(sale: &Sale, deposit: &Deposit, message: Message<'_>, dress: &Dress) -> Form {
    let account = sale.account.clone().unwrap_or_default();
    let cancelled = message.kind == Kind::PcDepositCancel;
    let at = deposit.cancelled_at.filter(|_| cancelled).unwrap_or(deposit.at);
    let (date, time) = kst_date_time(at);
    let bank = if message.test { "__테스트__" } else { codes::bank_name(&deposit.bank) };
    let number = if dress.blanks { format!("{:<20}", account.number) } else { account.number };
    let calculated = if dress.blanks { " ".to_owned() } else { date.clone() };
    let mut pairs = vec![("no_tid", message.tid.to_owned())];
    if dress.no_req_tid {
        pairs.push(("no_req_tid", sale.tid.clone().unwrap_or_default()));
    }
    pairs.extend([
        ("no_oid", sale.auth.oid.clone()),
        ("id_merchant", sale.auth.mid.clone()),
        ("cd_bank", format!("{:0>8}", account.bank)),
        ("cd_deal", format!("{:0>8}", deposit.bank)),
        ("dt_trans", date.clone()),
        ("tm_trans", time.clone()),
        ("no_msgseq", format!("{:010}", message.number)),
        ("cd_joinorg", "00000000".to_owned()),
        ("dt_transbase", date.clone()),
        ("no_transseq", format!("{:06}", message.number)),
        ("type_msg", if cancelled { "0400" } else { "0200" }.to_owned()),
        ("cl_trans", "1100".to_owned()),
        ("cl_close", "0".to_owned()),
        ("cl_kor", if dress.charset() == Charset::EucKr { "2" } else { "" }.to_owned()),
        ("no_msgmanage", format!("{:012}", message.number)),
        ("msg_id", String::new()),
        ("no_vacct", number),
        ("amt_input", deposit.amount.to_string()),
        ("amt_check", "0".to_owned()),
        ("nm_inputbank", cut(bank, 10)),
        ("nm_input", cut(&deposit.depositor, 20)),
        ("dt_inputstd", date.clone()),
        ("dt_calculstd", calculated),
        ("flg_close", "0".to_owned()),
    ]);
    if !sale.auth.means.receipt.is_empty() {
        pairs.extend([
            ("dt_cshr", date),
            ("tm_cshr", time),
            ("no_cshr_appl", sale.receipt_number()),
            ("no_cshr_tid", message.tid.to_owned()),
        ]);
    }
    let mut form = form(pairs);
    // What `len` counts is not documented; the bytes of the other fields are.
    let length = Fields::new(form.clone()).to_body(dress.charset()).len();
    form.insert(0, ("len".to_owned(), format!("{length:04}")));
    form
}

fn auth_dt(at: i64, dress: &Dress) -> String {
    let whole = kst14(at);
    if dress.short_auth_dt { whole.get(2..).unwrap_or_default().to_owned() } else { whole }
}

/// The notice that a phone's account was opened (§3.2).
#[must_use]
pub fn mobile_issued(
    auth: &Authentication,
    account: &VirtualAccount,
    tid: &str,
    at: i64,
    dress: &Dress,
) -> Form {
    let told = Told { status: "00", tid, amount: auth.price, at };
    form(mobile(auth, account, told, dress))
}

/// The notice of a deposit into it.
#[must_use]
pub fn mobile_deposit(sale: &Sale, deposit: &Deposit, tid: &str, dress: &Dress) -> Form {
    let account = sale.account.clone().unwrap_or_default();
    let (auth, amount) = (&sale.auth, deposit.amount);
    let mut pairs = mobile(auth, &account, Told { status: "02", tid, amount, at: deposit.at }, dress);
    if !auth.means.receipt.is_empty() {
        let tax = auth.tax.unwrap_or(amount.saturating_sub(auth.taxfree.unwrap_or_default()) / 11);
        pairs.extend([
            ("P_CSHR_AMT", amount.to_string()),
            ("P_CSHR_SUP_AMT", amount.saturating_sub(tax).to_string()),
            ("P_CSHR_TAX", tax.to_string()),
            ("P_CSHR_SRVC_AMT", "0".to_owned()),
            ("P_CSHR_TYPE", auth.means.receipt.clone()),
            ("P_CSHR_DT", kst14(deposit.at)),
            ("P_CSHR_AUTH_NO", sale.receipt_number()),
        ]);
    }
    form(pairs)
}

#[derive(Clone, Copy)]
struct Told<'a> {
    status: &'a str,
    tid: &'a str,
    amount: u64,
    at: i64,
}

fn mobile<'a>(
    auth: &Authentication,
    account: &VirtualAccount,
    told: Told<'_>,
    dress: &Dress,
) -> Vec<(&'a str, String)> {
    let order = auth.mobile.clone().unwrap_or_default();
    let expires = account.due.get(..8).unwrap_or_default();
    vec![
        ("P_STATUS", told.status.to_owned()),
        ("P_TID", told.tid.to_owned()),
        ("P_TYPE", "VBANK".to_owned()),
        ("P_AUTH_DT", auth_dt(told.at, dress)),
        ("P_MID", auth.mid.clone()),
        ("P_OID", auth.oid.clone()),
        ("P_FN_CD1", account.bank.clone()),
        ("P_FN_CD2", String::new()),
        ("P_FN_NM", codes::bank_name(&account.bank).to_owned()),
        ("P_AMT", told.amount.to_string()),
        ("P_UNAME", auth.buyername.clone()),
        ("P_RMESG1", format!("P_VACCT_NO={}|P_EXP_DT={expires}", account.number)),
        ("P_RMESG2", String::new()),
        ("P_RMESG3", String::new()),
        ("P_NOTI", order.noti),
        ("P_AUTH_NO", String::new()),
    ]
}

/// The approval that the merchant did not ask for (§2.7).
#[must_use]
pub fn at_once(auth: &Authentication, tid: &str, appl_num: &str, at: i64, dress: &Dress) -> Form {
    let order = auth.mobile.clone().unwrap_or_default();
    let is_card = auth.method == method::CARD.name;
    let kind = match method::by_name(&auth.method).and_then(|known| known.mobile.as_ref()) {
        Some(_) if auth.means.isp => "ISP",
        Some(mobile) => mobile.name,
        None => "",
    };
    let (code, name) = if is_card {
        (&auth.card, codes::card_name(&auth.card).unwrap_or_default())
    } else {
        (&auth.means.bank, codes::bank_name(&auth.means.bank))
    };
    form(vec![
        ("P_STATUS", "00".to_owned()),
        ("P_TYPE", kind.to_owned()),
        ("P_TID", tid.to_owned()),
        ("P_MID", auth.mid.clone()),
        ("P_OID", auth.oid.clone()),
        ("P_AMT", auth.price.to_string()),
        ("P_AUTH_DT", auth_dt(at, dress)),
        ("P_AUTH_NO", if is_card { appl_num.to_owned() } else { String::new() }),
        ("P_FN_CD1", code.clone()),
        ("P_FN_NM", name.to_owned()),
        ("P_UNAME", auth.buyername.clone()),
        ("P_RMESG1", "정상처리되었습니다.".to_owned()),
        ("P_NOTI", order.noti),
        ("P_SRC_CODE", auth.means.wallet.clone()),
    ])
}

/// A step of an escrow sale.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Step {
    /// One of [`ESCROW_STATUSES`].
    pub cl_status: String,
    /// Amount; absent the last cancel's for 8, else the approved one.
    pub price: Option<u64>,
    /// Why the buyer denied.
    pub msg_deny: String,
    /// The original transaction, in a partial cancel only.
    pub tid_org: String,
}

/// The escrow status notice (§3.3).
#[must_use]
pub fn escrow(sale: &Sale, step: &Step, at: i64) -> Form {
    let paymethod = match sale.auth.method.as_str() {
        "DirectBank" => "16",
        "VBank" => "17",
        _ if sale.auth.means.isp => "1",
        _ => "0",
    };
    let cancelled = sale.cancels.last().filter(|_| step.cl_status == "8").map(|cancel| cancel.price);
    let price = step.price.or(cancelled).unwrap_or(sale.auth.price);
    let mut pairs = vec![
        ("id_merchant", sale.auth.mid.clone()),
        ("no_oid", sale.auth.oid.clone()),
        ("no_tid", sale.tid.clone().unwrap_or_default()),
        ("dt_req", kst14(at)),
        ("cl_status", step.cl_status.clone()),
        ("cl_paymethod", paymethod.to_owned()),
        ("price", price.to_string()),
        ("msg_deny", cut(&step.msg_deny, 256)),
    ];
    if !step.tid_org.is_empty() {
        pairs.push(("tid_org", step.tid_org.clone()));
    }
    form(pairs)
}
