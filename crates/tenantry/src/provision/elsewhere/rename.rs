//! Renames a tenant elsewhere: its container keeps its name.

use super::super::{Provisioner, commit::roll_back};
use crate::{
    catalog::{CatalogChange, Site},
    error::Error,
    tenant::TenantRecord,
};

impl Provisioner {
    /// Changes the id in the catalog, which records the names of the database and the schema, and the key of rows, if
    /// these followed from the id.
    pub(in crate::provision) async fn rename_elsewhere(
        &self,
        before: &TenantRecord,
        after: &TenantRecord,
        site: &Site,
    ) -> Result<(), Error> {
        let has_schema = site.rows.is_none() && site.home.database().is_none();
        let after = TenantRecord {
            container: has_schema.then(|| site.schema.clone()).or(after.container.clone()),
            database: site.home.database().cloned().or(after.database.clone()),
            ..after.clone()
        };
        let (from, to) = (&before.id, &after.id);
        let _forget = self.fleet.forget_after(vec![from.clone(), to.clone()]);
        let there = self.fleet.at(&site.home);
        let _gate = there.server().close_gate(from);
        let mut tx = self.begin_shared().await?;
        let change = CatalogChange::Renamed { from, to: &after };
        if let Err(error) = self.fleet.write(&mut tx, change).await {
            return Err(roll_back(tx, error).await.with_tenant_unless_named(from));
        }
        let committed = self.commit(tx).await;
        // The outcome of a failed commit is unknown, so later lookups read the current state.
        match &committed {
            Ok(()) => self.fleet.retire(before),
            Err(_) => self.fleet.forget(from),
        }
        self.fleet.forget(to);
        committed.map_err(|error| error.with_tenant(from))
    }
}
