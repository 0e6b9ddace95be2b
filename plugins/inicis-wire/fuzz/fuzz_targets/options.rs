//! Options as a shop writes them:  lines.

#![no_main]

use inicis_wire::options::{PhoneGoods, Wishes};
use inicis_wire::{mobile, pc};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let Ok(wishes) = Wishes::read(lines) else { return };
    let (phone_goods, now_ms) = (PhoneGoods::Physical, 1_767_193_200_123);
    let _ = pc::options::write(&wishes, pc::options::Opening { methods: "", phone_goods, now_ms });
    let opening =
        mobile::options::Opening { payment: "MOBILE", phone_goods, app_scheme: "", app_base: "", now_ms };
    let _ = mobile::options::write(&wishes, opening);
});
