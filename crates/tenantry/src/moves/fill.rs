//! Copies everything to the target, in one transaction there, and compares it with the source.

use sqlx::PgConnection;

use super::{
    MoveMethod, MoveStage,
    attempts::Attempt,
    ended::ended,
    ends::Ends,
    failure::Failure,
    progress::Teller,
    unforced::{force, lift},
};
use crate::{
    clone::{
        CloneOptions, CloneProgress, CloneStage, ClonedTable, Copied, Copying, Ends as Way, Plan,
        Source, contents, different, in_snapshot_sql,
    },
    db::TenantTransaction,
    error::{Error, ErrorKind},
    pool::grant,
    provision::{Provisioner, distribute},
    reading::read_once,
    rows::ExportOptions,
    schema::{SchemaModel, read::Subject},
    sql::Sql,
    tenant::{Ident, IsolationKind},
};

/// What is copied: a schema that does not change any more.
pub(super) struct Frozen<'a> {
    pub(super) model: &'a SchemaModel,
    /// Its name on the source.
    pub(super) kept_as: &'a Ident,
    pub(super) verify: bool,
    /// How its rows get to the target.
    pub(super) method: MoveMethod,
}

/// Limits of what waits for locks while requests wait. Autovacuum gives way after `deadlock_timeout`, 1 s by default.
const LIMITS: &str = "set local lock_timeout = '2s'; set local statement_timeout = '10s'";

const READERS: &str = "waiting for transactions that have read the tenant's tables and are open";

/// Copies the frozen schema to the target, or what its rows have not brought there. If this fails, nothing changes
/// there.
pub(super) async fn fill(
    ends: &Ends,
    frozen: &Frozen<'_>,
    attempt: Attempt<'_>,
    teller: &Teller,
) -> Result<Copied, Failure> {
    let Ends { source, target, to_schema, .. } = ends;
    let from =
        Subject { schema: frozen.kept_as.clone(), role: ends.subject_at_source().await?.role };
    let to = ends.subject_at_target().await?;
    let told = teller.clone();
    let options = CloneOptions::default()
        .data(true)
        .on_progress(move |copy| told.tell(MoveStage::Fenced, false, Some(copy)));
    let plan = planned(ends, frozen.model, &options, &to)?;
    let way = Way { from: &from, model: frozen.model, to: &to };
    let lease = source.lease_for(&source.site_of(frozen.kept_as)).await?;
    let mut reader = TenantTransaction::open(lease).await?;
    let mut sql = Sql::default();
    in_snapshot_sql(&mut sql);
    sql.text("set local search_path to pg_catalog; ").text(LIMITS);
    sqlx::raw_sql(sql.finish()).execute(&mut *reader).await?;
    let lease = target.lease_for(&target.site_of(to_schema)).await?;
    let mut writer = TenantTransaction::open(lease).await?;
    let path = &source.site_of(frozen.kept_as).occupant.binding.search_path;
    let copying = async {
        // Only transactions that have read still use the tables.
        lift(&mut reader, frozen.kept_as)
            .await
            .map_err(|error| Failure::of_locks(error, READERS))?;
        let mut source = Source { conn: &mut reader, path };
        let copying = Copying::new(way, &plan, &options, None);
        let copied = match frozen.method {
            MoveMethod::Replication => copying.completing(&mut source, &mut writer).await?,
            _ => copying.unchanging(Some(&mut source), &mut writer).await?,
        };
        if frozen.verify {
            let lifted = lift(&mut writer, to_schema).await?;
            compare(&plan, (&mut reader, &from), (&mut writer, &to)).await?;
            force(&mut writer, to_schema, &lifted).await?;
        }
        distribute(target, &mut writer, to_schema).await?;
        match frozen.method {
            MoveMethod::Replication => attempt.on_target().lock(&mut writer).await?,
            _ => own(ends, attempt, &mut writer).await?,
        }
        Ok(copied)
    };
    let copied: Result<Copied, Failure> = copying.await;
    drop(reader.rollback().await);
    ended(target, writer, copied).await
}

/// Plans a copy of everything.
pub(super) fn planned(
    ends: &Ends,
    model: &SchemaModel,
    options: &CloneOptions,
    to: &Subject,
) -> Result<Plan, Error> {
    let plan = Plan::new(model, options, &to.schema, to.role.as_ref())
        .map_err(|wrong| Error::new(ErrorKind::Move, "planning the copy").with_source(wrong))?;
    Ok(if ends.has_own_schema() { plan.in_existing_schema() } else { plan })
}

/// Creates the empty schema on the target, and takes that back.
pub(super) async fn try_out(ends: &Ends) -> Result<(), Failure> {
    let from = ends.subject_at_source().await?;
    let model = read_once(&ends.source, &from).await?;
    let to = ends.subject_at_target().await?;
    let options = CloneOptions::default().data(true);
    let plan = planned(ends, &model, &options, &to)?;
    let way = Way { from: &from, model: &model, to: &to };
    let lease = ends.target.lease_for(&ends.target.site_of(&to.schema)).await?;
    let mut tx = TenantTransaction::open(lease).await?;
    let tried = Copying::new(way, &plan, &options, None).unchanging(None, &mut tx).await;
    drop(tx.rollback().await);
    Ok(tried.map(drop)?)
}

/// Copies the rows of the tenant from a schema on the source into tables that exist on the target. If this fails, nothing
/// changes there.
pub(super) async fn fill_rows(
    ends: &Ends,
    schema: &Ident,
    attempt: Attempt<'_>,
    (verify, stage, teller): (bool, MoveStage, &Teller),
) -> Result<Copied, Failure> {
    let Ends { target, to_schema, .. } = ends;
    let (from, to) = (ends.rows_at_source(schema)?, ends.rows_at_target()?);
    let rows = ends.rows_of_source(&from);
    let told = teller.clone();
    let options = ExportOptions::default().on_progress(move |of| {
        let progress = CloneProgress {
            stage: CloneStage::Rows,
            table: Some(of.table),
            tables: of.tables,
            tables_total: of.tables_total,
            rows: of.rows,
            bytes: of.bytes,
        };
        told.tell(stage, false, Some(&progress));
    });
    let (moved, mut writer) = rows.pass_to(ends.rows_of_target(&to), verify, &options).await?;
    let written = async {
        if let Some(what) = moved.different {
            let attempted = format!("the copy differs from its source: {what}");
            return Err(Error::new(ErrorKind::Move, attempted).into());
        }
        match ends.target_kind() {
            IsolationKind::Row => {
                refuse_sharer(ends).await?;
                // What is undone are the rows with the tenant's key.
                attempt.on_target().note(&mut writer, to_schema).await
            }
            _ => attempt.on_target().lock(&mut writer).await,
        }
    };
    let written = written.await;
    ended(target, writer, written).await?;
    let tables = moved.tables.into_iter();
    let tables = tables.map(|of| ClonedTable { name: of.table.to_string(), rows: of.rows });
    let remarks = Vec::new();
    Ok(Copied { objects: 0, tables: tables.collect(), anonymized: None, remarks })
}

/// Refuses to share a key in the tables of the target with a tenant that was created since the move began. From now on, the
/// lock of the key keeps others out.
pub(super) async fn refuse_sharer(ends: &Ends) -> Result<(), Error> {
    let to = ends.rows_at_target()?;
    match ends.rows_of_target(&to).sharer(&ends.control).await? {
        None => Ok(()),
        Some(other) => {
            let attempted = format!("its key is also the key of tenant {other}");
            Err(Error::new(ErrorKind::Move, attempted))
        }
    }
}

/// Compares the content of all tables, on both servers at the same time.
async fn compare(
    plan: &Plan,
    (reader, from): (&mut PgConnection, &Subject),
    (writer, to): (&mut PgConnection, &Subject),
) -> Result<(), Error> {
    let (source, copy) = futures_util::future::try_join(
        contents(reader, plan, from, to),
        contents(writer, plan, to, to),
    )
    .await?;
    match different(&source, &copy) {
        None => Ok(()),
        Some(what) => {
            let attempted = format!("the copy differs from its source: {what}");
            Err(Error::new(ErrorKind::Move, attempted))
        }
    }
}

/// Grants the tenant's role its privileges, and records that the schema belongs to the move.
pub(super) async fn own(
    ends: &Ends,
    attempt: Attempt<'_>,
    writer: &mut TenantTransaction,
) -> Result<(), Failure> {
    let Ends { target, to_schema, .. } = ends;
    if let Some(role) = target.role_of(&ends.site_at_target()).await? {
        let mut sql = Sql::default();
        grant(&mut sql, to_schema, &role);
        sqlx::raw_sql(sql.finish()).execute(&mut **writer).await?;
    }
    Provisioner::new(target.clone()).claim_name(writer, to_schema).await?;
    attempt.on_target().note(writer, to_schema).await
}
