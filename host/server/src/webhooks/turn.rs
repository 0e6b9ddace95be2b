//! One endpoint's turn. Invariant: it sends only while it holds the endpoint's lease, and what came of a try is written before
//! the lease is given back; a try whose end was not written is made again. A turn is short: with more to send the endpoint
//! stands behind those that waited.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::http::{HeaderMap, HeaderValue, header};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use payhost_core::id::{EventId, ShopId};
use payhost_core::kill::{self, Point};
use payhost_store::rows::deliveries::{self, Delivery, DeliveryState};
use payhost_store::rows::endpoints::{self, Endpoint, Health, OldSecret};
use payhost_store::rows::events::{self, Event};
use payhost_store::{Error, ShopKey, Tx};
use serde_json::{Value, json};
use url::Url;

use super::client::{Answer, Reach};
use super::endpoints::reach;
use super::events::EventOut;
use super::names::ENDPOINT_DISABLED;
use super::schedule::{self, Next};
use super::sign::{Secret, signatures};
use crate::host::{Host, random};
use crate::sealed::Place;

/// Tries that run at once at an endpoint that takes what it is sent. Where nothing arrives, or late, it is one.
pub(super) const WIDTH: usize = 8;
/// How long a turn begins tries, in microseconds.
const TURN_US: i64 = 1_000_000;
/// An answer that takes longer is a slow one, in microseconds.
const SLOW_US: i64 = 5_000_000;
/// Deliveries that are read at once.
const PART: i64 = 64;
/// Time for storing what came of the last try, in microseconds.
const MARGIN_US: i64 = 5_000_000;
/// How long a delivery that is over is kept, in milliseconds: 30 days.
const KEPT_MS: i64 = 30 * 24 * 3600 * 1000;
/// Old deliveries that a turn takes away.
const FORGET: i64 = 100;

/// How long an endpoint is claimed: time to begin tries, to end the last one, and to store it.
pub fn lease_us(host: &Host) -> i64 {
    timeout_us(host).saturating_mul(2).saturating_add(MARGIN_US.saturating_mul(2))
}

fn timeout_us(host: &Host) -> i64 {
    i64::try_from(host.webhook_options().timeout.as_micros()).unwrap_or(i64::MAX)
}

/// What a part is sent with.
struct Means {
    secrets: Vec<Secret>,
    reach: Reach,
    /// The shop's: bodies are sealed.
    key: ShopKey,
}

/// A claimed endpoint.
pub struct Turn {
    host: Host,
    endpoint: Endpoint,
    token: String,
    /// From here on no try is begun.
    until_us: i64,
    /// Nothing arrives there.
    failing: AtomicBool,
    /// Its answers take long.
    slow: AtomicBool,
    /// The endpoint was switched off meanwhile.
    off: AtomicBool,
}

impl Turn {
    /// Begins with an endpoint that was claimed with this token.
    pub fn new(host: Host, endpoint: Endpoint, token: String) -> Self {
        let lease_until_us = endpoint.lease_until_us.unwrap_or_default();
        let last_us = lease_until_us.saturating_sub(timeout_us(&host)).saturating_sub(MARGIN_US);
        let until_us = last_us.min(host.now_us().saturating_add(TURN_US));
        let failing = AtomicBool::new(endpoint.failing_since_us.is_some());
        let slow = AtomicBool::new(endpoint.slow_since_us.is_some());
        Self { host, endpoint, token, until_us, failing, slow, off: AtomicBool::new(false) }
    }

    /// Whose turn it is.
    pub fn shop(&self) -> ShopId {
        self.endpoint.shop_id
    }

    /// Sends what is due, as long as `stopping` says no and the lease lasts, and gives the endpoint back.
    pub async fn take(self, stopping: &AtomicBool) {
        kill::at(Point::DeliveryClaimed, "webhook");
        let (id, host) = (self.endpoint.id, self.host.clone());
        if let Err(error) = self.send_due(stopping).await {
            tracing::error!(endpoint = %id, %error, "webhooks cannot be sent; they are tried again");
        }
        let (shop, token) = (self.endpoint.shop_id, self.token);
        let now_us = host.now_us();
        let edge = EventId::new((now_us / 1000).saturating_sub(KEPT_MS), [0; 10]);
        let released = host.store().transact(move |tx| {
            deliveries::forget(tx, (shop, id), edge, FORGET)?;
            endpoints::release(tx, shop, id, &token, now_us)
        });
        let released: Result<bool, Error> = released.await;
        match released {
            Ok(true) => {}
            Ok(false) => tracing::warn!(endpoint = %id, "an endpoint was taken over"),
            // The lease ends by itself.
            Err(error) => tracing::error!(endpoint = %id, %error, "an endpoint could not be given back"),
        }
    }

    async fn send_due(&self, stopping: &AtomicBool) -> Result<(), Error> {
        loop {
            // For each part anew: a rotation, or what the operator set, counts from the next one on.
            let means = self.means().await?;
            let mut due: VecDeque<_> = self.read_due().await?.into();
            if due.is_empty() {
                return Ok(());
            }
            let mut running = FuturesUnordered::new();
            let mut first_error = None;
            loop {
                while self.may_begin(running.len(), stopping)
                    && first_error.is_none()
                    && let Some((delivery, event)) = due.pop_front()
                {
                    running.push(self.deliver(&means, delivery, event));
                }
                match running.next().await {
                    Some(Ok(())) => {}
                    Some(Err(error)) => first_error = Some(error),
                    None => break,
                }
            }
            if let Some(error) = first_error {
                return Err(error);
            }
            if !due.is_empty() || !self.may_begin(0, stopping) {
                return Ok(());
            }
        }
    }

    fn may_begin(&self, running: usize, stopping: &AtomicBool) -> bool {
        let width = if self.failing.load(Relaxed) || self.slow.load(Relaxed) { 1 } else { WIDTH };
        running < width
            && !self.off.load(Relaxed)
            && !stopping.load(Relaxed)
            && self.host.now_us() < self.until_us
    }

    async fn means(&self) -> Result<Means, Error> {
        let (vault, endpoint, now_us) =
            (self.host.vault().clone(), self.endpoint.clone(), self.host.now_us());
        let opened = self.host.store().read(move |tx| {
            let key = vault.shop_key(tx, endpoint.shop_id)?;
            let mut opened = vec![Place::WebhookSecret(endpoint.id).open(&key, &endpoint.secret)?];
            let old: Vec<OldSecret> = endpoint.old_secrets.to()?;
            for old in old.iter().rev().filter(|old| old.until_us > now_us) {
                opened.push(Place::OldWebhookSecret(endpoint.id).open(&key, &old.sealed()?)?);
            }
            let secrets = opened.into_iter().map(Secret::of).collect();
            Ok::<_, Error>(Means { secrets, reach: reach(tx, endpoint.shop_id)?, key })
        });
        opened.await
    }

    async fn read_due(&self) -> Result<Vec<(Delivery, Event)>, Error> {
        let (shop, id, now_us) = (self.endpoint.shop_id, self.endpoint.id, self.host.now_us());
        let read = self.host.store().read(move |tx| {
            let mut due = Vec::new();
            for delivery in deliveries::due(tx, (shop, id), now_us, PART)? {
                let event = events::get(tx, shop, delivery.event_id)?;
                due.push((delivery, event.ok_or(Error::NotFound { what: "event" })?));
            }
            Ok(due)
        });
        read.await
    }

    /// One try, with what follows from it.
    async fn deliver(&self, means: &Means, delivery: Delivery, event: Event) -> Result<(), Error> {
        let began_us = self.host.now_us();
        let answer = self.post(means, &delivery, &event, began_us / 1_000_000).await?;
        let now_us = self.host.now_us();
        let tries = delivery.tries.saturating_add(1);
        let dice = u32::from_be_bytes(random::<4>());
        let next = schedule::next(&self.host.webhook_options().schedule, tries, &answer, now_us, dice);
        let before = delivery.tries;
        let mut row = Delivery { tries, tried_us: Some(began_us), ..delivery };
        row.took_us = Some(now_us.saturating_sub(began_us));
        (row.status, row.error, row.answer) = match answer {
            Answer::Status { status, body, .. } => {
                let reply = Place::Reply(self.endpoint.id, event.id).seal(&means.key, body.as_bytes())?;
                (Some(i64::from(status)), refusal(status), Some(reply))
            }
            Answer::Failed(words) => (None, Some(words), None),
        };
        (row.state, row.due_us) = match next {
            Next::Delivered => (DeliveryState::Delivered, row.due_us),
            Next::Again(due_us) => (DeliveryState::Waiting, due_us),
            Next::GivenUp | Next::Gone => (DeliveryState::Failed, row.due_us),
        };
        tracing::debug!(
            endpoint = %self.endpoint.id, event = %event.id, tries, status = ?row.status, error = ?row.error, "webhook"
        );
        kill::at(Point::WebhookSent, "webhook");
        self.store(row, before, next, now_us).await
    }

    async fn post(
        &self,
        means: &Means,
        delivery: &Delivery,
        event: &Event,
        now_s: i64,
    ) -> Result<Answer, Error> {
        let body = EventOut::body(&means.key, event)?;
        let address = delivery.payment_url.as_ref().or(self.endpoint.url.as_ref());
        let Some(url) = address.and_then(|text| Url::parse(text).ok()) else {
            return Ok(Answer::Failed("not sent: there is no address".to_owned()));
        };
        let id = event.id.to_string();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, text) in [
            ("webhook-signature", signatures(&means.secrets, &id, now_s, &body)),
            ("webhook-timestamp", now_s.to_string()),
            ("webhook-id", id),
        ] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
        Ok(self.host.webhooks().post(means.reach, &url, headers, body).await)
    }

    /// Writes what came of a try. Many payments' addresses behind one endpoint say nothing about each other: such an endpoint
    /// is never called failing, or slow.
    async fn store(&self, row: Delivery, before: i64, next: Next, now_us: i64) -> Result<(), Error> {
        let own = self.endpoint.url.is_some();
        let health = self.health(&row, next);
        let host = self.host.clone();
        let written = self.host.store().transact(move |tx| {
            if !deliveries::record(tx, &row, before)? {
                return Ok(false);
            }
            if let Some(health) = &health {
                endpoints::note(tx, row.shop_id, row.endpoint_id, health, now_us)?;
            }
            match next {
                Next::Again(_) | Next::Delivered => Ok(false),
                Next::GivenUp | Next::Gone if !own => Ok(false),
                Next::Gone => switch_off(tx, &host, &row, "the receiver answered 410 Gone").map(|()| true),
                Next::GivenUp => give_up(tx, &host, &row, now_us),
            }
        });
        if written.await? {
            self.off.store(true, Relaxed);
        }
        Ok(())
    }

    /// What a try said of the receiver, if that is news.
    fn health(&self, row: &Delivery, next: Next) -> Option<Health> {
        let own = self.endpoint.url.is_some();
        match next {
            Next::Delivered => {
                let slow = row.took_us > Some(SLOW_US);
                let failed = self.failing.swap(false, Relaxed);
                let was_slow = self.slow.swap(own && slow, Relaxed);
                (own && (failed || was_slow != slow)).then_some(Health::Took { slow })
            }
            Next::Again(_) | Next::GivenUp | Next::Gone => {
                self.failing.fetch_or(own, Relaxed);
                let error = row.error.clone().unwrap_or_default();
                Some(Health::Refused { error, failing: own })
            }
        }
    }
}

/// What an answer that is no success says.
fn refusal(status: u16) -> Option<String> {
    match status {
        200..=299 => None,
        300..=399 => {
            Some(format!("answered {status}: redirects are not followed; change the endpoint's address"))
        }
        _ => Some(format!("answered {status}")),
    }
}

/// A schedule is over. If nothing arrived for all of its time, and several events were in vain, the endpoint is switched off;
/// tells whether it was. One event that its receiver cannot take says nothing of the others, also where no other happened.
fn give_up(tx: &mut Tx<'_>, host: &Host, row: &Delivery, now_us: i64) -> Result<bool, Error> {
    // Counting locks it: another try may have arrived this very moment.
    let Some(endpoint) = endpoints::gave_up(tx, row.shop_id, row.endpoint_id)? else { return Ok(false) };
    let since_us = endpoint.failing_since_us.unwrap_or(now_us);
    let patience_us = schedule::patience_us(&host.webhook_options().schedule);
    if endpoint.given_up < schedule::IN_VAIN || now_us.saturating_sub(since_us) < patience_us {
        return Ok(false);
    }
    let reason = format!(
        "nothing arrived there for the whole time in which an event is tried, and {} events were tried in vain",
        endpoint.given_up
    );
    switch_off(tx, host, row, &reason).map(|()| true)
}

/// Switches an endpoint off, and tells the shop's other endpoints and the operator's log.
fn switch_off(tx: &mut Tx<'_>, host: &Host, row: &Delivery, reason: &str) -> Result<(), Error> {
    let Some(mut endpoint) = endpoints::lock(tx, row.shop_id, row.endpoint_id)? else { return Ok(()) };
    if !endpoint.enabled {
        return Ok(());
    }
    endpoint.enabled = false;
    endpoint.disabled_reason = Some(reason.to_owned());
    endpoint.disabled_us = Some(host.now_us());
    endpoint.updated_us = host.now_us();
    endpoints::update(tx, &endpoint)?;
    endpoints::settle_due(tx, &endpoint)?;
    tracing::warn!(endpoint = %endpoint.id, shop = %endpoint.shop_id, reason, "an endpoint was switched off");
    let detail = json!({
        "endpoint_id": endpoint.id, "url": endpoint.url, "name": endpoint.name, "reason": reason,
        "last_status": row.status, "last_error": row.error,
    });
    let (id, key) = (host.new_id(EventId::new), host.vault().key_of(tx, endpoint.shop_id)?);
    let event = Event {
        id,
        shop_id: endpoint.shop_id,
        mode: endpoint.mode,
        payment_id: None,
        sequence: None,
        name: ENDPOINT_DISABLED.to_owned(),
        payload: Place::Event(id).seal_json(&key, &json!({"payment": Value::Null, "data": detail}))?,
        created_us: host.now_us(),
    };
    events::insert(tx, &event)
}
