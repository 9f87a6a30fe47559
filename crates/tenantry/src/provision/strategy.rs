//! The ways to create a tenant: from a spare, from a template, in one transaction, or in steps.

use std::sync::atomic::Ordering;

use super::{
    HowMade, Provisioner, answer,
    claim::Spare,
    commit::roll_back,
    new_tenant::{Failed, Made, New, Seeds},
    provisional::{self, Comment},
};
use crate::{
    catalog::Site,
    citus::Sharding,
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::{Attempts, Collision, Migrations},
    pool::Lease,
    sql::Sql,
    tenant::Ident,
};

impl New<'_> {
    /// Creates the tenant, except for the seeds that run outside a transaction.
    pub(super) async fn create(&self) -> Result<Made, Error> {
        if let Some(rows) = &self.site.rows {
            return Ok((HowMade::Rows, self.in_rows(rows).await?));
        }
        if let Some(made) = self.create_from_copy().await? {
            return Ok(made);
        }
        let Provisioner { migrations, .. } = self.provisioner;
        let needs_steps = migrations.as_ref().is_some_and(Migrations::needs_steps);
        if self.options.keep_failed || needs_steps {
            return Ok((HowMade::InSteps, self.in_steps().await?));
        }
        match self.at_once_with_retries().await {
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

    /// Creates the tenant from a spare or from the template, if the options allow it and there is one.
    async fn create_from_copy(&self) -> Result<Option<Made>, Error> {
        let Self { provisioner, options, .. } = self;
        let Some(set) = &provisioner.migrations else { return Ok(None) };
        if !provisioner.may_take_spare(self.role) {
            return Ok(None);
        }
        if options.use_spare
            && provisioner.refuse_stored_names().is_ok()
            && let Some(seeds) = self.with_spare(set).await?
        {
            return Ok(Some((HowMade::Spare, seeds)));
        }
        if options.from_template
            && !options.keep_failed
            && let Some(seeds) = Box::pin(self.with_template(set)).await?
        {
            return Ok(Some((HowMade::Template, seeds)));
        }
        Ok(None)
    }

    /// Does everything in one transaction, and retries after collisions with other transactions.
    async fn at_once_with_retries(&self) -> Result<Seeds, Error> {
        let (mut attempts, mut is_repeated) = (Attempts::default(), false);
        let creations = self.provisioner.fleet.creations();
        loop {
            let place = creations.place(is_repeated).await;
            let made = self.at_once().await;
            drop(place);
            is_repeated = true;
            if !attempts.go_on_after(&made).await {
                return made;
            }
        }
    }

    async fn at_once(&self) -> Result<Seeds, Error> {
        let mut tx = self.begin().await?;
        let Self { provisioner, site, role, options, .. } = self;
        let made = provisioner.make_at_once(&mut tx, site, *role, options, Sharding::Tenant);
        match made.await {
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
            return Err(half_made_would_be_found(provisioner.refuse_stored_names().err()));
        }
        // The schema does not belong to a tenant before it is complete.
        let site = provisioner.fleet.site_of(schema);
        let mut lease = provisioner.hold_new(&site, self.role, Sharding::Tenant).await?;
        let made = match provisioner.make_in_steps(&site, self.role, self.options, &mut lease).await
        {
            Ok(()) => self.finish_in_place(lease).await,
            Err(error) => Err(Failed { lease: Some(lease), error }),
        };
        let Failed { lease, error } = match made {
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

    async fn finish_in_place(&self, lease: Lease) -> Result<Seeds, Failed> {
        let mut tx = TenantTransaction::open(lease).await.map_err(Failed::lost)?;
        let filled = async {
            let mut sql = Sql::default();
            provisional::comment(&mut sql, &self.site.schema, Comment::Nothing);
            sqlx::raw_sql(sql.finish()).execute(&mut *tx).await?;
            self.look_here(&mut tx).await?;
            self.fill(&mut tx).await
        };
        let filled = filled.await;
        self.end_with(tx, filled).await
    }

    /// Creates the schema under a separate name, and renames it to the tenant's name at the end.
    async fn in_steps_elsewhere(&self) -> Result<Seeds, Error> {
        let Self { provisioner, options, .. } = self;
        let site = provisioner.fleet.site_of(&provisional::new_name());
        let mut lease = provisioner.hold_new(&site, self.role, Sharding::Tenant).await?;
        let made = match provisioner.make_in_steps(&site, self.role, options, &mut lease).await {
            Ok(()) => self.name_and_finish(lease, &site.schema).await,
            Err(error) => Err(Failed { lease: Some(lease), error }),
        };
        let Failed { lease, error } = match made {
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

    /// Turns a finished schema into a tenant.
    async fn name_and_finish(&self, lease: Lease, schema: &Ident) -> Result<Seeds, Failed> {
        let mut tx = TenantTransaction::open(lease).await.map_err(Failed::lost)?;
        let named = async {
            self.name(&mut tx, schema).await?;
            self.look_here(&mut tx).await?;
            self.fill(&mut tx).await
        };
        let named = named.await;
        self.end_with(tx, named).await
    }
}

/// Returns the error of files that cannot create a schema under any name without a half-made tenant being served.
fn half_made_would_be_found(source: Option<Error>) -> Error {
    let attempted = "its files cannot be run in one transaction, their objects store the schema's name as text, and \
                     a half-made schema would be found as a tenant: use a TableCatalog, or let the objects look up \
                     names when they are used";
    let error = Error::new(ErrorKind::StoredName, attempted);
    match source {
        Some(source) => error.with_source(source),
        None => error,
    }
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
