//! Whoever was let in is counted until he has left, however that came about; a closed gate lets nobody in and knows when the
//! last one has left.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use tokio::sync::Notify;

/// Calls on their way in and out. Two counters in place of one, because the sum of all is a figure of its own.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    entered: AtomicU64,
    left: AtomicU64,
    closed: AtomicBool,
    emptier: Notify,
}

impl Gate {
    /// Whether one more may come in; whoever does must [`Gate::leave`].
    pub(crate) fn enter(&self) -> bool {
        // Counted first: either `close` sees this one, or this one sees that it is closed.
        self.entered.fetch_add(1, SeqCst);
        let open = !self.closed.load(SeqCst);
        if !open {
            self.leave();
        }
        open
    }

    /// One has left.
    pub(crate) fn leave(&self) {
        self.left.fetch_add(1, SeqCst);
        if self.closed.load(SeqCst) {
            self.emptier.notify_waiters();
        }
    }

    /// Lets nobody in any more and waits until all have left.
    pub(crate) async fn close(&self) {
        self.closed.store(true, SeqCst);
        loop {
            let mut emptier = pin!(self.emptier.notified());
            emptier.as_mut().enable();
            if self.inside() == 0 {
                return;
            }
            emptier.await;
        }
    }

    /// How many came since the start.
    pub(crate) fn entered(&self) -> u64 {
        self.entered.load(SeqCst)
    }

    /// How many are inside.
    pub(crate) fn inside(&self) -> u64 {
        // In this order, so that nobody who is inside is overlooked.
        let left = self.left.load(SeqCst);
        self.entered().saturating_sub(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_gate_lets_nobody_in_and_waits_for_the_last_to_leave() {
        let gate = Gate::default();
        assert!(gate.enter() && gate.enter());
        let mut closed = pin!(gate.close());
        assert!(futures_util::poll!(&mut closed).is_pending());
        assert!(!gate.enter());
        gate.leave();
        assert!(futures_util::poll!(&mut closed).is_pending());
        assert_eq!((gate.entered(), gate.inside()), (3, 1));
        gate.leave();
        assert!(futures_util::poll!(&mut closed).is_ready());
    }
}
