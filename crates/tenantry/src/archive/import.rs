//! Creates a tenant from an archive.

use std::path::Path;

use tokio::time::Instant;

use super::{Archiver, ImportOptions, ImportReport, open::Opened};
use crate::{
    clone::Copied,
    error::{Error, ErrorKind},
    provision::Imported,
    tenant::TenantId,
};

impl Archiver {
    pub(super) async fn import_now(
        &self,
        from: &Path,
        id: &TenantId,
        options: &ImportOptions,
    ) -> Result<ImportReport, Error> {
        let began = Instant::now();
        let opened = Opened::open(from).await?;
        opened.check().await?;
        let packed = opened.packed().await?;
        let manifest = opened.manifest;
        // The rows have the key of the archived tenant.
        let has_keys = self.fleet.lookup().isolations().has_rows();
        let key = manifest.key.filter(|key| has_keys && **key != *id.as_str());
        let imported =
            self.provisioner.import(id, &packed, options.create(key), &options.copying()).await;
        let Imported { site, copied } = imported.map_err(|error| match error.kind() {
            ErrorKind::Clone => {
                let attempted = "importing the archive: the new schema is not what was archived";
                Error::new(ErrorKind::Archive, attempted).with_source(error)
            }
            _ => error,
        })?;
        let Copied { objects, tables, remarks, .. } = copied;
        let archived = manifest.remarks.iter().map(ToString::to_string);
        Ok(ImportReport {
            tenant_id: id.clone(),
            server: site.home.server().into(),
            schema: site.schema.as_str().into(),
            archived_tenant_id: manifest.tenant_id,
            objects,
            tables,
            remarks: archived.chain(remarks).collect(),
            duration: began.elapsed(),
        })
    }
}
