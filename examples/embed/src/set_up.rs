//! What an operator does once, in code. Invariant: doing it again changes nothing.

use std::error::Error;
use std::path::Path;

use payhost::{ChannelIn, Host, Mode, Shop, ShopIn};

/// The application's one shop, with a test channel of the plugin's first preset.
pub async fn shop(host: &Host, data: &Path, component: Vec<u8>) -> Result<Shop, Box<dyn Error>> {
    let operator = host.operator();
    let plugin = operator.install_plugin(component).await?;
    // A real operator reads what the plugin wants (`hosts`, `browser_origins`), and why, before granting it.
    operator.grant_all(&plugin.id).await?;
    let known = data.join("embed-shop");
    if let Ok(id) = std::fs::read_to_string(&known) {
        return Ok(host.shop(id.parse()?, Mode::Test).await?);
    }
    let mut input = ShopIn::default();
    input.name = "Embedded shop".to_owned();
    let made = operator.create_shop(input).await?;
    let shop = host.shop(made.id.parse()?, Mode::Test).await?;
    let preset = plugin.descriptor.pointer("/presets/0/id").and_then(|id| id.as_str());
    let mut channel = ChannelIn::default();
    channel.plugin = plugin.id;
    channel.preset = preset.map(ToOwned::to_owned);
    shop.create_channel(channel).await?;
    std::fs::write(&known, &made.id)?;
    Ok(shop)
}
