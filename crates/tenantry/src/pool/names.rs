use std::sync::Arc;

use super::{occupant::Occupant, scheduler::TenantKey};

/// Whom the scheduler's keys stand for.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By the index of the key.
    named: Vec<Option<Named>>,
    /// How many names were given so far.
    given: u64,
}

#[derive(Debug)]
struct Named {
    key: TenantKey,
    occupant: Arc<Occupant>,
    /// How many were given before.
    nth: u64,
    /// Whether it is only there for the leases and waiters that it still has.
    retired: bool,
}

/// How far somebody has come who reads all names, a few at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    next: usize,
    /// Names that are given later are left out: a tenant whose name is taken and given anew between
    /// two pages is in the list once.
    before: u64,
}

impl Names {
    pub(super) fn give(&mut self, key: TenantKey, occupant: Arc<Occupant>) {
        let index = key.index();
        if self.named.len() <= index {
            self.named.resize_with(index + 1, || None);
        }
        self.named[index] = Some(Named { key, occupant, nth: self.given, retired: false });
        self.given += 1;
    }

    /// Leaves a name out of the list, until it is given anew or taken.
    pub(super) fn retire(&mut self, key: TenantKey) -> Option<&Arc<Occupant>> {
        let named = self.named.get_mut(key.index())?.as_mut()?;
        named.retired = true;
        Some(&named.occupant)
    }

    pub(super) fn take(&mut self, key: TenantKey) -> Option<Arc<Occupant>> {
        self.named.get_mut(key.index())?.take().map(|named| named.occupant)
    }

    pub(super) fn get(&self, key: TenantKey) -> Option<&Arc<Occupant>> {
        self.named.get(key.index())?.as_ref().map(|named| &named.occupant)
    }

    /// Begins to read all names that there are now.
    pub(super) fn first_page(&self) -> Page {
        Page { next: 0, before: self.given }
    }

    /// Reads the names of a page that are not retired, which has `places` places, and returns the next page unless this is
    /// the last one.
    pub(super) fn read(
        &self,
        page: Page,
        places: usize,
        mut each: impl FnMut(TenantKey, &Arc<Occupant>),
    ) -> Option<Page> {
        let end = page.next.saturating_add(places).min(self.named.len());
        let named = self.named.get(page.next..end).unwrap_or_default().iter().flatten();
        for of in named.filter(|of| of.nth < page.before && !of.retired) {
            each(of.key, &of.occupant);
        }
        (end < self.named.len()).then_some(Page { next: end, ..page })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::occupant::OccupantId, *};
    use crate::{
        pool::Class,
        tenant::{Binding, TenantId},
    };

    fn occupant(nth: usize) -> Arc<Occupant> {
        let id = TenantId::parse(&format!("t{nth}")).expect("an id");
        Arc::new(Occupant::new(OccupantId::Tenant(id), Class::Pooled, Binding::library()))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Whoever comes and goes between two pages: those who were there all the time are read once,
        /// nobody is read twice, and no page is longer than it may be.
        #[test]
        fn everybody_who_stays_is_read_once(
            count in 1_usize..60,
            places in 1_usize..9,
            changes in prop::collection::vec((0_usize..80, any::<bool>()), 0..120),
        ) {
            let mut names = Names::default();
            (0..count).for_each(|nth| names.give(TenantKey::of_test(nth), occupant(nth)));
            let mut stayed: Vec<_> = (0..count).collect();
            let mut changes = changes.into_iter();
            let (mut page, mut read) = (Some(names.first_page()), Vec::new());
            while let Some(this) = page {
                let before = read.len();
                page = names.read(this, places, |_, occupant| read.push(occupant.id.clone()));
                prop_assert!(read.len() - before <= places);
                for (nth, again) in changes.by_ref().take(6) {
                    // A place is taken again by the same tenant, or by another one.
                    names.take(TenantKey::of_test(nth));
                    stayed.retain(|other| *other != nth);
                    let name = if again { nth } else { nth + 1_000 };
                    names.give(TenantKey::of_test(nth), occupant(name));
                }
            }
            let mut once = read.clone();
            once.sort_by_key(|id| format!("{id:?}"));
            once.dedup();
            prop_assert_eq!(once.len(), read.len(), "somebody was read twice");
            for nth in stayed {
                prop_assert!(read.contains(&occupant(nth).id), "t{} was not read", nth);
            }
        }
    }
}
