//! The names of events. Invariant: every event that the host writes is in this table, and so is every name that a shop may
//! choose.

/// Name and meaning, as `docs/webhooks.md` shows them.
pub const EVENTS: &[(&str, &str)] = &[
    ("payment.created", "a payment was made"),
    ("payment.pending", "its window was opened for the first time"),
    ("payment.awaiting_deposit", "a virtual account was issued and waits for its deposit"),
    ("payment.paid", "the money is held"),
    ("payment.partially_cancelled", "a part was given back; each time"),
    ("payment.cancelled", "all of it was given back, its account was closed, or it was given up unpaid"),
    ("payment.updated", "the order was asked for again with other details, and no window had been opened"),
    ("payment.failed", "a charge without a window was declined"),
    ("payment.expired", "its time is over and nothing is held"),
    ("payment.in_doubt", "the outcome of an attempt is not known yet; it is being asked about"),
    ("payment.needs_operator", "the outcome could not be found out; a person must look"),
    ("payment.doubt_ended", "the outcome that was not known is known now; the payment says what it is"),
    ("payment.cancel_failed", "a cancel was not made; nothing of it was given back"),
    ("payment.deposit_short", "less than the total was paid in; the rest is still awaited"),
    ("payment.deposit_over", "more than the total was paid in"),
    ("payment.deposit_late", "a deposit came after its deadline, or after the payment's end"),
    ("payment.deposit_cancelled", "the bank took a deposit back"),
    (
        "payment.late_money",
        "money came after the payment was given up or closed, or for an order with another payment",
    ),
    ("payment.changed_at_gateway", "a cancel that was not made here was found at the gateway"),
    ("payment.resolved", "a person said how an attempt in doubt ended, or what becomes of a notice"),
    ("payment.alarm", "something happened at the gateway that should not have; a person must look"),
    ("checkout.opened", "the window was opened"),
    ("checkout.awaiting_confirm", "the buyer is through the window and the shop must confirm"),
    ("checkout.failed", "the window ended without a payment; the payment stays payable"),
    ("checkout.cancelled_by_buyer", "the buyer closed the window; the payment stays payable"),
    (ENDPOINT_DISABLED, "an endpoint was switched off because nothing arrives there"),
];

/// An endpoint was switched off.
pub const ENDPOINT_DISABLED: &str = "webhook_endpoint.disabled";
/// Stands for every name.
pub const ALL: &str = "*";

/// Whether it is in the table.
pub fn is_known(name: &str) -> bool {
    EVENTS.iter().any(|(known, _)| *known == name)
}

/// Whether a choice has a name.
pub fn wants(chosen: &[String], name: &str) -> bool {
    chosen.iter().any(|choice| choice == ALL || choice == name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Literals behind the call that adds an event, in every source file of a folder.
    fn written(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("webhooks") {
                continue;
            }
            if path.is_dir() {
                written(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for behind in text.split(".event(").skip(1) {
                if let Some(name) = behind.trim_start().strip_prefix('"') {
                    found.push(name.split('"').next().unwrap().to_owned());
                }
            }
        }
    }

    #[test]
    fn every_event_that_the_code_writes_is_in_the_table_and_in_the_docs() {
        let mut names = Vec::new();
        written(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
        assert!(names.len() > 5, "{names:?}");
        names.extend(payhost_core::PaymentState::TABLE.iter().map(|(_, word)| format!("payment.{word}")));
        for name in names {
            assert!(is_known(&name), "{name} is not in webhooks/names.rs");
        }
        let docs = include_str!("../../../../docs/webhooks.md");
        for (name, meaning) in EVENTS {
            assert!(docs.contains(&format!("| `{name}` | {meaning} |")), "docs/webhooks.md lacks {name}");
        }
    }
}
