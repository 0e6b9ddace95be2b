//! Answers to refunds and inquiries.

#![no_main]

use inicis_wire::iniapi::{answer, inquiry};

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let _ = answer::read(200, body);
    let _ = inquiry::read(200, body, "INIpayTest");
});
