//! Keeps two tenants from having the same key.

use std::sync::Arc;

use super::super::Provisioner;
use crate::{
    catalog::Site,
    error::{Error, ErrorKind},
    tenant::{TenantId, TenantRecord},
};

impl Provisioner {
    /// Returns the record of a new tenant with the key of its rows, which the catalog can then keep unique: `42` and
    /// `042` are two ids and one `bigint`, and a renamed tenant keeps the key that was its id.
    ///
    /// # Errors
    ///
    /// [`Placement`](ErrorKind::Placement) if the key is that of a tenant whose record has none, because it is the id.
    pub(in crate::provision) async fn with_key_on_record(
        &self,
        record: TenantRecord,
        site: &Site,
    ) -> Result<TenantRecord, Error> {
        let Some(of) = &site.rows else { return Ok(record) };
        if let Ok(other) = TenantId::parse(&of.key)
            && other != record.id
            && self.has_spot(&other, site).await?
        {
            let attempted =
                format!("its key {:?} is that of tenant {other}: choose another key", of.key);
            return Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id));
        }
        Ok(TenantRecord { key: Some(Arc::clone(&of.key)), ..record })
    }

    /// Returns `true` if a tenant with this id has the rows of a site.
    async fn has_spot(&self, id: &TenantId, site: &Site) -> Result<bool, Error> {
        match self.fleet.record(id).await {
            Ok(other) => {
                Ok(self.site_of_any(&other).is_ok_and(|other| other.spot() == site.spot()))
            }
            Err(error) if error.kind() == ErrorKind::UnknownTenant => Ok(false),
            Err(error) => Err(error),
        }
    }
}
