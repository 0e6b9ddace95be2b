//! The public API with its types: what an embedder may rely on. It compiles only while every item is there as it was, so a
//! change that breaks embedders shows here; then the version rises by semantic versioning and this file changes with it.
//! (A listing by rustdoc needs a nightly compiler, and a comparison needs a published version; this needs neither.)

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use payhost::{
    AccountNumber, AccountOut, AmountIn, AmountOut, BrowserOriginOut, Builder, BuyerIo, CancelIn,
    Cancellable, ChannelId, ChannelIn, ChannelOut, Clock, Created, FiguresOut, GatewayAnswer, Host,
    InstitutionOut, LastFailure, MapEntry, MethodIo, Mode, NoticeLimits, OpenError, Operator, PaymentId,
    PaymentIn, PaymentOut, PluginOut, Problem, RefundAccountIn, RequestLimits, Sentence, Shop,
    ShopFiguresOut, ShopId, ShopIn, ShopOut, SystemClock, TaxIn, TaxLeft, WantedOut, WebhookOptions,
};
use url::Url;

/// What an async method gives.
fn gives<T>(_: &impl Future<Output = T>) {}

/// Type-checked, never run.
#[allow(dead_code, reason = "its types are the test")]
async fn host(data: &str, shop: ShopId, stop: std::future::Ready<()>) -> Result<(), OpenError> {
    let builder: Builder = Host::builder(data);
    let _: fn(Builder, Option<String>) -> Builder = Builder::database;
    let _: fn(Builder, WebhookOptions) -> Builder = Builder::webhooks;
    let _: fn(Builder, Url) -> Builder = Builder::public_url;
    let _: fn(Builder, Option<PathBuf>) -> Builder = Builder::master_key_file;
    let _: fn(Builder, Vec<IpNet>) -> Builder = Builder::trusted_proxies;
    let _: fn(Builder, Duration) -> Builder = Builder::journal_kept;
    let _: fn(Builder, usize) -> Builder = Builder::calls_per_shop;
    let _: fn(Builder, usize) -> Builder = Builder::jobs_per_shop;
    let _: fn(Builder, NoticeLimits) -> Builder = Builder::notice_limits;
    let _: fn(Builder, RequestLimits) -> Builder = Builder::request_limits;
    let _: fn(Builder, Arc<dyn Clock>) -> Builder = Builder::clock;
    let host: Host = builder.clock(Arc::new(SystemClock)).open().await?;
    let _: fn(&Host) -> axum::Router = Host::router;
    let _: fn(&Host) -> &Url = Host::public_url;
    let _: fn(&Host) -> Operator = Host::operator;
    gives::<()>(&host.run_jobs(stop));
    gives::<()>(&host.close());
    gives::<Result<Shop, Problem>>(&host.shop(shop, Mode::Live));
    let _: Host = host.clone();
    Ok(())
}

#[allow(dead_code, reason = "its types are the test")]
fn operator(operator: &Operator, shop: ShopIn, entry: MapEntry) {
    gives::<Result<PluginOut, Problem>>(&operator.install_plugin(Vec::<u8>::new()));
    gives::<Result<PluginOut, Problem>>(&operator.replace_plugin(Vec::new()));
    gives::<Result<PluginOut, Problem>>(&operator.grant("plugin", "https://host"));
    gives::<Result<PluginOut, Problem>>(&operator.grant_browser("plugin", "https://host"));
    gives::<Result<PluginOut, Problem>>(&operator.grant_all("plugin"));
    gives::<Result<MapEntry, Problem>>(&operator.map_gateway(entry));
    gives::<Result<ShopOut, Problem>>(&operator.create_shop(shop));
    gives::<FiguresOut>(&operator.figures());
}

#[allow(dead_code, reason = "its types are the test")]
fn shop(shop: &Shop, id: PaymentId, channel: ChannelIn, payment: PaymentIn, cancel: CancelIn) {
    gives::<Result<ChannelOut, Problem>>(&shop.create_channel(channel));
    gives::<Result<Created, Problem>>(&shop.create_payment(payment, Some("key")));
    gives::<Result<PaymentOut, Problem>>(&shop.payment(id));
    gives::<Result<PaymentOut, Problem>>(&shop.confirm(id));
    gives::<Result<PaymentOut, Problem>>(&shop.cancel(id, cancel, "key"));
}

#[allow(dead_code, reason = "its types are the test")]
fn asked(mut payment: PaymentIn, mut cancel: CancelIn, mut shop: ShopIn, mut channel: ChannelIn) {
    payment.channel_id = None::<String>;
    payment.method = Some(MethodIo { kind: String::new(), provider: None::<String> });
    payment.amount = AmountIn { total: 1_i64, currency: None::<String>, tax: None::<TaxIn> };
    payment.buyer = BuyerIo { name: None::<String>, email: None::<String>, phone: None::<String> };
    (payment.return_url, payment.language, payment.expires_at) =
        (None::<String>, None::<String>, None::<String>);
    (payment.device, payment.confirm) = (None::<String>, None::<String>);
    (payment.replace, cancel.only_unpaid, cancel.close_account) = (true, true, true);
    let _: (&serde_json::Map<_, _>, &serde_json::Map<_, _>) = (&payment.options, &payment.metadata);
    cancel.amount = Some(1_i64);
    cancel.tax = Some(TaxIn { free: Some(1_i64), vat: Some(1_i64) });
    cancel.reason = None::<String>;
    let number: AccountNumber = String::new().into();
    cancel.account = Some(RefundAccountIn { bank: String::new(), holder: String::new(), number });
    (shop.name, shop.public_url, shop.allowed_origins) =
        (String::new(), None::<String>, Vec::<String>::new());
    shop.private_webhooks = true;
    (channel.plugin, channel.preset, channel.name) = (String::new(), None::<String>, None::<String>);
    (channel.purposes, channel.default) = (None::<Vec<String>>, None::<bool>);
    channel.notice_forward_url = None::<String>;
    let _: &serde_json::Map<_, _> = &channel.settings;
}

#[allow(dead_code, reason = "its types are the test")]
fn answered(
    created: Created,
    problem: &Problem,
    channel: &ChannelOut,
    plugin: &PluginOut,
    figures: FiguresOut,
) {
    let _: (bool, &String, &String) = (created.new, &created.checkout_url, &created.client_token);
    let payment: PaymentOut = created.payment;
    let _: [&String; 9] = [
        &payment.id,
        &payment.mode,
        &payment.state,
        &payment.resolution,
        &payment.order_id,
        &payment.order_name,
        &payment.channel_id,
        &payment.created_at,
        &payment.expires_at,
    ];
    let _: Option<(&String, &Option<Sentence>)> =
        payment.last_failure.as_ref().map(|failure: &LastFailure| (&failure.reason, &failure.explanation));
    let amount: AmountOut = payment.amount;
    let _: [i64; 4] = [amount.total, amount.paid, amount.cancelled, amount.cancellable];
    let _: Option<Option<TaxLeft>> = payment.cancellable.as_ref().map(|cancellable| cancellable.tax);
    let _: (Option<Cancellable>, Option<InstitutionOut>, Option<AccountOut>) =
        (payment.cancellable, payment.issuer, payment.virtual_account);
    let _: (u16, &'static str, &String, &Option<String>) =
        (problem.status, problem.code, &problem.detail, &problem.field);
    let _: (&Option<GatewayAnswer>, &Option<String>) = (&problem.gateway, &problem.buyer_message);
    let _: &Vec<String> = &problem.fields;
    let _: &dyn std::error::Error = problem;
    let _: (&String, &Vec<String>, Option<ChannelId>) =
        (&channel.id, &channel.missing, channel.id.parse().ok());
    let wanted: &Vec<WantedOut> = &plugin.hosts;
    let _: Option<(&String, bool)> = wanted.first().map(|wanted| (&wanted.origin, wanted.granted));
    let pages: &Vec<BrowserOriginOut> = &plugin.browser_origins;
    let _: Option<(&String, &Vec<String>, bool)> =
        pages.first().map(|page| (&page.origin, &page.uses, page.granted));
    let shops: Vec<ShopFiguresOut> = figures.shops;
    let _: Option<(u64, u64)> = shops.first().map(|shop| (shop.calls, shop.cpu_us));
}

#[test]
fn every_public_name_is_in_this_file() {
    let here = include_str!("public_api.rs");
    let lib = include_str!("../src/lib.rs");
    let exported = lib.split("\npub use ").skip(1).filter_map(|rest| rest.split(';').next());
    let words = exported.flat_map(|item| item.split(|c: char| !c.is_alphanumeric()));
    let names = words.filter(|word| word.starts_with(char::is_uppercase));
    let mut seen = 0;
    for name in names {
        assert!(here.contains(name), "{name} is public: say its type here");
        seen += 1;
    }
    assert!(seen > 30 && !lib.contains("\npub mod cli;\npub mod"), "{seen} names");
}
