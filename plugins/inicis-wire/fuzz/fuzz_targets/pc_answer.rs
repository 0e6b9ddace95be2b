//! Answers to a PC approval and net cancel.

#![no_main]

use inicis_wire::json::Object;
use inicis_wire::pc::{approval, details};

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let _ = approval::read(200, body);
    let _ = approval::read_net_cancel(200, body, "order-1");
    if let Ok(fields) = Object::parse(body) {
        let _ = (details::of_pc(&fields), details::account(&fields));
    }
});
