//! Schemas that are created in advance.

use std::time::Duration;

use sqlx::{PgConnection, Row, postgres::PgRow};
use tokio::time::{Instant, sleep, timeout};

use super::{
    CreateOptions, Provisioner, SpareReport, answer,
    create::roll_back,
    inventory,
    provisional::{self, Comment, KEPT},
    spare_note::{SpareNote, TEMPLATE},
    template,
};
use crate::{
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::{FailureReason, MigrateOptions, apply_all, explained_error, try_lock},
    pool::{after, grant},
    schema::read::Subject,
    sql::Sql,
    tenant::{Ident, PROVISIONAL},
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
        let mut guard = self.fleet.lease().await?;
        let filled = if self.fleet.server().places_for_upkeep() < 2 {
            // No second connection is available to hold the lock. At worst, two processes create too many.
            let there = list(&mut guard).await?;
            drop(guard);
            self.fill(there, spares, &mut report).await
        } else {
            let locked = lock(&mut guard, &self.note().hash).await?;
            let there = list(&mut guard).await?;
            let filled = match locked {
                true => self.fill(there, spares, &mut report).await,
                false => {
                    report.ready = there.iter().filter(|spare| self.is_ours(spare)).count();
                    Ok(())
                }
            };
            guard.settle().await;
            filled
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

    async fn fill(
        &self,
        there: Vec<Listed>,
        spares: usize,
        report: &mut SpareReport,
    ) -> Result<(), Error> {
        let now = provisional::now();
        for spare in there {
            let renewed = match &spare.note {
                Some(_) if self.is_ours(&spare) && self.refuse_stored_names().is_err() => {
                    Renewed::Useless
                }
                // It must first be searched for its name.
                Some(_) if self.is_ours(&spare) && self.stored_names().is_none() => {
                    self.renew_if_possible(&spare.schema).await?
                }
                Some(note) if self.is_ours(&spare) => {
                    if note.is_old(now) {
                        self.note_use(&spare.schema).await?;
                    }
                    Renewed::Ready { files: 0 }
                }
                Some(note) if note.hash.is_empty() => self.renew_if_possible(&spare.schema).await?,
                Some(note) if note.is_unused(now) => Renewed::Useless,
                // Another release may run alongside this one.
                Some(_) => Renewed::NotOurs,
                None if spare.is_in_use => Renewed::NotOurs,
                None if spare.template.as_ref().is_some_and(|note| !note.is_unused(now)) => {
                    self.note_template_if_old(&spare, now).await?;
                    Renewed::NotOurs
                }
                None => Renewed::Useless,
            };
            match renewed {
                Renewed::Ready { files } => {
                    report.ready += 1;
                    report.migrated += usize::from(files > 0);
                }
                Renewed::NotOurs => {}
                Renewed::Useless => match self.remove(&spare.schema).await {
                    Ok(removed) => report.removed += usize::from(removed),
                    // Another session is creating it at the moment.
                    Err(error) if error.kind() == ErrorKind::Busy => {}
                    Err(error) => stays(&spare.schema, error)?,
                },
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

    /// Brings a spare up to date. If the server refuses this for one spare, the others are not affected.
    async fn renew_if_possible(&self, spare: &Ident) -> Result<Renewed, Error> {
        match self.renew(spare).await {
            Err(error) => stays(spare, error).map(|()| Renewed::NotOurs),
            renewed => renewed,
        }
    }

    fn is_ours(&self, spare: &Listed) -> bool {
        spare.note.as_ref().is_some_and(|note| note.hash == self.note().hash)
    }

    /// Returns the note for a spare with our files.
    pub(super) fn note(&self) -> SpareNote {
        let set = self.migrations.as_ref();
        let (hash, latest) = set.map_or(("", 0), |set| (set.hash(), set.latest()));
        SpareNote::new(hash, latest, provisional::now())
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
                            "could not fill up the spares"
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
        let mut lease = self.hold_new(&site, role).await?;
        let made = async {
            self.make_in_steps(&site, role, &CreateOptions::default(), &mut lease).await?;
            self.try_rename(&mut lease, &site.schema).await?;
            let is_of_use = self.refuse_stored_names().is_ok();
            if is_of_use {
                write_note(&mut lease, &site.schema, &self.note()).await?;
            }
            Ok::<_, Error>(is_of_use)
        };
        let made = made.await;
        match made {
            Ok(true) => lease.settle().await,
            // A half-made schema would stay until the next time, when there would be one more.
            _ => self.give_up(Some(lease), &site.schema, false).await,
        }
        made
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
        let to = Subject { schema: schema.clone(), role: None };
        let made = async {
            template::press(&mut tx, &stamp, &to, CreateOptions::default().lock_timeout).await?;
            if let Some(role) = self.fleet.server().role_of_manager() {
                let mut sql = Sql::default();
                grant(&mut sql, schema, role);
                sqlx::raw_sql(sql.finish()).execute(&mut *tx).await?;
            }
            write_note(&mut tx, schema, &self.note()).await
        };
        match made.await {
            Ok(()) => self.commit(tx).await.map(|()| Some(true)),
            Err(error) => {
                drop(roll_back(tx, error).await);
                self.known_template().forget();
                Ok(None)
            }
        }
    }

    /// Records that a template of ours is still needed.
    async fn note_template_if_old(&self, spare: &Listed, now: Duration) -> Result<(), Error> {
        let ours = spare.template.as_ref().filter(|note| note.hash == self.note().hash);
        if ours.is_none_or(|note| !note.is_old(now)) {
            return Ok(());
        }
        let mut lease = self.fleet.lease().await?;
        let mut sql = Sql::default();
        provisional::comment(&mut sql, &spare.schema, Comment::Template(&self.note()));
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
        let is_left =
            |spare: &&Listed| spare.note.is_none() && spare.template.is_none() && !spare.is_in_use;
        for spare in there.iter().filter(is_left) {
            match self.remove(&spare.schema).await {
                Ok(_) => {}
                // Its lock is held: it is being created.
                Err(error) if error.kind() == ErrorKind::Busy => {}
                Err(error) => stays(&spare.schema, error)?,
            }
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
                FailureReason::Connection => Err(super::made::migration(failure)),
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

    /// Removes a schema that does not belong to a tenant. Returns whether it existed.
    async fn remove(&self, schema: &Ident) -> Result<bool, Error> {
        let site = self.fleet.site_of(schema);
        self.drop_schema(&site, &super::DropOptions::default().cascade(true)).await
    }
}

/// A schema that is no tenant's yet.
pub(super) struct Listed {
    pub(super) schema: Ident,
    /// Its note, if it is ready.
    note: Option<SpareNote>,
    /// Its note, if it is a template.
    template: Option<SpareNote>,
    /// It is being turned into a tenant, or was a while ago.
    is_in_use: bool,
}

impl Listed {
    pub(super) fn is_template_of(&self, hash: &str) -> bool {
        self.template.as_ref().is_some_and(|note| note.hash == hash)
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

/// Lists the schemas that do not belong to a tenant yet.
pub(super) async fn list(conn: &mut PgConnection) -> Result<Vec<Listed>, Error> {
    let mut sql = Sql::new(
        "select n.nspname::pg_catalog.text, coalesce(note, '') from pg_catalog.pg_namespace n \
         cross join lateral pg_catalog.obj_description(n.oid, 'pg_namespace') as note \
         where pg_catalog.starts_with(n.nspname::pg_catalog.text, ",
    );
    // Schemas that are kept for inspection are never removed.
    sql.literal(PROVISIONAL).text(") and coalesce(note operator(pg_catalog.<>) ").literal(KEPT);
    sql.text(", true) order by 1");
    let rows = sqlx::raw_sql(sql.finish()).fetch_all(conn).await?;
    let now = provisional::now();
    let listed = |row: &PgRow| {
        let schema = Ident::parse(row.try_get(0)?).map_err(Error::catalog)?;
        let comment = row.try_get(1)?;
        let is_in_use = provisional::is_in_use(comment, now);
        let template = SpareNote::after(TEMPLATE, comment);
        Ok(Listed { schema, note: SpareNote::parse(comment), template, is_in_use })
    };
    rows.iter().map(listed).collect()
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
        "a schema that was to be a spare can be neither renewed nor removed now; it is tried again the next time"
    );
    Ok(())
}
