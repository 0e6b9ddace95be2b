//! A short call costs nobody a change of threads, and a long one holds up nobody.
//!
//! A call begins on its caller's thread, where most are over in microseconds. When it first waits, for the network or
//! because a tick (1 ms) has passed, it moves to the plugins' own threads and never comes back: to the **fast lane** where
//! calls wait for gateways, or, once it has computed for a tick, to the **slow lane**, whose threads give way to all others.
//! So a runaway takes at most two ticks of its caller's thread, and then what nobody else wants.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::coop::unconstrained;

use crate::meter::Meter;

/// The plugins' own threads.
pub(crate) struct Lanes {
    fast: Lane,
    slow: Lane,
}

struct Lane {
    runtime: Option<Runtime>,
    handle: Handle,
}

/// The threads are gone, and the call with them: the engine was shut down.
#[derive(Debug)]
pub(crate) struct Gone;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Lanes {
    pub(crate) fn start(threads: Option<usize>) -> std::io::Result<Self> {
        Ok(Self {
            fast: Lane::start(threads, "payhost-plugin", || ())?,
            slow: Lane::start(threads, "payhost-slow", give_way)?,
        })
    }

    pub(crate) fn fast(&self) -> &Handle {
        &self.fast.handle
    }

    /// Runs a call to its end, whatever becomes of this future after its first poll.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        meter: &Arc<Meter>,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Gone> {
        let mut work: Work<T> = Box::pin(work);
        // Timers and sockets that it makes belong to the lane, not to the caller's runtime.
        let begun = poll_fn(|context| {
            let _lane = self.fast.handle.enter();
            // The caller's budget of polls is no reason to change threads.
            let mut begun = pin!(unconstrained(work.as_mut()));
            Poll::Ready(begun.as_mut().poll(context))
        });
        if let Poll::Ready(done) = begun.await {
            return Ok(done);
        }
        // No await stands between that poll and here: whoever is dropped now has handed the call over.
        let slow = self.slow.handle.clone();
        let running = if meter.is_heavy() {
            slow.spawn(work)
        } else {
            self.fast.handle.spawn(until_heavy(work, meter.clone(), slow))
        };
        running.await.map_err(|_| Gone)
    }
}

/// Runs in the fast lane until a tick has passed, then in the slow one.
async fn until_heavy<T: Send + 'static>(mut work: Work<T>, meter: Arc<Meter>, slow: Handle) -> T {
    let light = poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if meter.is_heavy() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    if let Some(done) = light.await {
        return done;
    }
    match slow.spawn(work).await {
        Ok(done) => done,
        // The slow lane is gone: the engine is being dropped, and the fast lane follows at once.
        Err(_) => std::future::pending().await,
    }
}

impl Lane {
    fn start(
        threads: Option<usize>,
        name: &'static str,
        on_start: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        if let Some(threads) = threads {
            builder.worker_threads(threads.max(1));
        }
        let runtime = builder.thread_name(name).on_thread_start(on_start).enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // Waiting for tasks is not allowed inside of another runtime, where an engine is usually dropped.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// How far the slow lane gives way: a tenth of a processor where others want all of it, all of it where nobody does.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// On Linux a nice value belongs to a thread. Elsewhere it would be the whole process's, so nothing is done.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "the threads of long plugin calls cannot be made to give way");
    }
}
