use std::sync::Arc;

use super::{occupant::Occupant, scheduler::TenantKey};

/// Maps the scheduler's keys to occupants.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By the index of the key.
    named: Vec<Option<Named>>,
    /// Number of names given so far.
    given: u64,
}

#[derive(Debug)]
struct Named {
    key: TenantKey,
    occupant: Arc<Occupant>,
    /// Number of names given before this one.
    nth: u64,
    /// `true` if it only remains for its current leases and waiters.
    retired: bool,
}

/// Cursor of a reader that reads all names in pages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    next: usize,
    /// Later names are left out: a tenant whose name is removed and given again between two pages
    /// is listed once.
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

    /// Hides a name from the list until it is given again or removed.
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

    /// Starts reading all current names.
    pub(super) fn first_page(&self) -> Page {
        Page { next: 0, before: self.given }
    }

    /// Reads the names of a page of `places` places that are not retired. Returns the next page
    /// unless this is the last one.
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

        /// Names that come and go between two pages: those present all the time are read once, none
        /// is read twice, and no page exceeds its size.
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
                    // A place is reused by the same tenant or by another one.
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
