use std::{collections::BTreeSet, time::Duration};

/// The order in which tenants that wait are served.
///
/// Every tenant has a *virtual time*: the hold time that it has been charged so far. The one that
/// has been charged least comes first, which is deficit round-robin with the deficit kept as a
/// distance between virtual times: choosing costs O(log n) however deep in debt a tenant is, where a
/// round-robin ring would have to turn until the debt is paid.
///
/// Tenants at or above the soft cap stand behind all others.
#[derive(Debug, Default)]
pub(super) struct Ready {
    below_cap: BTreeSet<Place>,
    above_cap: BTreeSet<Place>,
    /// Virtual time of the pool: a tenant that begins to wait starts here at the earliest, so that
    /// nobody saves up a right to flood by being quiet.
    clock: Duration,
}

/// Where a tenant stands in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) virtual_time: Duration,
    pub(super) tenant: usize,
}

/// On which side of the soft cap a tenant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cap {
    Below,
    Above,
}

impl Ready {
    pub(super) fn clock(&self) -> Duration {
        self.clock
    }

    /// Moves the clock forward to `time`; it never goes back.
    pub(super) fn advance(&mut self, time: Duration) {
        self.clock = self.clock.max(time);
    }

    pub(super) fn insert(&mut self, cap: Cap, place: Place) {
        self.side(cap).insert(place);
    }

    pub(super) fn remove(&mut self, cap: Cap, place: Place) {
        self.side(cap).remove(&place);
    }

    /// Returns who comes first.
    pub(super) fn first(&self) -> Option<Place> {
        self.below_cap.first().or_else(|| self.above_cap.first()).copied()
    }

    /// Returns all, in the order in which they are served.
    pub(super) fn iter(&self) -> impl Iterator<Item = Place> {
        self.below_cap.iter().chain(&self.above_cap).copied()
    }

    fn side(&mut self, cap: Cap) -> &mut BTreeSet<Place> {
        match cap {
            Cap::Below => &mut self.below_cap,
            Cap::Above => &mut self.above_cap,
        }
    }
}
