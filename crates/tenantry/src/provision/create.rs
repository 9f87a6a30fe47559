//! Creates a tenant atomically: its schema, the contents, and its row in the catalog.

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
    /// Creates a tenant: its schema, all migrations, the seeds, and its row in a catalog that has rows. It is served
    /// as soon as this returns.
    ///
    /// Creation is one transaction, in which the files and their records are sent as a single string. If the server
    /// refuses to run the files in one transaction, creation is retried in steps: the schema is created file by file
    /// under another name, and renamed to the tenant's name at the end. A [spare](Self::fill_spares) only needs to be
    /// renamed.
    ///
    /// Seeds that [run outside a transaction](crate::seed::Seed::with_db) follow. Until they have run, the catalog
    /// marks the tenant as suspended and records [why](TenantRecord::step); if it cannot store that, the schema has
    /// another name until then. If creation is interrupted, the next `create` of the same id resumes it, or, if it
    /// was started with other options, removes it and starts over; in the latter case
    /// [`NameInUse`](ErrorKind::NameInUse) tells when to retry.
    ///
    /// # Errors
    ///
    /// [`TenantExists`](ErrorKind::TenantExists) if the tenant or its schema exists: of several concurrent calls for
    /// one tenant, one succeeds and the others get this error. [`NameInUse`](ErrorKind::NameInUse) if another
    /// tenant's schema had that name until recently, so that sessions can still refer to that tenant by it: for 10 s
    /// after a tenant was renamed or dropped, and until the transactions and leases of that time have ended; the
    /// error says when to [retry](Error::retry_after). [`StoredName`](ErrorKind::StoredName) if the files must run
    /// one by one, their objects store the schema's name as text, and tenants are found by their schemas.
    /// [`PermissionDenied`](ErrorKind::PermissionDenied) if the role cannot create schemas; the error names the
    /// missing `grant`. [`InvalidTenantId`](ErrorKind::InvalidTenantId) and [`Placement`](ErrorKind::Placement) if
    /// the tenant cannot have a schema; [`Migration`](ErrorKind::Migration), with a
    /// [`Failure`](crate::migrate::Failure) or a [`LintError`](crate::migrate::LintError) as the source, and
    /// [`Seed`](ErrorKind::Seed). Nothing is left behind, unless [requested](CreateOptions::keep_failed).
    ///
    /// # Cancel safety
    ///
    /// If dropped, the tenant either exists completely, or does not exist, or is not served until the next `create`
    /// resumes its creation. A schema that was created under another name stays until the next call of
    /// [`fill_spares`](Self::fill_spares).
    pub async fn create<I>(&self, id: I, options: CreateOptions) -> Result<Created, Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let began = Instant::now();
        let id = id.try_into().map_err(Into::into)?;
        // A separate boxed future, to keep the callers' futures small.
        let created = Box::pin(self.create_now(id, &options, began)).await;
        let outcome = created.as_ref().map_or("failed", |created| created.how.as_str());
        self.fleet.server().observer.meters.created(outcome, began.elapsed());
        created
    }

    /// Returns `true` if the creation takes several transactions, as far as this is known.
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
        // If everything is one transaction, that detects it early enough.
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
                    // Records which transactions to wait for, so that later ones are not waited for.
                    self.refuse_name_in_use(&site.schema)
                        .await
                        .map_err(|error| error.with_tenant(&record.id))?;
                }
                let path = &site.occupant.binding.search_path;
                let error = explained_error(&self.fleet, path, error).await;
                Err(self.name_missing_right(error).await.with_tenant(&record.id))
            }
        };
        // Cached lookups may say that the tenant does not exist or is suspended.
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

/// A tenant to be created.
#[derive(Clone, Copy)]
pub(super) struct New<'a> {
    pub(super) provisioner: &'a Provisioner,
    pub(super) record: &'a TenantRecord,
    pub(super) site: &'a Site,
    /// The role that works on the tables, if it is not the maintenance role.
    pub(super) role: Option<&'a Ident>,
    pub(super) options: &'a CreateOptions,
}

impl New<'_> {
    /// Creates the tenant. An interrupted creation is resumed or started over.
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

    /// Creates the tenant, except for the seeds that run outside a transaction.
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
                // If this fails, too, the error refers to a single file.
                let seeds = self.in_steps().await?;
                if let Some(set) = migrations.as_ref().filter(|_| !is_passing(&error)) {
                    set.note_that_it_needs_steps();
                }
                Ok((HowMade::InSteps, seeds))
            }
            made => Ok((HowMade::AtOnce, made?)),
        }
    }

    /// Does everything in one transaction.
    async fn at_once(&self) -> Result<Seeds, Error> {
        let mut tx = self.begin().await?;
        match self.provisioner.make_at_once(&mut tx, self.site, self.role, self.options).await {
            Ok(()) => self.finish(tx).await,
            Err(error) => Err(roll_back(tx, error).await),
        }
    }

    /// Uses a spare if one is ready.
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
                    // The files that it was just given may be the cause.
                    Err(error) => (error, !spare.is_of(set)),
                },
                Err(error) => (roll_back(tx, error).await, true),
            };
            if error.kind() == ErrorKind::StoredName {
                // It is unusable: the next call of `fill_spares` removes it.
                return Ok(None);
            }
            if !is_spares || !is_worth_steps(&error) {
                return Err(error);
            }
            self.provisioner.pass_over(&spare, set, &error).await;
        }
    }

    /// Turns a spare into the tenant's schema.
    async fn prepare(
        &self,
        tx: &mut TenantTransaction,
        set: &Migrations,
        spare: &Spare,
    ) -> Result<(), Error> {
        self.name(tx, &spare.schema).await?;
        self.provisioner.catch_up(tx, set, spare, &self.site.schema).await
    }

    /// Creates the schema file by file: under a separate name, unless the files' objects store that name.
    async fn in_steps(&self) -> Result<Seeds, Error> {
        if self.provisioner.refuse_stored_names().is_ok() {
            match self.in_steps_elsewhere().await {
                Err(error) if error.kind() == ErrorKind::StoredName => {}
                made => return made,
            }
        }
        self.in_steps_in_place().await
    }

    /// Creates the schema under the tenant's name. The catalog does not list the tenant before it is complete; after
    /// a crash the schema is marked as unfinished, and the next creation of the tenant removes it.
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
        // The schema does not belong to a tenant before it is complete.
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

    /// Creates the schema under a separate name, and renames it to the tenant's name at the end.
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
        // If its objects store the name, it is created again, in place.
        let keep = options.keep_failed && error.kind() != ErrorKind::StoredName;
        provisioner.give_up(lease, &site.schema, keep).await;
        if error.kind() == ErrorKind::StoredName {
            return Err(error);
        }
        Err(self.kept(error, &site.schema))
    }

    /// Adds to an error where the failed schema is kept, if it is.
    pub(super) fn kept(&self, error: Error, schema: &Ident) -> Error {
        match self.options.keep_failed {
            true => {
                let kept = format!("what was made of it is in the schema {schema}");
                Error::new(error.kind(), kept).with_source(error)
            }
            false => error,
        }
    }

    /// Turns a finished schema into a tenant. An error comes with the lease, unless it was lost.
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

    /// Renames a finished schema to the tenant's name.
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

    /// Lets the session of a lease that served the schema under its previous name continue in it.
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

/// Rolls back before the failure is reported: the locks would block another attempt.
pub(super) async fn roll_back(tx: TenantTransaction, error: Error) -> Error {
    drop(tx.rollback().await);
    error
}

/// Returns `true` if a creation that failed in one transaction can succeed in several: the server refused a
/// statement, and not because the tenant exists.
fn is_worth_steps(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Migration => true,
        ErrorKind::TenantExists | ErrorKind::NameInUse | ErrorKind::Catalog => false,
        _ => answer::refusal(error).is_some(),
    }
}

/// Returns `true` if another attempt in one transaction can succeed.
fn is_passing(error: &Error) -> bool {
    Collision::within(error) == Some(Collision::Certain)
        || ["55P03", "57014"].iter().any(|code| answer::has_code(error, code))
}

/// Converts the error of a statement that creates or renames a schema.
pub(super) fn taken(error: sqlx::Error) -> Error {
    Error::schema_taken(error).unwrap_or_else(Error::from)
}
