//! What a plugin may call: each import is one file with its rules.

pub(crate) mod crypto;
pub(crate) mod http;
mod log;

use wasmtime::component::Linker;

use crate::state::State;

/// Adds our three imports.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    crypto::link(linker)?;
    http::link(linker)?;
    log::link(linker)
}
