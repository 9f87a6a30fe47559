//! Creates tenants with seeds that do not run in a transaction: the tenant is not served until everything is done,
//! and the next `create` resumes an interrupted creation or starts over.

use std::hash::{BuildHasher, RandomState};

use serde_json::{Map, Value};

use super::{
    HowMade, Provisioner, inventory,
    made::migration,
    new_tenant::{Failed, Made, New, Seeds},
    provisional::{self, Comment},
    step::Step,
};
use crate::{
    catalog::{CatalogChange, Site},
    citus::Sharding,
    db::{TenantDb, TenantTransaction},
    error::{Error, ErrorKind},
    migrate::{MigrateOptions, Migrations, apply_all, try_lock},
    pool::Lease,
    seed::{Seed, outside},
    sql::Sql,
    tenant::TenantRecord,
};

impl New<'_> {
    /// Creates a tenant with seeds that run outside a transaction.
    pub(super) async fn create_in_parts(&self) -> Result<Made, Error> {
        let Self { provisioner, site, options, .. } = self;
        let Some(underway) = provisioner.begin_making(site).await? else {
            let attempted = "another process is creating it";
            return Err(Error::new(ErrorKind::TenantExists, attempted));
        };
        let mut lease = provisioner.fleet.lease_for(&provisioner.fleet.shared_site()).await?;
        let keeps_steps = provisioner.fleet.keeps_steps(&mut lease).await?;
        let is_there = inventory::exists(&mut lease, &site.schema).await?;
        drop(lease);
        let made = match keeps_steps && !options.keep_failed {
            true => self.create_suspended().await,
            false if site.rows.is_some() => Err(needs_steps()),
            // Its seeds would run for nothing.
            false if is_there => Err(Error::new(ErrorKind::TenantExists, "its schema exists")),
            false => self.create_under_another_name().await,
        };
        underway.end().await;
        made
    }

    /// Marks the tenant as suspended in the catalog, with the reason, until its last seeds have run.
    async fn create_suspended(&self) -> Result<Made, Error> {
        let step = self.step();
        let record = self.record.clone().step(step.as_str());
        let (how, mut seeds) = New { record: &record, ..*self }.create().await?;
        seeds.extend(self.seed_and_end(&step).await?);
        Ok((how, seeds))
    }

    fn step(&self) -> Step {
        let names = self.seeds_outside().map(Seed::name);
        let token = RandomState::new().hash_one(0_u8);
        Step::seeds(names, !self.options.seeds.is_empty(), token)
    }

    pub(super) fn seeds_outside(&self) -> impl Iterator<Item = &Seed> {
        self.provisioner.seeds.iter().filter(|seed| seed.runs_outside())
    }

    /// Runs the last seeds and has the tenant served; when one fails, the tenant is dropped.
    async fn seed_and_end(&self, step: &Step) -> Result<Seeds, Error> {
        let Self { provisioner, record, site, .. } = self;
        let ended = async {
            let db = match &site.rows {
                None => provisioner.fleet.in_the_making(record, &site.schema)?,
                Some(_) => provisioner.fleet.rows_in_the_making(record)?,
            };
            let seeds = self.seed_outside(site, &db).await?;
            self.write_step(step.as_str(), None).await?;
            Ok(seeds)
        };
        let error = match ended.await {
            Ok(seeds) => return Ok(seeds),
            Err(error) => error,
        };
        self.undo(step).await;
        Err(error)
    }

    /// Removes the tenant after a failure, unless another process has taken over by now.
    pub(super) async fn undo(&self, step: &Step) {
        let Self { provisioner, record, site, .. } = self;
        let is_ours = |found: &TenantRecord| found.step.as_deref() == Some(step.as_str());
        let undone = match provisioner.fleet.record(&record.id).await {
            Ok(found) if is_ours(&found) => provisioner.undo(&found, site).await,
            Ok(_) => Ok(()),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = undone {
            tracing::error!(
                target: "tenantry::provision",
                tenant = record.id.as_str(),
                error = &failure as &dyn std::error::Error,
                "could not remove a tenant whose creation has failed: it is not served; create it again, or drop it"
            );
        }
    }

    /// Runs the seeds that do not run in a transaction.
    pub(super) async fn seed_outside(&self, site: &Site, db: &TenantDb) -> Result<Seeds, Error> {
        let mut run = Seeds::new();
        for seed in self.seeds_outside() {
            outside(&self.provisioner.fleet, seed, site, Some(db)).await?;
            run.push(seed.name().into());
        }
        Ok(run)
    }

    pub(super) async fn write_step(&self, from: &str, to: Option<&str>) -> Result<(), Error> {
        let Self { provisioner, record, .. } = self;
        let mut tx = provisioner.begin_shared().await?;
        let change = CatalogChange::Step { tenant: &record.id, from, to };
        provisioner.fleet.write(&mut tx, change).await?;
        provisioner.commit(tx).await
    }
}

/// A tenant that was left behind in the middle.
impl New<'_> {
    /// Handles an unfinished creation of a tenant with this id, if there is one and no process is working on it:
    /// resumes it, or removes the tenant so that the creation can start over.
    pub(super) async fn take_over(&self) -> Result<TakenOver, Error> {
        let Self { provisioner, record, site, options, .. } = self;
        let Provisioner { fleet, .. } = provisioner;
        if !has_step(self).await {
            return Ok(TakenOver::Nothing);
        }
        let Some(underway) = provisioner.begin_making(site).await? else {
            return Ok(TakenOver::Nothing);
        };
        // The previous lock holder may have finished it.
        let found = fleet.record(&record.id).await?;
        let Some(before) = &found.step else { return Ok(TakenOver::Nothing) };
        let step = self.step();
        let other = provisioner.site_of_any(&found)?;
        let is_alike = found.container == record.container
            && other.spot() == site.spot()
            && is_alike(&found.attributes, &record.attributes);
        if !is_alike || options.keep_failed || !step.may_go_on_from(before) {
            provisioner.undo(&found, &other).await?;
            underway.end().await;
            return Ok(TakenOver::Removed);
        }
        self.write_step(before, Some(step.as_str())).await?;
        self.catch_up().await?;
        let seeds = self.seed_and_end(&step).await?;
        underway.end().await;
        Ok(TakenOver::Ended((HowMade::Resumed, seeds)))
    }
}

impl New<'_> {
    /// Applies missing files, because another release may have started the creation.
    async fn catch_up(&self) -> Result<(), Error> {
        let Provisioner { fleet, migrations, .. } = self.provisioner;
        let Some(set) = migrations.as_ref().filter(|_| self.site.rows.is_none()) else {
            return Ok(());
        };
        let mut lease = fleet.lease_for(self.site).await?;
        let options = MigrateOptions::default();
        let applied = apply_all(set, self.site, &options, self.role, &mut lease).await;
        lease.settle().await;
        applied.map(drop).map_err(migration)
    }
}

/// Returns the error of a tenant that is isolated by row, would be served before its last seeds have run, and has no
/// schema that could have another name until then.
fn needs_steps() -> Error {
    let attempted = "a tenant that is isolated by row has seeds that run outside a transaction: the catalog must be able \
                     to record that it is incomplete, as TableCatalog does";
    Error::new(ErrorKind::Config, attempted)
}

/// The result of looking for an unfinished tenant.
pub(super) enum TakenOver {
    /// There is none, or another process is working on it.
    Nothing,
    Removed,
    Ended(Made),
}

async fn has_step(new: &New<'_>) -> bool {
    let found = new.provisioner.fleet.record(&new.record.id).await;
    found.is_ok_and(|record| record.step.is_some())
}

/// The table stores missing attributes as an empty object.
pub(super) fn is_alike(one: &Value, other: &Value) -> bool {
    let nothing = Value::Object(Map::new());
    let or_nothing = |value: &Value| if value.is_null() { nothing.clone() } else { value.clone() };
    or_nothing(one) == or_nothing(other)
}

/// For a catalog that cannot mark a tenant as unfinished: the schema has another name until it is complete.
impl New<'_> {
    async fn create_under_another_name(&self) -> Result<Made, Error> {
        let Self { provisioner, options, .. } = self;
        let Nobodys { how, site, lease } = self.take_nobodys().await?;
        let made = match lease {
            Ok(lease) => self.make_under_another_name(&site, lease).await,
            Err(failed) => Err(failed),
        };
        let Failed { lease, error } = match made {
            Ok(seeds) => return Ok((how, seeds)),
            Err(failed) => failed,
        };
        provisioner.give_up(lease, &site.schema, options.keep_failed).await;
        Err(self.kept(error, &site.schema))
    }

    /// Takes a spare, or creates a schema with all files.
    async fn take_nobodys(&self) -> Result<Nobodys, Error> {
        let Self { provisioner, options, .. } = self;
        if options.use_spare
            && !options.keep_failed
            && let Some(set) = &provisioner.migrations
            && provisioner.may_take_spare(self.role)
            && provisioner.refuse_stored_names().is_ok()
            && let Some(nobodys) = self.take_spare(set).await?
        {
            return Ok(nobodys);
        }
        let site = provisioner.fleet.site_of(&provisional::new_name());
        let mut lease = provisioner.hold_new(&site, self.role, Sharding::Tenant).await?;
        let made = provisioner.make_in_steps(&site, self.role, options, &mut lease).await;
        let lease = match made {
            Ok(()) => Ok(lease),
            Err(error) => Err(Failed { lease: Some(lease), error }),
        };
        Ok(Nobodys { how: HowMade::InSteps, site, lease })
    }

    async fn take_spare(&self, set: &Migrations) -> Result<Option<Nobodys>, Error> {
        let Provisioner { fleet, .. } = self.provisioner;
        let mut tx = self.provisioner.begin_shared().await?;
        let claimed = self.provisioner.claim_spare(&mut tx, set).await?;
        let Some(spare) = claimed.spare.filter(|spare| spare.is_of(set)) else {
            return Ok(None);
        };
        let mut sql = Sql::default();
        provisional::comment(&mut sql, &spare.schema, Comment::InUse(provisional::now()));
        sqlx::raw_sql(sql.finish()).execute(&mut *tx).await?;
        self.provisioner.commit(tx).await?;
        self.provisioner.note_claim();
        let site = fleet.site_of(&spare.schema);
        let mut lease = fleet.lease_for(&site).await?;
        let mut sql = Sql::new("select ");
        try_lock(&mut sql, "pg_catalog.pg_try_advisory_lock", &site.schema).text("; ");
        provisional::comment(&mut sql, &spare.schema, Comment::Nothing);
        sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
        Ok(Some(Nobodys { how: HowMade::Spare, site, lease: Ok(lease) }))
    }

    async fn make_under_another_name(&self, nobodys: &Site, lease: Lease) -> Result<Seeds, Failed> {
        let Self { provisioner: Provisioner { fleet, .. }, record, .. } = self;
        let site = fleet.site_at(record, &nobodys.schema);
        let (mut seeds, lease) = self.seed_inside(&site, lease).await?;
        let seeded = match fleet.in_the_making(record, &site.schema) {
            Ok(db) => self.seed_outside(&site, &db).await,
            Err(error) => Err(error),
        };
        match seeded {
            Ok(run) => seeds.extend(run),
            Err(error) => return Err(Failed { lease, error }),
        }
        let lease = match lease {
            Some(lease) => lease,
            None => fleet.lease_for(nobodys).await.map_err(Failed::lost)?,
        };
        let mut tx = TenantTransaction::open(lease).await.map_err(Failed::lost)?;
        let named = async {
            self.name(&mut tx, &nobodys.schema).await?;
            self.look_here(&mut tx).await?;
            self.list(&mut tx).await
        };
        let named = named.await;
        self.end_with(tx, named).await.map(|()| seeds)
    }

    /// Runs the seeds that run in a transaction. Keeps the lease, unless the other seeds need its connection.
    async fn seed_inside(
        &self,
        site: &Site,
        lease: Lease,
    ) -> Result<(Seeds, Option<Lease>), Failed> {
        let mut tx = TenantTransaction::open(lease).await.map_err(Failed::lost)?;
        tx.now_serves(&site.occupant);
        let is_needed = self.provisioner.fleet.server().places_for_upkeep() < 3;
        let seeded = async {
            let seeds = self.seed(site, &mut tx).await?;
            if is_needed {
                let mut sql = Sql::default();
                provisional::comment(&mut sql, &site.schema, Comment::InUse(provisional::now()));
                sqlx::raw_sql(sql.finish()).execute(&mut *tx).await?;
            }
            Ok(seeds)
        };
        let seeds = match seeded.await {
            Ok(seeds) => seeds,
            Err(error) => return Err(Failed { lease: tx.back_out().await, error }),
        };
        let lease = tx.commit_and_keep().await.map_err(Failed::lost)?;
        if !is_needed {
            return Ok((seeds, Some(lease)));
        }
        lease.settle().await;
        Ok((seeds, None))
    }
}

/// A schema with all files that does not belong to a tenant yet.
struct Nobodys {
    how: HowMade,
    site: Site,
    /// The lease holds the schema's lock.
    lease: Result<Lease, Failed>,
}
