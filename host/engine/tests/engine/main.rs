//! The engine's promises, each held against a component that breaks them on request (`tests/guests`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test that is surprised fails"
)]

mod advisories;
mod attacks;
mod common;
mod crypto;
mod exfiltration;
mod gateway;
mod hostile;
mod http;
mod journal;
mod limits;
mod load;
mod quotas;
mod wat;
mod world;
