//! Creates a tenant atomically: its schema, the contents, and its row in the catalog.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::{
    CreateOptions, Created, HowMade, Provisioner,
    in_parts::TakenOver,
    new_tenant::{Made, New},
};
use crate::{
    catalog::Site,
    error::{Error, ErrorKind},
    migrate::{Attempts, Migrations, explained_error},
    seed::Seed,
    tenant::{Ident, ParseTenantIdError, TenantId},
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
    /// A tenant that is [isolated by row](crate::Isolation::row) has no schema: one transaction writes its row in the
    /// catalog and runs the seeds and hooks, as the role and with the key of the tenant's sessions. Its tables must
    /// exist; spares and templates do not apply.
    ///
    /// A tenant in a [database](crate::Isolation::database) of its own, or on a
    /// [further server](crate::ManagerBuilder::server), is created in steps that the catalog records, in which it must
    /// not be served: its row, the database, the schema with the files, the seeds. The catalog must
    /// [keep steps](crate::catalog::Catalog::keeps_steps). The container is marked as made by this creation; one that
    /// has the name and no such mark is left alone.
    ///
    /// Seeds that [run outside a transaction](crate::seed::Seed::with_db) follow. Until they have run, the catalog
    /// marks the tenant as suspended and records [why](crate::TenantRecord::step); if it cannot store that, the
    /// schema has another name until then. If creation is interrupted, the next `create` of the same id resumes it,
    /// or, if it was started with other options, removes it and starts over; in the latter case
    /// [`NameInUse`](ErrorKind::NameInUse) tells when to retry.
    ///
    /// # Errors
    ///
    /// [`TenantExists`](ErrorKind::TenantExists) if the tenant or its schema exists: of several concurrent calls for
    /// one tenant, one succeeds and the others get this error. [`NameInUse`](ErrorKind::NameInUse) if another
    /// tenant's schema had that name, or another tenant had that key in the tables of all, until recently, so that sessions can still refer to that tenant by it: for 10 s
    /// after a tenant was renamed or dropped, and until the transactions and leases of that time have ended; the
    /// error says when to [retry](Error::retry_after). [`StoredName`](ErrorKind::StoredName) if the files must run
    /// one by one, their objects store the schema's name as text, and tenants are found by their schemas.
    /// [`PermissionDenied`](ErrorKind::PermissionDenied) if the role cannot create schemas or databases; the error names
    /// the missing `grant` or attribute. [`Placement`](ErrorKind::Placement) if the named server is unknown or draining,
    /// or if there is none for new tenants. [`InvalidTenantId`](ErrorKind::InvalidTenantId) and [`Placement`](ErrorKind::Placement) if
    /// the tenant cannot have a schema, or its rows' tables are missing or have rows with its key, or another tenant
    /// has that key; [`Config`](ErrorKind::Config) if an option needs a schema and the tenant is isolated by row, or if the catalog is
    /// read-only then; [`Migration`](ErrorKind::Migration), with a
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
        let record = self.record_of_new(&id, options).await?;
        let site = self.site_of_new(&record, options)?;
        let record = self.with_key_on_record(record, &site).await?;
        self.lint()?;
        let role = self.check_site(&site, options).await;
        let role = role.map_err(|error| error.with_tenant(&record.id))?;
        let (record, site, role) = (&record, &site, role.as_ref());
        let new = New { provisioner: self, record, site, role, options, archived: None };
        let created = match new.create_with_retries().await {
            Ok(created) => Ok(created),
            Err(error) => Err(self.explain(site, error).await.with_tenant(&record.id)),
        };
        // Cached lookups may say that the tenant does not exist or is suspended.
        self.fleet.forget(&record.id);
        let (how, seeds) = created?;
        self.fleet.servers().new_tenants().count_created(record);
        Ok(Created {
            tenant_id: record.id.clone(),
            schema: site.schema.as_str().into(),
            server: site.server(),
            database: site.home.database().map(|name| name.as_str().into()),
            how,
            seeds,
            remarks: self.remarks(site, how, options).await,
            duration: began.elapsed(),
        })
    }

    /// Checks the name of the schema, and returns the role that works on its tables, if that is not the maintenance
    /// role.
    async fn check_site(
        &self,
        site: &Site,
        options: &CreateOptions,
    ) -> Result<Option<Ident>, Error> {
        // If everything is one transaction, that detects a name in use early enough.
        if site.rows.is_none()
            && site.home.is_managers()
            && self.takes_several_transactions(options)
        {
            self.refuse_name_in_use(&site.schema).await?;
        }
        if site.home.is_managers() {
            self.refuse_retired_key(site).await?;
        }
        let role = self.fleet.role_of(site).await?;
        self.at(&site.home.of_server()).refuse_missing_role(role.as_ref()).await?;
        Ok(role)
    }

    /// Adds what the caller can do about a failed creation.
    async fn explain(&self, site: &Site, error: Error) -> Error {
        let has_name = site.rows.is_none() && site.home.is_managers();
        if error.kind() == ErrorKind::NameInUse && has_name {
            // Records which transactions to wait for, so that later ones are not waited for.
            if let Err(error) = self.refuse_name_in_use(&site.schema).await {
                return error;
            }
        }
        let path = &site.occupant.binding.search_path;
        if !site.home.is_managers() {
            return explained_error(&self.fleet.at(&site.home), path, error).await;
        }
        let error = explained_error(&self.fleet, path, error).await;
        self.name_missing_right(error).await
    }

    async fn remarks(&self, site: &Site, how: HowMade, options: &CreateOptions) -> Vec<String> {
        if how == HowMade::Rows || !site.home.is_managers() {
            return Vec::new();
        }
        let newest = self.newest_spares().load(Ordering::Relaxed);
        let newer = self.remark_on_newer(&site.schema, newest).await;
        let no_template =
            self.why_no_template().filter(|_| options.from_template && how.ran_files());
        newer.into_iter().chain(no_template).collect()
    }
}

impl New<'_> {
    /// Creates the tenant, and retries after collisions with other transactions.
    async fn create_with_retries(&self) -> Result<Made, Error> {
        let mut attempts = Attempts::default();
        loop {
            let created = self.create_or_take_over().await;
            if !attempts.go_on_after(&created).await {
                return created;
            }
        }
    }

    /// Creates the tenant. An interrupted creation is resumed or started over.
    async fn create_or_take_over(&self) -> Result<Made, Error> {
        if !self.site.home.is_managers() {
            return Box::pin(self.create_elsewhere()).await;
        }
        match self.create_whole().await {
            Err(error) if error.kind() == ErrorKind::TenantExists => {
                if self.site.rows.is_none()
                    && self.provisioner.remove_unfinished(&self.site.schema).await?
                {
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
}
