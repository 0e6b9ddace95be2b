//! Black-box tests: the real `payhost`, the real plugin and the real shop against the simulator of the gateway. One file is one
//! capability; one test says one promise in its name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a surprise ends the test with its place"
)]

mod again;
mod attention;
mod bodies;
mod browser;
mod browser_deposits;
mod browser_methods;
mod browser_pages;
mod cancel;
mod cancel_methods;
mod channels;
#[allow(dead_code, reason = "the tests are its smoke part; `cargo xtask chaos` uses all of it")]
mod chaos;
mod chaos_smoke;
mod checkout;
mod commands;
mod confirm;
mod crash;
mod database_ways;
mod deposits;
mod doubt;
mod embed;
mod fairness;
mod foreign_cancels;
mod front;
mod give_up;
mod links;
mod methods;
mod notices;
mod options;
mod orders;
mod payments;
mod phone;
mod plugin_call;
mod plugins;
mod postgres;
mod quickstart;
mod removal;
mod resolution;
mod returns;
mod secrets;
mod set_up;
mod settings_page;
mod shops;
mod shutdown;
mod stage;
mod sync;
mod tenancy;
mod turns;
mod vbank;
mod webhooks;
