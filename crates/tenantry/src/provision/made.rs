//! Makes the schema of a tenant from the files.

use sqlx::SqlStr;

use super::{
    CreateOptions, DropOptions, Provisioner,
    create::taken,
    provisional::{self, Comment},
    written::rename_sql,
};
use crate::{
    catalog::Site,
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::{Failure, MigrateOptions, Sent, apply_all, run_script, try_lock},
    pool::Lease,
    sql::Sql,
    tenant::{Ident, PROVISIONAL},
};

impl Provisioner {
    /// Makes a schema with all files and their records, in the transaction that is open, as one string.
    pub(super) async fn make_at_once(
        &self,
        tx: &mut TenantTransaction,
        site: &Site,
        role: Option<&Ident>,
        options: &CreateOptions,
    ) -> Result<(), MakeError> {
        let mut sql = Sql::default();
        limit_locks(&mut sql, options);
        provisional::create(&mut sql, &site.schema);
        self.grant(&mut sql, &site.schema, role);
        let sent = self.migrations.as_ref().map(|set| Sent::all(&mut sql, set, &site.schema));
        let (sql, mut ended) = (sql.finish(), 0);
        let made = run_script(tx, sql.clone(), &mut ended).await;
        made.map_err(|error| self.blame(error, sent.as_ref(), &sql, ended))
    }

    fn blame(
        &self,
        error: sqlx::Error,
        sent: Option<&Sent>,
        sql: &SqlStr,
        ended: usize,
    ) -> MakeError {
        let failure = Failure::from(error);
        match failure.sqlstate.as_deref() {
            // The name is taken, or somebody is taking it, who may or may not succeed.
            Some("42P06" | "23505") if ended < CREATED => MakeError::Taken(failure),
            Some("55P03") if ended < CREATED => MakeError::Taken(failure),
            // A new value of an enum cannot be used in the transaction that has added it.
            Some("55P04") => MakeError::NeedsSteps(failure),
            _ => MakeError::Failed(match (sent, &self.migrations) {
                (Some(sent), Some(set)) => sent.blame(set, failure, sql, ended),
                _ => failure,
            }),
        }
    }

    /// Makes a schema with a name of its own, file by file. The lease has its lock, so that nobody takes it
    /// for one that was left behind.
    ///
    /// When that fails, or is dropped, what was made stays.
    pub(super) async fn make_in_steps(
        &self,
        schema: &Ident,
        role: Option<&Ident>,
        options: &CreateOptions,
    ) -> Result<Lease, Error> {
        let site = self.fleet.site_of(schema);
        let mut lease = self.fleet.lease_for(&site).await?;
        let mut sql = Sql::new("select ");
        try_lock(&mut sql, "pg_catalog.pg_try_advisory_lock", schema).text("; ");
        provisional::create(&mut sql, schema);
        if !schema.as_str().starts_with(PROVISIONAL) {
            provisional::comment(&mut sql, schema, Comment::Unfinished);
        }
        self.grant(&mut sql, schema, role);
        sqlx::raw_sql(sql.finish()).execute(&mut *lease).await.map_err(taken)?;
        if let Some(set) = &self.migrations {
            let options = MigrateOptions::within(options.lock_timeout);
            apply_all(set, &site, &options, role, &mut lease).await.map_err(migration)?;
        }
        Ok(lease)
    }
}

impl Provisioner {
    /// Gives what was made of a tenant another name, under which it is kept for a look at it.
    pub(super) async fn set_aside(&self, schema: &Ident, to: &Ident) -> Result<(), Error> {
        let mut lease = self.fleet.lease_for(&self.fleet.site_of(schema)).await?;
        let mut sql = Sql::default();
        rename_sql(&mut sql, schema, to);
        provisional::comment(&mut sql, to, Comment::Kept);
        sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
        Ok(())
    }

    /// Removes what was left of a tenant that was being made under its own name. Returns whether there was
    /// anything.
    pub(super) async fn remove_unfinished(&self, schema: &Ident) -> Result<bool, Error> {
        let site = self.fleet.site_of(schema);
        let mut lease = self.fleet.lease_for(&site).await?;
        let is_left = provisional::has_comment(&mut lease, schema, provisional::UNFINISHED).await?;
        drop(lease);
        if !is_left {
            return Ok(false);
        }
        match self.drop_schema(&site, &DropOptions::default().cascade(true)).await {
            // Somebody is making it just now.
            Err(error) if error.kind() == ErrorKind::Busy => Ok(false),
            removed => removed,
        }
    }

    /// Notes that a schema is kept for a look at it.
    pub(super) async fn keep(&self, schema: &Ident) -> Result<(), Error> {
        let mut lease = self.fleet.lease_for(&self.fleet.site_of(schema)).await?;
        let mut sql = Sql::default();
        provisional::comment(&mut sql, schema, Comment::Kept);
        sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
        Ok(())
    }
}

/// Statements after which the schema is there: those that set limits, and the one that creates it.
const CREATED: usize = 3;

/// Why a schema could not be made at once.
#[derive(Debug)]
pub(super) enum MakeError {
    /// There is one of that name.
    Taken(Failure),
    /// The files have to be run one by one.
    NeedsSteps(Failure),
    Failed(Failure),
}

impl From<MakeError> for Error {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::Taken(failure) => {
                let attempted = "its schema is there, or is being created by somebody else";
                Self::new(ErrorKind::TenantExists, attempted).because_of(failure)
            }
            MakeError::NeedsSteps(failure) | MakeError::Failed(failure) => migration(failure),
        }
    }
}

/// Makes an error of a failure in a file.
pub(super) fn migration(failure: Failure) -> Error {
    // What the database says is in the source alone.
    // Which file and where is what the failure says.
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
