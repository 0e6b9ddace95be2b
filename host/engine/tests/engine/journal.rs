//! A record holds all that a call saw, no secret, and can be run again.

use std::sync::Arc;

use payhost_engine::contract::{self, general_pay, subscription};
use payhost_engine::egress::Recorded;
use payhost_engine::{
    CallRecord, CallSetup, Called, Ended, Engine, Plugin, RECORD_BYTES, Transport, WriteEvidence,
};
use serde_json::{Value, json};

use crate::common::{Try, assert_no_secret, behave, callback, engine, order, plugin, secrets};
use crate::gateway::{Gateway, ORIGIN};

async fn approved(engine: &Engine, plugin: &Arc<Plugin>, gateway: &Gateway) -> CallRecord {
    let call = behave("approve")
        .with("url", &format!("{ORIGIN}/pay"))
        .with("secret", "password")
        .with("place", "body");
    let called = call.egress(gateway.egress()).complete(engine, plugin).await;
    assert_eq!(called.result.as_ref().unwrap(), "200 hello");
    called.into_record()
}

/// Runs a record again without a network.
async fn replay(
    engine: &Engine,
    plugin: &Arc<Plugin>,
    record: &CallRecord,
    gateway: &Gateway,
) -> (Called<Value>, Arc<Recorded>) {
    let recorded = Arc::new(Recorded::new(record));
    let function = contract::find(&record.interface, &record.function).unwrap();
    let setup = CallSetup {
        secrets: secrets(),
        egress: Arc::new(gateway.egress()),
        transport: Transport::Scripted(recorded.clone()),
        ..CallSetup::new("again", record.now_ms, crate::common::SEED)
    };
    let context = record.context.as_deref().cloned().unwrap();
    (
        function.call_json(engine, plugin, context, record.args.clone().into_value(), setup).await.unwrap(),
        recorded,
    )
}

#[tokio::test]
async fn a_record_has_names_of_secrets_in_place_of_values() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let plugin = plugin(&engine).await;
    let record = approved(&engine, &plugin, &gateway).await;
    let json = serde_json::to_value(&record).unwrap();
    assert_no_secret(&json.to_string());
    assert_eq!(
        json["imports"][0]["http"]["request"]["body"][0],
        json!({"part": {"secret": "password"}, "encoding": "plain"})
    );
    assert_eq!(json["secrets_used"], json!([{"name": "password", "version": 1}]));
    assert_eq!(json["args"]["order"]["name"], "사과");
    assert_eq!(json["args"]["callback"]["body"], "YT0x");
    assert_eq!(
        json["ended"]["answered"]["ok"]["approved"]["amount"],
        json!({"minor": 1004, "currency": "KRW"})
    );
    assert!(record.replayable);
    assert_eq!(serde_json::from_value::<CallRecord>(json).unwrap(), record);
}

#[tokio::test]
async fn a_record_runs_again_to_the_same_end_without_a_network() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let plugin = plugin(&engine).await;
    let record = approved(&engine, &plugin, &gateway).await;
    let (called, recorded) = replay(&engine, &plugin, &record, &gateway).await;
    assert_eq!(
        serde_json::to_string(&called.record().ended).unwrap(),
        serde_json::to_string(&record.ended).unwrap()
    );
    assert_eq!(recorded.differences(), []);
    assert_eq!(called.evidence.writes(), WriteEvidence::Answered);
    assert_eq!(gateway.requests().len(), 1, "the replay sent nothing");
}

#[tokio::test]
async fn a_replay_tells_which_request_differs() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let plugin = plugin(&engine).await;
    let mut record = approved(&engine, &plugin, &gateway).await;
    let context = Arc::make_mut(record.context.as_mut().unwrap());
    context.settings.iter_mut().find(|setting| setting.key == "url").unwrap().value =
        format!("{ORIGIN}/other");
    let (called, recorded) = replay(&engine, &plugin, &record, &gateway).await;
    let differences = recorded.differences();
    assert_eq!(differences.len(), 1);
    assert!(differences[0].asked.as_ref().unwrap().url.ends_with("/other"));
    assert!(differences[0].recorded.as_ref().unwrap().url.ends_with("/pay"));
    assert_ne!(called.record().ended, record.ended);
}

#[tokio::test]
async fn a_call_with_a_one_time_value_is_not_replayable() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let plugin = plugin(&engine).await;
    let call = behave("approve")
        .with("url", &format!("{ORIGIN}/pay"))
        .with("secret", "card_number")
        .with("place", "body");
    let record = call.egress(gateway.egress()).complete(&engine, &plugin).await.into_record();
    assert!(!record.replayable);
    assert_eq!(record.secrets_used[0].version, None);
    assert_no_secret(&serde_json::to_string(&record).unwrap());
}

#[tokio::test]
async fn a_one_time_value_leaves_a_keyed_hash_and_a_channels_secret_none() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let plugin = plugin(&engine).await;
    let mut hashes = Vec::new();
    for (secret, key) in [("card_number", 1), ("card_number", 1), ("card_number", 2), ("password", 1)] {
        let mut call = behave("approve")
            .with("url", &format!("{ORIGIN}/pay"))
            .with("secret", secret)
            .with("place", "body")
            .with("text", crate::common::CARD)
            .egress(gateway.egress());
        call.setup.secrets = secrets().with_hash_key(zeroize::Zeroizing::new([key; 32]));
        let record = call.complete(&engine, &plugin).await.into_record();
        assert_no_secret(&serde_json::to_string(&record.secrets_used).unwrap());
        hashes.push(record.secrets_used[0].keyed_hash.clone());
    }
    let hash = hashes[0].clone().unwrap();
    assert!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
    assert_eq!(hashes[0], hashes[1], "the same card is known again");
    assert_ne!(hashes[0], hashes[2], "under another key it is another's");
    assert_eq!(hashes[3], None);
    // Where a one-time value is blotted out, its keyed hash stands in its place.
    let mut call = behave("log").with("text", crate::common::CARD);
    call.setup.secrets = secrets().with_hash_key(zeroize::Zeroizing::new([1; 32]));
    let called = call.begin(&engine, &plugin).await;
    assert_eq!(called.log[0].message, format!("[secret {hash}]"));
}

#[tokio::test]
async fn a_billing_key_that_the_gateway_made_is_in_the_answer_and_not_in_the_record() {
    const KEY: &str = "KEY-0123456789";
    let (engine, gateway) = (engine(), Gateway::start().await);
    let plugin = plugin(&engine).await;
    let call = behave("").with("url", &format!("{ORIGIN}/key")).egress(gateway.egress());
    let mut callback = callback();
    callback.body = KEY.into();
    let params = (call.context(), order(), callback);
    let called = engine.call(&plugin, &subscription::COMPLETE_REGISTRATION, params, call.setup).await;
    let Ok(Ok(subscription::Registration::Registered(key))) = &called.result else { panic!() };
    assert_eq!(key.key, KEY);
    assert!(!format!("{key:?}").contains(KEY), "{key:?}");
    let record = called.record();
    let text = serde_json::to_string(record).unwrap();
    use base64::Engine as _;
    assert!(
        !text.contains(KEY) && !text.contains(&base64::engine::general_purpose::STANDARD.encode(KEY)),
        "{text}"
    );
    let contract::imports::Response { body, .. } = match &record.imports[0] {
        payhost_engine::ImportRecord::Http {
            answer: Some(payhost_engine::HttpAnswerRecord::Ok(response)),
            ..
        } => response,
        other => panic!("{other:?}"),
    };
    assert_eq!(String::from_utf8_lossy(body), "billing=[secret];");
    assert!(!record.replayable);
}

#[tokio::test]
async fn a_plugin_that_prints_a_secret_prints_nothing() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    // It cannot know a value; this one was put into its settings by mistake.
    for value in [crate::common::SIGN_KEY, crate::common::CARD] {
        let Try { settings, setup } = behave("log").with("text", &format!("<{value}>"));
        let call = Try { settings, setup };
        let called = call.begin(&engine, &plugin).await;
        assert_eq!(called.log.len(), 2);
        assert!(called.log.iter().all(|line| line.message == "<[secret]>"), "{:?}", called.log);
        let called = behave("panic").with("text", value).begin(&engine, &plugin).await;
        assert_no_secret(&called.result.unwrap_err().to_string());
    }
}

#[tokio::test]
async fn a_fault_is_recorded_in_words() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let record = behave("return").begin(&engine, &plugin).await.into_record();
    let Ended::Fault(fault) = &record.ended else { panic!("{record:?}") };
    assert_eq!(fault.name, "host_data");
    assert!(fault.text.contains("2 MiB"), "{}", fault.text);
    assert!(!record.replayable);
}

#[tokio::test]
async fn wrong_arguments_in_json_are_told_before_anything_runs() {
    let engine = engine();
    let plugin = plugin(&engine).await;
    let begin = contract::find("general-pay", "begin").unwrap();
    let call = behave("ok");
    let setup = CallSetup::new("call", 0, [0; 16]);
    let error =
        begin.call_json(&engine, &plugin, call.context(), json!({"order": {}}), setup).await.err().unwrap();
    assert!(error.to_string().starts_with("argument `order`: missing field"), "{error}");
    assert_eq!(general_pay::BEGIN.parameters, ["order", "buyer"]);
}

#[tokio::test]
async fn a_replay_repeats_the_hosts_refusals_whatever_was_granted_since() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let plugin = plugin(&engine).await;
    let call = behave("fetch").with("url", &format!("{ORIGIN}/pay"));
    let record = call.complete(&engine, &plugin).await.into_record();
    assert!(serde_json::to_string(&record.ended).unwrap().contains("was not granted"));
    assert!(record.replayable);
    // This one runs with the grant.
    let (called, recorded) = replay(&engine, &plugin, &record, &gateway).await;
    assert_eq!(called.record().ended, record.ended);
    assert_eq!(recorded.differences(), []);
    assert_eq!(called.evidence.writes(), WriteEvidence::None);
    assert_eq!(gateway.requests().len(), 0);
}

#[tokio::test]
async fn a_record_is_packed_to_a_fraction_and_comes_back_the_same() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let plugin = plugin(&engine).await;
    let record = approved(&engine, &plugin, &gateway).await;
    let packed = record.pack().unwrap();
    let json = serde_json::to_vec(&record).unwrap().len();
    assert!(packed.len() * 3 < json * 2, "{} of {json} bytes", packed.len());
    assert_eq!(CallRecord::unpack(&packed).unwrap(), record);
    for bad in [&[][..], b"{}", &packed[1..], &packed[..packed.len() - 1]] {
        assert!(CallRecord::unpack(bad).is_err());
    }
}

#[tokio::test]
async fn a_record_that_is_too_large_says_so_and_keeps_what_it_was_about() {
    let (engine, gateway) = (engine(), Gateway::start().await);
    let plugin = plugin(&engine).await;
    let mut record = approved(&engine, &plugin, &gateway).await;
    // Noise, so that compression does not help.
    let mut seed = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    })
    .take(RECORD_BYTES)
    .collect();
    let payhost_engine::ImportRecord::Http {
        answer: Some(payhost_engine::HttpAnswerRecord::Ok(response)),
        ..
    } = &mut record.imports[0]
    else {
        panic!("no answer")
    };
    response.body = noise;
    let packed = record.pack().unwrap();
    assert!(packed.len() < 4_096, "{}", packed.len());
    let kept = CallRecord::unpack(&packed).unwrap();
    assert!(kept.capped.unwrap() > RECORD_BYTES && !kept.replayable && record.replayable);
    assert_eq!((&kept.call_id, &kept.function), (&record.call_id, &record.function));
    let text = serde_json::to_string(&kept).unwrap();
    assert!(text.contains("/pay") && text.contains("200"), "{text}");
}
