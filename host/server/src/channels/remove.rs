//! `DELETE /v1/channels/{id}`. Invariant: a channel ends only when nothing that may still be paid, or is not known yet, stands on it,
//! and from then on no payment is made on it; what it sold can be read, asked about and cancelled as before.

use axum::Json;
use axum::extract::State;
use payhost_core::id::ChannelId;
use payhost_store::Error;
use payhost_store::rows::channels;
use payhost_store::rows::in_use::in_use;

use super::manage::{ChannelOut, own, show};
use crate::host::Host;
use crate::http::auth::ShopCaller;
use crate::http::json::PathId;
use crate::http::problem::Problem;
use crate::shops::manage::still_open;

/// Removes a channel of which nothing is open: it sells nothing any more, is no default and not listed; the default for its purposes
/// is none until another channel is made it (`default: true`). Its rows stay: what it sold can be read and cancelled, and notices
/// about that are heard. Its secrets stay only as long as a sale may need them. Removed again, it is answered as it is.
#[utoipa::path(
    delete, path = "/v1/channels/{id}", tag = "set-up", params(("id" = String, Path, description = "`chn_…`")),
    responses((status = 200, body = ChannelOut), (status = "default", description = "A problem", body = Problem))
)]
pub async fn remove(
    State(host): State<Host>,
    caller: ShopCaller,
    PathId(id): PathId<ChannelId>,
) -> Result<Json<ChannelOut>, Problem> {
    let (shop, mode, now_us) = (caller.shop_id, caller.mode, host.now_us());
    let removed = host.store().transact(move |tx| {
        let found = channels::lock_to_end(tx, shop, id)?.filter(|row| row.mode == mode);
        let Some(row) = found else { return Ok(Err(Problem::not_found("channel"))) };
        if row.removed_us.is_some() {
            return Ok(Ok(row));
        }
        let in_use = in_use(tx, shop, Some(id))?;
        if in_use.any() {
            let wait = "switch the channel off and wait until they expire";
            return Ok(Err(still_open("channel_in_use", wait, &in_use)));
        }
        channels::remove(tx, shop, Some(id), now_us)?;
        let row = own(tx, shop, mode, id)?.ok_or(Error::NotFound { what: "channel" })?;
        tracing::info!(channel = %id, "channel removed");
        Ok::<_, Error>(Ok(row))
    });
    Ok(Json(show(&host, removed.await??).await?))
}
