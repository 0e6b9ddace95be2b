//! The one call that everything is measured with: `begin` of INICIS on a PC, for the gateway's public test merchant.

use std::sync::Arc;

use payhost_engine::contract::general_pay::{self, Begun, BuyerEnv};
use payhost_engine::contract::types::{Buyer, Context, Mode, Money, Order, PluginError, Setting};
use payhost_engine::{CacheOptions, CallSetup, Called, Engine, Options, Plugin, Secrets};
use zeroize::Zeroizing;

pub const NOW_MS: i64 = 1_764_000_000_123;
pub const SEED: [u8; 16] = [0xab; 16];
pub const MID: &str = "INIpayTest";
/// The public key of the public test merchant.
pub const SIGN_KEY: &str = "SU5JTElURV9UUklQTEVERVNfS0VZU1RS";

pub type Answer = Result<Begun, PluginError>;

/// An engine with a pool for this many calls and this many threads.
pub fn engine(threads: usize, max_calls: u32, cache: Option<CacheOptions>) -> Engine {
    Engine::new(Options { max_calls, worker_threads: Some(threads), cache, ..Options::default() })
        .expect("an engine")
}

pub fn settings() -> Vec<Setting> {
    let pairs = [
        ("mid", MID),
        ("lookup_by", "order_ref"),
        ("client_ip", "192.0.2.1"),
        ("pc_script_host", "stgstdpay"),
    ];
    pairs.map(|(key, value)| Setting { key: key.to_owned(), value: value.to_owned() }).into()
}

pub fn setup() -> CallSetup {
    let value = |text: &str| Zeroizing::new(text.to_owned());
    let secrets = Secrets::new()
        .with_channel("sign_key", 1, value(SIGN_KEY))
        .with_channel("iniapi_key", 1, value("ItEQKi3rY7uvDS8l"))
        .with_channel("iniapi_iv", 1, value("HYb3yQ4f65QL89=="));
    CallSetup {
        shop_id: "shop_01".to_owned(),
        channel_id: "chan_01".to_owned(),
        secrets,
        ..CallSetup::new("call_01", NOW_MS, SEED)
    }
}

pub fn context() -> Context {
    setup().context(Mode::Test, settings())
}

pub fn order() -> Order {
    let text = |text: &str| Some(text.to_owned());
    Order {
        order_ref: "A-1001-01kaqv2v3w9x0y1z2a3b4c5d6e".to_owned(),
        amount: Money { minor: 12_000, currency: "KRW".to_owned() },
        tax: None,
        name: "유기농 사과 5kg".to_owned(),
        buyer: Buyer {
            name: text("홍길동"), email: text("buyer@example.com"), phone: text("010-1234-5678")
        },
        method: None,
        options: vec![],
        language: "ko".to_owned(),
        return_url: "https://pay.shop.example/return/chk_01kaqv2v3w".to_owned(),
        close_url: "https://pay.shop.example/return/chk_01kaqv2v3w/close".to_owned(),
        notify_url: "https://pay.shop.example/notify/chan_01".to_owned(),
    }
}

pub fn buyer() -> BuyerEnv {
    BuyerEnv {
        user_agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64)".to_owned(),
        device: "pc".to_owned(),
        page_origin: "https://pay.shop.example".to_owned(),
        address: None,
    }
}

/// One call through the engine.
pub async fn begin(engine: &Engine, plugin: &Arc<Plugin>) -> Called<Answer> {
    let setup = setup();
    let params = (setup.context(Mode::Test, settings()), order(), buyer());
    engine.call(plugin, &general_pay::BEGIN, params, setup).await
}
