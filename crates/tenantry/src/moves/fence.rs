//! Keeps every process out of the tenant's schema on the source, and lets them in again.
//!
//! The fence is in the database, not in this process: a transaction locks the tables against writes, waits for
//! transactions that have written, and gives the schema another name. A session that has heard of nothing finds its
//! tables gone, asks the catalog, and waits there.
//!
//! Autovacuum holds a lock that conflicts with the lock against writes, and gives it up after a second. Before the gate
//! closes, the same transaction therefore takes a lock that conflicts with autovacuum alone. No request notices how
//! long that takes, and no vacuum and no change of a table begins until the fence is there.

use sqlx::{PgConnection, Row, SqlStr};

use super::{
    attempts::Attempt,
    drained,
    ends::Ends,
    failure::Failure,
    locks::{BRIEF, PATIENT, lock_sql, tables_of},
};
use crate::{
    clone::read_model,
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::try_lock,
    provision::{
        Provisioner, ensure_retired, forget_retired_sql, name_of_schema, note_retired_sql,
    },
    schema::{
        Fingerprint, SchemaModel,
        read::{Subject, fingerprint_prepared},
    },
    sql::Sql,
    tenant::Ident,
};

/// The transaction that becomes the fence, with the structure of the schema: its tables cannot be altered.
#[derive(Debug)]
pub(super) struct Held {
    tx: TenantTransaction,
    tables: Vec<String>,
    pub(super) model: SchemaModel,
    subject: Subject,
    fingerprint: Option<Fingerprint>,
}

/// Settings of a transaction that gives a schema another name. The statement that reads its fingerprint is planned
/// before requests wait, and only executed meanwhile.
const SETTINGS: &str = "set local idle_in_transaction_session_timeout = '60s'; set local search_path to pg_catalog; \
                        set local plan_cache_mode = force_generic_plan";

/// Limits for the rest.
const ENOUGH: &str = "set local statement_timeout = '10s'";

/// Locks the tables against vacuum and against changes of their structure, and reads the structure.
pub(super) async fn hold(ends: &Ends) -> Result<Held, Failure> {
    let Ends { source, schema, .. } = ends;
    let subject = ends.subject_at_source().await?;
    let mut lease = source.lease_for(&source.site_of(schema)).await?;
    if let Some(shared) = ends.shared_in(source) {
        ensure_retired(&mut lease, &shared).await?;
    }
    let mut tx = TenantTransaction::open(lease).await?;
    sqlx::raw_sql(PATIENT).execute(&mut *tx).await?;
    sqlx::raw_sql(SETTINGS).execute(&mut *tx).await?;
    lock_out_migrations(&mut tx, schema).await?;
    let tables = tables_of(&mut tx, schema).await?;
    sqlx::raw_sql(lock_sql(schema, &tables, " in share update exclusive mode"))
        .execute(&mut *tx)
        .await
        .map_err(|error| Failure::of_locks(error, "locking its tables against vacuum"))?;
    let fingerprint = fingerprint_prepared(&mut tx, &subject).await?;
    let model = read_model(&mut tx, &subject).await?;
    // In a new session, PostgreSQL plans the statement anew the second time (measured with 15), and keeps that plan.
    compare(&mut tx, &subject, fingerprint.as_ref()).await?;
    Ok(Held { tx, tables, model, subject, fingerprint })
}

/// Takes the lock of the schema, which migrations, renames and drops take as well.
async fn lock_out_migrations(conn: &mut PgConnection, schema: &Ident) -> Result<(), Failure> {
    let mut sql = Sql::new("select ");
    try_lock(&mut sql, "pg_catalog.pg_try_advisory_xact_lock", schema);
    match sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)? {
        true => Ok(()),
        false => {
            let attempted = "another session is migrating, renaming or dropping it";
            Err(Failure::Blocked(Error::new(ErrorKind::Busy, attempted)))
        }
    }
}

/// Puts up the fence: returns the structure of the schema, which has its other name.
pub(super) async fn fence(
    ends: &Ends,
    held: Held,
    attempt: Attempt<'_>,
    (kept_as, marker): (&Ident, Option<SqlStr>),
) -> Result<SchemaModel, Failure> {
    let Held { mut tx, tables, model, subject, fingerprint } = held;
    let fenced = async {
        drained::let_end(ends, &mut tx).await?;
        // The check of a foreign key, with which another transaction completes its write, does not wait for this mode.
        let against_writes = lock_sql(&ends.schema, &tables, " in share row exclusive mode");
        lock(&mut tx, ends, against_writes, (&subject, fingerprint)).await?;
        if let Some(marker) = marker {
            sqlx::raw_sql(marker).execute(&mut *tx).await?;
        }
        take_name(&mut tx, ends, attempt, kept_as).await
    };
    let fenced: Result<(), Failure> = fenced.await;
    match fenced {
        Ok(()) => {
            Provisioner::new(ends.source.clone()).commit(tx).await?;
            Ok(model)
        }
        Err(failure) => {
            drop(tx.rollback().await);
            Err(failure)
        }
    }
}

/// Waits for open transactions that have written, and keeps others from writing.
async fn lock(
    tx: &mut TenantTransaction,
    ends: &Ends,
    against_writes: SqlStr,
    (subject, before): (&Subject, Option<Fingerprint>),
) -> Result<(), Failure> {
    let Ends { source, schema, .. } = ends;
    sqlx::raw_sql(BRIEF).execute(&mut **tx).await?;
    let others = "waiting for transactions of the tenant that have written and are open";
    sqlx::raw_sql(against_writes)
        .execute(&mut **tx)
        .await
        .map_err(|error| Failure::of_locks(error, others))?;
    let provisioner = Provisioner::new(source.clone());
    let locked_out = provisioner.lock_out_within(tx, schema, "set local lock_timeout = '300ms'");
    locked_out.await.map_err(|error| match error.kind() {
        ErrorKind::Busy => Failure::Blocked(error),
        _ => Failure::Failed(error),
    })?;
    sqlx::raw_sql(ENOUGH).execute(&mut **tx).await?;
    compare(tx, subject, before.as_ref()).await
}

/// Verifies that the structure is as before.
async fn compare(
    tx: &mut TenantTransaction,
    subject: &Subject,
    before: Option<&Fingerprint>,
) -> Result<(), Failure> {
    if fingerprint_prepared(tx, subject).await?.as_ref() == before {
        return Ok(());
    }
    let attempted = "its structure was changed meanwhile";
    Err(Failure::Blocked(Error::new(ErrorKind::Busy, attempted)))
}

/// Gives the schema its other name, unless another mover has taken over.
async fn take_name(
    tx: &mut TenantTransaction,
    ends: &Ends,
    attempt: Attempt<'_>,
    kept_as: &Ident,
) -> Result<(), Failure> {
    let Ends { source, schema, .. } = ends;
    attempt.on_source().note(tx, schema).await?;
    rename(tx, schema, kept_as).await?;
    if let Some(shared) = ends.shared_in(source) {
        sqlx::raw_sql(note_retired_sql(&shared, schema, kept_as)).execute(&mut **tx).await?;
    }
    Ok(())
}

async fn rename(conn: &mut PgConnection, from: &Ident, to: &Ident) -> sqlx::Result<()> {
    let mut sql = Sql::new("alter schema ");
    sql.ident(from).text(" rename to ").ident(to);
    sqlx::raw_sql(sql.finish()).execute(conn).await.map(drop)
}

/// Gives the schema its name back, if it has the other one.
pub(super) async fn restore(
    ends: &Ends,
    attempt: Attempt<'_>,
    kept_as: &Ident,
) -> Result<(), Failure> {
    let Ends { source, schema, .. } = ends;
    let mut lease = source.lease_for(&source.site_of(schema)).await?;
    attempt.on_source().enter(&mut lease).await?;
    let mut tx = TenantTransaction::open(lease).await?;
    sqlx::raw_sql(PATIENT).execute(&mut *tx).await?;
    sqlx::raw_sql(SETTINGS).execute(&mut *tx).await?;
    attempt.on_source().lock(&mut tx).await?;
    // Nothing is noted unless the fence was committed.
    let noted = attempt.on_source().noted(&mut tx).await?;
    let name = match noted {
        Some(oid) => name_of_schema(&mut tx, oid).await?,
        None => Some(schema.clone()),
    };
    match name {
        Some(name) if name == *kept_as => {
            rename(&mut tx, kept_as, schema).await?;
            if let Some(shared) = ends.shared_in(source) {
                sqlx::raw_sql(forget_retired_sql(&shared, schema)).execute(&mut *tx).await?;
            }
            Provisioner::new(source.clone()).commit(tx).await?;
            Ok(())
        }
        Some(name) if name == *schema => {
            drop(tx.rollback().await);
            Ok(())
        }
        other => {
            drop(tx.rollback().await);
            let is = other.map_or("is gone".into(), |name| format!("is called {name} now"));
            let attempted = format!(
                "giving the schema {schema} on server {} its name back: it {is}",
                ends.from()
            );
            Err(Error::new(ErrorKind::Placement, attempted).into())
        }
    }
}
