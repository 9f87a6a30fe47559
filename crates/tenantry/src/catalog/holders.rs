use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::SystemTime,
};

use parking_lot::Mutex;

use crate::{
    pool::Occupant,
    tenant::{Spot, TenantId},
};

/// Maps containers, or keys in the tables of all tenants, to tenants, while a tenant is cached or a
/// handle of it exists.
#[derive(Default)]
pub(super) struct Holders(Mutex<Books>);

#[derive(Default)]
struct Books {
    holders: HashMap<Spot, Holder>,
    /// Number of holders at which unused ones are swept.
    sweep_at: usize,
}

/// The users of a spot: the cached tenant, and older handles.
struct Holder {
    newest: Weak<Occupant>,
    /// What few holders have, so that the others take no memory for it.
    rest: Option<Box<Rest>>,
}

#[derive(Default)]
struct Rest {
    /// When the tenant was created, if that was told.
    created_at: Option<SystemTime>,
    older: Vec<Weak<Occupant>>,
}

/// Minimum number of holders for a sweep.
const FEW: usize = 128;

impl Holders {
    /// Returns the other tenant that has the spot.
    pub(super) fn rival(&self, spot: &Spot, id: &TenantId) -> Option<TenantId> {
        self.0.lock().rival(spot, id)
    }

    /// Invalidates every handle of the tenant that has the spot.
    pub(super) fn retire(&self, spot: &Spot) {
        if let Some(holder) = self.0.lock().holders.get(spot) {
            holder.all().filter_map(Weak::upgrade).for_each(|occupant| occupant.retire());
        }
    }

    /// Invalidates the handles of a tenant in the tables of all that was created at another time than the one which
    /// has its id and key now: no schema tells them apart.
    pub(super) fn retire_older(&self, spot: &Spot, id: &TenantId, created_at: SystemTime) {
        let mut books = self.0.lock();
        let holder = books.holders.get_mut(spot).filter(|holder| holder.id().as_ref() == Some(id));
        let Some(holder) = holder else { return };
        let before = holder.rest.as_ref().and_then(|rest| rest.created_at);
        if before.is_some_and(|before| before != created_at) {
            holder.all().filter_map(Weak::upgrade).for_each(|occupant| occupant.retire());
        }
        holder.rest.get_or_insert_default().created_at = Some(created_at);
    }

    /// Records the holder of a spot, unless there is another one than the one that is `gone`.
    pub(super) fn claim(
        &self,
        spot: &Spot,
        id: &TenantId,
        occupant: &Arc<Occupant>,
        gone: Option<&TenantId>,
    ) -> Result<(), TenantId> {
        let mut books = self.0.lock();
        if let Some(rival) = books.rival(spot, id)
            && Some(&rival) != gone
        {
            return Err(rival);
        }
        books.sweep();
        let before = books.holders.remove(spot);
        if let Some(gone) = before.as_ref().filter(|before| before.id().as_ref() != Some(id)) {
            // Handles of the tenant that is gone from here must not reach the next one's data.
            gone.all().filter_map(Weak::upgrade).for_each(|occupant| occupant.retire());
        }
        let before = before.filter(|before| before.id().as_ref() == Some(id));
        let rest = before.and_then(Holder::into_rest);
        books.holders.insert(spot.clone(), Holder { newest: Arc::downgrade(occupant), rest });
        Ok(())
    }
}

impl Books {
    fn rival(&self, spot: &Spot, id: &TenantId) -> Option<TenantId> {
        self.holders.get(spot)?.id().filter(|holder| holder != id)
    }

    /// Removes unused holders whenever their number has doubled: so there are never more than twice
    /// as many as are in use, at a constant amortized cost.
    fn sweep(&mut self) {
        if self.holders.len() < self.sweep_at.max(FEW) {
            return;
        }
        self.holders.retain(|_, holder| holder.is_there());
        self.holders.shrink_to(self.holders.len() * 2);
        self.sweep_at = self.holders.len() * 2;
    }
}

impl Holder {
    fn all(&self) -> impl Iterator<Item = &Weak<Occupant>> {
        let older = self.rest.iter().flat_map(|rest| &rest.older);
        older.chain([&self.newest])
    }

    /// Returns what is left of it once another occupant is the newest.
    fn into_rest(self) -> Option<Box<Rest>> {
        let Self { newest, rest } = self;
        let mut rest = rest.unwrap_or_default();
        rest.older.push(newest);
        rest.older.retain(is_there);
        (!rest.older.is_empty() || rest.created_at.is_some()).then_some(rest)
    }

    /// Returns the tenant that has the spot, while it is in use.
    fn id(&self) -> Option<TenantId> {
        self.all().find_map(Weak::upgrade)?.tenant().cloned()
    }

    fn is_there(&self) -> bool {
        self.all().any(is_there)
    }
}

fn is_there(occupant: &Weak<Occupant>) -> bool {
    occupant.strong_count() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        pool::{Class, OccupantId},
        tenant::{Binding, Ident, Placement},
    };

    fn occupant(id: &TenantId) -> Arc<Occupant> {
        let id = OccupantId::Tenant(id.clone());
        Arc::new(Occupant::new(id, Class::Pooled, Binding::library()))
    }

    fn names(n: usize) -> (TenantId, Spot) {
        let schema = Ident::parse(&format!("s{n}")).unwrap();
        (TenantId::parse(&format!("t{n}")).unwrap(), Placement::in_schema(schema).spot().clone())
    }

    #[test]
    fn keys_in_the_same_tables_are_spots_of_their_own() {
        let holders = Holders::default();
        let schema = Ident::parse("public").unwrap();
        let spot = |key: &str| Placement::in_rows(schema.clone(), key.into()).spot().clone();
        let ((one, _), (two, _)) = (names(1), names(2));
        let (first, second) = (occupant(&one), occupant(&two));
        assert_eq!(holders.claim(&spot("1"), &one, &first, None), Ok(()));
        assert_eq!(holders.claim(&spot("2"), &two, &second, None), Ok(()));
        assert_eq!(holders.claim(&spot("1"), &two, &second, None), Err(one.clone()));
        assert!(!first.is_retired());
        assert_eq!(holders.claim(&spot("1"), &two, &second, Some(&one)), Ok(()));
        assert!(first.is_retired(), "the key belongs to another tenant now");
        assert!(!second.is_retired());
    }

    #[test]
    fn a_container_is_held_while_anything_of_its_tenant_is_there() {
        let holders = Holders::default();
        let ((one, container), (two, _)) = (names(1), names(2));
        let (older, newer) = (occupant(&one), occupant(&one));
        for occupant in [&older, &newer] {
            assert_eq!(holders.claim(&container, &one, occupant, None), Ok(()));
        }
        let other = occupant(&two);
        assert_eq!(holders.claim(&container, &two, &other, None), Err(one.clone()));
        drop(newer);
        assert_eq!(holders.rival(&container, &two), Some(one.clone()), "an older handle is there");
        drop(older);
        assert_eq!(holders.rival(&container, &two), None);
        assert_eq!(holders.claim(&container, &two, &other, None), Ok(()));
        let back = occupant(&one);
        assert_eq!(holders.claim(&container, &one, &back, None), Err(two.clone()));
        assert_eq!(holders.claim(&container, &one, &back, Some(&two)), Ok(()));
        assert_eq!(holders.rival(&container, &two), Some(one));
    }

    #[test]
    fn no_more_is_noted_than_is_in_use() {
        let holders = Holders::default();
        let mut kept = Vec::new();
        for n in 0..50_000 {
            let (id, container) = names(n);
            let occupant = occupant(&id);
            assert_eq!(holders.claim(&container, &id, &occupant, None), Ok(()));
            if n % 100 == 0 {
                kept.push((n, occupant));
            }
        }
        let noted = holders.0.lock().holders.len();
        assert!(noted <= 2 * kept.len(), "{noted} are noted");
        for (n, _) in kept {
            let (_, container) = names(n);
            assert!(holders.rival(&container, &names(99_999).0).is_some());
        }
    }
}
