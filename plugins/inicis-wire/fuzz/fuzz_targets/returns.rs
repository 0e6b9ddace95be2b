//! What comes back through the buyer's browser, of both windows.

#![no_main]

use inicis_wire::form::{self, Form};
use inicis_wire::{mobile, pc};

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let _ = pc::reply::read("POST", "application/x-www-form-urlencoded", body, "INIpayTest", "order-1");
    if let Ok(form) = Form::parse(body) {
        let _ = mobile::reply::read(&form, "order-1", 1004);
    }
    let _ = form::words(body);
});
