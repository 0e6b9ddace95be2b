//! Black-box tests: the real `payhost`, the real plugin and the real shop against the simulator of the gateway. One file is one
//! capability; one test says one promise in its name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a surprise ends the test with its place"
)]

mod browser;
mod browser_methods;
mod cancel;
mod checkout;
mod crash;
mod doubt;
mod methods;
mod payments;
mod returns;
mod secrets;
mod set_up;
mod shutdown;
mod stage;
mod tenancy;
mod vbank;
mod vectors;
