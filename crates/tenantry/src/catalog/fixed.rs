use std::collections::{HashMap, hash_map::Entry};

use super::{Answer, Ask, Catalog, placing::Isolations};
use crate::{
    error::{Error, ErrorKind},
    tenant::{Ident, Isolation, TenantId, TenantRecord},
};

/// A catalog with a fixed list of tenants.
///
/// # Examples
///
/// ```
/// use tenantry::{FixedCatalog, TenantId, TenantRecord};
///
/// let ids = ["acme", "globex"].map(TenantId::parse);
/// let catalog: FixedCatalog =
///     ids.into_iter().map(|id| id.map(TenantRecord::new)).collect::<Result<_, _>>()?;
/// # Ok::<(), tenantry::ParseTenantIdError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct FixedCatalog(Vec<TenantRecord>);

impl FixedCatalog {
    /// Creates a catalog of these tenants.
    pub fn new(tenants: impl IntoIterator<Item = TenantRecord>) -> Self {
        Self(tenants.into_iter().collect())
    }
}

impl FromIterator<TenantRecord> for FixedCatalog {
    fn from_iter<I: IntoIterator<Item = TenantRecord>>(tenants: I) -> Self {
        Self::new(tenants)
    }
}

impl Catalog for FixedCatalog {
    fn lists_new(&self) -> bool {
        false
    }

    fn resolve<'a>(&'a self, _: Ask<'a>, id: &'a TenantId) -> Answer<'a, Option<TenantRecord>> {
        let record = self.0.iter().find(|record| record.id == *id).cloned();
        Box::pin(std::future::ready(Ok(record)))
    }

    fn list<'a>(&'a self, _: Ask<'a>) -> Answer<'a, Vec<TenantRecord>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }

    fn takes_connections(&self) -> bool {
        false
    }

    fn check(&self, isolation: &Isolation) -> Result<(), Error> {
        let isolations = Isolations::new(isolation.clone(), Vec::new());
        // Only whether two tenants have the same place is of interest.
        let public = Ident::parse("public").expect("the name is an identifier");
        let mut holders = HashMap::new();
        let mut ids = HashMap::new();
        for record in &self.0 {
            if ids.insert(&record.id, ()).is_some() {
                return Err(Error::new(
                    ErrorKind::Config,
                    "the fixed catalog lists a tenant twice",
                )
                .with_tenant(&record.id));
            }
            let spot = isolations.place(record, &public)?.spot().clone();
            match holders.entry(spot) {
                Entry::Vacant(free) => drop(free.insert(&record.id)),
                Entry::Occupied(taken) => return Err(collision(&record.id, taken.get())),
            }
        }
        Ok(())
    }
}

pub(super) fn collision(id: &TenantId, holder: &TenantId) -> Error {
    Error::new(ErrorKind::Placement, format!("its container already belongs to tenant {holder}"))
        .with_tenant(id)
}
