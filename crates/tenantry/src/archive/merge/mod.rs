//! Merges chosen rows of one tenant into another.
//!
//! ```text
//!  source   rows in the order of the key ─┐
//!                                         ├─▶ what differs ─▶ temporary tables ─▶ one statement ─▶ constraints ─▶ commit
//!  target   rows in the order of the key ─┘                   of the target
//! ```

mod choice;
mod options;
mod report;
mod stage;

pub use options::MergeOptions;
pub use report::{MergeReport, MergedRow, RowMerge, TableMerge};
use tokio::time::Instant;

use self::{
    choice::{Choice, Choices},
    stage::{Stage, stage},
};
use super::{
    Archiver,
    diff::{Read, needs_connections},
    export::with_schema,
};
use crate::{
    clone::{
        Staged, Written, changed, export, hold_for_writing, in_snapshot_sql, keyed_tables, ready,
        unready, write,
    },
    db::TenantTransaction,
    error::{Error, ErrorKind},
    provision::Provisioner,
    sql::Sql,
    tenant::TenantId,
};

/// How often a merge is tried when other transactions change the same rows.
const ATTEMPTS: u32 = 3;

impl Archiver {
    pub(super) async fn merge_now(
        &self,
        [from, into]: [&TenantId; 2],
        options: &MergeOptions,
    ) -> Result<MergeReport, Error> {
        options.check(from, into)?;
        let began = Instant::now();
        let mut attempt = 1;
        loop {
            match self.merge_once([from, into], options).await {
                Ok(merged) => return Ok(MergeReport { duration: began.elapsed(), ..merged }),
                Err(error) if attempt < ATTEMPTS && is_of_others(&error) => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn merge_once(
        &self,
        [from, into]: [&TenantId; 2],
        options: &MergeOptions,
    ) -> Result<MergeReport, Error> {
        let source = Read::of(&self.fleet, from, options.copying()).await?;
        let target = Read::of(&self.fleet, into, options.copying()).await?;
        needs_connections(&source, &target, 2)?;
        let plans = (source.plan()?, target.plan()?);
        let tables = keyed_tables((&plans.0, &source.model), (&plans.1, &target.model));
        let choices = options.choose(&tables)?;
        let mut tx = target.transaction().await?;
        let work = Work { archiver: self, from, into, options, choices: &choices };
        match work.run(&source, &target, &mut tx).await {
            Ok(report) => {
                match options.dry_run {
                    true => tx.rollback().await?,
                    false => Provisioner::new(target.fleet.clone()).commit(tx).await?,
                }
                Ok(report)
            }
            Err(error) => {
                // Awaited, so that the caller finds every lock released.
                drop(tx.rollback().await);
                Err(error)
            }
        }
    }
}

/// Returns `true` if another transaction was in the way, and the whole can be done again.
fn is_of_others(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::SerializationFailure | ErrorKind::Deadlock)
}

/// A merge in the open transaction of the target.
struct Work<'a> {
    archiver: &'a Archiver,
    from: &'a TenantId,
    into: &'a TenantId,
    options: &'a MergeOptions,
    choices: &'a Choices,
}

impl Work<'_> {
    async fn run(
        &self,
        source: &Read,
        target: &Read,
        tx: &mut TenantTransaction,
    ) -> Result<MergeReport, Error> {
        self.hold(target, tx).await?;
        let snapshot = export(tx).await?;
        let mut one = source.open(&target.subject).await?;
        let mut other = target.open_at(&target.subject, Some(&snapshot)).await?;
        let before = ready(tx, self.options.lock_timeout).await?;
        let staged = stage(self.choices, self.options, &mut one, &mut other, tx).await?;
        one.end().await;
        other.end().await;
        unready(tx, &before, &target.path).await?;
        self.write(staged, target, tx).await
    }

    /// Locks the tables, and makes sure that they are those of the target.
    async fn hold(&self, target: &Read, tx: &mut TenantTransaction) -> Result<(), Error> {
        let mut sql = Sql::default();
        in_snapshot_sql(&mut sql);
        sqlx::raw_sql(sql.finish()).execute(&mut **tx).await?;
        let names: Vec<_> = self.choices.tables.iter().map(|it| it.table.name.as_str()).collect();
        let schema = &target.subject.schema;
        hold_for_writing(tx, schema, &names, self.options.lock_timeout).await?;
        let record = self.archiver.fleet.record(self.into).await?;
        let fleet = with_schema(&self.archiver.fleet, &record)?;
        if fleet.home() == target.fleet.home() && fleet.site(&record)?.schema == *schema {
            return Ok(());
        }
        let attempted = "merging rows: the tenant was moved or renamed meanwhile; retry";
        Err(Error::new(ErrorKind::Busy, attempted).with_tenant(self.into))
    }

    async fn write(
        &self,
        stage: Stage,
        target: &Read,
        tx: &mut TenantTransaction,
    ) -> Result<MergeReport, Error> {
        let Stage { staged, mut tables } = stage;
        let to = &target.subject;
        let earlier = changed(tx, &to.schema).await?;
        let written = write(tx, to, &staged).await.map_err(unwritten)?;
        for (of, written) in staged.iter().zip(written) {
            if let Some(table) = tables.iter_mut().find(|it| it.table == of.table.name) {
                let Written { inserted, updated, deleted } = written;
                let staged = of.inserts + of.updates + of.deletes;
                table.withheld = staged.saturating_sub(inserted + updated + deleted);
                (table.inserted, table.updated, table.deleted) = (inserted, updated, deleted);
            }
        }
        for (name, now) in changed(tx, &to.schema).await? {
            let before = earlier.iter().find(|(it, _)| *it == name).map(|(_, of)| *of);
            note_others(&mut tables, name, now, before.unwrap_or_default());
        }
        let sequences = match self.options.dry_run {
            true => Vec::new(),
            false => advance(&staged, target, tx).await?,
        };
        Ok(MergeReport {
            from: self.from.clone(),
            into: self.into.clone(),
            dry_run: self.options.dry_run,
            tables,
            without_key: self.choices.without_key.clone(),
            sequences,
            duration: std::time::Duration::ZERO,
        })
    }
}

/// Notes what was changed besides the rows that were merged.
fn note_others(tables: &mut Vec<TableMerge>, name: String, now: Written, before: Written) {
    let mut table = tables.iter_mut().find(|it| it.table == name);
    let own = table.as_ref().map_or([0; 3], |it| [it.inserted, it.updated, it.deleted]);
    let others = [
        now.inserted.saturating_sub(before.inserted + own[0]),
        now.updated.saturating_sub(before.updated + own[1]),
        now.deleted.saturating_sub(before.deleted + own[2]),
    ];
    if others == [0; 3] {
        return;
    }
    let table = match table.take() {
        Some(table) => table,
        None => {
            tables.push(TableMerge { table: name, ..TableMerge::default() });
            let last = tables.len() - 1;
            &mut tables[last]
        }
    };
    [table.also_inserted, table.also_updated, table.also_deleted] = others;
}

async fn advance(
    staged: &[Staged],
    target: &Read,
    tx: &mut TenantTransaction,
) -> Result<Vec<String>, Error> {
    let mut moved = Vec::new();
    for of in staged.iter().filter(|of| of.inserts + of.updates > 0) {
        let advanced = of.advance(tx, &target.subject).await;
        moved.extend(advanced.map_err(|error| {
            let attempted = format!("moving the sequences of the table {}", of.table.name);
            Error::new(error.kind(), attempted).with_source(error)
        })?);
    }
    Ok(moved)
}

/// Says what to do about a refused statement.
fn unwritten(error: sqlx::Error) -> Error {
    let error = Error::from(error);
    let advice = match error.kind() {
        ErrorKind::ForeignKeyViolation => {
            ": a row refers to one that the target would not have: choose that row, too, or do not choose this one"
        }
        ErrorKind::UniqueViolation => {
            ": another row of the target has the same value under a unique index: choose or change that row, too"
        }
        ErrorKind::SerializationFailure | ErrorKind::Deadlock => {
            ": other transactions changed the same rows again and again: retry"
        }
        _ => "",
    };
    error.attempting(format!("merging rows{advice}"))
}
