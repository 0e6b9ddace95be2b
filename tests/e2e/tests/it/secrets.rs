//! What must not be readable anywhere: secrets in logs and in the database, and the buyer's data in logs.

use std::path::{Path, PathBuf};

use inicis_sim::{Merchant, Merchants};
use serde_json::json;

use crate::stage::buyer::pay;
use crate::stage::{LOOKUP, Stage, data, text};

const SIGN_KEY: &str = "Q0FOQVJZX1NJR05fS0VZX0NBTkFSWTEy";
const API_KEY: &str = "C4naryApiKey!+/=";
const API_IV: &str = "C4naryApiIv!+/==";
const PHONE: &str = "4111-1111-1111-1111";
const BUYER: &str = "카나리아구매자";
const EMAIL: &str = "canary.buyer@example.com";

/// A merchant whose keys are the canaries.
fn canary() -> Merchant {
    let usual = Merchants::default().get(LOOKUP).unwrap().clone();
    Merchant {
        mid: "INIcanary0".to_owned(),
        sign_key: SIGN_KEY.to_owned(),
        iniapi_key: API_KEY.to_owned(),
        iniapi_iv: API_IV.to_owned(),
        ..usual
    }
}

/// The ways in which a value may have been written.
fn writings(value: &str) -> Vec<Vec<u8>> {
    let form: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let json = json!(value).to_string().trim_matches('"').to_owned();
    let digits: String = value.chars().filter(|c| *c != '-').collect();
    vec![value.into(), form.into(), hex.into(), json.into(), digits.into()]
}

fn contains(hay: &[u8], value: &str) -> bool {
    writings(value).iter().any(|writing| hay.windows(writing.len()).any(|window| window == writing))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_in_no_log_and_in_no_file_of_the_host() {
    let stage =
        Stage::with(|options| options.merchants = Merchants::from_list(vec![canary()]).unwrap()).await;
    let settings = json!({
        "mid": "INIcanary0", "sign_key": SIGN_KEY, "iniapi_key": API_KEY, "iniapi_iv": API_IV, "lookup_by": "order_ref",
    });
    let shop = stage.new_shop("카나리아", settings).await;
    let more = json!({"buyer": {"name": BUYER, "phone": PHONE, "email": EMAIL}});
    let mut tokens = Vec::new();
    // Every way: paid and cancelled, declined, forged, lost and found, lost and undone, refused, in doubt.
    for (name, fault) in
        [("P-1", ""), ("P-2", "drop_after"), ("P-3", "wrong_signature"), ("P-4", "html"), ("P-5", "decline")]
    {
        let created = stage.create_as(&shop, name, more.clone()).await.expect(201);
        tokens.push(text(&created, "client_token"));
        let window = stage.open(&created).await;
        let back = stage.choose(&window, pay()).await;
        tokens.push(back.field("authToken").to_owned());
        tokens.push(back.url.split_once("proof=").unwrap().1.to_owned());
        if !fault.is_empty() {
            let code = if fault == "decline" { json!({"code": "500644"}) } else { json!({}) };
            stage.fault("pay_auth", fault, code).await;
        }
        let outcome = stage.come_back(&back).await;
        tokens.push(outcome.url.split_once("token=").unwrap().1.to_owned());
        stage
            .fault("refund", if name == "P-1" { "html" } else { "decline" }, json!({"code": "500055"}))
            .await;
        stage.cancel(&shop, &created, name).await;
        stage.no_faults().await;
    }
    let created = stage.create_as(&shop, "F-1", more).await.expect(201);
    let window = stage.open(&created).await;
    let back = stage.choose(&window, pay()).await;
    stage.post_back(&back.with("authUrl", "https://evil.example/")).await;
    let bad = json!({"settings": {"sign_key": format!("{SIGN_KEY}-too-long")}});
    let path = format!("/v1/channels/{}", shop.channel);
    let refused = stage.call("PATCH", &path).key(&shop.key).json(&bad).send().await;
    assert!(refused.status == 400 && !refused.text.contains(SIGN_KEY), "{}", refused.text);
    let channel = stage.call("GET", &path).key(&shop.key).send().await;
    assert!(!channel.text.contains(SIGN_KEY) && !channel.text.contains(API_KEY), "{}", channel.text);

    let log = stage.host.logged();
    assert!(log.contains("plugin installed"), "there is a log: {log}");
    let master = std::fs::read_to_string(data(stage.folder.path()).join("master.key")).unwrap();
    let keys = [SIGN_KEY, API_KEY, API_IV, master.trim(), &shop.key, &stage.shop.key, &stage.operator_key()]
        .map(str::to_owned);
    let personal = [PHONE, BUYER, EMAIL].map(str::to_owned);
    for value in keys.iter().chain(&personal).chain(&tokens) {
        assert!(!contains(log.as_bytes(), value), "{value} is in the log");
    }
    let mut seen = 0;
    for path in files(&data(stage.folder.path())) {
        let bytes = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        seen += usize::from(name.starts_with("payhost.sqlite"));
        for value in keys.iter().chain(&personal).chain(&tokens) {
            let own = (name == "master.key" && value == master.trim())
                || (name == "server.json" && *value == stage.operator_key());
            assert!(own || !contains(&bytes, value), "{value} is in {}", path.display());
        }
    }
    assert!(seen >= 2, "the database and its WAL were looked at");
}
