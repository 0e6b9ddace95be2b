//! What happens at the simulated gateway, and what goes wrong there.

use serde_json::{Value, json};

use super::{Back, Payment, Rig};
use crate::http::Answer;

/// An account of a virtual account's bank, as the buyer chooses it in the window.
pub fn account() -> Value {
    json!({"choice": "pay", "method": "VBank", "bank": "04", "depositor": "홍길동"})
}

impl Rig {
    /// A request to the gateway's own API.
    pub async fn sim(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/_sim/{path}", self.gateway.browser_origin);
        let answer = self.call("POST", &url).json(&body).send().await;
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.text);
        if answer.text.is_empty() { Value::Null } else { answer.json() }
    }

    /// Lets the next such operation of an order go wrong.
    pub async fn fault(&self, operation: &str, fault: &str, order_ref: &str) {
        self.sim("faults", json!({"operation": operation, "fault": fault, "times": 1, "oid": order_ref}))
            .await;
    }

    /// Lets all such operations of an order go wrong.
    pub async fn always(&self, operation: &str, fault: &str, order_ref: &str) {
        let body = json!({"operation": operation, "fault": fault, "times": "always", "oid": order_ref});
        self.sim("faults", body).await;
    }

    /// The gateway answers inquiries about an order with another value of a field.
    pub async fn says(&self, order_ref: &str, field: &str, value: &str) {
        let body = json!({
            "operation": "inquiry", "fault": "other_value", "field": field, "value": value, "times": "always", "oid": order_ref,
        });
        self.sim("faults", body).await;
    }

    /// Nothing goes wrong any more.
    pub async fn no_faults(&self) {
        let url = format!("{}/_sim/faults", self.gateway.browser_origin);
        assert!(self.call("DELETE", &url).send().await.status < 300);
    }

    /// The answer of an operation comes late.
    pub async fn slow(&self, operation: &str, ms: u64, order_ref: &str) {
        let body = json!({"operation": operation, "fault": "slow", "ms": ms, "times": 1, "oid": order_ref});
        self.sim("faults", body).await;
    }

    /// The gateway declines the next approval of an order.
    pub async fn decline(&self, order_ref: &str) {
        let body = json!({"operation": "pay_auth", "fault": "decline", "code": "500644", "times": 1, "oid": order_ref});
        self.sim("faults", body).await;
    }

    /// A sale that the gateway holds and of which nothing is known here: its answer was lost, and a person said after a look that
    /// came too early that there is none.
    pub async fn taken_for_none(&self, payment: &Payment) -> Back {
        let back = self.choose(payment).await;
        self.lost(payment, &back, "not_approved").await;
        back
    }

    /// The answer to a return is lost, and a person says what came of it.
    pub async fn lost(&self, payment: &Payment, back: &Back, finding: &str) {
        self.fault("pay_auth", "drop_after", &back.order_ref).await;
        self.come_back(back).await;
        self.later(660).await;
        self.find(payment, json!({"finding": finding, "note": "looked too early", "by": "me"})).await;
    }

    /// Somebody pays into the account of an order. Nobody is told: the gateway has no address for its notices.
    pub async fn deposit(&self, order_ref: &str) {
        self.sim("deposit", json!({"oid": order_ref})).await;
    }

    /// The bank takes the deposit back.
    pub async fn take_back(&self, order_ref: &str) {
        self.sim("deposit-cancel", json!({"oid": order_ref})).await;
    }

    /// A deposit's notice that nobody of the gateway made, from an address that the plugin does not list.
    pub async fn notify(&self, order_ref: &str, minor: i64, number: &str) -> Answer {
        let amount = minor.to_string();
        let fields = [
            ("no_tid", "ININPGVBNKINIpayTest20261122101500000001"),
            ("no_oid", order_ref),
            ("id_merchant", "INIpayTest"),
            ("dt_trans", "20261122"),
            ("tm_trans", "101500"),
            ("type_msg", "0200"),
            ("cl_kor", "2"),
            ("no_vacct", number),
            ("amt_input", &amount),
            ("nm_input", "hong"),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.call("POST", &format!("/notify/{}/{}", self.shop, self.channel)).form(&fields).send().await
    }

    /// The number of a payment's account.
    pub async fn account_number(&self, payment: &Payment) -> String {
        let path = format!("/v1/payments/{}", payment.id);
        let shown = self.call("GET", &path).key(&self.key).send().await.expect(200);
        shown["virtual_account"]["number"].as_str().unwrap().to_owned()
    }

    /// How many notices of this amount are kept about a payment.
    pub async fn notices_of(&self, payment: &Payment, minor: i64) -> usize {
        let path = format!("/v1/notices?payment_id={}&limit=100", payment.id);
        let list = self.call("GET", &path).key(&self.key).send().await.expect(200);
        let notices = list["data"].as_array().unwrap();
        notices.iter().filter(|notice| notice["facts"][0]["amount"] == minor).count()
    }

    /// Somebody gives a part of an order's sale back in the gateway's admin.
    pub async fn cancel_there(&self, order_ref: &str, minor: i64) {
        let url = format!("{}/_sim/ledger?oid={order_ref}", self.gateway.browser_origin);
        let sales = self.call("GET", &url).send().await.expect(200);
        self.sim("cancel", json!({"tid": sales["sales"][0]["tid"], "price": minor})).await;
    }
}
