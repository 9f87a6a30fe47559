//! Schemas that are made before anybody asks for them.

use std::time::Duration;

use sqlx::{PgConnection, Row};
use tokio::time::{Instant, sleep, timeout};

use super::{
    CreateOptions, Provisioner, SpareReport,
    provisional::{self, Comment, KEPT, READY},
};
use crate::{
    catalog::Site,
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::{self, FailureReason, MigrateOptions, apply_all},
    sql::Sql,
    tenant::{Ident, PROVISIONAL},
};

/// The lock of whoever sees to the spares.
const LOCK: &str = "the spares of tenantry";

impl Provisioner {
    /// Sees to it that so many spares are ready: schemas with all migrations, which
    /// [`create`](Self::create) only has to rename.
    ///
    /// Spares that are behind get the files that they have not, and those that are half made are removed.
    /// It takes two connections of the budget, where there are two. Call it at the start, after a deploy, and now and then; or have
    /// [`keep_spares`](Self::keep_spares) do so. When somebody else is at it, nothing is done.
    ///
    /// The first spare of a set of files is searched for its provisional name, in the catalogs and in rows:
    /// what is stored as text does not follow the rename that makes a tenant of it. A `search_path` of a
    /// function does; anything else makes these files unfit for spares, which the report says.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create). The spares that were made stay.
    ///
    /// # Cancel safety
    ///
    /// When dropped, a spare may be left half made; the next call removes it.
    pub async fn fill_spares(&self, spares: usize) -> Result<SpareReport, Error> {
        let began = Instant::now();
        self.lint()?;
        let mut report = SpareReport::default();
        let mut guard = self.fleet.lease().await?;
        let there = list(&mut guard).await?;
        let filled = if self.fleet.server().places_for_upkeep() < 2 {
            // There is no second connection to keep the lock on. Two who are at it make too many at worst.
            drop(guard);
            self.fill(there, spares, &mut report).await
        } else {
            let filled = match lock(&mut guard).await? {
                true => self.fill(there, spares, &mut report).await,
                false => {
                    report.ready = there.iter().filter(|(_, ready)| *ready).count();
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
                Err(migrate::explained_error(&self.fleet, &behind, error).await)
            }
        }
    }

    async fn fill(
        &self,
        there: Vec<(Ident, bool)>,
        spares: usize,
        report: &mut SpareReport,
    ) -> Result<(), Error> {
        for (spare, ready) in there {
            match if ready { self.renew(&spare).await? } else { Renewed::Useless } {
                Renewed::Ready { files } => {
                    report.ready += 1;
                    report.migrated += usize::from(files > 0);
                }
                Renewed::Taken => {}
                Renewed::Useless => match self.remove(&spare).await {
                    Ok(removed) => report.removed += usize::from(removed),
                    // Somebody is making it just now.
                    Err(error) if error.kind() == ErrorKind::Busy => {}
                    Err(error) => return Err(error),
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

    /// Keeps so many spares ready until the manager is closed: at once, whenever this provisioner or a clone of
    /// it has used one, and again as often as this.
    ///
    /// It runs in the background, as a task that [`TenantManager::close`](crate::TenantManager::close)
    /// ends. What goes wrong is logged, and tried again the next time.
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
                    // Whoever signs up next should find one, too.
                    drop(timeout(every, provisioner.claimed()).await);
                }
            };
            shutdown.run_until_cancelled(keep).await;
        });
    }

    /// Finds a spare that is ready and that nobody else is taking, and holds it until the end of the
    /// transaction.
    pub(super) async fn claim_spare(
        &self,
        tx: &mut TenantTransaction,
    ) -> Result<Option<Ident>, Error> {
        // Whoever has had the lock may have taken the spare since the statement that got it began.
        while let Some(spare) = lock_spare(tx).await? {
            if is_ready(tx, &spare).await? {
                return Ok(Some(spare));
            }
        }
        Ok(None)
    }

    /// Gives a spare that was renamed the files that it has not. Returns whether it is of use.
    pub(super) async fn catch_up(
        &self,
        tx: &mut TenantTransaction,
        site: &Site,
    ) -> Result<bool, Error> {
        match &self.migrations {
            Some(set) => {
                migrate::catch_up(tx, set, &site.schema).await.map_err(super::made::migration)
            }
            None => Ok(true),
        }
    }

    /// Makes a spare, unless what the files make keeps the name that it was made under.
    async fn make_spare(&self) -> Result<bool, Error> {
        if self.refuse_stored_names().is_err() {
            return Ok(false);
        }
        let schema = provisional::new_name();
        let role = self.fleet.server().role_of_manager();
        let mut lease = self.make_in_steps(&schema, role, &CreateOptions::default()).await?;
        self.try_rename(&mut lease, &schema).await?;
        if self.refuse_stored_names().is_err() {
            lease.settle().await;
            return self.remove_own(&schema).await.map(|_| false);
        }
        let mut sql = Sql::default();
        provisional::comment(&mut sql, &schema, Comment::Ready);
        sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
        lease.settle().await;
        Ok(true)
    }

    /// Gives a spare the files that it has not.
    async fn renew(&self, spare: &Ident) -> Result<Renewed, Error> {
        let Some(set) = &self.migrations else { return Ok(Renewed::Ready { files: 0 }) };
        let site = self.fleet.site_of(spare);
        let role = self.fleet.server().role_of_manager();
        let mut lease = self.fleet.lease_for(&site).await?;
        let applied = apply_all(set, &site, &MigrateOptions::default(), role, &mut lease).await;
        if applied.is_ok() {
            self.try_rename(&mut lease, spare).await?;
        }
        lease.settle().await;
        match applied {
            Ok(_) if self.refuse_stored_names().is_err() => Ok(Renewed::Useless),
            Ok(files) => Ok(Renewed::Ready { files }),
            Err(failure) => match failure.reason {
                FailureReason::LockTimeout | FailureReason::SchemaMissing => Ok(Renewed::Taken),
                FailureReason::Connection => Err(super::made::migration(failure)),
                _ => Ok(Renewed::Useless),
            },
        }
    }

    /// Removes a schema that this process has made and given up: the session that has made it may not have
    /// been cleaned yet.
    pub(super) async fn remove_own(&self, schema: &Ident) -> Result<bool, Error> {
        let deadline = Instant::now() + self.fleet.server().options().cleanup_timeout;
        loop {
            match self.remove(schema).await {
                Err(error) if error.kind() == ErrorKind::Busy && Instant::now() < deadline => {
                    sleep(Duration::from_millis(20)).await;
                }
                removed => return removed,
            }
        }
    }

    /// Removes a schema that is no tenant's. Returns whether it was there.
    async fn remove(&self, schema: &Ident) -> Result<bool, Error> {
        let site = self.fleet.site_of(schema);
        self.drop_schema(&site, &super::DropOptions::default().cascade(true)).await
    }
}

/// What has come of a spare that was ready.
enum Renewed {
    Ready {
        files: usize,
    },
    /// Somebody is making a tenant of it.
    Taken,
    /// It has other files.
    Useless,
}

async fn lock(conn: &mut PgConnection) -> Result<bool, Error> {
    let mut sql = Sql::new("select pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended(");
    sql.literal(LOCK).text(", 7234619037115))");
    Ok(sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)?)
}

/// Takes the lock of a spare that seems to be ready, until the end of the transaction.
async fn lock_spare(conn: &mut PgConnection) -> Result<Option<Ident>, Error> {
    let mut sql = Sql::new(
        "select spare from (select n.nspname::pg_catalog.text as spare \
         from pg_catalog.pg_namespace n where pg_catalog.starts_with(n.nspname::pg_catalog.text, ",
    );
    // The inner select stays by itself, so that the lock is tried for one after the other.
    sql.literal(PROVISIONAL)
        .text(") and pg_catalog.obj_description(n.oid, 'pg_namespace') operator(pg_catalog.=) ");
    sql.literal(READY).text(
        " offset 0) as ready where pg_catalog.pg_try_advisory_xact_lock( \
         pg_catalog.hashtextextended(spare, 7234619037115)) limit 1",
    );
    let row = sqlx::raw_sql(sql.finish()).fetch_optional(conn).await?;
    row.map(|row| ident(row.try_get(0)?)).transpose()
}

async fn is_ready(conn: &mut PgConnection, spare: &Ident) -> Result<bool, Error> {
    let mut sql = Sql::new(
        "select exists (select from pg_catalog.pg_namespace where nspname operator(pg_catalog.=) ",
    );
    sql.literal(spare.as_str())
        .text(" and pg_catalog.obj_description(oid, 'pg_namespace') operator(pg_catalog.=) ");
    sql.literal(READY).text(")");
    Ok(sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)?)
}

/// Lists the spares, and says which of them are ready.
async fn list(conn: &mut PgConnection) -> Result<Vec<(Ident, bool)>, Error> {
    let mut sql = Sql::new(
        "select nspname::pg_catalog.text, \
         coalesce(pg_catalog.obj_description(oid, 'pg_namespace') operator(pg_catalog.=) ",
    );
    sql.literal(READY);
    sql.text(", false) from pg_catalog.pg_namespace where pg_catalog.starts_with(nspname::pg_catalog.text, ");
    sql.literal(PROVISIONAL).text(")");
    // What was kept for a look at it is nobody's to remove.
    sql.text(
        " and coalesce(pg_catalog.obj_description(oid, 'pg_namespace') operator(pg_catalog.<>) ",
    );
    sql.literal(KEPT).text(", true) order by 1");
    let rows = sqlx::raw_sql(sql.finish()).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((ident(row.try_get(0)?)?, row.try_get(1)?))).collect()
}

fn ident(name: &str) -> Result<Ident, Error> {
    Ident::parse(name).map_err(Error::catalog)
}
