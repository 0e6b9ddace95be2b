//! What a plugin wants the buyer's browser to do. Invariant: a script runs on our pages only from an origin that the
//! descriptor declares for scripts, and of it only plain members are called; everything else goes to `https` addresses.

use payhost_engine::contract::general_pay::{CheckoutStep, Script};
use payhost_engine::contract::plugin::Descriptor;
use url::Url;

/// Whether the step may be done; the error is for the operator.
pub fn check(step: &CheckoutStep, descriptor: &Descriptor) -> Result<(), String> {
    match step {
        CheckoutStep::Form(form) => https(&form.action),
        CheckoutStep::Redirect(url) => https(url),
        CheckoutStep::Script(script) => check_script(script, descriptor),
        CheckoutStep::Done(_) => Err("the plugin ended a checkout that it should open".to_owned()),
    }
}

fn https(url: &str) -> Result<(), String> {
    let parsed = Url::parse(url).ok().filter(|url| url.scheme() == "https" && url.has_host());
    // Without its query, which may carry the secret of the way back: the words go to the log.
    let shown = url.split(['?', '#']).next().unwrap_or_default();
    parsed.map(|_| ()).ok_or_else(|| format!("the plugin sends the browser to {shown:?}, which is not https"))
}

fn check_script(script: &Script, descriptor: &Descriptor) -> Result<(), String> {
    for url in std::iter::once(&script.url).chain(&script.close_script) {
        https(url)?;
        let origin = Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        let declared = descriptor
            .browser_origins
            .iter()
            .any(|declared| declared.origin == origin && declared.uses.iter().any(|used| used == "script"));
        if !declared {
            return Err(format!(
                "the plugin wants a script of {origin}, which its descriptor does not declare"
            ));
        }
    }
    for step in &script.steps {
        let plain = !step.member.is_empty() && step.member.split('.').all(is_identifier);
        let json = step.args.iter().all(|arg| serde_json::from_str::<serde_json::Value>(arg).is_ok());
        if !plain || !json {
            return Err(format!("{:?} is not a plain member with JSON arguments", step.member));
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
    use payhost_engine::contract::plugin::{BrowserOrigin, Lookup};
    use payhost_engine::contract::types::Text;

    use super::*;

    fn descriptor() -> Descriptor {
        let text = || Text { ko: "x".into(), en: "x".into() };
        Descriptor {
            id: "gw".into(),
            name: text(),
            version: "1.0.0".into(),
            author: "x".into(),
            summary: text(),
            settings: vec![],
            presets: vec![],
            supports: vec![],
            lookup: Lookup::None,
            settles_within: None,
            undo_within: None,
            hosts: vec![],
            browser_origins: vec![
                BrowserOrigin { origin: "https://pay.gw.example".into(), uses: vec!["script".into()] },
                BrowserOrigin { origin: "https://img.gw.example".into(), uses: vec!["img".into()] },
            ],
            notice_sources: vec![],
            needs: vec![],
            charge_rules: None,
        }
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

    #[test]
    fn a_script_comes_from_a_declared_origin_and_is_called_by_plain_names() {
        let good = "https://pay.gw.example/pay.js";
        assert!(check(&script(good, "Gateway.pay", Some(good)), &descriptor()).is_ok());
        for (url, member, close) in [
            ("https://img.gw.example/pay.js", "Gateway.pay", None),
            ("https://evil.example/pay.js", "Gateway.pay", None),
            ("http://pay.gw.example/pay.js", "Gateway.pay", None),
            ("https://pay.gw.example.evil.example/pay.js", "Gateway.pay", None),
            (good, "Gateway.pay", Some("https://evil.example/close.js")),
            (good, "eval(alert)", None),
            (good, "Gateway..pay", None),
            (good, "", None),
            (good, "Gateway.constructor", None),
        ] {
            assert!(check(&script(url, member, close), &descriptor()).is_err(), "{url} {member} {close:?}");
        }
    }

    #[test]
    fn forms_and_redirects_go_to_https_only() {
        let form = |action: &str| {
            CheckoutStep::Form(Form { action: action.into(), charset: "utf-8".into(), fields: vec![] })
        };
        assert!(check(&form("https://gw.example/pay"), &descriptor()).is_ok());
        for action in ["http://gw.example/pay", "javascript:alert(1)", "data:text/html,x", "/pay", ""] {
            assert!(check(&form(action), &descriptor()).is_err(), "{action}");
            assert!(check(&CheckoutStep::Redirect(action.into()), &descriptor()).is_err(), "{action}");
        }
        let told = check(&form("http://gw.example/pay?next=rs_secret"), &descriptor()).unwrap_err();
        assert!(told.contains("http://gw.example/pay") && !told.contains("rs_secret"), "{told}");
    }
}
