//! A pool whose budget is a part of one that other processes share.

use std::{
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use super::{
    super::{
        allowance::{Allowance, Moment, Stage},
        lent::{Lent, Verdict},
        occupant::{Occupant, OccupantId},
        scheduler::{Class, Time, Usage},
        share::{Admission, Share},
        snapshot::BudgetSnapshot,
        state::State,
    },
    Server,
};
use crate::{
    event::{BudgetChange, BudgetState},
    tenant::Binding,
};

impl Server {
    /// Makes the budget a part of one that others share. From now on, until it is
    /// [allowed](Self::allow) more, the pool has one connection, for the library itself.
    pub(crate) fn share(self: &Arc<Self>, share: Share) {
        if self.share.set(Arc::new(share)).is_err() {
            return;
        }
        self.separation.note_no_room();
        let now = self.moment();
        self.state.lock().lent = Some(Lent::new(now));
        self.change(|state, now| self.apply(state, now));
    }

    /// Returns the budget that it shares with other processes, if so.
    pub(crate) fn shared_budget(&self) -> Option<&Arc<Share>> {
        self.share.get()
    }

    /// Returns the connections that so many instances use at most, as a budget and the number of
    /// these budgets: one that processes share is that of all instances.
    pub(crate) fn budget_of(&self, instances: usize) -> (usize, usize) {
        match self.share.get() {
            Some(share) => (share.total(), 1),
            None => (self.max_connections(), instances),
        }
    }

    /// Returns the current time by both clocks.
    pub(crate) fn moment(&self) -> Moment {
        Moment { time: self.now(), wall: SystemTime::now() }
    }

    /// Returns what the pool has used since the last call, and could use of the whole budget.
    pub(crate) fn usage(&self) -> Usage {
        let total = self.share.get().map_or(self.max_connections(), |share| share.total());
        let limits = self.options.limits_of(total, self.outside);
        self.state.lock().scheduler.usage(&limits)
    }

    /// Returns the most connections that the pool can have if it is not allowed more.
    pub(crate) fn holds(&self) -> usize {
        let is_admitted = self.share.get().is_some_and(|share| share.is_admitted());
        let outside = if is_admitted { self.outside } else { 0 };
        let state = self.state.lock();
        let allowed = state.lent.as_ref().and_then(|lent| lent.allowance.connections(lent.stage));
        allowed.unwrap_or_default().max(state.scheduler.existing() + outside)
    }

    /// Returns the connections that the pool needs besides those of tenants.
    pub(crate) fn besides(&self) -> usize {
        self.options.reserve() + self.outside
    }

    /// Returns `true` if a request waits that is not the library's own.
    pub(crate) fn tenants_wait(&self) -> bool {
        self.state.lock().scheduler.tenants_wait()
    }

    /// Sets what the pool may have, and what it tells requests while that is nothing.
    pub(crate) fn allow(self: &Arc<Self>, allowance: Allowance, verdict: Verdict) {
        let now = self.moment();
        self.change(|state, time| {
            let Some(lent) = &mut state.lent else { return };
            let before = lent.state();
            lent.stage = allowance.stage(allowance.since.until(now));
            lent.allowance = allowance;
            lent.verdict = verdict;
            let bars = lent.stage == Stage::Asking && lent.verdict.is_bar();
            self.apply_from(state, time, before);
            if bars {
                state.bar(time);
            }
        });
    }

    /// Ends the part of the allowance that has expired by the wall clock: the other clock stands
    /// still while a machine is suspended.
    pub(in crate::pool) fn mind_the_clock(self: &Arc<Self>) {
        if self.share.get().is_none() {
            return;
        }
        let now = self.moment();
        self.change(|state, time| {
            let Some(lent) = &mut state.lent else { return };
            let before = lent.state();
            let stage = lent.allowance.stage(lent.allowance.since.until(now));
            if stage > lent.stage {
                lent.stage = stage;
                self.apply_from(state, time, before);
            }
        });
    }

    /// Ends the part of the allowance that has expired.
    pub(super) fn expire(&self, state: &mut State, now: Time) {
        let Some(lent) = &mut state.lent else { return };
        let before = lent.state();
        lent.stage =
            lent.stage.max(lent.allowance.stage(now.saturating_sub(lent.allowance.since.time)));
        self.apply_from(state, now, before);
    }

    /// Tells the scheduler what the pool may have, and reports a change of state.
    fn apply_from(&self, state: &mut State, now: Time, before: BudgetState) {
        self.apply(state, now);
        let (Some(lent), Some(share)) = (&state.lent, self.share.get()) else { return };
        let after = lent.state();
        if after != before {
            let connections = self.max_connections.load(Ordering::Relaxed);
            let error = share.error();
            state.tell_of_budget(BudgetChange { state: after, connections, error, server: None });
        }
    }

    fn apply(&self, state: &mut State, now: Time) {
        let (Some(lent), Some(share)) = (&state.lent, self.share.get()) else { return };
        let connections = lent.allowance.connections(lent.stage);
        let limits = match connections {
            Some(connections) => self.options.limits_of(connections, self.outside),
            None => self.options.limits_to_ask(),
        };
        if limits.budget > 1 {
            self.separation.note_room();
        }
        share.admit(connections.is_some());
        self.max_connections.store(connections.unwrap_or(1), Ordering::Relaxed);
        state.resize(now, limits);
    }

    /// Returns the occupant that creates the table of shared budgets: it has the login of
    /// maintenance, and is served before the pool has a part of the budget.
    pub(crate) fn owner_of_budget(&self) -> Arc<Occupant> {
        let occupant = Occupant::new(OccupantId::Budget, Class::System, Binding::library());
        Arc::new(occupant.logging_in(self.upkeep.login().cloned()))
    }

    /// Returns an occupant that asks for a part of the budget, with sessions that have these settings.
    pub(crate) fn member_of_budget(settings: &[(&str, &str)]) -> Arc<Occupant> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let settings: Vec<_> = settings.iter().map(owned).collect();
        let binding = Binding::library().with_settings(&settings);
        Arc::new(Occupant::new(OccupantId::Budget, Class::System, binding))
    }

    /// Lets a connection outside of the pool wait for its place in the budget.
    pub(crate) fn admission(&self) -> Admission {
        Admission::of(&self.share)
    }

    /// Closes the idle connections: a process that is refused keeps none.
    pub(crate) fn close_idle_connections(self: &Arc<Self>) {
        self.change(|state, _| state.close_idle(|_| true));
    }

    /// Returns `true` if no connection exists.
    pub(crate) fn has_no_connection(&self) -> bool {
        self.state.lock().scheduler.is_empty()
    }

    /// Returns the figures of the shared budget, if there is one.
    pub(crate) fn budget_snapshot(&self) -> Option<BudgetSnapshot> {
        let share = self.share.get()?;
        let state = self.state.lock();
        let lent = state.lent.as_ref()?;
        Some(BudgetSnapshot {
            name: Arc::clone(&share.name),
            state: lent.state(),
            total: share.total(),
            granted: lent.allowance.connections(lent.stage).unwrap_or_default(),
            wanted: share.wanted(),
            floor: share.floor,
            beat: share.beat(),
        })
    }

    /// Returns `true` if the floors of other processes take the whole shared budget.
    pub(crate) fn is_refused(&self) -> bool {
        let state = self.state.lock();
        state.lent.as_ref().is_some_and(|lent| lent.state() == BudgetState::Refused)
    }

    /// Returns `true` if requests are refused because it cannot be asked for a part of the budget.
    pub(crate) fn cannot_ask(&self) -> bool {
        let state = self.state.lock();
        let lent = state.lent.as_ref();
        lent.is_some_and(|lent| {
            lent.stage == Stage::Asking && matches!(lent.verdict, Verdict::Unable(_))
        })
    }
}
