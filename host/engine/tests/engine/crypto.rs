//! Secrets are used as declared and are never readable.

use payhost_engine::{Engine, Plugin, Secrets};
use std::sync::Arc;
use zeroize::Zeroizing;

use crate::common::{SIGN_KEY, assert_no_secret, behave, engine, plugin};

/// What a crypto behaviour said, with a secret's name and a text.
async fn said(engine: &Engine, plugin: &Arc<Plugin>, behaviour: &str, secret: &str, text: &str) -> String {
    let called = behave(behaviour).with("secret", secret).with("text", text).begin(engine, plugin).await;
    assert_no_secret(&serde_json::to_string(called.record()).unwrap());
    called.result.unwrap()
}

#[tokio::test]
async fn digests_and_keyed_hashes_are_the_known_ones() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    // SHA-512 of "abc": FIPS 180-2, C.1.
    let sha512 = said(&engine, &plugin, "digest sha-512", "", "abc").await;
    assert!(sha512.starts_with("ddaf35a193617abacc417349ae204131") && sha512.len() == 128, "{sha512}");
    use sha2::Digest as _;
    let expected = sha2::Sha256::digest(format!("{SIGN_KEY}&price=1000"));
    let expected: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(said(&engine, &plugin, "digest", "sign_key", "&price=1000").await, expected);
    // RFC 4231, case 2.
    let mut rfc = behave("hmac").with("secret", "sign_key").with("text", "what do ya want for nothing?");
    rfc.setup.secrets = Secrets::new().with_channel("sign_key", 1, Zeroizing::new("Jefe".into()));
    let hmac = rfc.begin(&engine, &plugin).await.result.unwrap();
    assert_eq!(hmac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

#[tokio::test]
async fn keys_and_ivs_are_used_as_text_and_as_declared_pairs() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    // Both by `openssl enc -aes-128-cbc` with the same key and IV.
    let sealed = said(&engine, &plugin, "encrypt", "seal_key", "123456789").await;
    assert_eq!(sealed, "943f2aab87b78e7cf352f4bb4937a5bb");
    let opened = said(&engine, &plugin, "decrypt", "open_key", "af9c4699b114f525895c7e0369927e89").await;
    assert_eq!(opened, "68656c6c6f", "hello");
}

#[tokio::test]
async fn a_use_that_is_not_declared_is_refused() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    for (behaviour, secret) in [
        ("digest", "seal_key"),
        ("digest", "api_token"),
        ("digest", "password"),
        ("hmac", "password"),
        ("hmac", "card_number"),
        ("encrypt", "sign_key"),
        ("encrypt", "open_key"),
        ("encrypt", "shared_iv"),
        ("encrypt", "card_number"),
        ("encrypt a secret", "sign_key"),
        ("encrypt a secret", "seal_key"),
        ("encrypt a secret", "password"),
        ("decrypt", "seal_key"),
        ("decrypt", "sign_key"),
        ("decrypt", "shared_iv"),
    ] {
        let said = said(&engine, &plugin, behaviour, secret, "00").await;
        assert!(said.contains("NotDeclared") && said.contains(secret), "{behaviour} {secret}: {said}");
    }
}

#[tokio::test]
async fn a_secret_of_another_shop_or_channel_is_not_there() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    for behaviour in ["digest", "hmac", "encrypt", "encrypt a secret", "decrypt"] {
        let said = said(&engine, &plugin, behaviour, "other_shops_key", "00").await;
        assert!(said.contains("MissingSecret"), "{behaviour}: {said}");
    }
}

#[tokio::test]
async fn an_unknown_algorithm_and_broken_ciphertext_are_told() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    assert!(said(&engine, &plugin, "digest md5", "", "x").await.contains("Unsupported(\"md5\")"));
    for ciphertext in ["00", "000102030405060708090a0b0c0d0e0f", ""] {
        let said = said(&engine, &plugin, "decrypt", "open_key", ciphertext).await;
        assert!(said.contains("Invalid"), "{said}");
    }
    let mut short = behave("encrypt").with("secret", "seal_key");
    short.setup.secrets = Secrets::new()
        .with_channel("seal_key", 1, Zeroizing::new("short".into()))
        .with_channel("shared_iv", 1, Zeroizing::new("short".into()));
    let said = short.begin(&engine, &plugin).await.result.unwrap();
    assert!(said.contains("16 ASCII characters"), "{said}");
}

#[tokio::test]
async fn a_one_time_value_is_encrypted_alone_so_that_it_cannot_be_guessed_byte_by_byte() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let alone = said(&engine, &plugin, "encrypt a secret", "card_number", "").await;
    assert_eq!(alone.len(), 64, "{alone}");
    let beside = said(&engine, &plugin, "encrypt beside a secret", "card_number", "aaa").await;
    assert!(beside.contains("NotDeclared"), "{beside}");
}

#[tokio::test]
async fn a_one_time_value_cannot_be_found_by_guesses() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    for behaviour in ["digest", "hash a secret"] {
        let said = said(&engine, &plugin, behaviour, "card_number", "").await;
        assert!(said.contains("NotDeclared"), "{behaviour}: {said}");
    }
    let said = said(&engine, &plugin, "guess a secret", "card_number", "4000000000000002").await;
    let answers: Vec<&str> = said.split("; ").collect();
    assert!(answers[0] == "sealed" && answers[1].contains("NotDeclared") && answers[2] == "sealed", "{said}");
}

#[tokio::test]
async fn a_key_that_encrypts_does_not_decrypt_under_another_name() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let mut twice = behave("seal, then open").with("secret", "open_key");
    let same = || Zeroizing::new("0123456789abcdef".to_owned());
    twice.setup.secrets = Secrets::new()
        .with_channel("seal_key", 1, same())
        .with_channel("open_key", 1, same())
        .with_channel("shared_iv", 1, same())
        .with_one_time("open_me", Zeroizing::new("4111".into()));
    twice.settings.retain(|setting| setting.key != "secret");
    let twice = twice.with("secret", "open_key");
    let said = twice.begin(&engine, &plugin).await;
    // Sealing a channel's key is refused first; the value under two names is refused when it is opened.
    assert!(!said.result.is_ok_and(|said| said.contains("30313233")));
}

/// CBC of whole blocks with the pair of the tests, as a gateway makes it.
fn sealed(plaintext: &[u8]) -> Vec<u8> {
    use aes::cipher::{BlockModeEncrypt as _, KeyIvInit as _, block_padding::Pkcs7};
    cbc::Encryptor::<aes::Aes128>::new_from_slices(b"fedcba9876543210", b"ivivivivivivivi=")
        .unwrap()
        .encrypt_padded_vec::<Pkcs7>(plaintext)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A block that decrypts to a wrong length of padding, to a wrong byte of it, and to none, and ciphertexts that are no blocks.
#[tokio::test]
async fn whatever_is_wrong_with_a_ciphertext_is_one_and_the_same_error() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let good = sealed(b"0123456789abcdef0123456789");
    let mut errors = std::collections::BTreeSet::new();
    for last in 0..=255_u8 {
        let mut bad = good.clone();
        let at = good.len() - 17;
        bad[at] ^= last;
        let said = said(&engine, &plugin, "decrypt", "open_key", &hex(&bad)).await;
        if said.contains("Invalid") {
            errors.insert(said);
        }
    }
    for length in [0, 1, 15, 17, 31] {
        errors.insert(said(&engine, &plugin, "decrypt", "open_key", &hex(&good[..length])).await);
    }
    assert_eq!(errors.len(), 1, "{errors:?}");
}

/// The documents say that it can: this is how. Nothing else opens with it (see the tests of the descriptor, and the next one).
#[tokio::test]
async fn who_decrypts_can_compute_the_iv_and_the_documents_say_so() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let tail = sealed(b"0123456789abcdef0123456789");
    let first = &tail[..16];
    let chosen = [first, first, &tail[..32]].concat();
    let opened = said(&engine, &plugin, "decrypt", "open_key", &hex(&chosen)).await;
    let byte = |at: usize| u8::from_str_radix(&opened[at * 2..at * 2 + 2], 16).unwrap();
    let iv: Vec<u8> = (0..16).map(|at| byte(at) ^ byte(16 + at) ^ first[at]).collect();
    assert_eq!(iv, b"ivivivivivivivi=");
    for document in [include_str!("../../../../wit/README.md"), include_str!("../../../../docs/security.md")]
    {
        assert!(document.contains("the IV of a key that decrypts"));
    }
}

#[tokio::test]
async fn nothing_is_decrypted_while_the_iv_is_part_of_another_secret() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let value = |text: &str| Zeroizing::new(text.to_owned());
    for (other, shared) in [
        ("open_key", "ivivivivivivivi="),
        ("sign_key", "prefix-ivivivivivivivi=-suffix"),
        ("one_time", "ivivivivivivivi="),
    ] {
        let mut call = behave("decrypt").with("secret", "open_key").with("text", &hex(&sealed(b"hello")));
        let secrets = Secrets::new().with_channel("open_key", 1, value("fedcba9876543210")).with_channel(
            "shared_iv",
            1,
            value("ivivivivivivivi="),
        );
        call.setup.secrets = match other {
            "one_time" => secrets.with_one_time(other, value(shared)),
            _ => secrets.with_channel(other, 1, value(shared)),
        };
        let said = call.begin(&engine, &plugin).await.result.unwrap();
        assert!(said.contains("NotDeclared") && said.contains(other) && !said.contains(shared), "{said}");
    }
}
