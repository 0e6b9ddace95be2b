//! Work that must be done, whatever is killed. Invariant: a job is a row, written in the transaction that makes it necessary;
//! a task that dies with the process is done again by the next one.
//!
//! [`lane`] claims jobs by shop in turn ([`turns`]): no shop's jobs delay another's.

pub(crate) mod crowd;
mod lane;
pub mod tidy;
pub(crate) mod turns;

use payhost_core::id::{AttemptId, ChannelId, CheckoutId, JobId, NoticeId, PaymentId, ShopId};
use payhost_store::rows::jobs::{self as rows, Job, Lane, NewJob};
use payhost_store::{Error, Json, Tx};
use serde::{Deserialize, Serialize};
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::host::Host;
use crate::http::request_id;
use crate::sealed::Place;
use crate::{payments, vbank};

/// How long a job may take before somebody else may do it, in microseconds.
const LEASE_US: i64 = 60_000_000;
/// When a job that failed unexpectedly is tried again, in microseconds.
const AGAIN_US: i64 = 15_000_000;

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// Find out how an attempt ended.
    Resolve {
        /// Whose.
        shop: ShopId,
        /// Which.
        attempt: AttemptId,
    },
    /// Look at a sale of which the gateway said something that what is known here does not explain.
    Look {
        /// Whose.
        shop: ShopId,
        /// Which.
        payment: PaymentId,
    },
    /// End a checkout that the shop did not confirm.
    Unconfirmed {
        /// Whose.
        shop: ShopId,
        /// Which.
        checkout: CheckoutId,
    },
    /// End a payment whose time is over.
    Expire {
        /// Whose.
        shop: ShopId,
        /// Which.
        payment: PaymentId,
    },
    /// Read a gateway's notice if it is not yet, verify it, and write its facts.
    Notice {
        /// Whose.
        shop: ShopId,
        /// Which.
        notice: NoticeId,
    },
    /// Send a notice on to where the shop's older cart takes them.
    Forward {
        /// Whose.
        shop: ShopId,
        /// Which.
        notice: NoticeId,
    },
    /// Look whether the gateway changed recent payments of a channel.
    Watch {
        /// Whose.
        shop: ShopId,
        /// Which.
        channel: ChannelId,
        /// From behind this payment on; absent: from the first.
        #[serde(default)]
        after: Option<PaymentId>,
    },
    /// Look whether the order of money that came after the end of its payment has another one, and give an approval back then.
    GiveBack {
        /// Whose.
        shop: ShopId,
        /// Which.
        payment: PaymentId,
    },
}

/// What became of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Nothing is left to do.
    Finished,
    /// Again at this time, in microseconds.
    Again(i64, String),
}

impl Task {
    fn kind(&self) -> &'static str {
        match self {
            Self::Resolve { .. } => "resolve",
            Self::Look { .. } => "look",
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::Expire { .. } => "expire",
            Self::Notice { .. } => "notice",
            Self::Forward { .. } => "forward",
            Self::Watch { .. } => "watch",
            Self::GiveBack { .. } => "give_back",
        }
    }

    /// The job's key: there is one job for it.
    pub fn key(&self) -> String {
        match self {
            Self::Resolve { attempt, .. } => format!("resolve:{attempt}"),
            Self::Look { payment, .. } => format!("look:{payment}"),
            Self::Unconfirmed { checkout, .. } => format!("unconfirmed:{checkout}"),
            Self::Expire { payment, .. } => format!("expire:{payment}"),
            Self::Notice { notice, .. } => format!("notice:{notice}"),
            Self::Forward { notice, .. } => format!("forward:{notice}"),
            Self::Watch { channel, .. } => format!("watch:{channel}"),
            Self::GiveBack { payment, .. } => format!("give_back:{payment}"),
        }
    }

    /// What asks nobody else's server but a gateway is in the lane that money waits for.
    fn lane(&self) -> Lane {
        match self {
            Self::Forward { .. } => Lane::Forward,
            Self::Look { .. }
            | Self::Resolve { .. }
            | Self::Unconfirmed { .. }
            | Self::Expire { .. }
            | Self::Notice { .. }
            | Self::Watch { .. }
            | Self::GiveBack { .. } => Lane::Work,
        }
    }

    /// Whose.
    pub fn shop(&self) -> ShopId {
        match self {
            Self::Resolve { shop, .. }
            | Self::Look { shop, .. }
            | Self::Unconfirmed { shop, .. }
            | Self::Expire { shop, .. }
            | Self::Notice { shop, .. }
            | Self::Forward { shop, .. }
            | Self::Watch { shop, .. }
            | Self::GiveBack { shop, .. } => *shop,
        }
    }
}

/// Writes a task down, or makes the one that is there due at the earlier time.
pub fn enqueue(tx: &mut Tx<'_>, host: &Host, task: &Task, due_us: i64) -> Result<(), Error> {
    let key = task.key();
    let job = NewJob {
        id: host.new_id(JobId::new),
        lane: task.lane(),
        kind: task.kind(),
        key: &key,
        shop_id: task.shop(),
        payload: Json::of(task)?,
        due_us,
    };
    rows::enqueue(tx, &job, host.now_us())
}

/// Does jobs until `stop` rings; what is running then is finished first.
pub async fn run(host: Host, stop: impl Future<Output = ()>) {
    let (tell, told) = tokio::sync::watch::channel(false);
    let until = |mut told: tokio::sync::watch::Receiver<bool>| async move {
        let _ = told.wait_for(|stop| *stop).await;
    };
    let stopping = async {
        stop.await;
        let _ = tell.send(true);
    };
    let work = lane::run(&host, Lane::Work, until(told.clone()));
    let forward = lane::run(&host, Lane::Forward, until(told.clone()));
    let tidying = tidy::run(&host, until(told));
    tokio::join!(work, forward, tidying, stopping);
}

async fn one(host: Host, job: Job, token: String) {
    let span = tracing::info_span!(
        "job", job = %job.key, shop = Empty, payment = Empty, checkout = Empty, attempt = Empty, notice = Empty
    );
    let id = job.key.split_once(':').map(|(_, id)| id.to_owned());
    let work = async move {
        request_id::about(&id.unwrap_or_default());
        once(host, job, token).await;
    };
    work.instrument(span).await;
}

async fn once(host: Host, job: Job, token: String) {
    let task = job.payload.to::<Task>();
    let awaited = matches!(task, Ok(Task::Resolve { .. }));
    let outcome = match task {
        Ok(task) => perform(&host, task, job.tries).await,
        Err(error) => Err(error.to_string()),
    };
    let again_us = host.now_us().saturating_add(AGAIN_US);
    let (id, shop, key, now_us) = (job.id, job.shop_id, job.key, host.now_us());
    let done = match outcome {
        Ok(done) => done,
        Err(words) => {
            tracing::error!(job = %key, error = %words, "a job failed; it is tried again");
            Done::Again(again_us, words)
        }
    };
    let host_in = host.clone();
    let stored = host.store().transact(move |tx| match done {
        Done::Finished => rows::finish(tx, (shop, id), &token, now_us),
        Done::Again(due_us, words) => {
            let key = host_in.vault().key_of(tx, shop)?;
            let said = Place::JobError(id).seal(&key, words.as_bytes())?;
            rows::retry_at(tx, (shop, id, &token), due_us, Some(&said), now_us)
        }
    });
    let stored: Result<bool, Error> = stored.await;
    match stored {
        Ok(true) => {}
        Ok(false) => tracing::warn!(job = %key, "a job was taken over"),
        Err(error) => tracing::error!(job = %key, %error, "a job's end cannot be stored"),
    }
    // Somebody may wait for this turn, whatever came of it.
    if awaited {
        host.settled().notify_waiters();
    }
}

/// Does a task once. Public for tests that do every task twice.
pub async fn perform(host: &Host, task: Task, tries: i64) -> Result<Done, String> {
    match task {
        Task::Resolve { shop, attempt } => payments::resolve::resolve(host, shop, attempt, tries).await,
        Task::Look { shop, payment } => payments::sync::look_again(host, shop, payment, tries).await,
        Task::Unconfirmed { shop, checkout } => payments::confirm::unconfirmed(host, shop, checkout).await,
        Task::Expire { shop, payment } => payments::expire::expire(host, shop, payment).await,
        Task::Notice { shop, notice } => vbank::apply::work(host, shop, notice).await,
        Task::Forward { shop, notice } => vbank::forward::work(host, shop, notice, tries).await,
        Task::Watch { shop, channel, after } => payments::reconcile::watch(host, shop, channel, after).await,
        Task::GiveBack { shop, payment } => payments::late::give_back(host, shop, payment).await,
    }
}
