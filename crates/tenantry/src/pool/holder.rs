//! Tracks which task holds a connection, to detect a task that waits for itself.

use std::{
    hash::{Hash, Hasher},
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

tokio::task_local! {
    /// The number of the part of the task that is being polled.
    static PART: u64;
}

static NEXT_PART: AtomicU64 = AtomicU64::new(0);

/// Runs work as a part that runs concurrently with others in the same task: the parts do not wait
/// for each other's connections.
pub(crate) fn as_part<F: Future>(work: F) -> impl Future<Output = F::Output> {
    PART.scope(NEXT_PART.fetch_add(1, Ordering::Relaxed), work)
}

/// A task, or a thread for code that runs outside a task, such as in `block_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder(NonZeroU64);

/// The holder of a connection that was handed out, if any.
///
/// It is recorded only while the application holds the connection, and not while the pool runs a
/// statement on it: statements that a task runs concurrently do not wait for one another.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held(Arc<AtomicU64>);

/// Records the holder of a connection until it is dropped.
#[derive(Debug)]
pub(crate) struct Holding<'a>(&'a Held);

impl Holder {
    pub(crate) fn current() -> Self {
        let mut mix = Mix(0);
        match (PART.try_with(|part| *part), tokio::task::try_id()) {
            (Ok(part), _) => (2_u64, part).hash(&mut mix),
            (Err(_), Some(task)) => (0_u64, task).hash(&mut mix),
            (Err(_), None) => (1_u64, thread::current().id()).hash(&mut mix),
        }
        Self(NonZeroU64::new(mix.finish()).unwrap_or(NonZeroU64::MAX))
    }
}

impl Held {
    pub(crate) fn by(&self, holder: Holder) -> Holding<'_> {
        self.set(Some(holder));
        Holding(self)
    }

    pub(super) fn set(&self, holder: Option<Holder>) {
        // No other data is synchronized through it, and only the holder itself reads it.
        self.0.store(holder.map_or(0, |holder| holder.0.get()), Ordering::Relaxed);
    }

    pub(super) fn is_by(&self, holder: Holder) -> bool {
        self.0.load(Ordering::Relaxed) == holder.0.get()
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

/// A cheap hash for ids that are not attacker-controlled.
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_and_threads_are_told_apart_and_stay_the_same() {
        let here = Holder::current();
        assert_eq!(here, Holder::current());
        let one = tokio::spawn(twice()).await.unwrap();
        let other = tokio::spawn(twice()).await.unwrap();
        let thread = thread::spawn(Holder::current).join().unwrap();
        let (part, beside) = tokio::join!(as_part(twice()), as_part(twice()));
        let pairs = [one, other, part, beside];
        assert!(pairs.iter().all(|(before, after)| before == after), "{pairs:?}");
        let all = [here, thread, one.0, other.0, part.0, beside.0];
        for (index, holder) in all.iter().enumerate() {
            assert!(!all[..index].contains(holder), "{all:?}");
        }
    }

    async fn twice() -> (Holder, Holder) {
        let before = Holder::current();
        tokio::task::yield_now().await;
        (before, Holder::current())
    }

    #[test]
    fn a_connection_is_held_until_the_guard_is_dropped() {
        let held = Held::default();
        let here = Holder::current();
        assert!(!held.is_by(here));
        let holding = held.by(here);
        assert!(held.clone().is_by(here));
        drop(holding);
        assert!(!held.is_by(here));
    }
}
