//! Notices of orders that nobody here knows, sent on to where the shop's older cart takes them while a merchant id moves here.
//! Invariant: the gateway was answered before; what goes on is the message as it came, to no address inside
//! (`webhooks::Client`), until it is taken with 2xx or the schedule is over, and the notice says which.

use axum::http::{HeaderMap, HeaderValue, Method, header};
use payhost_core::id::{NoticeId, ShopId};
use payhost_engine::contract::vbank_notice::Notice as Message;
use payhost_store::Error;
use payhost_store::rows::channels;
use payhost_store::rows::notices::{self, ForwardState};
use url::Url;

use crate::host::Host;
use crate::jobs::Done;
use crate::sealed::Place;
use crate::webhooks::{self, Answer, Reach};

/// Waits after each failure, in seconds; a day and a half in all, as gateways repeat.
const SCHEDULE_SECONDS: [i64; 8] = [5, 60, 300, 1800, 7200, 18_000, 36_000, 72_000];

/// Sends a notice on, once.
pub async fn work(host: &Host, shop: ShopId, id: NoticeId, tries: i64) -> Result<Done, String> {
    let vault = host.vault().clone();
    let read = host.store().read(move |tx| {
        let Some(notice) = notices::get(tx, shop, id)? else { return Ok(None) };
        let channel = channels::get(tx, shop, notice.channel_id)?;
        let key = vault.shop_key(tx, shop)?;
        let url = channel.and_then(|channel| channel.notice_forward_url);
        Ok::<_, Error>(Some((notice, url, key, webhooks::reach(tx, shop)?)))
    });
    let Some((mut notice, url, key, reach)) = read.await.map_err(|error| error.to_string())? else {
        return Ok(Done::Finished);
    };
    if notice.forward != Some(ForwardState::Waiting) {
        return Ok(Done::Finished);
    }
    let message: Option<Message> = match &notice.raw {
        Some(raw) => Some(Place::Notice(id).open_json(&key, raw).map_err(|error| error.to_string())?),
        None => None,
    };
    let answer = match (url.and_then(|url| Url::parse(&url).ok()), message) {
        (Some(url), Some(message)) => send(host, reach, url, message).await,
        // The shop took the address away meanwhile.
        (_, _) => Answer::Failed("there is no address any more".to_owned()),
    };
    let wait = usize::try_from(tries.saturating_sub(1)).ok().and_then(|step| SCHEDULE_SECONDS.get(step));
    let status = match &answer {
        Answer::Status { status, .. } => Some(i64::from(*status)),
        Answer::Failed(_) => None,
    };
    let taken = status.is_some_and(|status| (200..300).contains(&status));
    let now_us = host.now_us();
    notice.forward_status = status;
    notice.forwarded_us = taken.then_some(now_us);
    notice.forward = Some(match (taken, wait) {
        (true, _) => ForwardState::Forwarded,
        (false, Some(_)) => ForwardState::Waiting,
        (false, None) => ForwardState::Failed,
    });
    let written = host.store().transact(move |tx| notices::forwarded(tx, &notice));
    let written: Result<bool, Error> = written.await;
    written.map_err(|error| error.to_string())?;
    if taken {
        return Ok(Done::Finished);
    }
    let Some(seconds) = wait else {
        // Not the answer itself: it is another system's, and may repeat what it was sent.
        tracing::error!(notice = %id, ?status, "a notice could not be forwarded; a person must look");
        return Ok(Done::Finished);
    };
    Ok(Done::Again(now_us.saturating_add(seconds.saturating_mul(1_000_000)), format!("{answer:?}")))
}

/// The message as it came, beside the query that the address has.
async fn send(host: &Host, reach: Reach, mut url: Url, message: Message) -> Answer {
    if !message.query.is_empty() {
        let query = match url.query() {
            Some(own) if !own.is_empty() => format!("{own}&{}", message.query),
            _ => message.query,
        };
        url.set_query(Some(&query));
    }
    let mut headers = HeaderMap::new();
    let named = [(header::CONTENT_TYPE.as_str(), message.content_type), ("x-forwarded-for", message.source)];
    for (name, text) in named {
        if let Ok(value) = HeaderValue::from_str(&text)
            && !text.is_empty()
        {
            headers.insert(name, value);
        }
    }
    let verb = if message.verb == "POST" { Method::POST } else { Method::GET };
    host.webhooks().send(reach, verb, &url, headers, message.body).await
}
