use std::{collections::BTreeSet, time::Duration};

use super::{Class, Ticket, weight::share};

/// Hold time that a tenant may have had beyond its share while it is still served in order of
/// arrival.
///
/// Shares are never exactly equal: without this, the newest request would precede tenants that are
/// a few statements ahead. Simulated and measured, 50 ms keeps waits like those of a single queue
/// while no tenant floods, and puts a flooding tenant behind all others within the same time.
pub(super) const BURST: Duration = Duration::from_millis(50);

/// The maximum debt of a tenant, in virtual time. More is forgiven: a report that held a connection
/// for minutes does not block its tenant for as long, whatever its weight.
pub(super) const MOST_DEBT: Duration = Duration::from_secs(2);

/// The order in which waiting tenants are served: weighted fair queueing by hold time.
///
/// Every tenant has a *virtual time*: the hold time that it has been charged, divided by its weight.
/// The *clock* is the charge of a tenant with exactly its share: it advances with the hold time given
/// to all, divided by the sum of the weights of the tenants that wait or hold a connection. A tenant behind the clock starts at it,
/// so that a quiet tenant does not save up a right to flood. The lead of a tenant over the clock is
/// its *debt*. Tenants whose debt is within [`BURST`] are served in order of arrival, followed by
/// the one with the least debt.
///
/// If the clock followed the tenant being served, every newcomer would precede all recently served
/// tenants. While no tenant waits within the burst the clock does follow, as in WF²Q+: otherwise
/// the debt of tenants that flood in turn would grow without bound.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pooled: Order,
    dedicated: Order,
    clock: Duration,
}

/// The order of tenants that can be bound to the same connections.
#[derive(Debug, Default)]
struct Order {
    within: BTreeSet<(Ticket, usize)>,
    ahead: BTreeSet<(Duration, Ticket, usize)>,
}

/// The position of a tenant in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) dedicated: bool,
    pub(super) virtual_time: Duration,
    /// Its oldest request.
    pub(super) arrival: Ticket,
    pub(super) tenant: usize,
}

impl Ready {
    pub(super) fn clock(&self) -> Duration {
        self.clock
    }

    /// Advances the clock to `time`; it never goes back.
    pub(super) fn advance(&mut self, time: Duration) {
        if time > self.clock {
            self.clock = time;
            self.pooled.let_in(time);
            self.dedicated.let_in(time);
        }
    }

    /// Advances the clock by the share of `given` of a tenant of weight 1, where the weights of the
    /// active tenants sum up to so many hundredths.
    pub(super) fn give(&mut self, given: Duration, hundredths: u64) {
        self.advance(self.clock + share(given, hundredths));
    }

    /// Lets the clock follow the first tenant if none waits within the burst.
    pub(super) fn catch_up(&mut self) {
        if self.pooled.within.is_empty()
            && self.dedicated.within.is_empty()
            && let Some(least) = self.first_ahead()
        {
            self.advance(least.saturating_sub(BURST));
        }
    }

    pub(super) fn insert(&mut self, place: Place) {
        let clock = self.clock;
        let Place { virtual_time, arrival, tenant, .. } = place;
        let order = self.order(place.dedicated);
        match virtual_time <= clock + BURST {
            true => order.within.insert((arrival, tenant)),
            false => order.ahead.insert((virtual_time, arrival, tenant)),
        };
    }

    pub(super) fn remove(&mut self, place: Place) {
        let Place { virtual_time, arrival, tenant, .. } = place;
        let order = self.order(place.dedicated);
        if !order.ahead.remove(&(virtual_time, arrival, tenant)) {
            order.within.remove(&(arrival, tenant));
        }
    }

    /// Returns the first tenant.
    pub(super) fn first(&self) -> Option<usize> {
        let within = first_of(self.pooled.within.first(), self.dedicated.within.first());
        within.map(|(_, tenant)| *tenant).or_else(|| {
            let ahead = first_of(self.pooled.ahead.first(), self.dedicated.ahead.first());
            ahead.map(|(_, _, tenant)| *tenant)
        })
    }

    /// Returns the dedicated tenants whose debt is within the burst, in their order; if there is
    /// none, those ahead.
    pub(super) fn dedicated_in_turn(&self) -> impl Iterator<Item = usize> {
        let Order { within, ahead } = &self.dedicated;
        let ahead = ahead.iter().filter(|_| within.is_empty());
        within.iter().map(|(_, tenant)| *tenant).chain(ahead.map(|(_, _, tenant)| *tenant))
    }

    /// Returns the first tenant that accepts any connection.
    pub(super) fn first_pooled(&self) -> Option<usize> {
        let Order { within, ahead } = &self.pooled;
        within.first().map(|(_, tenant)| *tenant).or_else(|| Some(ahead.first()?.2))
    }

    fn first_ahead(&self) -> Option<Duration> {
        let first = first_of(self.pooled.ahead.first(), self.dedicated.ahead.first());
        first.map(|(virtual_time, ..)| *virtual_time)
    }

    fn order(&mut self, dedicated: bool) -> &mut Order {
        if dedicated { &mut self.dedicated } else { &mut self.pooled }
    }
}

impl Order {
    /// Admits tenants whose debt is now within the burst.
    fn let_in(&mut self, clock: Duration) {
        while let Some((virtual_time, arrival, tenant)) = self.ahead.first().copied()
            && virtual_time <= clock + BURST
        {
            self.ahead.pop_first();
            self.within.insert((arrival, tenant));
        }
    }
}

impl Place {
    pub(super) fn new(
        class: Class,
        virtual_time: Duration,
        arrival: Ticket,
        tenant: usize,
    ) -> Self {
        Self { dedicated: class.keeps_connections(), virtual_time, arrival, tenant }
    }
}

fn first_of<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
