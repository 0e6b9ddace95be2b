//! What INICIS posts on its own, and the answer to an account by API.

#![no_main]

use inicis_wire::iniapi::issue;
use inicis_wire::notice::{self, Said};

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    if let Ok(read) = notice::read("POST", body, "INIpayTest") {
        match read.said {
            Said::Deposited(deposit) | Said::DepositCancelled(deposit) => {
                assert!(deposit.amount > 0 && deposit.number.len() <= 20 && deposit.oid.len() <= 40);
            }
            Said::Approved(sale) => assert!(sale.amount > 0),
            Said::Issued(issue) => assert!(!issue.number.is_empty()),
            Said::Escrow(_) | Said::Ignored(_) => {}
        }
    }
    let _ = issue::read(200, body);
});
