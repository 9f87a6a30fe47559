//! Renames a tenant that is isolated by row: its rows keep their key.

use super::{
    super::{Provisioner, commit::roll_back},
    drop::{lock, locked},
};
use crate::{catalog::CatalogChange, error::Error, tenant::TenantRecord};

impl Provisioner {
    /// Changes the id in the catalog, which records the key from now on.
    pub(in crate::provision) async fn rename_rows(
        &self,
        before: &TenantRecord,
        after: &TenantRecord,
    ) -> Result<(), Error> {
        let site = self.fleet.site_of_rows(before)?;
        let (from, to) = (&before.id, &after.id);
        let _forget = self.fleet.forget_after(vec![from.clone(), to.clone()]);
        let _gate = self.fleet.server().close_gate(from);
        let mut tx = self.begin_shared().await?;
        let renamed = async {
            if !lock(&mut tx, &site, "pg_catalog.pg_try_advisory_xact_lock").await? {
                return Err(locked(&mut tx, &site).await);
            }
            self.fleet.write(&mut tx, CatalogChange::Renamed { from, to: after }).await
        };
        if let Err(error) = renamed.await {
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
