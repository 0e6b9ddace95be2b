//! A channel, ready to be called through. Invariant: a call gets the channel's own secrets, the origins that the operator
//! granted to its plugin, and, on test channels only, the gateway map; nothing of another shop or mode. What began with one
//! revision of the channel ends with it, whatever the shop changes meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use payhost_core::id::{CallId, ChannelId, CheckoutId, ShopId};
use payhost_engine::contract::plugin::{Lookup, Span};
use payhost_engine::contract::types::{Context, Mode, Setting};
use payhost_engine::contract::{Answer, Arguments, Function};
use payhost_engine::{BrowserAccess, CallSetup, Called, EgressPolicy, Mapping, Origin, Plugin, Secrets};
use payhost_store::rows::attempts::Attempt;
use payhost_store::rows::checkouts;
use payhost_store::rows::gateway_map::{self, GatewayMap};
use payhost_store::rows::payments::Payment;
use payhost_store::rows::plugins::{self, GrantKind, PluginGrant};
use payhost_store::rows::shops::{self, Shop};
use payhost_store::rows::{Mode as Money, channels};
use payhost_store::{Error, Json, Later, ShopKey, Tx, Vault};
use url::{Position, Url};
use zeroize::Zeroizing;

use super::settings;
use crate::checkout::source::{Source, WebOrigin};
use crate::checkout::step::Rights;
use crate::host::{Host, random};
use crate::http::problem::Problem;
use crate::payments::attempt::{LEASE_US, SENT_WITHIN_MS};
use crate::payments::model::Support;
use crate::sealed::Place;

/// How long a request may still be on its way when nobody says: 15 minutes, in milliseconds.
const SETTLES_MS: i64 = 15 * 60 * 1000;
/// How long an approval can be undone when nobody says: 10 minutes, in milliseconds.
const UNDO_MS: i64 = 10 * 60 * 1000;

/// A channel with everything that a call through it needs.
#[derive(Clone)]
pub struct Ready {
    /// Its row.
    pub channel: channels::Channel,
    /// Its plugin, of the version that was asked for.
    pub plugin: Arc<Plugin>,
    /// The shop's key.
    pub key: ShopKey,
    /// The revision of the channel whose settings and secrets these are.
    pub revision: i64,
    /// Whether its shop may take new payments.
    pub selling: bool,
    settings: BTreeMap<String, String>,
    secrets: Vec<(String, u32, Zeroizing<String>)>,
    egress: Arc<EgressPolicy>,
    /// What the plugin's pages may do in the buyer's browser.
    granted: Arc<Vec<BrowserAccess>>,
    /// Where the gateway map leads browsers, by the gateway's own origin.
    browser: Arc<Vec<(Origin, WebOrigin)>>,
}

/// What a call needs of the database, in one state of it. Who reads something else as well reads both at once.
pub struct Rows {
    shop: Shop,
    channel: channels::Channel,
    grants: Vec<PluginGrant>,
    map: Vec<GatewayMap>,
    key: ShopKey,
    revision: channels::ChannelRevision,
    secrets: Vec<channels::ChannelSecret>,
}

impl Rows {
    /// Reads the channel as it is now or, where a revision is named, as it was then.
    pub fn read(
        tx: &mut Tx<'_>,
        vault: &Vault,
        shop: ShopId,
        id: ChannelId,
        revision: Option<i64>,
    ) -> Result<Self, Error> {
        Asked::of(tx, shop, id, revision)?.rows(tx, vault)
    }

    /// Whose it is.
    pub fn shop(&self) -> &Shop {
        &self.shop
    }

    /// The shop's key.
    pub fn key(&self) -> &ShopKey {
        &self.key
    }

    /// What it means for a caller that they could not be read.
    pub fn problem(error: Error) -> Problem {
        if let Error::NotFound { what } = error { Problem::not_found(what) } else { error.into() }
    }
}

/// The same, asked for all at once.
struct Asked {
    channel: Later<channels::Channel>,
    grants: Later<PluginGrant>,
    map: Later<GatewayMap>,
    shop: Later<Shop>,
    revision: Later<channels::ChannelRevision>,
    secrets: Later<channels::ChannelSecret>,
}

impl Asked {
    fn of(tx: &mut Tx<'_>, shop: ShopId, id: ChannelId, revision: Option<i64>) -> Result<Self, Error> {
        Ok(Self {
            channel: channels::ask(tx, shop, id)?,
            grants: plugins::ask_grants_of(tx, shop, id)?,
            map: gateway_map::ask(tx)?,
            shop: shops::ask(tx, shop)?,
            revision: channels::ask_revision(tx, shop, id, revision)?,
            secrets: channels::ask_secrets(tx, shop, id)?,
        })
    }

    fn rows(self, tx: &mut Tx<'_>, vault: &Vault) -> Result<Rows, Error> {
        let channel = self.channel.one(tx, "channel")?;
        let shop = self.shop.one(tx, "shop")?;
        let revision = self.revision.one(tx, "channel")?;
        let map = self.map.all(tx)?;
        Ok(Rows {
            grants: self.grants.all(tx)?,
            map: if channel.mode == Money::Test { map } else { Vec::new() },
            key: vault.unwrap(shop.id, &shop.data_key)?,
            secrets: channels::secrets_of(&revision, self.secrets.all(tx)?)?,
            revision,
            channel,
            shop,
        })
    }
}

/// When and as what a call is made.
pub struct Moment {
    /// Id of the call.
    pub call: CallId,
    /// Milliseconds.
    pub now_ms: i64,
    /// Seed.
    pub seed: [u8; 16],
    /// See [`CallSetup::send_deadline`].
    pub send_deadline: Option<Instant>,
    /// Values for this call only, by name: an account number. They are journaled nowhere.
    pub one_time: Vec<(String, Zeroizing<String>)>,
    /// Whether the network is refused even where the function may use it.
    pub offline: bool,
}

impl Moment {
    /// Now, with a new id.
    pub fn now(host: &Host) -> Self {
        Self {
            call: host.new_id(CallId::new),
            now_ms: host.now_ms(),
            seed: random(),
            send_deadline: None,
            one_time: Vec::new(),
            offline: false,
        }
    }

    /// That of an attempt.
    pub fn of(attempt: &Attempt) -> Self {
        Self {
            call: attempt.call_id,
            now_ms: attempt.now_ms,
            seed: unhex(&attempt.seed),
            send_deadline: None,
            one_time: Vec::new(),
            offline: false,
        }
    }
}

/// 16 bytes of lower-case hex.
pub fn unhex(text: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        let digits = text.get(at * 2..at * 2 + 2);
        *byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0);
    }
    bytes
}

impl Ready {
    /// Reads the channel as it is now; `digest` is a plugin version, absent for the pinned one.
    pub async fn load(
        host: &Host,
        shop: ShopId,
        id: ChannelId,
        digest: Option<&str>,
    ) -> Result<Self, Problem> {
        Self::read(host, shop, id, digest, None, None).await
    }

    /// The channel as it was when a checkout was opened or an attempt was made: plugin version and revision.
    pub async fn load_as(
        host: &Host,
        shop: ShopId,
        id: ChannelId,
        (digest, revision): (&str, i64),
    ) -> Result<Self, Problem> {
        Self::read(host, shop, id, Some(digest), Some(revision), None).await
    }

    /// The channel for something new about a sale that was made through it: as it is now, unless its settings name another
    /// merchant by now; then as it was when the sale was made. (Only the keys were changed: the new ones count.)
    pub async fn load_for_sale(host: &Host, payment: &Payment) -> Result<Self, Problem> {
        Self::load_for(host, payment, payment.approved_checkout_id).await
    }

    /// The same for a sale of this checkout, also when nothing is approved yet: an account that waits for its deposit.
    pub async fn load_for(
        host: &Host,
        payment: &Payment,
        checkout: Option<CheckoutId>,
    ) -> Result<Self, Problem> {
        let (shop, id) = (payment.shop_id, payment.channel_id);
        let revision = host.store().read(move |tx| {
            let Some(checkout) = checkout else { return Ok(None) };
            tx.keep_settings()?;
            let Some(checkout) = checkouts::get(tx, shop, checkout)? else { return Ok(None) };
            let then = channels::revision(tx, shop, id, Some(checkout.revision))?;
            let now = channels::revision(tx, shop, id, None)?;
            let same = then.as_ref().map(|row| &row.settings) == now.as_ref().map(|row| &row.settings);
            Ok::<_, Error>(then.filter(|_| !same).map(|row| row.number))
        });
        Self::read(host, shop, id, None, revision.await?, None).await
    }

    /// The same with a plugin that is not installed, for a trial.
    pub async fn load_with(
        host: &Host,
        shop: ShopId,
        id: ChannelId,
        plugin: Arc<Plugin>,
        revision: Option<i64>,
    ) -> Result<Self, Problem> {
        Self::read(host, shop, id, None, revision, Some(plugin)).await
    }

    async fn read(
        host: &Host,
        shop: ShopId,
        id: ChannelId,
        digest: Option<&str>,
        revision: Option<i64>,
        plugin: Option<Arc<Plugin>>,
    ) -> Result<Self, Problem> {
        let vault = host.vault().clone();
        let rows = host.store().read(move |tx| {
            tx.keep_settings()?;
            Rows::read(tx, &vault, shop, id, revision)
        });
        Self::of(host, rows.await.map_err(Rows::problem)?, digest, plugin).await
    }

    /// The same from rows that were read already; `plugin` is one that is not installed.
    pub async fn of(
        host: &Host,
        rows: Rows,
        digest: Option<&str>,
        plugin: Option<Arc<Plugin>>,
    ) -> Result<Self, Problem> {
        let Rows { shop, channel, grants, map, key, revision, secrets: sealed } = rows;
        let mut secrets = Vec::new();
        for row in sealed {
            let bytes = Place::Secret(channel.id, &row.name, row.version).open(&key, &row.sealed)?;
            let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
            secrets.push((row.name, u32::try_from(row.version).unwrap_or(u32::MAX), text));
        }
        let plugin = match plugin {
            Some(plugin) => plugin,
            None => host.plugins().get(host, digest.unwrap_or(&channel.plugin_digest)).await?,
        };
        let chosen: BTreeMap<String, String> = revision.settings.to()?;
        let egress = EgressPolicy { granted: parse_origins(&grants), map: mappings(&map) };
        let led = |row: &GatewayMap| {
            Some((row.origin.parse().ok()?, WebOrigin::parse(row.browser_origin.as_deref()?)?))
        };
        let browser = map.iter().filter_map(led).collect();
        let granted = browser_access(plugin.browser_origins(), &grants)?;
        Ok(Self {
            settings: settings::with_defaults(plugin.descriptor(), &chosen),
            channel,
            plugin,
            key,
            revision: revision.number,
            selling: shop.is_selling(),
            secrets,
            egress: Arc::new(egress),
            granted: Arc::new(granted),
            browser: Arc::new(browser),
        })
    }

    /// What a call through this channel is given.
    pub fn setup(&self, moment: &Moment) -> CallSetup {
        let mut setup = CallSetup::new(moment.call.to_string(), moment.now_ms, moment.seed);
        setup.shop_id = self.channel.shop_id.to_string();
        setup.channel_id = self.channel.id.to_string();
        setup.send_deadline = moment.send_deadline;
        setup.http_allowed = !moment.offline;
        setup.egress = Arc::clone(&self.egress);
        setup.secrets = self.secrets.iter().fold(Secrets::new(), |secrets, (name, version, value)| {
            secrets.with_channel(name.clone(), *version, value.clone())
        });
        setup.secrets = moment
            .one_time
            .iter()
            .fold(setup.secrets, |secrets, (name, value)| secrets.with_one_time(name.clone(), value.clone()));
        setup
    }

    /// The version of a secret that is set.
    pub fn secret_version(&self, name: &str) -> Option<u32> {
        self.secrets.iter().find(|(known, ..)| known == name).map(|(_, version, _)| *version)
    }

    /// Calls the plugin.
    pub async fn call<P: Arguments, R: Answer>(
        &self,
        host: &Host,
        function: &'static Function<P, R>,
        moment: Moment,
        arguments: impl FnOnce(Context) -> P,
    ) -> Called<R> {
        let setup = self.setup(&moment);
        let settings =
            self.settings.iter().map(|(key, value)| Setting { key: key.clone(), value: value.clone() });
        let context = setup.context(self.mode(), settings.collect());
        host.engine().call(&self.plugin, function, arguments(context), setup).await
    }

    /// Test or live, for the plugin.
    fn mode(&self) -> Mode {
        match self.channel.mode {
            Money::Test => Mode::Test,
            Money::Live => Mode::Live,
        }
    }

    /// How the gateway can be asked, with the channel's settings taken into account.
    pub fn lookup(&self) -> Lookup {
        settings::lookup(self.plugin.descriptor(), &self.settings)
    }

    /// How long a request may still be on its way after its attempt was written down, in milliseconds.
    pub fn settles_within_ms(&self) -> i64 {
        settles_ms(self.span_ms(self.plugin.descriptor().settles_within.as_ref()))
    }

    /// How long an approval can be undone, in milliseconds.
    pub fn undo_within_ms(&self) -> i64 {
        self.span_ms(self.plugin.descriptor().undo_within.as_ref()).unwrap_or(UNDO_MS)
    }

    fn span_ms(&self, span: Option<&Span>) -> Option<i64> {
        match span? {
            Span::Fixed(ms) => Some(*ms),
            Span::BySetting(key) => {
                let seconds: i64 = self.settings.get(key)?.parse().ok()?;
                Some(seconds.saturating_mul(1000))
            }
        }
    }

    /// The gateway behind it: it answers all channels of a plugin and mode, or none.
    pub fn gateway(&self) -> String {
        format!("{}/{}", self.channel.plugin_id, self.channel.mode.as_str())
    }

    /// What the plugin says of a method.
    pub fn support(&self, method: Option<&Json>) -> Support {
        Support::of(self.plugin.descriptor(), method)
    }

    /// A gateway's address as the buyer's browser must use it: as it is, or as the gateway map says.
    pub fn browser_url(&self, url: &str) -> String {
        let instead =
            Url::parse(url).ok().and_then(|parsed| Some((self.instead(&Origin::of(&parsed).ok()?)?, parsed)));
        match instead {
            Some((instead, parsed)) => {
                let path = &parsed[Position::BeforePath..];
                format!("{}{path}", instead.as_str())
            }
            None => url.to_owned(),
        }
    }

    fn instead(&self, origin: &Origin) -> Option<&WebOrigin> {
        self.browser.iter().find(|(mapped, _)| mapped == origin).map(|(_, instead)| instead)
    }

    /// What the plugin's pages may do in the buyer's browser.
    pub fn rights(&self) -> Rights<'_> {
        Rights {
            plugin: &self.channel.plugin_id,
            declared: self.plugin.browser_origins(),
            granted: &self.granted,
        }
    }

    /// What was granted in the buyer's browser, as that must reach it.
    pub fn browser_sources(&self) -> Vec<Source> {
        let mut sources: Vec<Source> = Vec::new();
        for access in self.granted.iter() {
            let source = Source::of(access, self.instead(&access.origin));
            // The map may lead several of them to one place.
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        sources
    }
}

/// Plain settings of a row.
pub fn channel_settings(channel: &channels::Channel) -> BTreeMap<String, String> {
    channel.settings.to().unwrap_or_default()
}

/// How long after it was written down an attempt's request may still be on its way at a gateway that takes `span_ms` for what
/// arrived. That counts from when it was sent, which the lease lets be late; and while the lease lasts, it may be sent and answered.
fn settles_ms(span_ms: Option<i64>) -> i64 {
    span_ms.unwrap_or(SETTLES_MS).saturating_add(SENT_WITHIN_MS).max(LEASE_US / 1000)
}

fn parse_origins(grants: &[PluginGrant]) -> Vec<Origin> {
    let hosts = grants.iter().filter(|grant| grant.kind == GrantKind::Host);
    hosts.filter_map(|grant| grant.origin.parse().ok()).collect()
}

/// Of what a version of the plugin declares, what the operator granted: origin by origin and use by use.
fn browser_access(declared: &[BrowserAccess], grants: &[PluginGrant]) -> Result<Vec<BrowserAccess>, Error> {
    let mut granted = Vec::new();
    for grant in grants.iter().filter(|grant| grant.kind == GrantKind::Browser) {
        let uses: BTreeSet<String> = grant.uses.to()?;
        let origin = grant.origin.parse::<Origin>().ok();
        if let Some(access) = declared.iter().find(|access| Some(&access.origin) == origin.as_ref()) {
            let uses = access.uses.intersection(&uses).cloned().collect();
            granted.push(BrowserAccess { origin: access.origin.clone(), uses });
        }
    }
    Ok(granted)
}

fn mappings(rows: &[GatewayMap]) -> Vec<Mapping> {
    let read = |row: &GatewayMap| {
        Some(Mapping {
            origin: row.origin.parse().ok()?,
            connect: row.connect.parse().ok()?,
            ca_pem: row.ca_pem.clone(),
        })
    };
    rows.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(origin: &str, uses: &[&str]) -> BrowserAccess {
        let uses = uses.iter().map(|used| (*used).to_owned()).collect();
        BrowserAccess { origin: origin.parse().unwrap(), uses }
    }

    fn grant(kind: GrantKind, origin: &str, uses: &[&str]) -> PluginGrant {
        let (plugin_id, uses) = ("gw".to_owned(), Json::of(uses).unwrap());
        PluginGrant { plugin_id, kind, origin: origin.to_owned(), uses, granted_us: 0, withdrawn_us: None }
    }

    #[test]
    fn a_request_is_on_its_way_for_as_long_as_the_gateway_takes_after_it_was_sent_at_last() {
        for (span_ms, expected_ms) in
            [(Some(1_000), 30_000), (Some(10_000), 30_000), (Some(60_000), 73_000), (None, 913_000)]
        {
            assert_eq!(settles_ms(span_ms), expected_ms);
        }
        assert_eq!(settles_ms(Some(i64::MAX)), i64::MAX);
    }

    #[test]
    fn a_later_version_gets_no_more_by_declaring_more() {
        let (old, new, other) = ("https://old.example", "https://new.example", "https://other.example");
        let declared = [access(old, &["img", "script"]), access(new, &["script"])];
        let grants = [
            grant(GrantKind::Browser, old, &["img", "frame"]),
            grant(GrantKind::Host, new, &[]),
            grant(GrantKind::Browser, other, &["script"]),
        ];
        assert_eq!(browser_access(&declared, &grants).unwrap(), [access(old, &["img"])]);
        assert_eq!(parse_origins(&grants), [new.parse().unwrap()]);
    }
}
