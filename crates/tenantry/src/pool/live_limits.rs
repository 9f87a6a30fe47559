use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    rate::Rate,
    scheduler::{OwnLimits, Weight},
};
use crate::tenant::TenantLimits;

/// The limits of a tenant as the catalog last knew them. Every occupant of the tenant has the same
/// ones, so that a change reaches the handles and the tenant pool that exist.
///
/// A tenant without limits costs one load of the version.
#[derive(Debug, Default)]
pub(crate) struct LiveLimits {
    /// Another one after each change. Odd if there are limits.
    version: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// When the catalog was asked for them.
    asked: Duration,
    /// `None` if they are those of all tenants.
    limits: Option<Arc<Current>>,
}

#[derive(Debug)]
struct Current {
    limits: TenantLimits,
    rate: Option<Arc<Rate>>,
}

impl LiveLimits {
    /// Sets the limits that the catalog had at this time, unless newer ones are known.
    pub(crate) fn set(&self, limits: TenantLimits, asked: Duration) {
        let mut state = self.state.lock();
        if asked < state.asked {
            return;
        }
        state.asked = asked;
        let before = state.limits.as_deref();
        if before.map_or(limits == TenantLimits::default(), |before| before.limits == limits) {
            return;
        }
        let next = (limits != TenantLimits::default()).then(|| Current::after(before, limits));
        state.limits = next.map(Arc::new);
        self.note_change(&state);
    }

    /// Takes over the limits of another occupant of the tenant that was looked up later, after the
    /// catalog's cache had forgotten the tenant.
    pub(super) fn follow(&self, other: &Arc<Self>) {
        if std::ptr::eq(self, &**other) || !(self.has_any() || other.has_any()) {
            return;
        }
        let theirs = other.state.lock().clone();
        let mut state = self.state.lock();
        if theirs.asked <= state.asked {
            return;
        }
        let [before, after] = [&state.limits, &theirs.limits].map(|limits| limits.as_deref());
        let same = before.map(|before| &before.limits) == after.map(|after| &after.limits);
        *state = theirs;
        if !same {
            self.note_change(&state);
        }
    }

    /// Makes the version another one; called under the lock.
    fn note_change(&self, state: &State) {
        let next = (self.version.load(Ordering::Relaxed) | 1) + 1;
        self.version.store(next | u64::from(state.limits.is_some()), Ordering::Release);
    }

    /// Returns a number that is another one after each change; 0 if there never were limits.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn has_any(&self) -> bool {
        self.version() & 1 == 1
    }

    fn current(&self) -> Option<Arc<Current>> {
        if self.has_any() { self.state.lock().limits.clone() } else { None }
    }

    /// Returns what the scheduler has to know of them.
    pub(super) fn of_scheduler(&self) -> OwnLimits {
        let Some(current) = self.current() else { return OwnLimits::default() };
        let TenantLimits { max_connections: cap, max_waiting, weight, .. } = current.limits;
        OwnLimits { cap, max_waiting, weight: weight.map_or_else(Weight::default, Weight::new) }
    }

    pub(crate) fn statement_timeout(&self) -> Option<Duration> {
        self.current()?.limits.statement_timeout
    }

    pub(super) fn idle_in_transaction_timeout(&self) -> Option<Duration> {
        self.current()?.limits.idle_in_transaction_timeout
    }

    /// Counts a request.
    ///
    /// # Errors
    ///
    /// The time until the next one would be admitted.
    pub(crate) fn check_rate(&self) -> Result<(), Duration> {
        match self.current().and_then(|current| current.rate.clone()) {
            Some(rate) => rate.check(),
            None => Ok(()),
        }
    }
}

impl Current {
    /// Creates the ones that follow after others. A rate that stays the same goes on counting.
    fn after(before: Option<&Self>, limits: TenantLimits) -> Self {
        let rate = limits.requests_per_second.map(|per_second| {
            let same = before.and_then(|before| before.rate.as_ref());
            let same = same.filter(|rate| rate.is(per_second));
            same.map_or_else(|| Arc::new(Rate::new(per_second)), Arc::clone)
        });
        Self { limits, rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn limits() -> TenantLimits {
        TenantLimits::new()
    }

    #[test]
    fn the_version_is_another_one_after_each_change_and_only_then() {
        let live = LiveLimits::default();
        let mut seen = vec![live.version()];
        for (limits, changes) in [
            (limits(), false),
            (limits().max_waiting(2), true),
            (limits().max_waiting(2), false),
            (limits().max_waiting(3), true),
            (limits(), true),
            (limits(), false),
            (limits().weight(2.0), true),
        ] {
            live.set(limits.clone(), MS);
            let version = live.version();
            assert_eq!(!seen.contains(&version), changes, "{limits:?}");
            assert_eq!(live.has_any(), limits != TenantLimits::default());
            seen.push(version);
        }
    }

    #[test]
    fn an_answer_that_comes_late_changes_nothing() {
        let live = LiveLimits::default();
        live.set(limits().max_waiting(2), MS * 20);
        live.set(limits().max_waiting(1), MS * 10);
        assert_eq!(live.of_scheduler().max_waiting, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_goes_on_through_changes_of_other_limits() {
        let live = LiveLimits::default();
        live.set(limits().requests_per_second(1.0), MS);
        assert_eq!(live.check_rate(), Ok(()));
        live.set(limits().requests_per_second(1.0).weight(2.0), MS);
        assert!(live.check_rate().is_err(), "a change is no new burst");
        live.set(limits().requests_per_second(2.0), MS);
        assert_eq!(live.check_rate(), Ok(()));
        live.set(limits(), MS);
        assert!((0..100).all(|_| live.check_rate().is_ok()), "no limit");
    }

    #[test]
    fn an_older_handle_follows_a_newer_record() {
        let (old, new) = (LiveLimits::default(), Arc::new(LiveLimits::default()));
        old.follow(&new);
        assert_eq!(old.version(), 0, "neither has limits");
        new.set(limits().max_connections(3), MS * 2);
        old.follow(&new);
        assert_eq!(old.of_scheduler().cap, Some(3));
        let version = old.version();
        old.follow(&new);
        assert_eq!(old.version(), version);
        let latest = Arc::new(LiveLimits::default());
        latest.set(limits(), MS * 3);
        old.follow(&latest);
        assert_eq!(old.of_scheduler(), OwnLimits::default());
        old.follow(&new);
        assert_eq!(old.of_scheduler(), OwnLimits::default(), "what is older is not taken over");
    }
}
