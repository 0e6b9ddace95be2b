//! Tasks of many shops that run at once. Invariant: a shop holds a slot from the moment its task begins until it ended, however
//! it ended.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use tokio::task::{Id, JoinError, JoinSet};

use super::turns::{Room, Turns};

/// A task that runs for longer waits for somebody else's answer.
const WORKS: Duration = Duration::from_secs(2);

/// Running tasks, and whose they are.
pub struct Crowd<S> {
    tasks: JoinSet<()>,
    of: HashMap<Id, (S, Instant)>,
    turns: Turns<S>,
}

impl<S: Copy + Ord + Hash> Crowd<S> {
    /// Nobody yet.
    pub fn new(room: Room) -> Self {
        Self { tasks: JoinSet::new(), of: HashMap::new(), turns: Turns::new(room) }
    }

    /// Free slots.
    pub fn free(&self) -> usize {
        let waiting = self.of.values().filter(|(_, since)| since.elapsed() > WORKS).count();
        self.turns.free(waiting)
    }

    /// See [`Turns::deal`].
    pub fn deal(&mut self, free: usize, wanting: &[(S, usize)]) -> Vec<(S, usize)> {
        self.turns.deal(free, wanting)
    }

    /// Begins a task of a shop.
    pub fn begin(&mut self, shop: S, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.of.insert(id, (shop, Instant::now()));
        self.turns.take(shop);
    }

    /// Waits until a task ends; `None`, at once, when there is none.
    pub async fn one_ended(&mut self) -> Option<()> {
        let ended = self.tasks.join_next_with_id().await?;
        self.ended(ended);
        Some(())
    }

    /// Takes note of all that ended.
    pub fn all_ended(&mut self) -> usize {
        let mut count = 0_usize;
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.ended(ended);
            count = count.saturating_add(1);
        }
        count
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                // What it claimed is free again when its lease ends.
                tracing::error!(%error, "a task panicked; its work is done again");
                error.id()
            }
        };
        if let Some((shop, _)) = self.of.remove(&id) {
            self.turns.give_back(shop);
        }
    }
}
