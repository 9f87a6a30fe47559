//! Creates a tenant: its schema, what is in it, and its row in the catalog, all of it or nothing.

use std::sync::{Arc, atomic::Ordering};

use tokio::time::Instant;

use super::{
    CreateOptions, Created, HowMade, Provisioner, answer,
    claim::Spare,
    in_parts::TakenOver,
    made::limit_locks,
    provisional::{self, Comment},
};
use crate::{
    catalog::{CatalogChange, Site},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::{Attempts, Collision, Migrations, explained_error},
    pool::{Lease, grant},
    seed::{Seed, in_transaction},
    sql::Sql,
    tenant::{Ident, ParseTenantIdError, TenantId, TenantRecord},
};

impl Provisioner {
    /// Creates a tenant: its schema, all migrations, the seeds, and its row in a catalog that has rows. It
    /// is served as soon as this returns.
    ///
    /// All of it is one transaction, in which the files and their records are sent as one string. What the
    /// server refuses in one transaction is tried once more in steps: the schema is made file by file under
    /// another name, and gets the tenant's name at the end. A [spare](Self::fill_spares) has only to be renamed.
    ///
    /// Seeds that [run outside a transaction](crate::seed::Seed::with_db) come after that. Until they have run,
    /// the catalog says that the tenant is suspended, and [why](TenantRecord::step); where it has no place for
    /// that, the schema has another name until then. When such a creation was interrupted, the next `create` of
    /// the same id goes on with it, or removes it and begins anew when it was begun with other options; in the
    /// latter case [`NameInUse`](ErrorKind::NameInUse) says when.
    ///
    /// # Errors
    ///
    /// [`TenantExists`](ErrorKind::TenantExists) when there is such a tenant, or its schema: of several
    /// that create one tenant at once, one succeeds and the others get this.
    /// [`NameInUse`](ErrorKind::NameInUse) when another tenant's schema has had that name until a moment
    /// ago, and somebody may still be at work who means that one: for 10 s after a tenant was renamed or
    /// dropped, and until the transactions and leases of that time have ended; the error says when to
    /// [try again](Error::retry_after).
    /// [`StoredName`](ErrorKind::StoredName) when the files must run one by one, what they make keeps the name
    /// of its schema as text, and tenants are found by their schemas.
    /// [`PermissionDenied`](ErrorKind::PermissionDenied) when the role may not create schemas; the error says which
    /// `grant` is missing.
    /// [`InvalidTenantId`](ErrorKind::InvalidTenantId) and [`Placement`](ErrorKind::Placement) when it
    /// cannot have a schema; [`Migration`](ErrorKind::Migration), with a
    /// [`Failure`](crate::migrate::Failure) or a [`LintError`](crate::migrate::LintError) as the source,
    /// and [`Seed`](ErrorKind::Seed). Nothing is left behind, unless
    /// [that was asked for](CreateOptions::keep_failed).
    ///
    /// # Cancel safety
    ///
    /// When dropped, the tenant was created as a whole or not at all, or it is not served and the next `create`
    /// goes on with it. What was made under another name stays until the [spares](Self::fill_spares) are next
    /// filled.
    pub async fn create<I>(&self, id: I, options: CreateOptions) -> Result<Created, Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let began = Instant::now();
        let id = id.try_into().map_err(Into::into)?;
        // A future of its own, so that those of callers stay shallow.
        let created = Box::pin(self.create_now(id, &options, began)).await;
        let outcome = created.as_ref().map_or("failed", |created| created.how.as_str());
        self.fleet.server().observer.meters.created(outcome, began.elapsed());
        created
    }

    /// Says whether a tenant is made in one transaction after the other, as far as that is known.
    fn takes_several_transactions(&self, options: &CreateOptions) -> bool {
        options.keep_failed
            || self.seeds.iter().any(Seed::runs_outside)
            || self.migrations.as_ref().is_some_and(Migrations::needs_steps)
    }

    async fn create_now(
        &self,
        id: TenantId,
        options: &CreateOptions,
        began: Instant,
    ) -> Result<Created, Error> {
        let role = self.role_of_new(&id, options).await?;
        let record = TenantRecord::new(id).attributes(options.attributes.clone());
        let record = TenantRecord { container: options.container.clone(), role, ..record };
        let site = self.fleet.site(&record)?;
        self.lint()?;
        // Where all is one transaction, that finds it out soon enough.
        if self.takes_several_transactions(options) {
            self.refuse_name_in_use(&site.schema)
                .await
                .map_err(|error| error.with_tenant(&record.id))?;
        }
        let role =
            self.fleet.role_of(&site).await.map_err(|error| error.with_tenant(&record.id))?;
        self.refuse_missing_role(role.as_ref())
            .await
            .map_err(|error| error.with_tenant(&record.id))?;
        let (record, site, role) = (&record, &site, role.as_ref());
        let new = New { provisioner: self, record, site, role, options };
        let mut attempts = Attempts::default();
        let created = loop {
            let created = new.create_or_take_over().await;
            if !attempts.go_on_after(&created).await {
                break created;
            }
        };
        let created = match created {
            Ok(created) => Ok(created),
            Err(error) => {
                if error.kind() == ErrorKind::NameInUse {
                    // Says what is waited for, so that what begins later is not.
                    self.refuse_name_in_use(&site.schema)
                        .await
                        .map_err(|error| error.with_tenant(&record.id))?;
                }
                let path = &site.occupant.binding.search_path;
                let error = explained_error(&self.fleet, path, error).await;
                Err(self.name_missing_right(error).await.with_tenant(&record.id))
            }
        };
        // Whoever has asked before has been told that there is no such tenant, or that it is suspended.
        self.fleet.forget(&record.id);
        let (how, seeds) = created?;
        let newest = self.newest_spares().load(Ordering::Relaxed);
        let newer = self.remark_on_newer(&site.schema, newest).await;
        let no_template =
            || self.why_no_template().filter(|_| options.from_template && how.ran_files());
        Ok(Created {
            tenant_id: record.id.clone(),
            schema: site.schema.as_str().into(),
            how,
            seeds,
            remarks: newer.into_iter().chain(no_template()).collect(),
            duration: began.elapsed(),
        })
    }
}

/// The names of seeds that were run.
pub(super) type Seeds = Vec<Arc<str>>;

/// How a tenant was made, and the seeds that were run.
pub(super) type Made = (HowMade, Seeds);

/// A tenant that is to be.
#[derive(Clone, Copy)]
pub(super) struct New<'a> {
    pub(super) provisioner: &'a Provisioner,
    pub(super) record: &'a TenantRecord,
    pub(super) site: &'a Site,
    /// The role that works on the tables, where that is not the role of upkeep.
    pub(super) role: Option<&'a Ident>,
    pub(super) options: &'a CreateOptions,
}

impl New<'_> {
    /// Creates the tenant. Where a creation of it was left in the middle, that is gone on with, or begun anew.
    async fn create_or_take_over(&self) -> Result<Made, Error> {
        match self.create_whole().await {
            Err(error) if error.kind() == ErrorKind::TenantExists => {
                if self.provisioner.remove_unfinished(&self.site.schema).await? {
                    return self.create_whole().await;
                }
                match self.take_over().await? {
                    TakenOver::Nothing => Err(error),
                    TakenOver::Removed => self.create_whole().await,
                    TakenOver::Ended(made) => Ok(made),
                }
            }
            made => made,
        }
    }

    async fn create_whole(&self) -> Result<Made, Error> {
        match self.provisioner.seeds.iter().any(Seed::runs_outside) {
            true => self.create_in_parts().await,
            false => self.create().await,
        }
    }

    /// Creates the tenant but for the seeds that run outside a transaction.
    pub(super) async fn create(&self) -> Result<Made, Error> {
        let Provisioner { migrations, .. } = self.provisioner;
        if self.options.use_spare
            && let Some(set) = migrations
            && self.provisioner.may_take_spare(self.role)
            && self.provisioner.refuse_stored_names().is_ok()
            && let Some(seeds) = self.with_spare(set).await?
        {
            return Ok((HowMade::Spare, seeds));
        }
        if self.options.from_template
            && !self.options.keep_failed
            && let Some(set) = migrations
            && self.provisioner.may_take_spare(self.role)
            && let Some(seeds) = Box::pin(self.with_template(set)).await?
        {
            return Ok((HowMade::Template, seeds));
        }
        let needs_steps = migrations.as_ref().is_some_and(Migrations::needs_steps);
        if self.options.keep_failed || needs_steps {
            return Ok((HowMade::InSteps, self.in_steps().await?));
        }
        let mut attempts = Attempts::default();
        let made = loop {
            let made = self.at_once().await;
            if !attempts.go_on_after(&made).await {
                break made;
            }
        };
        match made {
            Err(error) if is_worth_steps(&error) => {
                // What fails in this way, too, is told as the files are: one by one.
                let seeds = self.in_steps().await?;
                if let Some(set) = migrations.as_ref().filter(|_| !is_passing(&error)) {
                    set.note_that_it_needs_steps();
                }
                Ok((HowMade::InSteps, seeds))
            }
            made => Ok((HowMade::AtOnce, made?)),
        }
    }

    /// Makes all of it in one transaction.
    async fn at_once(&self) -> Result<Seeds, Error> {
        let mut tx = self.begin().await?;
        match self.provisioner.make_at_once(&mut tx, self.site, self.role, self.options).await {
            Ok(()) => self.finish(tx).await,
            Err(error) => Err(roll_back(tx, error).await),
        }
    }

    /// Takes a spare that is ready, if there is one.
    async fn with_spare(&self, set: &Migrations) -> Result<Option<Seeds>, Error> {
        loop {
            let mut tx = self.begin().await?;
            let claimed = self.provisioner.claim_spare(&mut tx, set).await?;
            self.provisioner.newest_spares().store(claimed.newest, Ordering::Relaxed);
            let Some(spare) = claimed.spare else { return Ok(None) };
            let (error, is_spares) = match self.prepare(&mut tx, set, &spare).await {
                Ok(()) => match self.finish(tx).await {
                    Ok(seeds) => {
                        self.provisioner.note_claim();
                        return Ok(Some(seeds));
                    }
                    // What it was given just now may be what stands in the way.
                    Err(error) => (error, !spare.is_of(set)),
                },
                Err(error) => (roll_back(tx, error).await, true),
            };
            if error.kind() == ErrorKind::StoredName {
                // Nobody can use it: whoever sees to the spares removes it.
                return Ok(None);
            }
            if !is_spares || !is_worth_steps(&error) {
                return Err(error);
            }
            self.provisioner.pass_over(&spare, set, &error).await;
        }
    }

    /// Makes the tenant's schema of a spare.
    async fn prepare(
        &self,
        tx: &mut TenantTransaction,
        set: &Migrations,
        spare: &Spare,
    ) -> Result<(), Error> {
        self.name(tx, &spare.schema).await?;
        self.provisioner.catch_up(tx, set, spare, &self.site.schema).await
    }

    /// Makes the schema file by file: under a name of its own, unless what the files make keeps that.
    async fn in_steps(&self) -> Result<Seeds, Error> {
        if self.provisioner.refuse_stored_names().is_ok() {
            match self.in_steps_elsewhere().await {
                Err(error) if error.kind() == ErrorKind::StoredName => {}
                made => return made,
            }
        }
        self.in_steps_in_place().await
    }

    /// Makes the schema under the tenant's name. The catalog does not have the tenant before it is done;
    /// what a crash leaves says that it is unfinished, and is removed by who creates the tenant next.
    async fn in_steps_in_place(&self) -> Result<Seeds, Error> {
        let Self { provisioner, site: Site { schema, .. }, .. } = self;
        if provisioner.fleet.lookup().finds_schemas() {
            let attempted = "its files cannot be run in one transaction, what they make keeps the name of \
                             the schema, and a schema that is half made would be taken for a tenant: use a \
                             TableCatalog, or have names looked up when they are used";
            let error = provisioner.refuse_stored_names().err();
            return Err(match error {
                Some(source) => Error::new(ErrorKind::StoredName, attempted).with_source(source),
                None => Error::new(ErrorKind::StoredName, attempted),
            });
        }
        // The schema is nobody's before it is done.
        let site = provisioner.fleet.site_of(schema);
        let mut lease = provisioner.hold_new(&site, self.role).await?;
        let made = match provisioner.make_in_steps(&site, self.role, self.options, &mut lease).await
        {
            Ok(()) => self.finish_in_place(lease).await,
            Err(error) => Err((Some(lease), error)),
        };
        let (lease, error) = match made {
            Ok(seeds) => return Ok(seeds),
            Err(failed) => failed,
        };
        let kept = provisional::new_name();
        match self.options.keep_failed {
            true => provisioner.set_aside(lease, schema, &kept).await,
            false => provisioner.give_up(lease, schema, false).await,
        }
        Err(self.kept(error, &kept))
    }

    async fn finish_in_place(&self, lease: Lease) -> Result<Seeds, (Option<Lease>, Error)> {
        let mut tx = TenantTransaction::open(lease).await.map_err(|error| (None, error))?;
        let filled = async {
            let mut sql = Sql::default();
            provisional::comment(&mut sql, &self.site.schema, Comment::Nothing);
            sqlx::raw_sql(sql.finish()).execute(&mut *tx).await?;
            self.look_here(&mut tx).await?;
            self.fill(&mut tx).await
        };
        match filled.await {
            Ok(seeds) => match self.provisioner.commit(tx).await {
                Ok(()) => Ok(seeds),
                Err(error) => Err((None, error)),
            },
            Err(error) => Err((tx.back_out().await, error)),
        }
    }

    /// Makes the schema under a name of its own, and gives it the tenant's name at the end.
    async fn in_steps_elsewhere(&self) -> Result<Seeds, Error> {
        let Self { provisioner, options, .. } = self;
        let site = provisioner.fleet.site_of(&provisional::new_name());
        let mut lease = provisioner.hold_new(&site, self.role).await?;
        let made = match provisioner.make_in_steps(&site, self.role, options, &mut lease).await {
            Ok(()) => self.name_and_finish(lease, &site.schema).await,
            Err(error) => Err((Some(lease), error)),
        };
        let (lease, error) = match made {
            Ok(seeds) => return Ok(seeds),
            Err(failed) => failed,
        };
        // What keeps its name is made again, in place.
        let keep = options.keep_failed && error.kind() != ErrorKind::StoredName;
        provisioner.give_up(lease, &site.schema, keep).await;
        if error.kind() == ErrorKind::StoredName {
            return Err(error);
        }
        Err(self.kept(error, &site.schema))
    }

    /// Says in an error where what was made is kept, if it is.
    pub(super) fn kept(&self, error: Error, schema: &Ident) -> Error {
        match self.options.keep_failed {
            true => {
                let kept = format!("what was made of it is in the schema {schema}");
                Error::new(error.kind(), kept).with_source(error)
            }
            false => error,
        }
    }

    /// Makes a tenant of a schema that is ready. With the error comes the lease, unless it was lost.
    async fn name_and_finish(
        &self,
        lease: Lease,
        schema: &Ident,
    ) -> Result<Seeds, (Option<Lease>, Error)> {
        let mut tx = TenantTransaction::open(lease).await.map_err(|error| (None, error))?;
        let named = async {
            self.name(&mut tx, schema).await?;
            self.look_here(&mut tx).await?;
            self.fill(&mut tx).await
        };
        match named.await {
            Ok(seeds) => match self.provisioner.commit(tx).await {
                Ok(()) => Ok(seeds),
                Err(error) => Err((None, error)),
            },
            Err(error) => Err((tx.back_out().await, error)),
        }
    }

    pub(super) async fn begin(&self) -> Result<TenantTransaction, Error> {
        TenantTransaction::open(self.provisioner.fleet.lease_for(self.site).await?).await
    }

    /// Gives a schema that is ready the tenant's name.
    pub(super) async fn name(&self, tx: &mut TenantTransaction, from: &Ident) -> Result<(), Error> {
        let mut sql = Sql::default();
        limit_locks(&mut sql, self.options);
        provisional::comment(&mut sql, from, Comment::Nothing);
        self.provisioner.give_name(tx, sql, from, &self.site.schema, taken).await?;
        if let Some(role) = self.role {
            let mut sql = Sql::default();
            grant(&mut sql, &self.site.schema, role);
            sqlx::raw_sql(sql.finish()).execute(&mut **tx).await?;
        }
        Ok(())
    }

    /// Has the session of a lease that has served the schema before it had its name go on in it.
    pub(super) async fn look_here(&self, tx: &mut TenantTransaction) -> Result<(), Error> {
        let occupant = &self.site.occupant;
        let mut sql = Sql::new("set local search_path to ");
        sql.idents(&occupant.binding.search_path);
        sqlx::raw_sql(sql.finish()).execute(&mut **tx).await?;
        tx.now_serves(occupant);
        Ok(())
    }

    /// Fills the schema and commits.
    pub(super) async fn finish(&self, mut tx: TenantTransaction) -> Result<Seeds, Error> {
        match self.fill(&mut tx).await {
            Ok(seeds) => self.provisioner.commit(tx).await.map(|()| seeds),
            Err(error) => Err(roll_back(tx, error).await),
        }
    }

    /// Runs the seeds that run in a transaction, and writes the catalog.
    async fn fill(&self, tx: &mut TenantTransaction) -> Result<Seeds, Error> {
        self.provisioner.claim_name(tx, &self.site.schema).await?;
        let run = self.seed(self.site, tx).await?;
        self.provisioner.fleet.write(tx, CatalogChange::Created(self.record)).await?;
        Ok(run)
    }

    /// Writes the catalog, for a schema that was filled before it got its name.
    pub(super) async fn list(&self, tx: &mut TenantTransaction) -> Result<(), Error> {
        self.provisioner.claim_name(tx, &self.site.schema).await?;
        self.provisioner.fleet.write(tx, CatalogChange::Created(self.record)).await
    }

    /// Runs the seeds that run in a transaction, and the hooks.
    pub(super) async fn seed(
        &self,
        site: &Site,
        tx: &mut TenantTransaction,
    ) -> Result<Seeds, Error> {
        let mut run = Vec::new();
        for seed in &self.provisioner.seeds {
            if in_transaction(seed, site, tx).await?.is_some() {
                run.push(seed.name().into());
            }
        }
        for own in &self.options.seeds {
            in_transaction(own, site, tx).await?;
        }
        for hook in &self.provisioner.after_create {
            hook.run(self.record, tx).await?;
        }
        Ok(run)
    }
}

/// Undoes what was done before somebody hears that it has failed: its locks would be in the way of another try.
pub(super) async fn roll_back(tx: TenantTransaction, error: Error) -> Error {
    drop(tx.rollback().await);
    error
}

/// Says whether what has failed in one transaction may succeed in several: the server has refused a statement, and
/// not because the tenant is there.
fn is_worth_steps(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Migration => true,
        ErrorKind::TenantExists | ErrorKind::NameInUse | ErrorKind::Catalog => false,
        _ => answer::refusal(error).is_some(),
    }
}

/// Says whether it may succeed in one transaction the next time.
fn is_passing(error: &Error) -> bool {
    Collision::within(error) == Some(Collision::Certain)
        || ["55P03", "57014"].iter().any(|code| answer::has_code(error, code))
}

/// Converts the error of a statement that creates or renames a schema.
pub(super) fn taken(error: sqlx::Error) -> Error {
    Error::schema_taken(error).unwrap_or_else(Error::from)
}
