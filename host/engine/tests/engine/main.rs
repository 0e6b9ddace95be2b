//! The engine's promises, each held against a component that breaks them on request (`tests/guests`).

mod common;
mod crypto;
mod gateway;
mod http;
mod journal;
mod limits;
mod load;
mod world;
