//! The buyer: opens a payment, chooses in the gateway's window, comes back.

use serde_json::{Value, json};

use super::http::Answer;
use super::{Shop, Stage, html, text};

/// What a form has.
pub type Fields = Vec<(String, String)>;

/// An open window page.
#[derive(Clone, Debug)]
pub struct Window {
    /// Fields of the gateway's form.
    pub fields: Fields,
    /// Charset in which a browser sends them.
    pub charset: String,
    /// Where giving up posts to.
    pub leave: String,
}

impl Window {
    /// A field of the gateway's form.
    pub fn field(&self, name: &str) -> &str {
        get(&self.fields, name)
    }

    /// Our order number.
    pub fn order_ref(&self) -> &str {
        self.field("oid")
    }
}

/// What the gateway makes the browser bring back.
#[derive(Clone, Debug)]
pub struct Return {
    /// Where to.
    pub url: String,
    /// What.
    pub fields: Fields,
}

impl Return {
    /// A field.
    pub fn field(&self, name: &str) -> &str {
        get(&self.fields, name)
    }

    /// The same with another value of a field.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut changed = self.clone();
        changed
            .fields
            .iter_mut()
            .filter(|(known, _)| known == name)
            .for_each(|(_, old)| value.clone_into(old));
        assert_ne!(changed.fields, self.fields, "{name} was not changed");
        changed
    }
}

/// A field of a form, empty if it is not there.
pub fn get<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// A person who pays with an ordinary card.
pub fn pay() -> Value {
    json!({"choice": "pay", "card": "04", "quota": "00"})
}

/// The result page at the end of a buyer's way.
#[derive(Debug)]
pub struct Outcome {
    /// `paid`, `failed`, …
    pub result: String,
    /// What the buyer reads.
    pub words: String,
    /// Address of the page.
    pub url: String,
    /// The page.
    pub html: String,
}

impl Stage {
    /// Opens a window for a payment.
    pub async fn open(&self, created: &Value) -> Window {
        let page = self.open_page(&text(created, "checkout_url")).await;
        assert_eq!(page.status, 200, "{}", html::visible(&page.text));
        let leave = html::attribute(&page.text, "<form method=\"post\"", "action").unwrap();
        Window { fields: html::hidden_fields(&page.text), charset: html::form_charset(&page.text), leave }
    }

    /// Presses the button of the checkout page, with the user agent of a PC.
    pub async fn open_page(&self, checkout_url: &str) -> Answer {
        let agent = "Mozilla/5.0 (X11; Linux x86_64) Chrome/150";
        self.call("POST", checkout_url).header("user-agent", agent).form(&[]).send().await
    }

    /// Chooses in the window; the gateway sends the browser back to us.
    pub async fn choose(&self, window: &Window, mut choice: Value) -> Return {
        choice["form_charset"] = json!(window.charset);
        let answer = self.play(&window.fields, choice).await.expect(200);
        assert_eq!(answer["charset"], "UTF-8", "{answer}");
        Return {
            url: text(&answer, "return_url"),
            fields: serde_json::from_value(answer["fields"].clone()).unwrap(),
        }
    }

    /// The browser posts what the gateway gave it.
    pub async fn post_back(&self, back: &Return) -> Answer {
        self.call("POST", &back.url).form(&back.fields).send().await
    }

    /// The browser posts what the gateway gave it, and follows to the result.
    pub async fn come_back(&self, back: &Return) -> Outcome {
        let answer = self.post_back(back).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        self.outcome(answer.header("location")).await
    }

    /// The result page of an address.
    pub async fn outcome(&self, url: &str) -> Outcome {
        let page = self.call("GET", url).send().await;
        assert_eq!(page.status, 200, "{}", page.text);
        let result = html::attribute(&page.text, "data-testid=\"result\"", "data-result").unwrap();
        Outcome { result, words: html::visible(&page.text), url: url.to_owned(), html: page.text }
    }

    /// The whole way of one buyer of a shop.
    pub async fn pay_as(&self, shop: &Shop, order_id: &str) -> (Value, Outcome) {
        let created = self.create_as(shop, order_id, json!({})).await.expect(201);
        let window = self.open(&created).await;
        let back = self.choose(&window, pay()).await;
        let outcome = self.come_back(&back).await;
        (created, outcome)
    }

    /// A payment of the first shop that is paid.
    pub async fn paid(&self, order_id: &str) -> Value {
        let (created, outcome) = self.pay_as(&self.shop, order_id).await;
        assert_eq!(outcome.result, "paid", "{}", outcome.words);
        created
    }
}
