//! From the outbox to the endpoints. Invariant: an event leaves the outbox in the transaction that writes its deliveries, so
//! it is handed on once, whatever is killed.

use std::collections::{BTreeSet, HashMap};

use payhost_core::id::{EndpointId, ShopId};
use payhost_store::rows::deliveries::{self as rows, Delivery, DeliveryState};
use payhost_store::rows::endpoints::{self, Endpoint};
use payhost_store::rows::events::{self, Event};
use payhost_store::rows::{Mode, payments};
use payhost_store::{Error, Tx};

use super::names::wants;
use super::turn::WIDTH;

/// An endpoint with the names that it chose.
struct Listener {
    endpoint: Endpoint,
    chosen: Vec<String>,
}

/// Hands events of a shop on, with about `deliveries` rows; tells whether there may be more. Everybody else's writes wait for
/// this transaction, so a shop with many endpoints has fewer events in each.
pub fn expand(tx: &mut Tx<'_>, shop: ShopId, now_us: i64, deliveries: usize) -> Result<bool, Error> {
    let mut most = 1;
    for (mode, _) in Mode::TABLE {
        most = listeners(tx, (shop, *mode))?.len().max(most);
    }
    // As many as one endpoint is told of at once, or its first turn would be a short one.
    let limit = (deliveries / most).max(WIDTH);
    let taken = events::take_from_outbox(tx, shop, i64::try_from(limit).unwrap_or(i64::MAX))?;
    // Read again: an endpoint that was there before an event of these is told of it.
    let mut listening: HashMap<Mode, Vec<Listener>> = HashMap::new();
    let mut woken: BTreeSet<EndpointId> = BTreeSet::new();
    for outbox in &taken {
        let Some(event) = events::get(tx, shop, outbox.event_id)? else { continue };
        if let std::collections::hash_map::Entry::Vacant(vacant) = listening.entry(event.mode) {
            vacant.insert(listeners(tx, (shop, event.mode))?);
        }
        for listener in listening.get(&event.mode).into_iter().flatten() {
            if !wants(&listener.chosen, &event.name) {
                continue;
            }
            if let Some(delivery) = delivery(tx, &listener.endpoint, &event, now_us)?
                && rows::insert_new(tx, &delivery)?
            {
                woken.insert(listener.endpoint.id);
            }
        }
    }
    // In one order on every node (and shops come in theirs), so that two of them do not wait for each other.
    for endpoint in woken {
        endpoints::wake(tx, shop, endpoint, now_us)?;
    }
    Ok(taken.len() >= limit)
}

fn listeners(tx: &mut Tx<'_>, (shop, mode): (ShopId, Mode)) -> Result<Vec<Listener>, Error> {
    let mut listeners = Vec::new();
    for endpoint in endpoints::list(tx, shop, mode)?.into_iter().filter(|endpoint| endpoint.enabled) {
        let chosen = endpoint.events.to()?;
        listeners.push(Listener { endpoint, chosen });
    }
    Ok(listeners)
}

/// An event's delivery to an endpoint, to be sent now; nothing when neither of them has an address.
pub fn delivery(
    tx: &mut Tx<'_>,
    endpoint: &Endpoint,
    event: &Event,
    now_us: i64,
) -> Result<Option<Delivery>, Error> {
    let payment_url = match (&endpoint.url, event.payment_id) {
        (Some(_), _) => None,
        (None, None) => return Ok(None),
        (None, Some(id)) => {
            match payments::get(tx, event.shop_id, id)?.and_then(|payment| payment.webhook_url) {
                Some(url) => Some(url),
                None => return Ok(None),
            }
        }
    };
    Ok(Some(Delivery {
        shop_id: event.shop_id,
        endpoint_id: endpoint.id,
        event_id: event.id,
        name: event.name.clone(),
        payment_url,
        state: DeliveryState::Waiting,
        tries: 0,
        due_us: now_us,
        tried_us: None,
        took_us: None,
        status: None,
        error: None,
        answer: None,
        created_us: now_us,
    }))
}
