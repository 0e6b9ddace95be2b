//! The host's clock in a test: it can be moved, and whoever looks at it can be killed or stopped there.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use payhost::{Clock, SystemClock};
use tokio::sync::oneshot;

/// No look at the clock kills.
const NEVER: i64 = i64::MAX;
/// So long somebody stands who was stopped: where he holds the database, nothing else happens meanwhile.
const STANDS: Duration = Duration::from_secs(2);

/// The machine's clock, moved; whoever looks at it for the n-th time dies, or stops.
pub struct TestClock {
    ahead_us: AtomicI64,
    looks_left: AtomicI64,
    died: AtomicBool,
    /// Dies only in a task of its own, once: the number of panics.
    kill_a_job: AtomicBool,
    runner: Mutex<Option<tokio::task::Id>>,
    panics: AtomicUsize,
    stop: Mutex<Option<Stop>>,
}

/// Where somebody is going to stop.
struct Stop {
    looks_left: i64,
    here: oneshot::Sender<()>,
    on: mpsc::Receiver<()>,
}

/// Somebody who stops at the clock. He goes on when this is dropped.
pub struct Stopped {
    here: oneshot::Receiver<()>,
    _on: mpsc::Sender<()>,
}

impl Stopped {
    /// Waits until he stands there. `false`: he never came.
    pub async fn stands(&mut self) -> bool {
        (&mut self.here).await.is_ok()
    }
}

impl Clock for TestClock {
    fn now_us(&self) -> i64 {
        let left = self.looks_left.load(Ordering::SeqCst);
        if left != NEVER && self.looks_left.fetch_sub(1, Ordering::SeqCst) <= 1 {
            self.looks_left.store(NEVER, Ordering::SeqCst);
            self.died.store(true, Ordering::SeqCst);
            panic!("the host dies here");
        }
        let task = tokio::task::try_id();
        if task.is_some()
            && task != *self.runner.lock().unwrap()
            && self.kill_a_job.swap(false, Ordering::SeqCst)
        {
            self.panics.fetch_add(1, Ordering::SeqCst);
            panic!("a job panics here");
        }
        if let Some(stop) = self.stops_here() {
            let _ = stop.here.send(());
            tokio::task::block_in_place(|| stop.on.recv_timeout(STANDS).ok());
        }
        self.time_us()
    }
}

impl TestClock {
    /// The machine's time.
    pub fn new() -> Self {
        Self {
            ahead_us: AtomicI64::new(0),
            looks_left: AtomicI64::new(NEVER),
            died: AtomicBool::new(false),
            kill_a_job: AtomicBool::new(false),
            runner: Mutex::new(None),
            panics: AtomicUsize::new(0),
            stop: Mutex::new(None),
        }
    }

    /// The time; the test's own look, of which nobody dies.
    pub fn time_us(&self) -> i64 {
        SystemClock.now_us() + self.ahead_us.load(Ordering::SeqCst)
    }

    /// Whoever looks for the `at`th time from now dies.
    pub fn die_at(&self, at: i64) {
        self.died.store(false, Ordering::SeqCst);
        self.looks_left.store(at, Ordering::SeqCst);
    }

    /// The host's clock jumps, and the gateway's does not.
    pub fn jump(&self, seconds: i64) {
        self.ahead_us.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    /// Nobody dies any more; tells whether somebody did.
    pub fn live_on(&self) -> bool {
        self.looks_left.store(NEVER, Ordering::SeqCst);
        self.has_died()
    }

    /// Whether somebody died.
    pub fn has_died(&self) -> bool {
        self.died.load(Ordering::SeqCst)
    }

    /// Whoever looks for the `at`th time from now stops there, until what is given back is dropped.
    pub fn stop_at(&self, at: i64) -> Stopped {
        let (sender, here) = oneshot::channel();
        let (hold, on) = mpsc::channel();
        *self.stop.lock().unwrap() = Some(Stop { looks_left: at, here: sender, on });
        Stopped { here, _on: hold }
    }

    /// Nobody stops any more.
    pub fn stop_nobody(&self) {
        *self.stop.lock().unwrap() = None;
    }

    fn stops_here(&self) -> Option<Stop> {
        let mut stop = self.stop.lock().unwrap();
        let next = stop.as_mut()?;
        next.looks_left -= 1;
        if next.looks_left <= 0 { stop.take() } else { None }
    }

    /// A job of this runner's panics once.
    pub fn kill_a_job(&self) {
        *self.runner.lock().unwrap() = tokio::task::try_id();
        self.kill_a_job.store(true, Ordering::SeqCst);
    }

    /// How many jobs panicked.
    pub fn panics(&self) -> usize {
        self.panics.load(Ordering::SeqCst)
    }
}
