//! Creates a tenant's schema from the files.

use sqlx::{PgConnection, SqlStr};

use super::{
    CreateOptions, DropOptions, Provisioner,
    answer::taken,
    drop::drop_everything,
    provisional::{self, Comment},
    written::rename_sql,
};
use crate::{
    catalog::Site,
    citus::Sharding,
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::{Failure, MigrateOptions, Ran, Sent, apply_all, run_script_on, statements, try_lock},
    pool::Lease,
    sql::Sql,
    tenant::{Ident, PROVISIONAL},
};

impl Provisioner {
    /// Creates a schema with all files and their records, in the open transaction, as one string.
    pub(super) async fn make_at_once(
        &self,
        tx: &mut TenantTransaction,
        site: &Site,
        role: Option<&Ident>,
        options: &CreateOptions,
        sharding: Sharding,
    ) -> Result<(), Error> {
        let citus = self.fleet.citus(tx).await?;
        let mut sql = Sql::default();
        limit_locks(&mut sql, options);
        provisional::create(&mut sql, &site.schema, sharding, citus);
        let created = statements(sql.as_str()).len();
        self.grant(&mut sql, &site.schema, role);
        let sent = self.migrations.as_ref().map(|set| Sent::all(&mut sql, set, &site.schema));
        let (sql, mut ran) = (sql.finish(), Ran::default());
        let made = run_script_on(citus, tx, &sql, &mut ran).await;
        made.map_err(|error| {
            let failure = Failure::from(error).sent_from(ran.from);
            self.blame(failure, sent.as_ref(), &sql, (ran.ended, created))
        })
    }

    /// `created` is the number of statements up to the creation of the schema.
    fn blame(
        &self,
        failure: Failure,
        sent: Option<&Sent>,
        sql: &SqlStr,
        (ended, created): (usize, usize),
    ) -> Error {
        match failure.sqlstate.as_deref() {
            // The name is taken, or another session is taking it and may or may not succeed.
            Some("42P06" | "23505" | "55P03") if ended < created => {
                let attempted = "its schema exists or is being created by another session";
                Error::new(ErrorKind::TenantExists, attempted).with_source(failure)
            }
            _ => migration(match (sent, &self.migrations) {
                (Some(sent), Some(set)) => sent.blame(set, failure, sql, ended),
                _ => failure,
            }),
        }
    }

    /// Creates a schema that gets its files one by one. The lease holds its lock, so that it is not mistaken for an
    /// abandoned schema.
    pub(super) async fn hold_new(
        &self,
        site: &Site,
        role: Option<&Ident>,
        sharding: Sharding,
    ) -> Result<Lease, Error> {
        let schema = &site.schema;
        let mut lease = self.fleet.lease_for(site).await?;
        let citus = self.fleet.citus(&mut lease).await?;
        let mut sql = Sql::new("select ");
        try_lock(&mut sql, "pg_catalog.pg_try_advisory_lock", schema).text("; ");
        provisional::create(&mut sql, schema, sharding, citus);
        if !schema.as_str().starts_with(PROVISIONAL) {
            provisional::comment(&mut sql, schema, Comment::Unfinished);
        }
        self.grant(&mut sql, schema, role);
        sqlx::raw_sql(sql.finish()).execute(&mut *lease).await.map_err(taken)?;
        Ok(lease)
    }

    /// Applies all files to such a schema.
    ///
    /// If this fails or is dropped, the partial schema stays.
    pub(super) async fn make_in_steps(
        &self,
        site: &Site,
        role: Option<&Ident>,
        options: &CreateOptions,
        lease: &mut Lease,
    ) -> Result<(), Error> {
        let Some(set) = &self.migrations else { return Ok(()) };
        let options = MigrateOptions::within(options.lock_timeout);
        apply_all(set, site, &options, role, lease).await.map(drop).map_err(migration)
    }

    /// Applies all files to the schema of a tenant that moves.
    pub(crate) async fn make_tables_for_move(
        &self,
        site: &Site,
        role: Option<&Ident>,
        lease: &mut Lease,
    ) -> Result<(), Error> {
        self.lint()?;
        self.make_in_steps(site, role, &CreateOptions::default(), lease).await
    }

    /// Removes an abandoned schema, or keeps it for inspection. The lease holds its lock until then, unless the lease
    /// was lost.
    pub(super) async fn give_up(&self, lease: Option<Lease>, schema: &Ident, keep: bool) {
        let given_up = match lease {
            Some(lease) => self.give_up_locked(lease, schema, keep).await,
            None => Err(Error::new(ErrorKind::Unavailable, "its session was lost")),
        };
        let given_up = match (given_up, keep) {
            (Err(_), true) => self.keep(schema).await,
            (Err(_), false) => self.remove_own(schema).await.map(drop),
            (done, _) => done,
        };
        if let Err(error) = given_up {
            left_behind(schema, &error);
        }
    }

    async fn give_up_locked(
        &self,
        mut lease: Lease,
        schema: &Ident,
        keep: bool,
    ) -> Result<(), Error> {
        // The failure may have occurred in a transaction.
        leave_transaction(&mut lease).await?;
        match keep {
            true => note_kept(schema, &mut lease).await?,
            false => {
                let site = self.fleet.site_of(schema);
                let options = DropOptions::default().cascade(true);
                drop_everything(&mut lease, &site, &options).await?;
            }
        }
        lease.settle().await;
        Ok(())
    }

    /// Renames a partial tenant schema that is kept for inspection. The lease holds the schema's lock until then,
    /// unless the lease was lost.
    pub(super) async fn set_aside(&self, lease: Option<Lease>, schema: &Ident, to: &Ident) {
        let set_aside = async {
            let mut lease = match lease {
                Some(lease) => lease,
                None => self.fleet.lease_for(&self.fleet.site_of(schema)).await?,
            };
            leave_transaction(&mut lease).await?;
            let mut sql = Sql::new("begin; ");
            rename_sql(&mut sql, schema, to);
            provisional::comment(&mut sql, to, Comment::Kept);
            sql.text("commit");
            sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
            lease.settle().await;
            Ok::<_, Error>(())
        };
        if let Err(error) = set_aside.await {
            left_behind(schema, &error);
        }
    }

    /// Removes the remains of a tenant that was being created under its own name. Returns whether there were any.
    pub(super) async fn remove_unfinished(&self, schema: &Ident) -> Result<bool, Error> {
        let site = self.fleet.site_of(schema);
        let mut lease = self.fleet.lease_for(&site).await?;
        let is_left = provisional::has_comment(&mut lease, schema, provisional::UNFINISHED).await?;
        drop(lease);
        if !is_left {
            return Ok(false);
        }
        match self.drop_schema(&site, &DropOptions::default().cascade(true)).await {
            // Another session is creating it at the moment.
            Err(error) if error.kind() == ErrorKind::Busy => Ok(false),
            removed => removed,
        }
    }

    /// Marks a schema as kept for inspection.
    async fn keep(&self, schema: &Ident) -> Result<(), Error> {
        let mut lease = self.fleet.lease_for(&self.fleet.site_of(schema)).await?;
        note_kept(schema, &mut lease).await
    }
}

/// Logs that a schema was not removed: the caller needs the original error.
fn left_behind(schema: &Ident, error: &Error) {
    tracing::error!(
        target: "tenantry::provision",
        schema = schema.as_str(),
        error = error as &dyn std::error::Error,
        "could not clean up a schema whose creation has failed"
    );
}

async fn note_kept(schema: &Ident, conn: &mut PgConnection) -> Result<(), Error> {
    let mut sql = Sql::default();
    provisional::comment(&mut sql, schema, Comment::Kept);
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

/// Ends any open transaction. Outside a transaction, a lone `rollback` would log a warning; in a failed transaction,
/// no other statement runs.
async fn leave_transaction(conn: &mut PgConnection) -> Result<(), Error> {
    if sqlx::raw_sql("begin; rollback").execute(&mut *conn).await.is_err() {
        sqlx::raw_sql("rollback").execute(conn).await?;
    }
    Ok(())
}

/// Converts a failure in a file to an error.
pub(super) fn migration(failure: Failure) -> Error {
    // The database's message is only in the source. The failure names the file and position.
    let attempted = match failure.file {
        Some(_) => "running the files in its schema",
        None => "creating its schema",
    };
    Error::new(failure.kind(), attempted).because_of(failure)
}

pub(super) fn limit_locks(sql: &mut Sql, options: &CreateOptions) {
    let millis = u64::try_from(options.lock_timeout.as_millis()).unwrap_or(u64::MAX);
    let most = u64::from(i32::MAX.unsigned_abs());
    sql.text("set local lock_timeout = ").number(millis.clamp(1, most));
    sql.text("; set local statement_timeout = 0; ");
}
