//! A call has what its setup gives it and nothing else: no default here opens anything but the limits.

use std::sync::Arc;
use std::time::Instant;

use payhost_core::hex;

use crate::contract::types::{Context, Mode, Setting};
use crate::egress::{EgressPolicy, Transport};
use crate::limits::Limits;
use crate::secrets::Secrets;

/// What one call is given besides its arguments.
#[derive(Debug)]
pub struct CallSetup {
    /// Id of the call, for the log and the record.
    pub call_id: String,
    /// Id of the shop, for the log.
    pub shop_id: String,
    /// Id of the channel, for the log.
    pub channel_id: String,
    /// The call's moment, milliseconds since 1970. The engine puts it into the context and into the plugin's clocks.
    pub now_ms: i64,
    /// The call's seed. The engine puts it into the context and into the plugin's random numbers.
    pub seed: [u8; 16],
    /// Secrets by name. The engine puts the names of the channel's secrets into the context.
    pub secrets: Secrets,
    /// Where the call may go.
    pub egress: Arc<EgressPolicy>,
    /// What it may use.
    pub limits: Limits,
    /// End of the attempt's lease: after it no byte of a request leaves this machine. A request is refused when it could
    /// still be connecting (5 s) at that moment.
    pub send_deadline: Option<Instant>,
    /// `false` refuses `http` even where the function may use it.
    pub http_allowed: bool,
    /// The network, or answers from a script.
    pub transport: Transport,
}

impl CallSetup {
    /// A call without secrets and grants, with the default limits.
    pub fn new(call_id: impl Into<String>, now_ms: i64, seed: [u8; 16]) -> Self {
        Self {
            call_id: call_id.into(),
            shop_id: String::new(),
            channel_id: String::new(),
            now_ms,
            seed,
            secrets: Secrets::new(),
            egress: Arc::default(),
            limits: Limits::default(),
            send_deadline: None,
            http_allowed: true,
            transport: Transport::Network,
        }
    }

    /// The context for this call: the rest comes from the setup.
    pub fn context(&self, mode: Mode, settings: Vec<Setting>) -> Context {
        let mut context = Context { now_ms: 0, seed: String::new(), mode, settings, secrets: Vec::new() };
        self.fill(&mut context);
        context
    }

    pub(crate) fn fill(&self, context: &mut Context) {
        context.now_ms = self.now_ms;
        context.seed = hex(&self.seed);
        context.secrets = self.secrets.channel_names();
    }
}
