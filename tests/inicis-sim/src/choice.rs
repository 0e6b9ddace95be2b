//! Invariant: what a person does in a window and what `POST /_sim/window` does are the same [`Choice`].

use serde::Deserialize;
use serde_json::Value;

use crate::fault::{Kind, Operation};
use crate::form::{Charset, Fields};
use crate::ledger::LedgerError;
use crate::offer::Picked;
use crate::refusal::Refusal;
use crate::sim::Sim;
use crate::stdpay::rules::digits;

/// What the person does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "choice", rename_all = "snake_case")]
pub enum Choice {
    /// Authenticates; the approval will succeed.
    Pay {
        /// What was picked.
        #[serde(flatten)]
        picked: Picked,
    },
    /// Authenticates; the approval will be declined.
    Decline {
        /// What was picked.
        #[serde(flatten)]
        picked: Picked,
        /// Six digits of §8.4.
        code: String,
    },
    /// The authentication at the card company fails.
    AuthFail,
    /// Closes the window.
    Cancel,
    /// Phone only: cancels inside of the card's or the bank's app (§2.4).
    AppCancel,
    /// Phone only: leaves the card page abnormally, which is told without a text (§2.4).
    Abnormal,
    /// Phone only: authenticates in the app, and the browser never comes back.
    AppLost {
        /// What was picked.
        #[serde(flatten)]
        picked: Picked,
    },
}

impl Choice {
    /// What was picked, and the six digits of a planned decline.
    #[must_use]
    pub fn picked(&self) -> Option<(&Picked, Option<&str>)> {
        match self {
            Self::Pay { picked } | Self::AppLost { picked } => Some((picked, None)),
            Self::Decline { picked, code } => Some((picked, Some(code))),
            Self::AuthFail | Self::Cancel | Self::AppCancel | Self::Abnormal => None,
        }
    }

    /// Whether the code of a decline is one.
    ///
    /// # Errors
    /// Not six digits.
    pub fn check_code(&self) -> Result<(), Refusal> {
        match self.picked() {
            Some((_, Some(code))) if code.len() != 6 || !digits(code) => {
                Err(Refusal::new("SIM:CODE", "거절 코드는 여섯 자리 숫자입니다"))
            }
            _ => Ok(()),
        }
    }

    /// Reads the buttons and fields of a window page.
    #[must_use]
    pub fn from_form(fields: &Fields) -> Self {
        let text = |name: &str| fields.get(name).to_owned();
        let won = |name: &str| fields.get(name).parse().unwrap_or_default();
        let picked = Picked {
            method: text("method"),
            card: text("card"),
            quota: text("quota"),
            wallet: text("wallet"),
            points: won("points"),
            coupon: won("coupon"),
            check: fields.get("check") == "on",
            bank: text("bank"),
            telco: text("telco"),
            phone: text("phone"),
            user: text("user"),
            receipt: text("receipt"),
            depositor: text("depositor"),
        };
        match (fields.get("action"), fields.get("outcome")) {
            ("cancel", _) => Self::Cancel,
            ("app-cancel", _) => Self::AppCancel,
            ("app-lost", _) => Self::AppLost { picked },
            (_, "auth_fail") => Self::AuthFail,
            (_, "abnormal") => Self::Abnormal,
            (_, "pay" | "") => Self::Pay { picked },
            (_, code) => Self::Decline { picked, code: code.to_owned() },
        }
    }
}

/// The post that the browser sends to the merchant.
#[derive(Clone, Debug)]
pub struct ReturnPost {
    /// returnUrl or P_NEXT_URL.
    pub url: String,
    /// Charset of the post.
    pub charset: Charset,
    /// Whether it stays in the frame (`poptargetself`) or in the page (phone).
    pub in_frame: bool,
    /// Fields in order.
    pub fields: Vec<(String, String)>,
}

/// Where the window leads.
#[derive(Clone, Debug)]
pub enum Leaving {
    /// A post to returnUrl or P_NEXT_URL.
    Post(ReturnPost),
    /// The frame goes to closeUrl; nothing is posted (§1.1).
    Close(String),
    /// The browser goes to P_RETURN_URL without data (§2.7).
    Go(String),
    /// The browser never comes back from the app.
    Lost,
}

/// The window's decision could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// The choice is not possible.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Not booked.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Applies a fault that waits for return posts of this order.
pub fn spoil(sim: &Sim, oid: &str, mut post: ReturnPost) -> ReturnPost {
    let change = |post: &mut ReturnPost, names: &[&str], to: &dyn Fn(&str) -> String| {
        let hit = post.fields.iter_mut().filter(|(name, _)| names.contains(&name.as_str()));
        hit.for_each(|(_, value)| *value = to(value));
    };
    match sim.faults.take(Operation::ReturnPost, Some(oid)) {
        Some(Kind::WrongCharset) => post.charset = post.charset.other(),
        Some(Kind::MissingField { field }) => post.fields.retain(|(name, _)| *name != field),
        Some(Kind::DoubledField { field, value }) => {
            let twin = post.fields.iter().find(|(name, _)| *name == field).cloned();
            let other = value.as_ref().and_then(Value::as_str).map(str::to_owned);
            post.fields.extend(twin.map(|(name, same)| (name, other.unwrap_or(same))));
        }
        Some(Kind::WrongAmount) => change(&mut post, &["P_AMT"], &|old| format!("{old}0")),
        Some(Kind::WrongOrder) => change(&mut post, &["orderNumber"], &|old| format!("{old}X")),
        Some(Kind::WrongMid) => change(&mut post, &["mid"], &|_| "WRONGmid00".to_owned()),
        Some(Kind::WrongHost) => {
            let names = ["authUrl", "netCancelUrl", "P_REQ_URL"];
            change(&mut post, &names, &|old| old.replacen("inicis.com", "inicis.com.example", 1));
        }
        Some(Kind::EmptyText) => change(&mut post, &["resultMsg", "P_RMESG1"], &|_| String::new()),
        _ => {}
    }
    post
}
