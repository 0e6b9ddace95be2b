//! Where a master key comes from.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use payhost_store::{Error, MasterKey, Options, Store, Vault};

/// Two keys are the same when one opens the other's database.
async fn same(one: MasterKey, other: MasterKey) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Options::sqlite(folder.path().join("payhost.db"))).unwrap();
    Vault::open(&store, one).await.unwrap();
    match Vault::open(&store, other).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error, Error::WrongMasterKey);
            false
        }
    }
}

fn key() -> MasterKey {
    MasterKey::from_bytes([0xfb; 32])
}

#[tokio::test]
async fn hex_base64_and_raw_bytes_are_the_same_key() {
    let hex = "fB".repeat(32);
    let base64 = "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=";
    let url = "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s";
    for text in [hex.as_str(), base64, url, &format!(" {hex}\n")] {
        assert!(
            same(key(), MasterKey::load(None, "PAYHOST_MASTER_KEY", Some(text)).unwrap()).await,
            "{text}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    drop(MasterKey::create_file(&path).unwrap());
    for bytes in [[0xfb; 32].to_vec(), hex.clone().into_bytes(), format!("{base64}\n").into_bytes()] {
        std::fs::write(&path, bytes).unwrap();
        assert!(same(key(), MasterKey::load(Some(&path), "X", None).unwrap()).await);
    }
    assert!(!same(key(), MasterKey::from_bytes([1; 32])).await);
}

#[tokio::test]
async fn a_key_that_is_made_reads_back_and_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let made = MasterKey::create_file(&path).unwrap();
    assert!(matches!(MasterKey::create_file(&path), Err(Error::Io(_))));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(same(made, MasterKey::read_file(&path).unwrap()).await);
}

#[test]
fn a_missing_or_bad_key_is_told_without_the_key() {
    let missing = MasterKey::load(None, "PAYHOST_MASTER_KEY", None).unwrap_err();
    assert_eq!(missing, Error::MissingMasterKey);
    let hex = "0".repeat(63);
    let bad = ["", "short", hex.as_str(), &"z".repeat(64), &"é".repeat(32)];
    for text in bad {
        let error = MasterKey::load(None, "PAYHOST_MASTER_KEY", Some(text)).unwrap_err();
        assert!(error.to_string().contains("PAYHOST_MASTER_KEY"), "{error}");
        assert!(text.is_empty() || !error.to_string().contains(text), "a key is never printed");
    }
    let error = MasterKey::read_file(std::path::Path::new("/nonexistent/key")).unwrap_err();
    assert!(matches!(error, Error::BadMasterKey { .. }));
}

#[cfg(unix)]
#[test]
fn a_key_that_everybody_can_read_is_refused_with_what_to_do() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    drop(MasterKey::create_file(&path).unwrap());
    for (mode, good) in [(0o600, true), (0o400, true), (0o440, true), (0o644, false), (0o604, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let read = MasterKey::read_file(&path);
        assert_eq!(read.is_ok(), good, "{mode:o}");
        if let Err(error) = read {
            assert!(error.to_string().contains(&format!("chmod o= {}", path.display())), "{error}");
        }
    }
}

#[test]
fn keys_are_not_printed() {
    assert_eq!(format!("{:?}", key()), "MasterKey");
}
