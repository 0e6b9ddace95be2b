//! A plugin's lines reach the operator only through [`crate::logs::Logs`], which bounds and scrubs them.

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::contract::imports::{LOG, Level};
use crate::logs::LogSource;
use crate::state::State;

type Line = (Level, String, Vec<(String, String)>);

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance(LOG)?.func_wrap(
        "write",
        |store: StoreContextMut<'_, State>, (level, message, fields): Line| {
            store.data().logs().write(level, LogSource::Log, &message, &fields);
            store.data().bill_host_work()
        },
    )
}
