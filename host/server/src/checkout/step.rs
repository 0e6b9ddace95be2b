//! What a plugin wants the buyer's browser to do. Invariant: a page sends the buyer, and what is in a form, only to origins that
//! the descriptor declares for it **and** the operator granted; a script runs on our pages only from such an origin, and of it
//! only plain members are called. (What a granted script does on the page is its own affair.)

use payhost_engine::contract::general_pay::{CheckoutStep, Script};
use payhost_engine::{BrowserAccess, Origin};
use url::Url;

/// What a plugin's pages may do in the buyer's browser.
pub struct Rights<'a> {
    /// The plugin's id, for messages.
    pub plugin: &'a str,
    /// What its descriptor declares.
    pub declared: &'a [BrowserAccess],
    /// What of it the operator granted.
    pub granted: &'a [BrowserAccess],
}

/// Why a step is not done, for the operator.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The plugin does what no plugin may.
    #[error("{0}")]
    Wrong(String),
    /// The operator has not allowed it.
    #[error(
        "{origin} was not granted to this plugin for the use `{used}`; an operator may: payhost plugin grant {plugin} {origin} \
         --kind browser"
    )]
    NotGranted {
        /// Where to.
        origin: Origin,
        /// What for.
        used: &'static str,
        /// The plugin.
        plugin: String,
    },
}

impl StepError {
    /// The word of the event `checkout.failed`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Wrong(_) => "plugin_failed",
            Self::NotGranted { .. } => "not_granted",
        }
    }
}

/// Whether the step may be done.
pub fn check(step: &CheckoutStep, rights: &Rights<'_>) -> Result<(), StepError> {
    match step {
        CheckoutStep::Form(form) => charset(&form.charset).and_then(|()| may(&form.action, "form", rights)),
        CheckoutStep::Redirect(url) => may(url, "redirect", rights),
        CheckoutStep::Script(script) => check_script(script, rights),
        CheckoutStep::Done(_) => {
            Err(StepError::Wrong("the plugin ended a checkout that it should open".to_owned()))
        }
    }
}

/// A browser that does not know the name sends the page's own charset without a word, and the gateway reads other characters.
fn charset(name: &str) -> Result<(), StepError> {
    if ["utf-8", "euc-kr"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    Err(StepError::Wrong(format!("the plugin wants a form in {name:?}; a form's charset is utf-8 or euc-kr")))
}

fn may(url: &str, used: &'static str, rights: &Rights<'_>) -> Result<(), StepError> {
    let wrong = |error: &dyn std::fmt::Display| {
        StepError::Wrong(format!("the plugin sends the browser to an address that is none: {error}"))
    };
    let url = Url::parse(url).map_err(|error| wrong(&error))?;
    let origin = Origin::of(&url).map_err(|error| wrong(&error))?;
    let among = |known: &[BrowserAccess]| {
        known.iter().any(|access| access.origin == origin && access.uses.contains(used))
    };
    if !among(rights.declared) {
        let words = format!(
            "the plugin wants the use `{used}` of {origin}, which its descriptor does not declare among the browser origins"
        );
        return Err(StepError::Wrong(words));
    }
    if among(rights.granted) {
        return Ok(());
    }
    Err(StepError::NotGranted { origin, used, plugin: rights.plugin.to_owned() })
}

fn check_script(script: &Script, rights: &Rights<'_>) -> Result<(), StepError> {
    for url in std::iter::once(&script.url).chain(&script.close_script) {
        may(url, "script", rights)?;
    }
    for step in &script.steps {
        let plain = !step.member.is_empty() && step.member.split('.').all(is_identifier);
        let json = step.args.iter().all(|arg| serde_json::from_str::<serde_json::Value>(arg).is_ok());
        if !plain || !json {
            let words = format!("{:?} is not a plain member with JSON arguments", step.member);
            return Err(StepError::Wrong(words));
        }
    }
    Ok(())
}

fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    let first =
        characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_' || first == '$');
    let rest = characters.all(|next| next.is_ascii_alphanumeric() || next == '_' || next == '$');
    first && rest && name != "__proto__" && name != "constructor"
}

#[cfg(test)]
mod tests {
    use payhost_engine::contract::general_pay::{Form, ScriptStep};

    use super::*;

    fn access(origin: &str, uses: &[&str]) -> BrowserAccess {
        let uses = uses.iter().map(|used| (*used).to_owned()).collect();
        BrowserAccess { origin: origin.parse().unwrap(), uses }
    }

    fn declared() -> Vec<BrowserAccess> {
        vec![
            access("https://pay.gw.example", &["script", "form", "redirect"]),
            access("https://img.gw.example", &["img"]),
            access("https://new.gw.example", &["script", "form", "redirect"]),
        ]
    }

    /// Everything is declared; of the new origin only images were granted, with an earlier version.
    fn checked(step: &CheckoutStep) -> Result<(), StepError> {
        let declared = declared();
        let granted = [&declared[..2], &[access("https://new.gw.example", &["img"])]].concat();
        check(step, &Rights { plugin: "gw", declared: &declared, granted: &granted })
    }

    fn script(url: &str, member: &str, close: Option<&str>) -> CheckoutStep {
        CheckoutStep::Script(Script {
            url: url.into(),
            charset: "UTF-8".into(),
            steps: vec![ScriptStep { member: member.into(), args: vec!["\"$form\"".into()] }],
            form: None,
            close_script: close.map(Into::into),
        })
    }

    fn form(action: &str) -> CheckoutStep {
        CheckoutStep::Form(Form { action: action.into(), charset: "utf-8".into(), fields: vec![] })
    }

    #[test]
    fn a_script_comes_from_a_declared_origin_and_is_called_by_plain_names() {
        let good = "https://pay.gw.example/pay.js";
        assert_eq!(checked(&script(good, "Gateway.pay", Some(good))), Ok(()));
        for (url, member, close) in [
            ("https://img.gw.example/pay.js", "Gateway.pay", None),
            ("https://evil.example/pay.js", "Gateway.pay", None),
            ("http://pay.gw.example/pay.js", "Gateway.pay", None),
            ("https://pay.gw.example.evil.example/pay.js", "Gateway.pay", None),
            ("https://pay.gw.example@evil.example/pay.js", "Gateway.pay", None),
            (good, "Gateway.pay", Some("https://evil.example/close.js")),
            (good, "eval(alert)", None),
            (good, "Gateway..pay", None),
            (good, "", None),
            (good, "Gateway.constructor", None),
        ] {
            let error = checked(&script(url, member, close)).unwrap_err();
            assert_eq!(error.reason(), "plugin_failed", "{url} {member} {close:?}: {error}");
        }
    }

    #[test]
    fn a_form_goes_in_a_charset_that_every_browser_knows() {
        for (charset, good) in [
            ("utf-8", true),
            ("UTF-8", true),
            ("euc-kr", true),
            ("utf8", false),
            ("cp949", false),
            ("", false),
        ] {
            let CheckoutStep::Form(mut form) = form("https://pay.gw.example/pay") else { continue };
            form.charset = charset.into();
            assert_eq!(checked(&CheckoutStep::Form(form)).is_ok(), good, "{charset}");
        }
    }

    #[test]
    fn forms_and_redirects_go_to_declared_https_only() {
        assert_eq!(checked(&form("https://pay.gw.example/pay?a=b")), Ok(()));
        assert_eq!(checked(&CheckoutStep::Redirect("https://pay.gw.example/pay".into())), Ok(()));
        for action in [
            "https://evil.example/pay",
            "https://img.gw.example/pay",
            "https://pay.gw.example:8443/pay",
            "https://user@pay.gw.example/pay",
            "http://pay.gw.example/pay",
            "javascript:alert(1)",
            "data:text/html,x",
            "/pay",
            "",
        ] {
            assert_eq!(checked(&form(action)).unwrap_err().reason(), "plugin_failed", "{action}");
            let redirect = CheckoutStep::Redirect(action.into());
            assert_eq!(checked(&redirect).unwrap_err().reason(), "plugin_failed", "{action}");
        }
    }

    #[test]
    fn nothing_leaves_through_the_browser_without_a_grant() {
        let url = "https://new.gw.example/pay";
        for (step, used) in [
            (form(url), "form"),
            (CheckoutStep::Redirect(url.into()), "redirect"),
            (script(url, "Gateway.pay", None), "script"),
            (script("https://pay.gw.example/pay.js", "Gateway.pay", Some(url)), "script"),
        ] {
            let error = checked(&step).unwrap_err();
            assert_eq!(error.reason(), "not_granted");
            let words = error.to_string();
            assert!(words.contains(&format!("`{used}`")), "{words}");
            assert!(
                words.contains("payhost plugin grant gw https://new.gw.example --kind browser"),
                "{words}"
            );
        }
        // The way back carries a secret of its own, and these words go to the log.
        for action in ["http://gw.example/pay?next=rs_secret", "https://evil.example/pay?next=rs_secret"] {
            let told = checked(&form(action)).unwrap_err().to_string();
            assert!(told.contains(".example") && !told.contains("rs_secret"), "{told}");
        }
    }
}
