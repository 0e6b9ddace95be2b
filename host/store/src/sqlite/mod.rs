//! The SQLite backend. Invariant: one process, one write connection; what a commit answered survives a power cut
//! (WAL, `synchronous=FULL`).

mod open;
mod readers;
pub(crate) mod statement;
mod writer;

pub(crate) use open::{Opened, open};
pub(crate) use readers::Readers;
pub(crate) use writer::Writer;
