//! `POST /webhooks`: payhost tells the shop. Invariant: only what payhost signed is listened to, and an answer 2xx means that
//! the order is up to date; anything else makes payhost tell again.
//!
//! An event is taken as a reason to read the payment, not as its state: so it does not matter in which order events come, or
//! that one comes twice.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use standardwebhooks::Webhook;

use crate::Shop;

/// The parts of an event that this shop reads.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    name: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    payment: Option<PaymentOfEvent>,
    #[serde(default)]
    sample: bool,
}

#[derive(Deserialize)]
struct PaymentOfEvent {
    id: String,
}

/// Takes an event.
pub async fn receive(State(shop): State<Arc<Shop>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let secret = shop.webhook_secret.as_deref().and_then(|secret| Webhook::new(secret).ok());
    let Some(secret) = secret else { return StatusCode::NOT_FOUND };
    // The bytes as they came: JSON that was read and written again would have another signature.
    if let Err(error) = secret.verify(&body, &headers) {
        tracing::warn!(%error, "a webhook without a good signature");
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(event) = serde_json::from_slice::<Event>(&body) else { return StatusCode::BAD_REQUEST };
    tracing::info!(name = event.name, sample = event.data.sample, "payhost tells");
    let Some(told) = event.data.payment.filter(|_| !event.data.sample) else { return StatusCode::NO_CONTENT };
    match shop.payhost.payment(&told.id).await.map(|payment| shop.store.keep_told(&payment)) {
        Ok(Ok(())) => StatusCode::NO_CONTENT,
        Ok(Err(error)) => {
            tracing::error!(%error, "an order could not be brought up to date");
            StatusCode::INTERNAL_SERVER_ERROR
        }
        Err(error) => {
            tracing::warn!(%error, "the payment could not be read");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}
