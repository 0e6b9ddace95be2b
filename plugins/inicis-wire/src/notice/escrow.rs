//! The escrow status notice (`inicis.md §3.3`).
//!
//! Invariant: a status that is not documented is told, not guessed at, and still answered: an error would make INICIS repeat
//! what no repeat can mend.

use super::{Change, ESCROW_OK, Fields, Notice, NoticeError, Said};
use crate::clock;

/// `cl_status` in the words of the registry `escrow`.
pub const STATES: [(&str, &str); 7] = [
    ("2", "shipped"),
    ("3", "confirmed"),
    ("31", "confirmed"),
    ("32", "confirmed"),
    ("4", "denied"),
    ("8", "cancelled"),
    ("10", "denial_confirmed"),
];

pub(super) fn read(fields: &Fields, mid: &str) -> Result<Notice, NoticeError> {
    fields.merchant("id_merchant", mid)?;
    let (tid, oid) = (fields.tid("no_tid")?, fields.oid("no_oid")?);
    let at_ms = clock::from_kst14(fields.required("dt_req")?)
        .ok_or_else(|| NoticeError::Field("dt_req is no moment that exists".to_owned()))?;
    let status = fields.required("cl_status")?;
    let said = match STATES.iter().find(|(code, _)| *code == status) {
        Some((_, state)) => Said::Escrow(Change { tid, oid, state, at_ms }),
        None => Said::Ignored("an escrow status that is not documented"),
    };
    Ok(Notice { said, reply: ESCROW_OK })
}
