use std::collections::{HashMap, hash_map::Entry};

use super::lsn::{History, Lsn};
use crate::tenant::TenantId;

/// The positions at which replicas have to be for the reads of each tenant.
///
/// A tenant that is not known has to be asked for, so entries can be dropped at any time. Those that
/// hold connections are few, and are never dropped.
#[derive(Debug)]
pub(in crate::pool) struct Marks<T> {
    tenants: HashMap<TenantId, Mark<T>>,
    /// The number of leases of each tenant that are in the application's hands.
    open: HashMap<TenantId, usize>,
    /// Number of the last write of any tenant.
    writes: u64,
    /// Number of the last write that may concern every tenant.
    write_for_all: u64,
}

#[derive(Debug)]
struct Mark<T> {
    /// Number of the tenant's last write.
    write: u64,
    /// The position after a write, and the number of that.
    known: Option<(u64, History, Lsn)>,
    /// What belongs to the tenant.
    with: T,
}

/// What the next read of a tenant needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum Need {
    /// The position of the primary after this write.
    After(u64),
    /// A replica at this position.
    At(Lsn),
}

/// The number of tenants that are known at a time.
const MOST: usize = 50_000;

impl<T> Default for Marks<T> {
    fn default() -> Self {
        Self { tenants: HashMap::new(), open: HashMap::new(), writes: 0, write_for_all: 0 }
    }
}

impl<T> Marks<T> {
    /// Records that a tenant may have written something.
    pub(in crate::pool) fn wrote(&mut self, tenant: &TenantId) {
        self.writes += 1;
        if let Some(mark) = self.tenants.get_mut(tenant) {
            mark.write = self.writes;
        }
    }

    /// Records that something may have been written for any tenant.
    pub(in crate::pool) fn wrote_for_all(&mut self) {
        self.writes += 1;
        self.write_for_all = self.writes;
    }

    /// Records that a connection of the tenant is in the application's hands: it may write at any time.
    pub(in crate::pool) fn opened(&mut self, tenant: &TenantId) {
        *self.open.entry(tenant.clone()).or_default() += 1;
    }

    /// Records the end of a lease that was [opened](Self::opened).
    pub(in crate::pool) fn closed(&mut self, tenant: &TenantId) {
        if let Entry::Occupied(mut open) = self.open.entry(tenant.clone()) {
            *open.get_mut() = open.get().saturating_sub(1);
            if *open.get() == 0 {
                open.remove();
            }
        }
        self.wrote(tenant);
    }

    /// Returns what belongs to a tenant. If there is nothing that suits, it is made anew, and nothing is
    /// known of the tenant.
    pub(in crate::pool) fn with(
        &mut self,
        tenant: &TenantId,
        suits: impl FnOnce(&T) -> bool,
        make: impl FnOnce() -> T,
    ) -> &T {
        if self.tenants.get(tenant).is_none_or(|mark| !suits(&mark.with)) {
            if self.tenants.len() >= MOST {
                self.tenants.clear();
            }
            self.writes += 1;
            let mark = Mark { write: self.writes, known: None, with: make() };
            self.tenants.insert(tenant.clone(), mark);
        }
        &self.tenants[tenant].with
    }

    /// Returns what a read of a tenant needs in this history.
    pub(in crate::pool) fn need(&self, tenant: &TenantId, history: Option<History>) -> Need {
        let Some(mark) = self.tenants.get(tenant) else { return Need::After(0) };
        let last = mark.write.max(self.write_for_all);
        match mark.known {
            Some((write, of, lsn))
                if write == last && Some(of) == history && !self.open.contains_key(tenant) =>
            {
                Need::At(lsn)
            }
            _ => Need::After(last),
        }
    }

    /// Records the position of the primary after a write.
    pub(in crate::pool) fn learned(
        &mut self,
        tenant: &TenantId,
        write: u64,
        history: History,
        lsn: Lsn,
    ) {
        if let Some(mark) = self.tenants.get_mut(tenant)
            && mark.known.is_none_or(|(known, ..)| known <= write)
        {
            mark.known = Some((write, history, lsn));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: History = History { system: 7, timeline: 1 };
    const TWO: History = History { system: 7, timeline: 2 };

    fn id(nth: usize) -> TenantId {
        TenantId::parse(&format!("t{nth}")).expect("an id")
    }

    fn known(marks: &mut Marks<u8>, tenant: &TenantId) {
        marks.with(tenant, |_| true, || 0);
    }

    /// Returns the write whose position a read has to ask for.
    fn asks(marks: &Marks<u8>, tenant: &TenantId) -> Option<u64> {
        match marks.need(tenant, Some(ONE)) {
            Need::After(write) => Some(write),
            Need::At(_) => None,
        }
    }

    #[test]
    fn the_first_read_asks_and_later_ones_do_until_the_next_write() {
        let (mut marks, acme) = (Marks::default(), id(1));
        known(&mut marks, &acme);
        let write = asks(&marks, &acme).expect("nothing is known");
        marks.learned(&acme, write, ONE, Lsn::new(5));
        assert_eq!(marks.need(&acme, Some(ONE)), Need::At(Lsn::new(5)));
        assert!(matches!(marks.need(&acme, Some(TWO)), Need::After(_)), "of another history");
        marks.wrote(&id(2));
        assert_eq!(asks(&marks, &acme), None);
        marks.wrote(&acme);
        let write = asks(&marks, &acme).expect("it has written");
        marks.learned(&acme, write, ONE, Lsn::new(6));
        assert_eq!(marks.need(&acme, Some(ONE)), Need::At(Lsn::new(6)));
        marks.wrote_for_all();
        let write = asks(&marks, &acme).expect("something was written for all");
        marks.learned(&acme, write, ONE, Lsn::new(7));
        assert_eq!(marks.need(&acme, Some(ONE)), Need::At(Lsn::new(7)));
    }

    #[test]
    fn a_write_while_the_primary_is_asked_is_not_forgotten() {
        let (mut marks, acme) = (Marks::default(), id(1));
        known(&mut marks, &acme);
        let write = asks(&marks, &acme).unwrap();
        marks.wrote(&acme);
        marks.learned(&acme, write, ONE, Lsn::new(5));
        let later = asks(&marks, &acme).expect("there was another write");
        marks.learned(&acme, later, ONE, Lsn::new(9));
        marks.learned(&acme, write, ONE, Lsn::new(5));
        assert_eq!(marks.need(&acme, Some(ONE)), Need::At(Lsn::new(9)), "a late answer");
    }

    #[test]
    fn a_lease_may_write_until_it_ends() {
        let (mut marks, acme) = (Marks::default(), id(1));
        marks.opened(&acme);
        marks.opened(&acme);
        known(&mut marks, &acme);
        for _ in 0..2 {
            let write = asks(&marks, &acme).expect("it is open");
            marks.learned(&acme, write, ONE, Lsn::new(5));
            assert!(asks(&marks, &acme).is_some());
            marks.closed(&acme);
        }
        let write = asks(&marks, &acme).expect("it may have written");
        marks.learned(&acme, write, ONE, Lsn::new(6));
        assert_eq!(asks(&marks, &acme), None);
        assert!(marks.open.is_empty());
    }

    #[test]
    fn what_no_longer_suits_is_made_anew() {
        let (mut marks, acme) = (Marks::default(), id(1));
        assert_eq!(*marks.with(&acme, |_| true, || 1), 1);
        let write = asks(&marks, &acme).unwrap();
        marks.learned(&acme, write, ONE, Lsn::new(5));
        assert_eq!(*marks.with(&acme, |with| *with == 1, || 2), 1);
        assert_eq!(*marks.with(&acme, |with| *with == 2, || 2), 2);
        assert!(asks(&marks, &acme).is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let mut marks = Marks::default();
        (0..MOST + 10).for_each(|nth| known(&mut marks, &id(nth)));
        assert!(marks.tenants.len() <= MOST);
        assert!(asks(&marks, &id(0)).is_some());
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Write,
        WriteForAll,
        Open,
        Close,
        /// Begins to ask the primary.
        Ask,
        /// The answer to the oldest question comes.
        Answer,
        Forget,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        use Step::*;
        let step = prop_oneof![
            Just(Write),
            Just(WriteForAll),
            Just(Open),
            Just(Close),
            Just(Ask),
            Just(Answer),
            Just(Forget)
        ];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        /// A read that does not ask requires at least the position of the last write.
        #[test]
        fn no_read_is_ahead_of_a_write(steps in steps()) {
            let (mut marks, acme) = (Marks::default(), id(1));
            let (mut log, mut written, mut open) = (0, 0, 0_usize);
            let mut questions = std::collections::VecDeque::new();
            for step in steps {
                log += 1;
                match step {
                    Step::Write => { written = log; marks.wrote(&acme); }
                    Step::WriteForAll => { written = log; marks.wrote_for_all(); }
                    Step::Open => { open += 1; marks.opened(&acme); }
                    Step::Close if open > 0 => { open -= 1; written = log; marks.closed(&acme); }
                    Step::Ask => {
                        known(&mut marks, &acme);
                        if let Some(write) = asks(&marks, &acme) {
                            questions.push_back((write, Lsn::new(log)));
                        }
                    }
                    Step::Answer => if let Some((write, lsn)) = questions.pop_front() {
                        marks.learned(&acme, write, ONE, lsn);
                    }
                    Step::Forget => { marks.with(&acme, |_| false, || 0); }
                    Step::Close => {}
                }
                if open > 0 {
                    // A statement on it may just have been committed.
                    written = log;
                }
                if let Need::At(lsn) = marks.need(&acme, Some(ONE)) {
                    prop_assert!(lsn >= Lsn::new(written), "{lsn} {written}");
                }
            }
        }
    }
}
