//! Schemas that are created in advance.

use std::time::Duration;

use sqlx::{PgConnection, Row};
use tokio::time::{Instant, sleep, timeout};

use super::{
    CreateOptions, Provisioner, SpareReport, answer,
    commit::roll_back,
    distributed::{distribute, keep_plain},
    inventory,
    made::migration,
    provisional::{self, Comment},
    spare_note::SpareNote,
    template,
    unassigned::{Kind, Unassigned, list},
};
use crate::{
    catalog::Site,
    citus::Sharding,
    clone::Stamp,
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::{FailureReason, MigrateOptions, apply_all, explained_error, try_lock},
    pool::{Lease, after, grant},
    schema::read::Subject,
    sql::Sql,
    tenant::Ident,
};

/// The lock for filling the spares of a set of files, whose hash follows.
const LOCK: &str = "the spares of tenantry ";

impl Provisioner {
    /// Ensures that this many spares are ready: schemas with all migrations, which [`create`](Self::create) only
    /// needs to rename.
    ///
    /// Spares of other files are left alone, because another release can be running alongside this one; those that
    /// were not used for 24 h are removed, as are half-made schemas. It takes up to two connections of the budget.
    /// Call it at startup, after a deploy, and at least every few hours; or let [`keep_spares`](Self::keep_spares) do
    /// that. If another instance is filling spares of the same files, nothing is done.
    ///
    /// For the first spare of a set of files, the catalogs and rows are searched for its provisional name, since
    /// names that are stored as text do not follow the rename to the tenant's name. A `search_path` of a function
    /// does; anything else makes these files unsuitable for spares, and is reported.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create). Spares that were already created stay.
    ///
    /// # Cancel safety
    ///
    /// If dropped, a spare can be left half made; the next call removes it.
    pub async fn fill_spares(&self, spares: usize) -> Result<SpareReport, Error> {
        let began = Instant::now();
        self.lint()?;
        let mut report = SpareReport::default();
        let lease = self.fleet.lease().await?;
        let filled = match self.fleet.server().places_for_upkeep() < 2 {
            true => self.fill_without_lock(lease, spares, &mut report).await,
            false => self.fill_locked(lease, spares, &mut report).await,
        };
        report.duration = began.elapsed();
        let ready = i64::try_from(report.ready).unwrap_or(i64::MAX);
        self.fleet.server().observer.meters.upkeep.spares.set(ready);
        match filled {
            Ok(()) => Ok(report),
            Err(error) => {
                let behind: Vec<_> =
                    self.fleet.lookup().schemas_behind().into_iter().cloned().collect();
                Err(explained_error(&self.fleet, &behind, error).await)
            }
        }
    }

    /// Fills them without a second connection that would hold the lock. At worst, two processes create too many.
    async fn fill_without_lock(
        &self,
        mut lease: Lease,
        spares: usize,
        report: &mut SpareReport,
    ) -> Result<(), Error> {
        let there = list(&mut lease).await?;
        drop(lease);
        self.fill(there, spares, report).await
    }

    /// Fills them unless another process is doing so.
    async fn fill_locked(
        &self,
        mut lease: Lease,
        spares: usize,
        report: &mut SpareReport,
    ) -> Result<(), Error> {
        let locked = lock(&mut lease, &self.note().hash).await?;
        let there = list(&mut lease).await?;
        let filled = match locked {
            true => self.fill(there, spares, report).await,
            false => {
                let is_ready = |schema: &&Unassigned| matches!(&schema.kind, Kind::Ready(note) if self.is_ours(note));
                report.ready = there.iter().filter(is_ready).count();
                Ok(())
            }
        };
        lease.settle().await;
        filled
    }

    async fn fill(
        &self,
        there: Vec<Unassigned>,
        spares: usize,
        report: &mut SpareReport,
    ) -> Result<(), Error> {
        let now = provisional::now();
        for spare in there {
            match self.see_to(&spare, now).await? {
                Renewed::Ready { files } => {
                    report.ready += 1;
                    report.migrated += usize::from(files > 0);
                }
                Renewed::NotOurs => {}
                Renewed::Useless => {
                    report.removed += usize::from(self.remove_if_possible(&spare.schema).await?);
                }
            }
        }
        while report.ready < spares && self.make_spare().await? {
            report.ready += 1;
            report.made += 1;
        }
        if let Some(names) = self.stored_names() {
            report.refused = names.as_slice().to_vec();
        }
        Ok(())
    }

    /// Determines what becomes of a schema, and brings it up to date if it stays a spare.
    async fn see_to(&self, schema: &Unassigned, now: Duration) -> Result<Renewed, Error> {
        match &schema.kind {
            Kind::Ready(note) if self.is_ours(note) => {
                self.keep_ready(&schema.schema, note, now).await
            }
            Kind::Ready(note) if note.hash.is_empty() => {
                self.renew_if_possible(&schema.schema).await
            }
            Kind::Ready(note) if note.is_unused(now) => Ok(Renewed::Useless),
            Kind::Template(note) if !note.is_unused(now) => {
                self.note_template_if_old(&schema.schema, note, now).await?;
                Ok(Renewed::NotOurs)
            }
            // Another release may run alongside this one.
            Kind::Ready(_) | Kind::InUse => Ok(Renewed::NotOurs),
            Kind::Template(_) | Kind::HalfMade => Ok(Renewed::Useless),
        }
    }

    /// Keeps a spare of our files, unless objects of it store its name.
    async fn keep_ready(
        &self,
        spare: &Ident,
        note: &SpareNote,
        now: Duration,
    ) -> Result<Renewed, Error> {
        if self.refuse_stored_names().is_err() {
            return Ok(Renewed::Useless);
        }
        if self.stored_names().is_none() {
            // It must first be searched for its name.
            return self.renew_if_possible(spare).await;
        }
        if note.is_old(now) {
            self.note_use(spare).await?;
        }
        Ok(Renewed::Ready { files: 0 })
    }

    /// Brings a spare up to date. If the server refuses this for one spare, the others are not affected.
    async fn renew_if_possible(&self, spare: &Ident) -> Result<Renewed, Error> {
        match self.renew(spare).await {
            Err(error) => stays(spare, error).map(|()| Renewed::NotOurs),
            renewed => renewed,
        }
    }

    fn is_ours(&self, note: &SpareNote) -> bool {
        note.hash == self.note().hash
    }

    /// Keeps this many spares ready until the manager is closed: fills them immediately, whenever this provisioner or
    /// a clone of it uses one, and at this interval.
    ///
    /// Runs as a background task that [`TenantManager::close`](crate::TenantManager::close) stops. Failures are
    /// logged, and retried at the next interval.
    pub fn keep_spares(&self, spares: usize, every: Duration) {
        let (provisioner, server) = (self.clone(), self.fleet.server());
        let shutdown = server.shutdown().clone();
        server.start();
        server.spawn(async move {
            let keep = async {
                loop {
                    if let Err(error) = provisioner.fill_spares(spares).await {
                        tracing::warn!(
                            target: "tenantry::provision",
                            error = &error as &dyn std::error::Error,
                            "could not fill the spares"
                        );
                    }
                    // The next sign-up should find a spare, too.
                    drop(timeout(every, provisioner.claimed()).await);
                }
            };
            shutdown.run_until_cancelled(keep).await;
        });
    }

    /// Creates a spare, unless its objects store the name under which it was created.
    async fn make_spare(&self) -> Result<bool, Error> {
        if self.refuse_stored_names().is_err() {
            return Ok(false);
        }
        let site = self.fleet.site_of(&provisional::new_name());
        let role = self.fleet.server().role_of_manager();
        if let Some(made) = self.spare_of_template(&site.schema).await? {
            return Ok(made);
        }
        let mut lease = self.hold_new(&site, role, Sharding::Tenant).await?;
        let made = self.make_spare_in(&site, role, &mut lease).await;
        match made {
            Ok(true) => lease.settle().await,
            // A half-made schema would stay until the next time, when there would be one more.
            _ => self.give_up(Some(lease), &site.schema, false).await,
        }
        made
    }

    /// Applies all files to a new schema, and marks it as a spare if it is usable as one.
    async fn make_spare_in(
        &self,
        site: &Site,
        role: Option<&Ident>,
        lease: &mut Lease,
    ) -> Result<bool, Error> {
        self.make_in_steps(site, role, &CreateOptions::default(), lease).await?;
        self.try_rename(lease, &site.schema).await?;
        let is_usable = self.refuse_stored_names().is_ok();
        if is_usable {
            write_note(lease, &site.schema, &self.note()).await?;
        }
        Ok(is_usable)
    }

    /// Creates a spare as a copy of the template, if there is one.
    async fn spare_of_template(&self, schema: &Ident) -> Result<Option<bool>, Error> {
        let Some(set) = &self.migrations else { return Ok(None) };
        // The first spare is searched for its name, to find out whether spares are usable.
        let Some(stamp) =
            self.template_at_hand(set).await.filter(|_| self.stored_names().is_some())
        else {
            return Ok(None);
        };
        let lease = self.fleet.lease_for(&self.fleet.site_of(schema)).await?;
        let mut tx = TenantTransaction::open(lease).await?;
        match self.press_spare(&mut tx, &stamp, schema).await {
            Ok(()) => self.commit(tx).await.map(|()| Some(true)),
            Err(error) => {
                drop(roll_back(tx, error).await);
                self.known_template().forget();
                Ok(None)
            }
        }
    }

    async fn press_spare(
        &self,
        conn: &mut PgConnection,
        stamp: &Stamp,
        schema: &Ident,
    ) -> Result<(), Error> {
        let to = Subject { schema: schema.clone(), role: None };
        keep_plain(&self.fleet, conn).await?;
        template::press(conn, stamp, &to, CreateOptions::default().lock_timeout).await?;
        if let Some(role) = self.fleet.server().role_of_manager() {
            let mut sql = Sql::default();
            grant(&mut sql, schema, role);
            sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?;
        }
        distribute(&self.fleet, conn, schema).await?;
        write_note(conn, schema, &self.note()).await
    }

    /// Records that a template of ours is still needed.
    async fn note_template_if_old(
        &self,
        template: &Ident,
        note: &SpareNote,
        now: Duration,
    ) -> Result<(), Error> {
        if !self.is_ours(note) || !note.is_old(now) {
            return Ok(());
        }
        let mut lease = self.fleet.lease().await?;
        let mut sql = Sql::default();
        provisional::comment(&mut sql, template, Comment::Template(&self.note()));
        sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
        Ok(())
    }

    /// Records that a spare of ours is still needed.
    async fn note_use(&self, spare: &Ident) -> Result<(), Error> {
        let mut lease = self.fleet.lease().await?;
        let mut sql = Sql::new("select ");
        try_lock(&mut sql, "pg_catalog.pg_try_advisory_lock", spare);
        let locked = sqlx::raw_sql(sql.finish()).fetch_one(&mut *lease).await?.try_get(0)?;
        if locked && inventory::exists(&mut lease, spare).await? {
            write_note(&mut lease, spare, &self.note()).await?;
        }
        lease.settle().await;
        Ok(())
    }

    /// Removes half-made schemas whose creator is gone, that is, whose lock is free.
    pub(super) async fn remove_left_behind(&self) -> Result<(), Error> {
        let mut lease = self.fleet.lease().await?;
        let there = list(&mut lease).await?;
        drop(lease);
        for left in there.iter().filter(|schema| matches!(schema.kind, Kind::HalfMade)) {
            self.remove_if_possible(&left.schema).await?;
        }
        Ok(())
    }

    /// Applies the missing files to a spare of an earlier release.
    async fn renew(&self, spare: &Ident) -> Result<Renewed, Error> {
        let Some(set) = &self.migrations else { return Ok(Renewed::NotOurs) };
        let site = self.fleet.site_of(spare);
        let role = self.fleet.server().role_of_manager();
        let mut lease = self.fleet.lease_for(&site).await?;
        let applied = apply_all(set, &site, &MigrateOptions::default(), role, &mut lease).await;
        if applied.is_ok() {
            self.try_rename(&mut lease, spare).await?;
            write_note(&mut lease, spare, &self.note()).await?;
        }
        lease.settle().await;
        match applied {
            Ok(_) if self.refuse_stored_names().is_err() => Ok(Renewed::Useless),
            Ok(files) => Ok(Renewed::Ready { files }),
            Err(failure) => match failure.reason {
                FailureReason::LockTimeout | FailureReason::SchemaMissing => Ok(Renewed::NotOurs),
                FailureReason::Connection => Err(migration(failure)),
                _ => Ok(Renewed::Useless),
            },
        }
    }

    /// Removes an abandoned schema that this process created: the session that created it may not have been reset
    /// yet.
    pub(super) async fn remove_own(&self, schema: &Ident) -> Result<bool, Error> {
        let deadline = after(self.fleet.server().options().cleanup_timeout);
        loop {
            match self.remove(schema).await {
                Err(error) if error.kind() == ErrorKind::Busy && Instant::now() < deadline => {
                    sleep(Duration::from_millis(20)).await;
                }
                removed => return removed,
            }
        }
    }

    /// Removes a schema that does not belong to a tenant, unless it is being created or the server refuses. Returns
    /// `true` if it was removed.
    async fn remove_if_possible(&self, schema: &Ident) -> Result<bool, Error> {
        match self.remove(schema).await {
            // Another session holds its lock.
            Err(error) if error.kind() == ErrorKind::Busy => Ok(false),
            Err(error) => stays(schema, error).map(|()| false),
            removed => removed,
        }
    }

    /// Removes a schema that does not belong to a tenant. Returns whether it existed.
    async fn remove(&self, schema: &Ident) -> Result<bool, Error> {
        let site = self.fleet.site_of(schema);
        self.drop_schema(&site, &super::DropOptions::default().cascade(true)).await
    }
}

/// The result of renewing an existing spare.
enum Renewed {
    Ready {
        files: usize,
    },
    /// It is being turned into a tenant, or may be.
    NotOurs,
    /// It is half made, or its files are no longer used.
    Useless,
}

async fn lock(conn: &mut PgConnection, hash: &str) -> Result<bool, Error> {
    let mut sql = Sql::new("select pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended(");
    sql.literal(&format!("{LOCK}{hash}")).text(", 7234619037115))");
    Ok(sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)?)
}

async fn write_note(
    conn: &mut PgConnection,
    schema: &Ident,
    note: &SpareNote,
) -> Result<(), Error> {
    let mut sql = Sql::default();
    provisional::comment(&mut sql, schema, Comment::Ready(note));
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

/// Logs that a schema is unchanged because the server refuses to change it.
fn stays(spare: &Ident, error: Error) -> Result<(), Error> {
    if answer::refusal(&error).is_none() {
        return Err(error);
    }
    tracing::warn!(
        target: "tenantry::provision",
        schema = spare.as_str(),
        error = &error as &dyn std::error::Error,
        "a spare can be neither renewed nor removed now; the next fill_spares tries again"
    );
    Ok(())
}
