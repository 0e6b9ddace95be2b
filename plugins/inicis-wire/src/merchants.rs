//! Invariant: these are the public test merchants and nobody's secrets (`inicis.md §8.1`).

/// A public test merchant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestMerchant {
    /// MID.
    pub mid: &'static str,
    /// Purpose of a channel that it serves.
    pub purpose: &'static str,
    /// Setting key and value of each of its public keys.
    pub keys: &'static [(&'static str, &'static str)],
}

const SIGN_KEY: (&str, &str) = ("sign_key", "SU5JTElURV9UUklQTEVERVNfS0VZU1RS");

/// All that are of use here.
pub const TEST_MERCHANTS: [TestMerchant; 3] = [
    TestMerchant {
        mid: "INIpayTest",
        purpose: "pay",
        keys: &[
            SIGN_KEY,
            ("iniapi_key", "ItEQKi3rY7uvDS8l"),
            ("iniapi_iv", "HYb3yQ4f65QL89=="),
            ("mobile_hash_key", "3CB8183A4BE283555ACC8363C0360223"),
        ],
    },
    TestMerchant {
        mid: "iniescrow0",
        purpose: "escrow",
        keys: &[
            SIGN_KEY,
            ("iniapi_key", "yERbIlJ3NhTeObsA"),
            ("iniapi_iv", "tOGDXbfoajk2DQ=="),
            ("mobile_hash_key", "37F3A120C1DFCDEB708B00F5383D2263"),
        ],
    },
    TestMerchant {
        mid: "INIBillTst",
        purpose: "billing",
        keys: &[
            SIGN_KEY,
            ("iniapi_key", "rKnPljRn5m6J9Mzz"),
            ("iniapi_iv", "W2KLNKra6Wxc1P=="),
            ("inilite_key", "b09LVzhuTGZVaEY1WmJoQnZzdXpRdz09"),
        ],
    },
];

/// Every MID of `inicis.md §8.1`: none of them is a shop's own.
pub const TEST_MIDS: [&str; 7] =
    ["INIpayTest", "iniescrow0", "INIBillTst", "inilitescr", "INIiasTest", "SRAiasTest", "CBTTEST001"];

/// The test merchant of a MID.
pub fn test_merchant(mid: &str) -> Option<&'static TestMerchant> {
    TEST_MERCHANTS.iter().find(|merchant| merchant.mid == mid)
}

/// What a prefix of a MID hints at: its three letters, and whether it can take payments. SIR and SRA: gnuboard's payment and
/// identity merchants (`inicis.md §8.1`). MOI and MII: payment and identity merchants that came through PortOne (channel
/// guide, seed 004).
pub const MID_PREFIXES: [(&str, bool); 4] = [("SIR", true), ("MOI", true), ("SRA", false), ("MII", false)];
