//! Secrets at rest.

use payhost_core::id::ShopId;
use payhost_store::rows::shops::{self, Shop};
use payhost_store::{Cell, Error, MasterKey, Sealed, ShopKey, Store, Vault};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::Database;
use super::fixture::{err, ok, shop, shop_id};

const CELL: Cell<'static> = Cell { table: "channel_secret", column: "sealed", row: "chn_1/sign_key" };

async fn shop_with_key(store: &Store, vault: &Vault) -> (ShopId, ShopKey) {
    let id = shop_id();
    let row = Shop { data_key: vault.new_data_key(id).unwrap(), ..shop(id) };
    let vault = vault.clone();
    let key = ok(store, move |tx| {
        shops::insert(tx, &row)?;
        vault.shop_key(tx, id)
    })
    .await;
    (id, key)
}

fn runner() -> TestRunner {
    TestRunner::new(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })
}

pub async fn a_sealed_value_opens_only_in_its_place(database: &Database) {
    let (store, vault) = database.open_with_vault().await;
    let (_, ours) = shop_with_key(&store, &vault).await;
    let (_, theirs) = shop_with_key(&store, &vault).await;
    let strategy = (prop::collection::vec(any::<u8>(), 0..300), "[a-z/_0-9]{0,12}", "[a-z/_0-9]{0,12}");
    runner()
        .run(&strategy, |(plain, row, other)| {
            let cell = Cell { row: &row, ..CELL };
            let sealed = ours.seal(&cell, &plain).unwrap();
            prop_assert_eq!(&*ours.open(&cell, &sealed).unwrap(), &plain);
            prop_assert_ne!(&ours.seal(&cell, &plain).unwrap(), &sealed, "a nonce is not used twice");
            let moved = [
                Cell { table: "payment", ..cell },
                Cell { column: "buyer", ..cell },
                Cell { table: "channel_secretsealed", column: "", ..cell },
            ];
            for place in moved {
                prop_assert!(ours.open(&place, &sealed).is_err());
            }
            prop_assert_eq!(ours.open(&Cell { row: &other, ..CELL }, &sealed).is_ok(), row == other);
            let refused = Error::Sealed { table: "channel_secret", column: "sealed" };
            prop_assert_eq!(theirs.open(&cell, &sealed).unwrap_err(), refused);
            Ok(())
        })
        .unwrap();
}

pub async fn a_flipped_bit_refuses_to_open(database: &Database) {
    let (store, vault) = database.open_with_vault().await;
    let (_, key) = shop_with_key(&store, &vault).await;
    let sealed = key.seal(&CELL, b"a secret").unwrap();
    for at in 0..sealed.as_bytes().len() {
        for bit in 0..8 {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            assert!(key.open(&CELL, &Sealed::from_bytes(bytes)).is_err(), "byte {at}, bit {bit}");
        }
        let short = Sealed::from_bytes(sealed.as_bytes()[..at].to_vec());
        assert!(key.open(&CELL, &short).is_err(), "cut at {at}");
    }
}

pub async fn a_wrong_master_key_is_told_at_the_start(database: &Database) {
    let (store, _) = database.open_with_vault().await;
    let error = Vault::open(&store, MasterKey::from_bytes([8; 32])).await.unwrap_err();
    assert_eq!(error, Error::WrongMasterKey);
    assert!(error.to_string().starts_with("this database was made with another master key"));
    Vault::open(&store, MasterKey::from_bytes([7; 32])).await.unwrap();
}

pub async fn the_same_master_key_opens_after_a_restart(database: &Database) {
    let (store, vault) = database.open_with_vault().await;
    let (shop, key) = shop_with_key(&store, &vault).await;
    let sealed = key.seal(&CELL, b"a secret").unwrap();
    store.close().await;
    drop((store, vault));
    let (store, vault) = database.open_with_vault().await;
    let key = ok(&store, move |tx| vault.shop_key(tx, shop)).await;
    assert_eq!(&*key.open(&CELL, &sealed).unwrap(), b"a secret");
}

pub async fn another_shops_key_row_does_not_unwrap(database: &Database) {
    let (store, vault) = database.open_with_vault().await;
    let (ours, _) = shop_with_key(&store, &vault).await;
    let (theirs, _) = shop_with_key(&store, &vault).await;
    // Both keys are in memory; the changed row must be noticed all the same.
    let sql = "UPDATE shop SET data_key = (SELECT data_key FROM shop WHERE id = $1) WHERE id = $2";
    ok(&store, move |tx| tx.execute(sql, payhost_store::params![theirs, ours])).await;
    let unwrapped = vault.clone();
    let error = err(&store, move |tx| unwrapped.shop_key(tx, ours)).await;
    assert_eq!(error, Error::Sealed { table: "shop", column: "data_key" });
    let error = err(&store, move |tx| vault.shop_key(tx, shop_id())).await;
    assert_eq!(error, Error::NotFound { what: "shop" });
}

pub async fn api_key_hashes_depend_on_the_master_key(database: &Database) {
    let (store, vault) = database.open_with_vault().await;
    let hash = vault.hash_api_key("sk_test_1").unwrap();
    assert_eq!(hash, vault.hash_api_key("sk_test_1").unwrap());
    assert_ne!(hash, vault.hash_api_key("sk_test_2").unwrap());
    assert_ne!(vault.mac("a", b"sk_test_1").unwrap(), vault.mac("b", b"sk_test_1").unwrap());
    ok(&store, |tx| tx.execute("DELETE FROM meta", &[])).await;
    let other = Vault::open(&store, MasterKey::from_bytes([8; 32])).await.unwrap();
    assert_ne!(hash, other.hash_api_key("sk_test_1").unwrap());
}
