//! Text answers to a mobile approval and net cancel.

#![no_main]

use inicis_wire::mobile::{approval, details, nvp::Nvp};

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let _ = approval::read(200, body);
    let _ = approval::read_net_cancel(200, body);
    if let Ok(fields) = Nvp::parse(body) {
        let _ = (details::of_mobile(&fields), details::account(&fields));
    }
});
