//! `notice`: messages that gateways send. Invariant: the same message to the same channel is one row for ever, and what it
//! said is kept as it came.

use payhost_core::id::{ChannelId, NoticeId, PaymentId, ShopId};

use super::Mode;
use crate::table::{Table, table, word};
use crate::{Error, Json, Sealed, ToValue, Tx, Value, params};

word! {
    /// How far a notice came.
    pub enum NoticeState {
        /// Stored; the plugin has not read it yet.
        Received = "received",
        /// Read and answered; being verified.
        Read = "read",
        /// The gateway, asked, does not confirm it; it is asked again.
        Doubted = "doubted",
        /// What it says is among the facts.
        Applied = "applied",
        /// It says nothing for us.
        Ignored = "ignored",
        /// No payment of this channel has its order number.
        UnknownOrder = "unknown_order",
        /// It contradicts what is known of the payment.
        Mismatched = "mismatched",
        /// The gateway cannot be asked, and it came from an address that the plugin does not list.
        Held = "held",
        /// The gateway did not confirm it to the end.
        Unconfirmed = "unconfirmed",
        /// The plugin says that it is no notice for this channel.
        Refused = "refused",
        /// The plugin failed at it.
        Unreadable = "unreadable",
    }
}

impl NoticeState {
    /// Whether something is still to be done.
    pub fn is_open(self) -> bool {
        match self {
            Self::Received | Self::Read | Self::Doubted => true,
            Self::Applied
            | Self::Ignored
            | Self::UnknownOrder
            | Self::Mismatched
            | Self::Held
            | Self::Unconfirmed
            | Self::Refused
            | Self::Unreadable => false,
        }
    }
}

table! {
    /// One message.
    pub struct Notice in "notice" {
        /// Its id.
        id: NoticeId,
        /// Whose.
        shop_id: ShopId,
        /// To which channel.
        channel_id: ChannelId,
        /// Of the channel.
        mode: Mode,
        /// SHA-256 of the message, hex.
        digest: String,
        /// Address that it first came from.
        source: String,
        /// Whether the plugin lists that address.
        listed: bool,
        /// The message, sealed.
        raw: Sealed,
        /// How often it came.
        times: i64,
        /// How far it came.
        state: NoticeState,
        /// What the plugin read, sealed.
        reading: Option<Sealed>,
        /// What the gateway is answered.
        reply: Option<String>,
        /// The answer's content type.
        reply_type: Option<String>,
        /// What it is about, for people: no account, no name.
        summary: Json,
        /// The payment that it is about.
        payment_id: Option<PaymentId>,
        /// Why it is where it is.
        reason: Option<String>,
        /// When it first came.
        created_us: i64,
        /// When it was changed.
        updated_us: i64,
    }
}

/// Keeps a message. One that is known is counted, and the known row is answered.
pub fn keep(tx: &mut Tx<'_>, notice: &Notice, now_us: i64) -> Result<Option<Notice>, Error> {
    if notice.insert_with(tx, " ON CONFLICT (channel_id, digest) DO NOTHING")? > 0 {
        return Ok(None);
    }
    let sql = format!(
        "UPDATE notice SET times = times + 1, updated_us = $1 WHERE channel_id = $2 AND digest = $3 RETURNING {}",
        Notice::COLUMNS
    );
    tx.query_one(&sql, params![now_us, notice.channel_id, notice.digest], Notice::read).map(Some)
}

/// A notice of a shop.
pub fn get(tx: &mut Tx<'_>, shop: ShopId, id: NoticeId) -> Result<Option<Notice>, Error> {
    Notice::select_opt(tx, "WHERE shop_id = $1 AND id = $2", params![shop, id])
}

/// What a list is narrowed to.
#[derive(Debug, Clone, Copy)]
pub struct Filter {
    /// Test or live.
    pub mode: Mode,
    /// Only in this state.
    pub state: Option<NoticeState>,
    /// Only what comes behind this one.
    pub after: Option<NoticeId>,
    /// At most so many.
    pub limit: i64,
}

/// A page of a shop's notices, newest first.
pub fn list(tx: &mut Tx<'_>, shop: ShopId, filter: &Filter) -> Result<Vec<Notice>, Error> {
    let mut tail = "WHERE shop_id = $1 AND mode = $2".to_owned();
    let mut values: Vec<Value> = params![shop, filter.mode].to_vec();
    let conditions = [
        (" AND state = $", filter.state.map(|state| state.to_value())),
        (" AND id < $", filter.after.map(|id| id.to_value())),
        (" ORDER BY id DESC LIMIT $", Some(filter.limit.to_value())),
    ];
    for (text, value) in conditions {
        if let Some(value) = value {
            values.push(value);
            tail.push_str(text);
            tail.push_str(&values.len().to_string());
        }
    }
    Notice::select(tx, &tail, &values)
}

/// Writes what may change, if the state is still `from`; `false` otherwise.
#[must_use = "false means that somebody else went on with it"]
pub fn advance(tx: &mut Tx<'_>, notice: &Notice, from: NoticeState) -> Result<bool, Error> {
    let sql = "UPDATE notice SET state = $1, reading = $2, reply = $3, reply_type = $4, summary = $5, payment_id = $6, \
               reason = $7, updated_us = $8 WHERE shop_id = $9 AND id = $10 AND state = $11";
    let n = notice;
    let values = params![
        n.state,
        n.reading,
        n.reply,
        n.reply_type,
        n.summary,
        n.payment_id,
        n.reason,
        n.updated_us,
        n.shop_id,
        n.id,
        from
    ];
    tx.execute(sql, values).map(|rows| rows == 1)
}
