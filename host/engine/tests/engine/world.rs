//! A plugin sees nothing of the machine, and the same call sees the same world.

use crate::common::{NOW_MS, behave, engine, plugin};

#[tokio::test]
async fn nothing_of_the_machine_is_seen() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let seen = behave("world").begin(&engine, &plugin).await.result.unwrap();
    assert_eq!(seen, format!("now={NOW_MS} elapsed=0 vars=0 args=0 file=false dir=false"));
}

#[tokio::test]
async fn moment_and_seed_come_from_the_setup() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let said = behave("ok").begin(&engine, &plugin).await.result.unwrap();
    assert_eq!(said, format!("ok {NOW_MS} {}", "ab".repeat(16)));
}

#[tokio::test]
async fn random_numbers_follow_from_the_seed() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let one = behave("random").begin(&engine, &plugin).await.result.unwrap();
    let again = behave("random").begin(&engine, &plugin).await.result.unwrap();
    let mut other = behave("random");
    other.setup.seed = [1; 16];
    let other = other.begin(&engine, &plugin).await.result.unwrap();
    assert_eq!(one, again);
    assert_ne!(one, other);
}

#[tokio::test]
async fn every_call_has_an_instance_of_its_own() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let first = behave("ok").begin(&engine, &plugin).await;
    let second = behave("ok").begin(&engine, &plugin).await;
    assert_eq!(first.cost.peak_memory_bytes, second.cost.peak_memory_bytes);
    assert_eq!(first.record().ended, second.record().ended);
}
