//! Writes an archive.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sqlx::Row;
use tokio::time::Instant;

use super::{
    Archiver, ExportOptions, ExportReport, FORMAT, Manifest,
    folder::NewFolder,
    manifest::{MANIFEST, VERSION, fingerprint, sums},
    open::{MODEL, STATEMENTS, SUMS},
};
use crate::{
    catalog::refuse_moving,
    clone::{Copying, Ends, FileWriter, PackedFile, Plan, ROWS, Source, in_snapshot_sql},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    fleet::Fleet,
    provision::refuse_unfinished,
    reading::{read_once, subject_of},
    schema::BeyondKind,
    sql::Sql,
    tenant::{IsolationKind, TenantId, TenantRecord},
};

impl Archiver {
    pub(super) async fn export_now(
        &self,
        id: &TenantId,
        to: &Path,
        options: &ExportOptions,
    ) -> Result<ExportReport, Error> {
        let began = Instant::now();
        let record = self.fleet.record(id).await?;
        let fleet = with_schema(&self.fleet, &record)?;
        let folder = NewFolder::create(to).await?;
        folder.add(ROWS).await?;
        let manifest = write(&fleet, &record, &folder, options).await?;
        folder.complete(ROWS).await?;
        Ok(ExportReport {
            tenant_id: id.clone(),
            path: to.to_owned(),
            manifest,
            duration: began.elapsed(),
        })
    }
}

/// Returns maintenance of the database of a tenant with a schema that does not change its place.
pub(super) fn with_schema(fleet: &Fleet, record: &TenantRecord) -> Result<Fleet, Error> {
    refuse_unfinished(record)?;
    refuse_moving(&record.id, record.state)?;
    let attempted = match fleet.lookup().isolations().kind_of(record) {
        IsolationKind::Schema => return fleet.at_tenant(record),
        IsolationKind::Row => {
            "archives, comparisons and merges are of tenants with a schema, and it is isolated by row: use \
             Provisioner::export_rows"
        }
        IsolationKind::Database => {
            "archives, comparisons and merges are of tenants with a schema, and it has its own database: use pg_dump"
        }
    };
    Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id))
}

/// Writes all files.
async fn write(
    fleet: &Fleet,
    record: &TenantRecord,
    folder: &NewFolder,
    options: &ExportOptions,
) -> Result<Manifest, Error> {
    let site = fleet.site(record)?;
    let subject = subject_of(fleet, &site).await?;
    let model = read_once(fleet, &subject).await?;
    let options = options.copying();
    let plan = Plan::new(&model, &options, &subject.schema, subject.role.as_ref());
    let plan = plan.map_err(|wrong| {
        Error::new(ErrorKind::Archive, "planning the export").with_source(wrong)
    })?;
    let lease = fleet.lease_for(&fleet.site_of(&site.schema)).await?;
    // A transaction that is dropped in the middle of a copy ends it.
    let mut tx = TenantTransaction::open(lease).await?;
    let mut sql = Sql::default();
    in_snapshot_sql(&mut sql);
    sql.text("set transaction read only; set local search_path to pg_catalog");
    sqlx::raw_sql(sql.finish()).execute(&mut *tx).await?;
    let exported_at = now()?;
    let ends = Ends { from: &subject, model: &model, to: &subject };
    let mut source = Source { conn: &mut tx, path: &site.occupant.binding.search_path };
    let packed = Copying::new(ends, &plan, &options, None).pack(&mut source, folder.path()).await;
    let version = "select pg_catalog.current_setting('server_version')";
    let server_version = match packed.is_ok() {
        true => sqlx::raw_sql(version).fetch_one(&mut *tx).await?.try_get::<String, _>(0)?,
        false => String::new(),
    };
    drop(tx.rollback().await);
    let (tables, sequences) = packed?;
    let not_carried = model.beyond.iter().filter(|fact| fact.what != BeyondKind::NotPopulated);
    let remarks = not_carried.map(|fact| format!("not archived: {fact}").into()).collect();
    let placement = fleet.lookup().place(record)?;
    let manifest = Manifest {
        format: FORMAT,
        tenantry_version: VERSION.into(),
        server_version: server_version.into(),
        exported_at,
        tenant_id: record.id.as_str().into(),
        server: placement.server().into(),
        schema: subject.schema.as_str().into(),
        epoch: record.epoch,
        state: record.state.as_str().into(),
        role: model.role.as_deref().map(Arc::from),
        key: fleet.lookup().isolations().key(record).map(|key| key.value),
        attributes: record.attributes.clone(),
        fingerprint: fingerprint(&model).map_err(unwritable)?,
        model: file(folder, MODEL, &serde_json::to_vec_pretty(&model).map_err(unwritable)?).await?,
        statements: file(folder, STATEMENTS, model.ddl(&subject.schema).as_bytes()).await?,
        tables,
        sequences,
        remarks,
    };
    let text = serde_json::to_vec_pretty(&manifest).map_err(unwritable)?;
    let own = file(folder, MANIFEST, &text).await?;
    file(folder, SUMS, sums(&manifest, &own.sha256).as_bytes()).await?;
    Ok(manifest)
}

/// Returns the time, to the millisecond, as the manifest has it.
fn now() -> Result<SystemTime, Error> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since
        .map_err(|error| Error::new(ErrorKind::Archive, "reading the clock").with_source(error))?;
    Ok(UNIX_EPOCH + Duration::new(since.as_secs(), since.subsec_millis() * 1_000_000))
}

async fn file(folder: &NewFolder, name: &str, content: &[u8]) -> Result<PackedFile, Error> {
    let mut file = FileWriter::create(folder.path(), name.to_owned()).await?;
    file.write(content).await?;
    file.end().await
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Archive, "writing the archive").with_source(error)
}
