//! A tenant to be created, and the steps that every way of creating it takes.

use std::sync::Arc;

use super::{
    CreateOptions, HowMade, Provisioner,
    answer::taken,
    archived::Archived,
    commit::roll_back,
    made::limit_locks,
    provisional::{self, Comment},
};
use crate::{
    catalog::{CatalogChange, Site},
    db::TenantTransaction,
    error::Error,
    pool::{Lease, grant},
    seed::{confine, in_transaction, release},
    sql::Sql,
    tenant::{Ident, TenantRecord},
};

/// The names of seeds that were run.
pub(super) type Seeds = Vec<Arc<str>>;

/// How a tenant was made, and the seeds that were run.
pub(super) type Made = (HowMade, Seeds);

/// A failed creation, with the lease that holds the schema's lock, unless it was lost.
pub(super) struct Failed {
    pub(super) lease: Option<Lease>,
    pub(super) error: Error,
}

impl Failed {
    /// The creation failed together with its session.
    pub(super) fn lost(error: impl Into<Error>) -> Self {
        Self { lease: None, error: error.into() }
    }
}

/// A tenant to be created.
#[derive(Clone, Copy)]
pub(super) struct New<'a> {
    pub(super) provisioner: &'a Provisioner,
    pub(super) record: &'a TenantRecord,
    pub(super) site: &'a Site,
    /// The role that works on the tables, if it is not the maintenance role.
    pub(super) role: Option<&'a Ident>,
    pub(super) options: &'a CreateOptions,
    /// Where its content comes from, if not from the files.
    pub(super) archived: Option<&'a Archived<'a>>,
}

impl New<'_> {
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

    /// Commits the result of a transaction, or rolls back and keeps the lease.
    pub(super) async fn end_with<T>(
        &self,
        tx: TenantTransaction,
        done: Result<T, Error>,
    ) -> Result<T, Failed> {
        match done {
            Ok(done) => match self.provisioner.commit(tx).await {
                Ok(()) => Ok(done),
                Err(error) => Err(Failed::lost(error)),
            },
            Err(error) => Err(Failed { lease: tx.back_out().await, error }),
        }
    }

    /// Fills the schema and commits.
    pub(super) async fn finish(&self, mut tx: TenantTransaction) -> Result<Seeds, Error> {
        match self.fill(&mut tx).await {
            Ok(seeds) => self.provisioner.commit(tx).await.map(|()| seeds),
            Err(error) => Err(roll_back(tx, error).await),
        }
    }

    /// Runs the seeds that run in a transaction, and writes the catalog.
    pub(super) async fn fill(&self, tx: &mut TenantTransaction) -> Result<Seeds, Error> {
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
            if in_transaction(seed, site, self.role, tx).await?.is_some() {
                run.push(seed.name().into());
            }
        }
        for own in &self.options.seeds {
            in_transaction(own, site, self.role, tx).await?;
        }
        if !self.provisioner.after_create.is_empty() {
            confine(tx, site, self.role).await?;
            for hook in &self.provisioner.after_create {
                hook.run(self.record, tx).await?;
            }
            release(tx, site).await?;
        }
        Ok(run)
    }

    /// Adds to an error where the failed schema is kept, if it is.
    pub(super) fn kept(&self, error: Error, schema: &Ident) -> Error {
        match self.options.keep_failed {
            true => {
                let kept = format!("the partial tenant is kept in the schema {schema}");
                Error::new(error.kind(), kept).with_source(error)
            }
            false => error,
        }
    }
}
