//! The simulator from outside: its listeners, with the vectors of the reference beside it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stand outside of test functions, where clippy.toml does not reach"
)]

mod approval;
mod fault;
mod iniapi;
mod ledger;
mod methods;
mod mobile;
mod mobile_fault;
mod mobile_pages;
mod net_cancel;
mod notices;
mod older;
mod pages;
mod phone;
mod refund;
mod rig;
mod shop;
mod vbank;
mod vectors;
mod window;
