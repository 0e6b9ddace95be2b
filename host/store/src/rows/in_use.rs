//! What still needs a shop or a channel. Invariant: while this is nothing, whatever else is under way ends by itself, and no buyer,
//! gateway or person waits for it.

use payhost_core::id::{ChannelId, PaymentId, ShopId};

use crate::{Error, ToValue, Tx, Value};

/// Payments that are named.
const NAMED: usize = 5;

/// What still needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InUse {
    /// Payments that can still be paid.
    pub payable: i64,
    /// Payments with an account that waits for its deposit.
    pub awaiting_deposit: i64,
    /// Payments in doubt, or that wait for a person.
    pub unresolved: i64,
    /// Attempts that run, or are in doubt.
    pub attempts: i64,
    /// Notices that are to be verified or sent on.
    pub notices: i64,
    /// The first few of those payments.
    pub payments: Vec<PaymentId>,
}

impl InUse {
    /// Whether anything does.
    pub fn any(&self) -> bool {
        [self.payable, self.awaiting_deposit, self.unresolved, self.attempts, self.notices]
            .iter()
            .any(|n| *n > 0)
    }
}

/// Counts what needs a shop or, where one is named, a channel of it. Of jobs only those that verify notices or send them on: others
/// end by themselves when these are 0.
pub fn in_use(tx: &mut Tx<'_>, shop: ShopId, channel: Option<ChannelId>) -> Result<InUse, Error> {
    let mut values: Vec<Value> = vec![shop.to_value()];
    values.extend(channel.map(|id| id.to_value()));
    let of_channel = |column: &str| match channel {
        Some(_) => format!(" AND {column} = $2"),
        None => String::new(),
    };
    let of_payments = format!("FROM payment WHERE shop_id = $1{}", of_channel("channel_id"));
    let payable = "state IN ('created', 'pending')";
    let awaiting = "state = 'awaiting_deposit'";
    let unresolved = "resolution <> 'none'";
    let mut count = |from: &str| {
        let sql = format!("SELECT COUNT(*) {from}");
        tx.query_one(&sql, &values, |row| row.get::<i64>(0))
    };
    let found = InUse {
        payable: count(&format!("{of_payments} AND {payable}"))?,
        awaiting_deposit: count(&format!("{of_payments} AND {awaiting}"))?,
        unresolved: count(&format!("{of_payments} AND {unresolved}"))?,
        attempts: count(&format!(
            "FROM attempt JOIN payment ON payment.shop_id = attempt.shop_id AND payment.id = attempt.payment_id \
             WHERE attempt.shop_id = $1{} AND attempt.state IN ('intent', 'in_doubt') AND attempt.kind <> 'undo'",
            of_channel("payment.channel_id")
        ))?,
        notices: count(&format!(
            // The key of such a job is its kind and the notice's id.
            "FROM job JOIN notice ON notice.shop_id = job.shop_id AND notice.id = substr(job.key, length(job.kind) + 2) \
             WHERE job.shop_id = $1{} AND job.state = 'waiting' AND job.kind IN ('notice', 'forward')",
            of_channel("notice.channel_id")
        ))?,
        payments: Vec::new(),
    };
    if !found.any() {
        return Ok(found);
    }
    let sql = format!(
        "SELECT id {of_payments} AND ({payable} OR {awaiting} OR {unresolved}) ORDER BY id LIMIT {NAMED}"
    );
    let payments = tx.query(&sql, &values, |row| row.get(0))?;
    Ok(InUse { payments, ..found })
}
