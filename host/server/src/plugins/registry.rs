//! Loaded plugins. Invariant: a digest is compiled once in a process, and what runs is the component whose SHA-256 it is.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use payhost_engine::Plugin;
use payhost_engine::contract::plugin::Descriptor;
use payhost_store::rows::plugins;
use payhost_store::{Error, Tx};

use crate::host::Host;
use crate::http::problem::Problem;

/// Plugins by digest.
#[derive(Default)]
pub struct Registry(RwLock<HashMap<String, Arc<Plugin>>>);

impl Registry {
    /// The plugin of a digest, loaded from the database when it was not yet.
    pub async fn get(&self, host: &Host, digest: &str) -> Result<Arc<Plugin>, Problem> {
        if let Some(plugin) = self.loaded(digest) {
            return Ok(plugin);
        }
        let wanted = digest.to_owned();
        let component = host.store().read(move |tx| plugins::component(tx, &wanted)).await?;
        let Some(component) = component else {
            return Err(Problem::internal(&format!("the component {digest} is not in the database")));
        };
        let loaded = host.engine().load_known(digest, &component.bytes.0).await;
        let plugin = loaded.map_err(|error| Problem::internal(&format!("component {digest}: {error}")))?;
        self.put(Arc::clone(&plugin));
        Ok(plugin)
    }

    /// The plugin of a digest, if it is loaded.
    pub fn loaded(&self, digest: &str) -> Option<Arc<Plugin>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(digest).map(Arc::clone)
    }

    /// What the component of a digest says of itself: from memory if it is loaded, else from its row.
    pub fn descriptor(&self, tx: &mut Tx<'_>, digest: &str) -> Result<Descriptor, Error> {
        if let Some(plugin) = self.loaded(digest) {
            return Ok(plugin.descriptor().clone());
        }
        let head = plugins::component_head(tx, digest)?.ok_or(Error::NotFound { what: "component" })?;
        head.descriptor.to()
    }

    /// Keeps a plugin that was just loaded.
    pub fn put(&self, plugin: Arc<Plugin>) {
        let mut plugins = self.0.write().unwrap_or_else(PoisonError::into_inner);
        plugins.insert(plugin.digest().to_owned(), plugin);
    }
}
