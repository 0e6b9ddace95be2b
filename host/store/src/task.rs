//! A closure on its way to the database and back. Invariant: its caller is told once, what was written after the end of the transaction;
//! a panic is an error like any other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use crate::store::panic_text;
use crate::{Error, Tx};

/// Closures that may wait for a connection; after that callers wait to hand theirs in.
pub(crate) const QUEUE: usize = 1024;

/// One closure with its waiting caller.
pub(crate) trait Task: Send {
    /// Runs it; `true` when its changes are to be kept.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;

    /// Nothing of it was kept.
    fn lost(&mut self, error: Error);

    /// Tells the caller.
    fn answer(self: Box<Self>);
}

/// A [`Task`] with its types.
pub(crate) struct Closure<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    caller: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Task for Closure<F, T, E>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        let result = match catch_unwind(AssertUnwindSafe(|| work(tx))) {
            Ok(Ok(_)) if tx.has_failed() => Err(E::from(Error::Aborted)),
            Ok(result) => result,
            Err(panic) => Err(E::from(Error::Panicked(panic_text(panic.as_ref())))),
        };
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn lost(&mut self, error: Error) {
        // A closure that failed by itself keeps its own error: that is the reason its caller wants.
        if !matches!(self.result, Some(Err(_))) {
            self.result = Some(Err(E::from(error)));
        }
    }

    fn answer(self: Box<Self>) {
        let result = self.result.unwrap_or_else(|| Err(E::from(Error::Unanswered)));
        // A caller that went away (its request was dropped) is not told; its changes stay, as it asked.
        let _ = self.caller.send(result);
    }
}

impl<F, T, E> Closure<F, T, E> {
    /// A closure, and where its answer will come.
    pub(crate) fn new(work: F) -> (Box<Self>, oneshot::Receiver<Result<T, E>>) {
        let (caller, answer) = oneshot::channel();
        (Box::new(Self { work: Some(work), result: None, caller }), answer)
    }
}
