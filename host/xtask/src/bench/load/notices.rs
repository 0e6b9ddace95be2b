//! Deposit notices. Invariant: every notice is another deposit, its bytes are the gateway's, the clock stops with the last
//! answer, and every answer is the gateway's word of acceptance and nothing around it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use encoding_rs::EUC_KR;
use serde_json::json;

use super::books;
use super::buyer::{Made, Orders, create_as};
use super::figures::Figures;
use super::http::{json_of, text, text_of};
use super::place::{Backend, Built, Place, Shop};

/// Connections that the gateway holds.
const CONNECTIONS: usize = 64;
/// Notices of each.
const EACH: usize = 64;
/// The merchant of the preset `test_pay`.
const MID: &str = "INIpayTest";
/// How long the host may take to turn all notices into facts.
const PATIENCE: Duration = Duration::from_secs(120);

/// `notices.answered`: deposits that were stored and answered; `notices.applied`: the same until every payment is paid.
pub async fn run(built: &Built, figures: &mut Figures) {
    let mut place = Arc::new(Place::start(built, Backend::Sqlite).await);
    let url = format!("{}/notify/{}", place.url, place.shop.channel);
    // The simulator makes the notices and keeps them: they are sent from here.
    let settings = json!({"urls": {MID: url}, "notice": {"hold": true}});
    json_of(place.client.patch(format!("{}/vbank/settings", place.control)).json(&settings), 200).await;
    let orders = Arc::new(Orders::default());
    let (made, notices): (Vec<Vec<Made>>, Vec<Vec<Message>>) = each_of((0..CONNECTIONS).collect(), |_| {
        deposited(Arc::clone(&place), place.shop.clone(), Arc::clone(&orders), EACH)
    })
    .await
    .into_iter()
    .unzip();
    let count = CONNECTIONS * EACH;
    let begun = Instant::now();
    each_of(notices, |mine| send(Arc::clone(&place), mine)).await;
    let answered = begun.elapsed();
    while books::paid(&place) < count {
        assert!(begun.elapsed() < PATIENCE, "{} of {count} are paid", books::paid(&place));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let applied = begun.elapsed();
    let rate = |took: Duration| count as f64 / took.as_secs_f64();
    figures.add("notices.answered", rate(answered), "/s", None, Some(500.0));
    figures.add("notices.applied", rate(applied), "/s", None, None);
    let own = Arc::get_mut(&mut place).expect("all notices are answered");
    own.stop_host();
    let made: Vec<Made> = made.into_iter().flatten().collect();
    books::reconcile(own, &made, "deposited").await;
}

async fn each_of<I, T, F>(inputs: Vec<I>, work: impl Fn(I) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let tasks: Vec<_> = inputs.into_iter().map(|input| tokio::spawn(work(input))).collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.expect("everything was answered as it should be"));
    }
    all
}

/// A notice as it goes over the wire.
#[derive(Clone)]
pub struct Message {
    /// The order that it names.
    pub order_ref: String,
    url: String,
    kind: String,
    body: String,
}

impl Message {
    /// Sends it; it must be accepted.
    pub async fn send(&self, place: &Place) {
        let request = place.client.post(&self.url).header("content-type", &self.kind).body(self.body.clone());
        assert_eq!(text_of(request, 200).await, "OK");
    }
}

/// Payments of a shop with accounts into which somebody paid, and what the gateway has to say of it.
pub async fn deposited(
    place: Arc<Place>,
    shop: Shop,
    orders: Arc<Orders>,
    count: usize,
) -> (Vec<Made>, Vec<Message>) {
    let (mut made, mut messages) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let method = ("method", json!({"kind": "virtual_account"}));
        let (created, amount) = create_as(&place, &shop.key, &orders, &[method]).await;
        let payment = text(&created, "id");
        let path = format!("/v1/payments/{payment}/virtual-account");
        let issue = place.post_as(&shop, &path, &json!({"bank": "088", "holder": "홍길동"}));
        let issued = json_of(issue.header("idempotency-key", &payment), 200).await;
        let account = text(&issued["virtual_account"], "number");
        let deposit =
            place.client.post(format!("{}/deposit", place.control)).json(&json!({"account": account}));
        let id = json_of(deposit, 200).await["notices"][0].clone();
        let notice = json_of(place.client.get(format!("{}/notices/{id}", place.control)), 200).await;
        made.push(Made { payment, amount, legs: [Duration::ZERO; 4] });
        let fields: Vec<(String, String)> = serde_json::from_value(notice["fields"].clone()).unwrap();
        let order_ref = fields.iter().find(|(name, _)| name == "no_oid").expect("a PC notice").1.clone();
        let body = form_urlencoded::Serializer::new(String::new())
            .encoding_override(Some(&|text: &str| EUC_KR.encode(text).0))
            .extend_pairs(fields)
            .finish();
        messages.push(Message {
            order_ref,
            // One merchant has one address; shops that share one are told apart here.
            url: format!("{}/notify/{}", place.url, shop.channel),
            kind: text(&notice["dress"], "content_type"),
            body,
        });
    }
    (made, messages)
}

async fn send(place: Arc<Place>, messages: Vec<Message>) {
    for message in messages {
        message.send(&place).await;
    }
}
