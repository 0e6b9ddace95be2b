//! Building the guest component, loading it, and calling it with a behaviour.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, LazyLock};

use payhost_engine::contract::general_pay::{self, BuyerEnv, CheckoutStep};
use payhost_engine::contract::types::{
    Buyer, Callback, Context, Mode, Money, Order, Outcome, PluginError, Setting,
};
use payhost_engine::{
    CacheOptions, CallSetup, Called, EgressPolicy, Engine, Limits, Options, Plugin, Secrets,
};
use zeroize::Zeroizing;

/// The component: `PAYHOST_GUESTS_WASM`, or built here (in a target directory of its own, so that cargo does not wait for
/// itself).
pub static GUESTS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let path = std::env::var_os("PAYHOST_GUESTS_WASM").map_or_else(build_guests, PathBuf::from);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
});

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn target_dir() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    target.join("plugins-build")
}

fn build_guests() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "-p",
            "guests",
            "--target",
            "wasm32-wasip2",
            "--profile",
            "plugin",
            "--quiet",
            "--target-dir",
        ])
        .arg(target_dir())
        .current_dir(workspace())
        .status()
        .expect("cargo can be run");
    assert!(
        built.success(),
        "the guests did not build; is the target there? rustup target add wasm32-wasip2"
    );
    target_dir().join("wasm32-wasip2/plugin/guests.wasm")
}

/// An engine as a test needs it: a small pool, compiled code kept between tests.
pub fn engine() -> Engine {
    engine_with(|_| ())
}

pub fn engine_with(change: impl FnOnce(&mut Options)) -> Engine {
    let cache =
        CacheOptions { dir: target_dir().join("engine-tests-cache"), key: [7; 32], max_bytes: 1 << 28 };
    let mut options =
        Options { max_calls: 64, worker_threads: Some(2), cache: Some(cache), ..Options::default() };
    change(&mut options);
    Engine::new(options).unwrap()
}

pub async fn plugin(engine: &Engine) -> Arc<Plugin> {
    engine.load(&GUESTS).await.unwrap()
}

pub const NOW_MS: i64 = 1_764_000_000_123;
pub const SEED: [u8; 16] = [0xab; 16];

/// Values that no test may find anywhere but at the gateway.
pub const SIGN_KEY: &str = "sign-key-+/value";
pub const API_TOKEN: &str = "api-token-value";
pub const PASSWORD: &str = "p4ss w0rd&value";
pub const CARD: &str = "4111111111111111";
const ALL: [&str; 4] = [SIGN_KEY, API_TOKEN, PASSWORD, CARD];

pub fn secrets() -> Secrets {
    let value = |text: &str| Zeroizing::new(text.to_owned());
    Secrets::new()
        .with_channel("sign_key", 3, value(SIGN_KEY))
        .with_channel("seal_key", 1, value("0123456789abcdef"))
        .with_channel("open_key", 1, value("fedcba9876543210"))
        .with_channel("shared_iv", 1, value("ivivivivivivivi="))
        .with_channel("api_token", 2, value(API_TOKEN))
        .with_channel("password", 1, value(PASSWORD))
        .with_one_time("card_number", value(CARD))
}

/// Fails when any secret's value is in the text, in any of the usual writings.
pub fn assert_no_secret(text: &str) {
    use base64::Engine as _;
    for value in ALL {
        let base64 = base64::engine::general_purpose::STANDARD.encode(value);
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        let form: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let html: String = value
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("&#{};", u32::from(c)) })
            .collect();
        for writing in [value, base64.trim_end_matches('='), &hex, &form, &html] {
            assert!(!text.contains(writing), "`{writing}` is in: {text}");
        }
    }
}

/// One call to be: settings for the guest and the setup.
pub struct Try {
    pub settings: Vec<Setting>,
    pub setup: CallSetup,
}

pub fn behave(behaviour: &str) -> Try {
    let setup = CallSetup { secrets: secrets(), ..CallSetup::new("call_1", NOW_MS, SEED) };
    Try { settings: vec![], setup }.with("behaviour", behaviour)
}

impl Try {
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.settings.push(Setting { key: key.into(), value: value.into() });
        self
    }

    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.setup.limits);
        self
    }

    pub fn egress(mut self, egress: EgressPolicy) -> Self {
        self.setup.egress = Arc::new(egress);
        self
    }

    pub fn context(&self) -> Context {
        self.setup.context(Mode::Test, self.settings.clone())
    }

    /// Through `begin`, which reads only.
    pub async fn begin(self, engine: &Engine, plugin: &Arc<Plugin>) -> Called<String> {
        let params = (self.context(), order(), buyer());
        engine.call(plugin, &general_pay::BEGIN, params, self.setup).await.map(|result| {
            match result.unwrap().step {
                CheckoutStep::Redirect(text) => text,
                other => panic!("{other:?}"),
            }
        })
    }

    /// Through `complete`, which may write once.
    pub async fn complete(self, engine: &Engine, plugin: &Arc<Plugin>) -> Called<String> {
        let params = (self.context(), order(), callback());
        engine.call(plugin, &general_pay::COMPLETE, params, self.setup).await.map(|result| match result {
            Err(PluginError::Unsupported(text)) => text,
            Ok(Outcome::Approved(approval)) => approval.gateway_ref,
            other => panic!("{other:?}"),
        })
    }
}

pub fn order() -> Order {
    Order {
        order_ref: "order-1".into(),
        amount: Money { minor: 1_004, currency: "KRW".into() },
        tax: None,
        name: "사과".into(),
        buyer: Buyer { name: None, email: None, phone: None },
        method: None,
        options: vec![],
        language: "ko".into(),
        return_url: "https://pay.shop.test/return".into(),
        close_url: "https://pay.shop.test/close".into(),
        notify_url: "https://pay.shop.test/notify".into(),
    }
}

pub fn buyer() -> BuyerEnv {
    BuyerEnv {
        user_agent: "test".into(),
        device: "pc".into(),
        page_origin: "https://pay.shop.test".into(),
        address: None,
    }
}

pub fn callback() -> Callback {
    Callback { verb: "POST".into(), query: String::new(), content_type: String::new(), body: b"a=1".to_vec() }
}
