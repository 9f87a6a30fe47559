//! Creates a tenant: its schema, what is in it, and its row in the catalog, all of it or nothing.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    CreateOptions, Created, HowMade, Provisioner,
    made::{MakeError, limit_locks},
    provisional::{self, Comment},
};
use crate::{
    catalog::{CatalogChange, Site},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::{Attempts, explained_error},
    pool::{Lease, grant},
    seed::{in_transaction, outside},
    sql::Sql,
    tenant::{Ident, ParseTenantIdError, TenantId, TenantRecord},
};

impl Provisioner {
    /// Creates a tenant: its schema, all migrations, the seeds, and its row in a catalog that has rows. It
    /// is served as soon as this returns.
    ///
    /// All of it is one transaction, in which the files and their records are sent as one string. When
    /// that cannot be, because a file must not be in a transaction, the schema is made under a name of its
    /// own and gets the tenant's name at the end. A [spare](Self::fill_spares) has only to be renamed.
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
    /// When dropped, the tenant was created as a whole or not at all. What was made under a name of its own
    /// stays until the [spares](Self::fill_spares) are next seen to.
    pub async fn create<I>(&self, id: I, options: CreateOptions) -> Result<Created, Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let began = Instant::now();
        let id = id.try_into().map_err(Into::into)?;
        let created = self.create_now(id, &options, began).await;
        let outcome = created.as_ref().map_or("failed", |created| created.how.as_str());
        self.fleet.server().observer.meters.created(outcome, began.elapsed());
        created
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
        self.refuse_name_in_use(&site.schema)
            .await
            .map_err(|error| error.with_tenant(&record.id))?;
        let role =
            self.fleet.role_of(&site).await.map_err(|error| error.with_tenant(&record.id))?;
        let (record, site, role) = (&record, &site, role.as_ref());
        let new = New { provisioner: self, record, site, role, options };
        let mut attempts = Attempts::default();
        let created = loop {
            let created = new.create_again_if_unfinished().await;
            if !attempts.go_on_after(&created).await {
                break created;
            }
        };
        let created = match created {
            Ok(created) => Ok(created),
            Err(error) => {
                let path = &site.occupant.binding.search_path;
                let error = explained_error(&self.fleet, path, error).await;
                Err(self.name_missing_right(error).await.with_tenant(&record.id))
            }
        };
        // Whoever has asked before has been told that there is no such tenant.
        self.fleet.forget(&record.id);
        let (how, mut seeds) = created?;
        seeds.extend(new.seed_outside().await?);
        Ok(Created {
            tenant_id: record.id.clone(),
            schema: site.schema.as_str().into(),
            how,
            seeds,
            duration: began.elapsed(),
        })
    }
}

/// The names of seeds that were run.
type Seeds = Vec<Arc<str>>;

/// A tenant that is to be.
struct New<'a> {
    provisioner: &'a Provisioner,
    record: &'a TenantRecord,
    site: &'a Site,
    /// The role that works on the tables, where that is not the role of upkeep.
    role: Option<&'a Ident>,
    options: &'a CreateOptions,
}

impl New<'_> {
    /// Creates the tenant, in the place of what a crash has left of it under its own name.
    async fn create_again_if_unfinished(&self) -> Result<(HowMade, Seeds), Error> {
        match self.create().await {
            Err(error) if error.kind() == ErrorKind::TenantExists => {
                match self.provisioner.remove_unfinished(&self.site.schema).await? {
                    true => self.create().await,
                    false => Err(error),
                }
            }
            created => created,
        }
    }

    async fn create(&self) -> Result<(HowMade, Seeds), Error> {
        if self.options.use_spare
            && self.provisioner.migrations.is_some()
            && self.provisioner.may_take_spare(self.role)
            && self.provisioner.refuse_stored_names().is_ok()
            && let Some(seeds) = self.with_spare().await?
        {
            return Ok((HowMade::Spare, seeds));
        }
        if self.options.keep_failed || self.provisioner.needs_steps() {
            return Ok((HowMade::InSteps, self.in_steps().await?));
        }
        match self.at_once().await {
            Err(MakeError::NeedsSteps(_)) => {
                self.provisioner.note_that_it_needs_steps();
                Ok((HowMade::InSteps, self.in_steps().await?))
            }
            Ok(seeds) => Ok((HowMade::AtOnce, seeds?)),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes all of it in one transaction.
    async fn at_once(&self) -> Result<Result<Seeds, Error>, MakeError> {
        let mut tx = match self.begin().await {
            Ok(tx) => tx,
            Err(error) => return Ok(Err(error)),
        };
        self.provisioner.make_at_once(&mut tx, self.site, self.role, self.options).await?;
        Ok(self.finish(tx).await)
    }

    /// Takes a spare that is ready, if there is one.
    async fn with_spare(&self) -> Result<Option<Seeds>, Error> {
        let mut tx = self.begin().await?;
        let Some(spare) = self.provisioner.claim_spare(&mut tx).await? else {
            return Ok(None);
        };
        match self.name(&mut tx, &spare).await {
            // Nobody can use it: whoever sees to the spares removes it.
            Err(error) if error.kind() == ErrorKind::StoredName => return Ok(None),
            named => named?,
        }
        if !self.provisioner.catch_up(&mut tx, self.site).await? {
            return Ok(None);
        }
        let seeds = self.finish(tx).await?;
        self.provisioner.note_claim();
        Ok(Some(seeds))
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
        let lease = match provisioner.make_in_steps(schema, self.role, self.options).await {
            Err(error) if error.kind() == ErrorKind::TenantExists => return Err(error),
            made => made,
        };
        let made = match lease {
            Ok(lease) => self.finish_in_place(lease).await,
            Err(error) => Err(error),
        };
        let Err(error) = made else { return made };
        if self.options.keep_failed {
            let kept = provisional::new_name();
            if let Err(failure) = provisioner.set_aside(schema, &kept).await {
                left_behind(schema, &failure);
            }
            let attempted = format!("what was made of it is in the schema {kept}");
            return Err(Error::new(error.kind(), attempted).with_source(error));
        }
        if let Err(failure) = provisioner.remove_own(schema).await {
            left_behind(schema, &failure);
        }
        Err(error)
    }

    async fn finish_in_place(&self, lease: Lease) -> Result<Seeds, Error> {
        let mut tx = TenantTransaction::open(lease).await?;
        let mut sql = Sql::default();
        provisional::comment(&mut sql, &self.site.schema, Comment::Nothing);
        sqlx::raw_sql(sql.finish()).execute(&mut *tx).await?;
        self.look_here(&mut tx).await?;
        self.finish(tx).await
    }

    /// Makes the schema under a name of its own, and gives it the tenant's name at the end.
    async fn in_steps_elsewhere(&self) -> Result<Seeds, Error> {
        let schema = provisional::new_name();
        let made = match self.provisioner.make_in_steps(&schema, self.role, self.options).await {
            Ok(lease) => self.name_and_finish(lease, &schema).await,
            Err(error) => Err(error),
        };
        match made {
            Err(error) if self.options.keep_failed && error.kind() != ErrorKind::StoredName => {
                if let Err(failure) = self.provisioner.keep(&schema).await {
                    left_behind(&schema, &failure);
                }
                let kept = format!("what was made of it is in the schema {schema}");
                Err(Error::new(error.kind(), kept).with_source(error))
            }
            Err(error) => {
                if let Err(failure) = self.provisioner.remove_own(&schema).await {
                    left_behind(&schema, &failure);
                }
                Err(error)
            }
            made => made,
        }
    }

    async fn name_and_finish(&self, lease: Lease, schema: &Ident) -> Result<Seeds, Error> {
        let mut tx = TenantTransaction::open(lease).await?;
        self.name(&mut tx, schema).await?;
        self.look_here(&mut tx).await?;
        self.finish(tx).await
    }

    async fn begin(&self) -> Result<TenantTransaction, Error> {
        TenantTransaction::open(self.provisioner.fleet.lease_for(self.site).await?).await
    }

    /// Gives a schema that is ready the tenant's name.
    async fn name(&self, tx: &mut TenantTransaction, from: &Ident) -> Result<(), Error> {
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
    async fn look_here(&self, tx: &mut TenantTransaction) -> Result<(), Error> {
        let occupant = &self.site.occupant;
        let mut sql = Sql::new("set local search_path to ");
        sql.idents(&occupant.binding.search_path);
        sqlx::raw_sql(sql.finish()).execute(&mut **tx).await?;
        tx.now_serves(occupant);
        Ok(())
    }

    /// Runs the seeds that run in a transaction, writes the catalog, and commits.
    async fn finish(&self, mut tx: TenantTransaction) -> Result<Seeds, Error> {
        let Provisioner { fleet, seeds, .. } = self.provisioner;
        self.provisioner.claim_name(&mut tx, &self.site.schema).await?;
        let mut run = Vec::new();
        for seed in seeds {
            if in_transaction(seed, self.site, &mut tx).await?.is_some() {
                run.push(seed.name().into());
            }
        }
        fleet.write(&mut tx, CatalogChange::Created(self.record)).await?;
        tx.commit_unless_failed().await?;
        Ok(run)
    }

    /// Runs the seeds that do not run in a transaction; when one fails, the tenant is dropped.
    async fn seed_outside(&self) -> Result<Seeds, Error> {
        let Provisioner { fleet, seeds, .. } = self.provisioner;
        let mut run = Vec::new();
        for seed in seeds.iter().filter(|seed| seed.runs_outside()) {
            if let Err(error) = outside(fleet, seed, self.site).await {
                if !self.options.keep_failed
                    && let Err(failure) = self.provisioner.undo(self.record, self.site).await
                {
                    left_behind(&self.site.schema, &failure);
                }
                return Err(error);
            }
            run.push(seed.name().into());
        }
        Ok(run)
    }
}

/// Tells that something was not removed: what matters to the caller is why it was to be.
fn left_behind(schema: &Ident, error: &Error) {
    tracing::error!(
        target: "tenantry::provision",
        schema = schema.as_str(),
        error = error as &dyn std::error::Error,
        "a schema whose creation has failed could not be seen to"
    );
}

/// Makes an error of what has come of giving a schema a name.
pub(super) fn taken(error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        Some("42P06" | "23505" | "55P03") => {
            let attempted = "its schema is there, or is being created by somebody else";
            Error::new(ErrorKind::TenantExists, attempted).with_source(error)
        }
        _ => error.into(),
    }
}
