//! Creates a tenant elsewhere, in steps that another process can continue.

use std::hash::{BuildHasher, RandomState};

use super::{
    super::{
        CreateOptions, HowMade, Provisioner,
        answer::lost_database,
        in_parts::is_alike,
        mark::Mark,
        new_tenant::{Made, New, Seeds},
        step::{self, Step},
    },
    database::NewDatabase,
    schema::{self, Found},
    spare_filling::public,
    spare_taking::{Eligible, Taken},
};
use crate::{
    catalog::{CatalogChange, RowsOfTenant},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    pool::Lease,
    tenant::{Ident, TenantRecord},
};

impl New<'_> {
    /// Creates a tenant whose container is not in the manager's database, or resumes an interrupted creation.
    pub(in crate::provision) async fn create_elsewhere(&self) -> Result<Made, Error> {
        let there = self.provisioner.at(&self.site.home);
        let elsewhere = Elsewhere { new: *self, there: &there };
        elsewhere.check().await?;
        let Some(underway) = self.provisioner.begin_making(self.site).await? else {
            let attempted = "another process is creating it";
            return Err(Error::new(ErrorKind::TenantExists, attempted));
        };
        let made = elsewhere.create_or_resume().await;
        underway.end().await;
        made
    }
}

/// Refuses options that need a schema in the manager's database.
pub(in crate::provision) fn refuse_elsewhere(
    options: &CreateOptions,
    record: &TenantRecord,
) -> Result<(), Error> {
    let wrong = if options.from_template {
        "templates are schemas in the manager's database, and it is elsewhere"
    } else if options.keep_failed {
        "keep_failed needs a schema in the manager's database, and it is elsewhere"
    } else {
        return Ok(());
    };
    let attempted = format!("creating a tenant: {wrong}");
    Err(Error::new(ErrorKind::Config, attempted).with_tenant(&record.id))
}

/// A tenant to be created outside the manager's database.
struct Elsewhere<'a> {
    /// Its provisioner works in the manager's database, where the catalog is.
    new: New<'a>,
    /// Works in the tenant's database.
    there: &'a Provisioner,
}

/// What the step of a tenant from an archive names: no other creation continues it.
const ARCHIVE: &str = "archive";

/// A creation under way: the mark of its containers, and the step that the catalog records.
struct Begun {
    mark: Mark,
    step: Step,
}

impl Elsewhere<'_> {
    /// Refuses what cannot succeed, before anything is done.
    async fn check(&self) -> Result<(), Error> {
        let New { provisioner, site, .. } = self.new;
        let mut lease = provisioner.fleet.lease_for(&provisioner.fleet.shared_site()).await?;
        let keeps_steps = provisioner.fleet.keeps_steps(&mut lease).await?;
        drop(lease);
        if !keeps_steps {
            let attempted = "creating a tenant outside the manager's database takes several steps, which the catalog must \
                             be able to record, as TableCatalog does";
            return Err(Error::new(ErrorKind::Config, attempted));
        }
        if site.rows.is_none() {
            provisioner.refuse_missing_right(&site.home).await?;
        }
        Ok(())
    }

    async fn create_or_resume(&self) -> Result<Made, Error> {
        match self.begin().await {
            Ok(begun) => self.make(begun).await,
            Err(error) if error.kind() == ErrorKind::TenantExists => self.resume(error).await,
            Err(error) => Err(error),
        }
    }

    /// Lists the tenant, with its first step.
    async fn begin(&self) -> Result<Begun, Error> {
        let New { provisioner, record, .. } = self.new;
        let begun = self.begun(Mark::new());
        let record = record.clone().step(begun.step.as_str());
        let mut tx = provisioner.begin_shared().await?;
        provisioner.fleet.write(&mut tx, CatalogChange::Created(&record)).await?;
        provisioner.commit(tx).await?;
        Ok(begun)
    }

    fn begun(&self, mark: Mark) -> Begun {
        let of_archive = self.new.archived.map(|_| ARCHIVE);
        let names = self.new.seeds_outside().map(crate::seed::Seed::name).chain(of_archive);
        let own = !self.new.options.seeds.is_empty() || of_archive.is_some();
        Begun { mark, step: Step::making(mark, names, own, token()) }
    }

    /// Continues an interrupted creation, or removes what it has made and starts over.
    async fn resume(&self, exists: Error) -> Result<Made, Error> {
        let New { provisioner, record, .. } = self.new;
        let found = provisioner.fleet.record(&record.id).await?;
        let Some(before) = &found.step else { return Err(exists) };
        match step::Elsewhere::of(&found) {
            Some(step::Elsewhere::Dropping(_)) => {
                let attempted = "it is being dropped: drop it again to complete that";
                return Err(Error::new(ErrorKind::TenantExists, attempted));
            }
            Some(step::Elsewhere::Making(mark)) if self.is_same(&found) => {
                let begun = self.begun(mark);
                let may_continue = match self.may_continue(&begun, before).await {
                    Ok(may) => may,
                    Err(error) => return Err(self.unless_taken_over(before, error).await),
                };
                if may_continue {
                    self.new.write_step(before, Some(begun.step.as_str())).await?;
                    let (_, seeds) = self.make(begun).await?;
                    return Ok((HowMade::Resumed, seeds));
                }
            }
            _ => {}
        }
        provisioner.undo(&found, &provisioner.site_of_any(&found)?).await?;
        let begun = self.begin().await?;
        self.make(begun).await
    }

    /// Returns `true` if a tenant that was found is to be made at the same place and with the same attributes.
    fn is_same(&self, found: &TenantRecord) -> bool {
        let New { provisioner, record, site, .. } = self.new;
        let is_there = provisioner.site_of_any(found).is_ok_and(|it| it.spot() == site.spot());
        is_there && is_alike(&found.attributes, &record.attributes)
    }

    /// Returns `true` if the remaining work is known: the data of one sign-up, whose closures the process that was
    /// interrupted had, is not there yet.
    async fn may_continue(&self, begun: &Begun, before: &str) -> Result<bool, Error> {
        if begun.step.may_go_on_from(before) {
            return Ok(true);
        }
        Ok(begun.step.is_like(before) && !self.is_filled(begun.mark).await?)
    }

    async fn is_filled(&self, mark: Mark) -> Result<bool, Error> {
        Ok(self.there.find_made(self.new.site, mark).await? == Found::Filled)
    }

    /// Makes the container and has the tenant served. If this fails, everything is removed.
    async fn make(&self, begun: Begun) -> Result<Made, Error> {
        let made = async {
            let made = Box::pin(self.make_container(begun.mark)).await?;
            let completed = self.new.write_step(begun.step.as_str(), None).await;
            completed.map(|()| made).map_err(taken_over)
        };
        let error = match made.await {
            Ok(made) => return Ok(made),
            Err(error) => error,
        };
        let error = self.unless_taken_over(begun.step.as_str(), error).await;
        self.new.undo(&begun.step).await;
        let New { provisioner, record, site, .. } = self.new;
        if let Err(failure) = provisioner.remove_unless_used(record, site, begun.mark).await {
            tracing::error!(
                target: "tenantry::provision",
                tenant = record.id.as_str(),
                error = &failure as &dyn std::error::Error,
                "could not look for what a failed creation has left"
            );
        }
        Err(error)
    }

    /// Explains the loss of a session: another process that has replaced the step, and so has taken the creation over,
    /// may have removed the database.
    async fn unless_taken_over(&self, step: &str, error: Error) -> Error {
        if !lost_database(&error) {
            return error;
        }
        let New { provisioner, record, .. } = self.new;
        let is_ours = match provisioner.fleet.record(&record.id).await {
            Ok(found) => found.step.as_deref() == Some(step),
            Err(failure) => failure.kind() != ErrorKind::UnknownTenant,
        };
        if is_ours { error } else { conflict(error) }
    }

    async fn make_container(&self, mark: Mark) -> Result<Made, Error> {
        let New { site, role, record, .. } = self.new;
        let (how, mut seeds, db) = match (&site.rows, site.home.database()) {
            (Some(rows), _) => {
                let seeds = self.fill_rows(rows, mark).await?;
                (HowMade::Rows, seeds, self.there.fleet.rows_in_the_making(record)?)
            }
            (None, database) => {
                let (how, seeds) = match database {
                    Some(name) => self.make_database_and_fill(name, mark).await?,
                    None => (HowMade::InSteps, self.fill_schema(mark, role).await?),
                };
                (how, seeds, self.there.fleet.in_the_making(record, &site.schema)?)
            }
        };
        seeds.extend(self.on_place().seed_outside(site, &db).await?);
        Ok((how, seeds))
    }

    /// Makes the database, from a spare if there is one, and fills it. A spare that was made from other files and
    /// cannot be brought up to ours is replaced by a new database.
    async fn make_database_and_fill(&self, name: &Ident, mark: Mark) -> Result<Made, Error> {
        let New { provisioner, site, role, .. } = self.new;
        loop {
            let taken = self.make_database(name, mark).await?;
            let error = match (self.fill_schema(mark, role).await, &taken) {
                (Ok(seeds), Some(_)) => return Ok((HowMade::Spare, seeds)),
                (Ok(seeds), None) => return Ok((HowMade::InSteps, seeds)),
                (Err(error), _) => error,
            };
            let others = taken.filter(|taken| taken.made_from != self.made_from());
            let Some(taken) = others.filter(|_| error.kind() == ErrorKind::Migration) else {
                return Err(error);
            };
            tracing::warn!(
                target: "tenantry::provision",
                database = name.as_str(),
                error = &error as &dyn std::error::Error,
                "replacing a spare database: it cannot be brought up to these files"
            );
            provisioner.known_databases().passed_over.lock().insert(taken.made_from);
            provisioner.remove_database(site, mark).await?;
        }
    }

    async fn make_database(&self, name: &Ident, mark: Mark) -> Result<Option<Taken>, Error> {
        let New { provisioner, site, role, options, .. } = self.new;
        let may_take =
            options.use_spare && site.schema == public() && self.there.may_take_spare(role);
        let spares = may_take.then(|| Eligible {
            made_from: self.made_from(),
            latest: provisioner.note().latest,
            passed_over: &provisioner.known_databases().passed_over,
        });
        let roles = self.roles();
        let database = NewDatabase { name, mark, roles: &roles, options, spares };
        let mut lease = provisioner.fleet.at(&site.home.of_server()).lease().await?;
        let made = database.make(&mut lease).await;
        lease.settle().await;
        // Another process may have dropped the one that had this name before.
        provisioner.fleet.at(&site.home).server().close_idle_in(name);
        if matches!(&made, Ok(Some(_))) {
            provisioner.known_databases().claimed.notify_one();
        }
        made
    }

    /// Returns what spares are made from that are as a new database of this tenant.
    fn made_from(&self) -> String {
        self.new.provisioner.made_from(self.new.options.database_template.as_ref())
    }

    /// Returns the roles that connect to the tenant's database.
    fn roles(&self) -> Vec<&Ident> {
        let manager = self.there.fleet.server().role_of_manager();
        let mut roles: Vec<_> = manager.into_iter().chain(self.new.role).collect();
        roles.dedup();
        roles
    }

    /// Returns the same new tenant with a provisioner in its database.
    fn on_place(&self) -> New<'_> {
        New { provisioner: self.there, ..self.new }
    }

    async fn fill_schema(&self, mark: Mark, role: Option<&Ident>) -> Result<Seeds, Error> {
        let New { site, options, .. } = self.new;
        if site.home.database().is_none() {
            self.there.refuse_name_in_use(&site.schema).await?;
        }
        let mut lease = self.there.lock(site).await?;
        let found = schema::find(&mut lease, site, mark).await?;
        if self.new.archived.is_some() {
            return self.unpack(lease, found, mark).await;
        }
        self.there.make_schema(&mut lease, site, found, mark, role).await?;
        let made = self.there.make_in_steps(site, role, options, &mut lease).await;
        if let Err(error) = made {
            lease.settle().await;
            return Err(error);
        }
        if found == Found::Filled {
            lease.settle().await;
            return Ok(Seeds::new());
        }
        self.fill(lease, mark).await
    }

    /// Creates the schema from an archive in one transaction, and records that.
    async fn unpack(&self, lease: Lease, found: Found, mark: Mark) -> Result<Seeds, Error> {
        let New { site, .. } = self.new;
        if found != Found::Nothing {
            lease.settle().await;
            return match found {
                Found::Filled => Ok(Seeds::new()),
                Found::Strangers | Found::Made | Found::Nothing => Err(schema::taken(site)),
            };
        }
        let mut tx = TenantTransaction::open(lease).await?;
        tx.now_serves(&site.occupant);
        let filled = async {
            self.new.unpack(&mut tx).await?;
            self.there.claim_name(&mut tx, &site.schema).await?;
            let seeds = self.on_place().seed(site, &mut tx).await?;
            schema::note_unpacked(&mut tx, site, mark).await?;
            Ok(seeds)
        };
        let filled = filled.await;
        self.end(tx, filled).await
    }

    /// Runs the seeds, and records that, in one transaction.
    async fn fill(&self, lease: Lease, mark: Mark) -> Result<Seeds, Error> {
        let New { site, .. } = self.new;
        let mut tx = TenantTransaction::open(lease).await?;
        tx.now_serves(&site.occupant);
        let filled = async {
            if site.home.database().is_none() {
                self.there.claim_name(&mut tx, &site.schema).await?;
            }
            let seeds = self.on_place().seed(site, &mut tx).await?;
            schema::note_filled(&mut tx, site, mark).await?;
            Ok(seeds)
        };
        let filled = filled.await;
        self.end(tx, filled).await
    }

    async fn fill_rows(&self, of: &RowsOfTenant, mark: Mark) -> Result<Seeds, Error> {
        let New { site, .. } = self.new;
        self.there.refuse_retired_key(site).await?;
        let mut lease = self.there.fleet.lease_for(site).await?;
        crate::seed::ensure_table(&mut lease, site).await?;
        if schema::find(&mut lease, site, mark).await? == Found::Filled {
            return Ok(Seeds::new());
        }
        let mut tx = TenantTransaction::open(lease).await?;
        let filled = async {
            self.on_place().prepare_rows(of, &mut tx).await?;
            let seeds = self.on_place().seed(site, &mut tx).await?;
            schema::note_filled(&mut tx, site, mark).await?;
            Ok(seeds)
        };
        let filled = filled.await;
        self.end(tx, filled).await
    }

    /// Commits, or rolls back.
    async fn end(
        &self,
        tx: TenantTransaction,
        filled: Result<Seeds, Error>,
    ) -> Result<Seeds, Error> {
        match filled {
            Ok(seeds) => self.there.commit(tx).await.map(|()| seeds),
            Err(error) => {
                if let Some(lease) = tx.back_out().await {
                    lease.settle().await;
                }
                Err(error)
            }
        }
    }
}

/// Another process has taken the creation over, and has completed or undone it: the row no longer has our step.
fn taken_over(error: Error) -> Error {
    match error.kind() {
        ErrorKind::UnknownTenant => conflict(error),
        _ => error,
    }
}

fn conflict(error: Error) -> Error {
    let attempted = "another process has taken its creation over";
    Error::new(ErrorKind::TenantExists, attempted).with_source(error)
}

/// Distinguishes the processes that work on a tenant.
pub(super) fn token() -> u64 {
    RandomState::new().hash_one(0_u8)
}
