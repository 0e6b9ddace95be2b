//! A call is billed for the processor time of its own thread between two resumes, and for nothing else: waiting for the
//! network is free, and so is being interrupted by the rest of the machine.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::engine::TICK;

/// Reading a thread's processor time is a system call; the time by the clock is not, and no less passes of it. So host work
/// is billed when this much has passed by the clock, or with the next tick.
const GLANCE: Duration = Duration::from_micros(100);

/// Counts the processor time of one call. The engine calls `resume` whenever the call begins to run on a thread, and
/// `charge` at every tick and before every wait.
#[derive(Debug)]
pub(crate) struct Meter {
    limit_ns: u64,
    spent_ns: AtomicU64,
    since_ns: AtomicU64,
    heavy: AtomicBool,
    made: Instant,
    /// When processor time was read last, by the clock, from `made` on.
    read_ns: AtomicU64,
}

impl Meter {
    pub(crate) fn new(limit: Duration) -> Self {
        let limit_ns = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        Self {
            limit_ns,
            spent_ns: AtomicU64::new(0),
            since_ns: AtomicU64::new(0),
            heavy: AtomicBool::new(false),
            made: Instant::now(),
            read_ns: AtomicU64::new(0),
        }
    }

    /// The call runs on this thread from now on.
    pub(crate) fn resume(&self) {
        self.read_ns.store(self.clock_ns(), Relaxed);
        self.since_ns.store(thread_ns(), Relaxed);
    }

    /// Bills what was spent since the last resume or charge; whether the limit holds still.
    pub(crate) fn charge(&self) -> bool {
        self.read_ns.store(self.clock_ns(), Relaxed);
        let now = thread_ns();
        let slice = now.saturating_sub(self.since_ns.swap(now, Relaxed));
        self.spent_ns.fetch_add(slice, Relaxed).saturating_add(slice) <= self.limit_ns
    }

    /// The same after a little host work, which is mostly left to the next charge.
    pub(crate) fn glance(&self) -> bool {
        let passed = self.clock_ns().saturating_sub(self.read_ns.load(Relaxed));
        u128::from(passed) < GLANCE.as_nanos() || self.charge()
    }

    fn clock_ns(&self) -> u64 {
        u64::try_from(self.made.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A tick has passed: whether the call has used as much in all, and so is none of the many short ones that a tick
    /// happens to fall into.
    pub(crate) fn ticked(&self) -> bool {
        let heavy = self.spent() >= TICK;
        self.heavy.store(heavy, Relaxed);
        heavy
    }

    /// What the last tick said.
    pub(crate) fn is_heavy(&self) -> bool {
        self.heavy.load(Relaxed)
    }

    /// What was billed so far.
    pub(crate) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent_ns.load(Relaxed))
    }
}

/// Processor time of this thread, nanoseconds.
#[cfg(unix)]
fn thread_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_billed_and_a_wait_is_not() {
        let meter = Meter::new(Duration::from_secs(10));
        meter.resume();
        std::thread::park_timeout(Duration::from_millis(50));
        assert!(meter.charge());
        assert!(meter.spent() < Duration::from_millis(20), "waiting: {:?}", meter.spent());
        while meter.spent() < Duration::from_millis(30) {
            assert!(meter.charge());
        }
        let small = Meter::new(Duration::from_nanos(1));
        small.resume();
        while small.charge() {}
        assert!(small.spent() > Duration::ZERO);
    }

    #[test]
    fn host_work_is_billed_without_a_tick() {
        let meter = Meter::new(Duration::from_millis(5));
        meter.resume();
        while meter.glance() {}
        assert!(meter.spent() > Duration::from_millis(5), "{:?}", meter.spent());
    }
}
