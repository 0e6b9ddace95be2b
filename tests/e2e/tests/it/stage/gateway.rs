//! The simulated gateway as tests see it: its ledger, its faults, and the person in its window.

use serde_json::{Value, json};

use super::Stage;
use super::http::Answer;

impl Stage {
    fn control(&self, path: &str) -> String {
        format!("{}/_sim/{path}", self.gateway.browser_origin)
    }

    /// Sales of an order number of ours; all of them when it is empty.
    pub async fn sales(&self, order_ref: &str) -> Vec<Value> {
        let path = if order_ref.is_empty() { "ledger".to_owned() } else { format!("ledger?oid={order_ref}") };
        let body = self.call("GET", &self.control(&path)).send().await.expect(200);
        body["sales"].as_array().unwrap().clone()
    }

    /// Sales that hold money now.
    pub async fn held(&self) -> Vec<Value> {
        let sales = self.sales("").await;
        sales.into_iter().filter(|sale| sale["remaining"].as_u64().unwrap() > 0).collect()
    }

    /// Everything that reached the gateway, also what it refused.
    pub async fn events(&self) -> Vec<Value> {
        let body = self.call("GET", &self.control("events")).send().await.expect(200);
        body["events"].as_array().unwrap().clone()
    }

    /// How many events of a kind there were.
    pub async fn count(&self, event: &str) -> usize {
        self.events().await.iter().filter(|known| known["event"] == event).count()
    }

    /// Lets an operation go wrong.
    pub async fn fault(&self, operation: &str, fault: &str, more: Value) {
        let mut body = json!({"operation": operation, "fault": fault, "times": 1});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.call("POST", &self.control("faults")).json(&body).send().await.expect(201);
    }

    /// Ends all faults.
    pub async fn no_faults(&self) {
        self.call("DELETE", &self.control("faults")).send().await.expect(204);
    }

    /// Plays the person in the window.
    pub async fn play(&self, fields: &[(String, String)], choice: Value) -> Answer {
        let mut body = json!({"fields": fields, "referer": format!("{}/checkout", self.url)});
        body.as_object_mut().unwrap().extend(choice.as_object().unwrap().clone());
        self.call("POST", &self.control("window")).json(&body).send().await
    }
}
