use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use crate::{
    pool::Occupant,
    tenant::{Ident, TenantId},
};

/// Which tenant has which container, for as long as the tenant is remembered or a handle of it is there.
#[derive(Default)]
pub(super) struct Holders(Mutex<Books>);

#[derive(Default)]
struct Books {
    holders: HashMap<Ident, Holder>,
    /// How many holders make it worth looking for those that are gone.
    sweep_at: usize,
}

/// Whoever uses a container: what is remembered of a tenant, and handles that are older.
struct Holder {
    newest: Weak<Occupant>,
    /// Usually none, so that a tenant takes no more memory than it has to.
    older: Vec<Weak<Occupant>>,
}

/// The fewest holders that are swept.
const FEW: usize = 128;

impl Holders {
    /// Returns the other tenant that has the container.
    pub(super) fn rival(&self, container: &Ident, id: &TenantId) -> Option<TenantId> {
        self.0.lock().rival(container, id)
    }

    /// Notes the holder of a container, unless there is another one than the one that has `gone`.
    pub(super) fn claim(
        &self,
        container: &Ident,
        id: &TenantId,
        occupant: &Arc<Occupant>,
        gone: Option<&TenantId>,
    ) -> Result<(), TenantId> {
        let mut books = self.0.lock();
        if let Some(rival) = books.rival(container, id)
            && Some(&rival) != gone
        {
            return Err(rival);
        }
        books.sweep();
        let before =
            books.holders.remove(container).filter(|before| before.id().as_ref() == Some(id));
        let older =
            before.into_iter().flat_map(|before| before.older.into_iter().chain([before.newest]));
        let older = older.filter(is_there).collect();
        let holder = Holder { newest: Arc::downgrade(occupant), older };
        books.holders.insert(container.clone(), holder);
        Ok(())
    }
}

impl Books {
    fn rival(&self, container: &Ident, id: &TenantId) -> Option<TenantId> {
        self.holders.get(container)?.id().filter(|holder| holder != id)
    }

    /// Lets go of holders that are gone, each time that as many have come as there were: so there are
    /// never more than twice as many as are in use, at a constant cost for each.
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
        self.older.iter().chain([&self.newest])
    }

    /// Returns the tenant that has the container, while anything of it is there.
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
        tenant::Binding,
    };

    fn occupant(id: &TenantId) -> Arc<Occupant> {
        let id = OccupantId::Tenant(id.clone());
        Arc::new(Occupant::new(id, Class::Pooled, Binding::library()))
    }

    fn names(n: usize) -> (TenantId, Ident) {
        (TenantId::parse(&format!("t{n}")).unwrap(), Ident::parse(&format!("s{n}")).unwrap())
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
