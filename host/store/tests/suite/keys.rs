//! Keys of shops and of operators.

use payhost_core::id::{KeyId, ShopId};
use payhost_store::rows::Mode;
use payhost_store::rows::api_keys::{self, ApiKey, OperatorKey};
use payhost_store::{Blob, Error, params};

use super::Database;
use super::fixture::{NOW_US, err, fresh, ok, shop_id, world};

pub fn api_key(shop_id: ShopId, hash: u8) -> ApiKey {
    let (now_ms, random) = fresh();
    ApiKey {
        id: KeyId::new(now_ms, random),
        shop_id,
        mode: Mode::Test,
        name: "server".to_owned(),
        hash: Blob(vec![hash; 32]),
        hint: "abcd".to_owned(),
        created_us: NOW_US,
        expires_us: Some(NOW_US + 10),
        revoked_us: None,
        binding: Blob(vec![]),
    }
}

pub fn operator_key(hash: u8) -> OperatorKey {
    let (now_ms, random) = fresh();
    OperatorKey {
        id: KeyId::new(now_ms, random),
        name: "console".to_owned(),
        hash: Blob(vec![hash; 32]),
        hint: "abcd".to_owned(),
        created_us: NOW_US,
        expires_us: Some(NOW_US + 10),
        revoked_us: None,
        binding: Blob(vec![]),
    }
}

pub async fn a_key_whose_row_was_edited_is_not_bound_to_it(database: &Database) {
    let (store, vault) = database.open_with_vault().await;
    let (ours, theirs) = (world(&store).await, world(&store).await);
    let key = api_key(ours.shop, 1).bound(&vault).unwrap();
    let (id, row) = (key.id, key.clone());
    ok(&store, move |tx| api_keys::insert(tx, &row)).await;
    let shop = format!("shop_id = '{}'", theirs.shop);
    for (column, edit) in [
        ("shop", shop.as_str()),
        ("mode", "mode = 'live'"),
        ("hash", "hash = binding"),
        ("end", "expires_us = NULL"),
        ("binding", "binding = hash"),
    ] {
        let (sql, row) = (format!("UPDATE api_key SET {edit} WHERE id = $1"), key.clone());
        let found = ok(&store, move |tx| {
            tx.execute(&sql, params![id])?;
            let hash = if column == "hash" { &row.binding.0 } else { &row.hash.0 };
            let shop = if column == "shop" { theirs.shop } else { ours.shop };
            let found = api_keys::find(tx, shop, hash.as_slice().try_into().unwrap())?;
            tx.execute("DELETE FROM api_key WHERE id = $1", params![id])?;
            api_keys::insert(tx, &row)?;
            Ok(found.unwrap())
        })
        .await;
        assert!(!found.is_bound(&vault).unwrap(), "{column}");
    }
    let renamed = ApiKey { name: "another".to_owned(), revoked_us: Some(1), ..key.clone() };
    assert!(key.is_bound(&vault).unwrap() && renamed.is_bound(&vault).unwrap());
    assert!(!ApiKey { id: api_key(ours.shop, 1).id, ..key }.is_bound(&vault).unwrap());
}

pub async fn an_operators_key_whose_row_was_edited_is_not_bound_to_it(database: &Database) {
    let (store, vault) = database.open_with_vault().await;
    let shops_key = api_key(world(&store).await.shop, 1).bound(&vault).unwrap();
    let key = operator_key(1).bound(&vault).unwrap();
    let row = key.clone();
    ok(&store, move |tx| api_keys::insert_operator(tx, &row)).await;
    for (column, edit) in
        [("hash", "hash = binding"), ("end", "expires_us = NULL"), ("binding", "binding = hash")]
    {
        let (sql, row) = (format!("UPDATE operator_key SET {edit} WHERE id = $1"), key.clone());
        let found = ok(&store, move |tx| {
            tx.execute(&sql, params![row.id])?;
            let hash = if column == "hash" { &row.binding.0 } else { &row.hash.0 };
            let found = api_keys::find_operator(tx, hash.as_slice().try_into().unwrap())?;
            tx.execute("DELETE FROM operator_key WHERE id = $1", params![row.id])?;
            api_keys::insert_operator(tx, &row)?;
            Ok(found.unwrap())
        })
        .await;
        assert!(!found.is_bound(&vault).unwrap(), "{column}");
    }
    let renamed = OperatorKey { name: "another".to_owned(), revoked_us: Some(1), ..key.clone() };
    assert!(key.is_bound(&vault).unwrap() && renamed.is_bound(&vault).unwrap());
    let promoted = OperatorKey { id: shops_key.id, binding: shops_key.binding, ..key.clone() };
    assert!(!promoted.is_bound(&vault).unwrap(), "a shop's row copied among the operators' is no key");
    assert!(!OperatorKey { id: operator_key(1).id, ..key }.is_bound(&vault).unwrap());
}

pub async fn a_key_is_found_by_its_hash_until_it_is_revoked(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let key = api_key(world.shop, 1);
    ok(&store, move |tx| {
        api_keys::insert(tx, &key)?;
        assert_eq!(api_keys::find(tx, world.shop, &[2; 32])?, None);
        let found = api_keys::find(tx, world.shop, &[1; 32])?.unwrap();
        assert_eq!(found, key);
        assert!(found.is_valid(NOW_US + 9) && !found.is_valid(NOW_US + 10));
        assert!(!api_keys::revoke(tx, None, key.id, NOW_US)?, "not the operator's");
        assert!(api_keys::revoke(tx, Some(world.shop), key.id, NOW_US)?);
        let found = api_keys::find(tx, world.shop, &[1; 32])?.unwrap();
        assert!(!found.is_valid(NOW_US));
        assert_eq!(api_keys::list(tx, world.shop)?.len(), 1);
        assert!(api_keys::list_operators(tx)?.is_empty());
        Ok(())
    })
    .await;
    let same = api_key(world.shop, 1);
    assert!(err(&store, move |tx| api_keys::insert(tx, &same)).await.is_unique("api_key_hash"));
}

pub async fn an_operators_key_is_no_shops_key(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let (operators, shops) = (operator_key(1), api_key(world.shop, 2));
    ok(&store, move |tx| {
        api_keys::insert_operator(tx, &operators)?;
        api_keys::insert(tx, &shops)?;
        let found = api_keys::find_operator(tx, &[1; 32])?.unwrap();
        assert_eq!(found, operators);
        assert!(found.is_valid(NOW_US + 9) && !found.is_valid(NOW_US + 10));
        assert_eq!(api_keys::find_operator(tx, &[2; 32])?, None);
        assert_eq!(api_keys::find(tx, world.shop, &[1; 32])?, None);
        assert_eq!(api_keys::list_operators(tx)?, std::slice::from_ref(&operators));
        assert_eq!(api_keys::list(tx, world.shop)?, std::slice::from_ref(&shops));
        assert!(!api_keys::revoke(tx, Some(world.shop), operators.id, NOW_US)?, "not the shop's");
        api_keys::revoke_all(tx, world.shop, NOW_US)?;
        assert!(api_keys::find_operator(tx, &[1; 32])?.unwrap().is_valid(NOW_US));
        assert!(!api_keys::find(tx, world.shop, &[2; 32])?.unwrap().is_valid(NOW_US));
        assert!(api_keys::revoke(tx, None, operators.id, NOW_US)?);
        assert!(!api_keys::find_operator(tx, &[1; 32])?.unwrap().is_valid(NOW_US));
        Ok(())
    })
    .await;
    let same = operator_key(1);
    let error = err(&store, move |tx| api_keys::insert_operator(tx, &same)).await;
    assert!(error.is_unique("operator_key_hash"), "{error:?}");
}

/// A key has a shop and a mode: there is no row that could be read as more than a shop's.
pub async fn a_shops_key_has_a_shop_and_a_mode(database: &Database) {
    let store = database.open();
    let world = world(&store).await;
    let nobodys = api_key(shop_id(), 1);
    assert_eq!(err(&store, move |tx| api_keys::insert(tx, &nobodys)).await, Error::ForeignKey);
    let key = api_key(world.shop, 1);
    let row = key.clone();
    ok(&store, move |tx| api_keys::insert(tx, &row)).await;
    for column in ["shop_id", "mode"] {
        let sql = format!("UPDATE api_key SET {column} = NULL WHERE id = $1");
        let error = err(&store, move |tx| tx.execute(&sql, params![key.id])).await;
        assert!(matches!(&error, Error::Check { what } if what.contains(column)), "{error:?}");
    }
    let error = err(&store, |tx| tx.execute("UPDATE api_key SET mode = 'both'", &[])).await;
    assert!(error.is_check("api_key_mode_known"), "{error:?}");
}
