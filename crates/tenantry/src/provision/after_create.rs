//! A hook in the transaction that creates a tenant.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;

use super::Provisioner;
use crate::{
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::Failure,
    seed::{BoxError, caught},
    tenant::TenantRecord,
};

type Run = dyn for<'t> Fn(&'t TenantRecord, &'t mut TenantTransaction) -> BoxFuture<'t, Result<(), BoxError>>
    + Send
    + Sync;

/// The closure that runs for a new tenant.
#[derive(Clone)]
pub(super) struct AfterCreate(Arc<Run>);

impl fmt::Debug for AfterCreate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterCreate").finish_non_exhaustive()
    }
}

impl AfterCreate {
    pub(super) async fn run(
        &self,
        record: &TenantRecord,
        tx: &mut TenantTransaction,
    ) -> Result<(), Error> {
        let run = caught((self.0)(record, tx)).await;
        run.map_err(|error| {
            let class = error.downcast_ref().and_then(Failure::class);
            let failed = Error::new(ErrorKind::Seed, "running a hook for the new tenant");
            failed.with_tenant(&record.id).with_class(class).with_source(error)
        })
    }
}

impl Provisioner {
    /// Adds a hook that runs for every new tenant in the transaction that creates it, after the migrations and the
    /// transactional seeds and before the tenant is served. Hooks run in the order in which they were added; if one
    /// fails, no tenant is created.
    ///
    /// Unlike a [seed](Self::seed), a hook receives the tenant's record, with the attributes passed to
    /// [`create`](Self::create), and its execution is not recorded. The session has the privileges of the library's
    /// maintenance connections, and its `search_path` is the tenant's schema; qualify names in other schemas. Do
    /// anything outside the database, such as sending an e-mail, after `create`: the transaction can still be rolled
    /// back.
    ///
    /// It runs however the tenant is [made](super::HowMade): at once, in steps, from a spare or from a template. It
    /// does not run when spares are filled, nor for clones and adopted schemas, which already have their data. After
    /// a deadlock or a race the transaction is rolled back and the hook is called again, up to five times.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(provisioner: tenantry::provision::Provisioner) -> tenantry::provision::Provisioner {
    /// provisioner.after_create(|record, tx| Box::pin(async move {
    ///     sqlx::query("insert into settings (plan) values ($1)")
    ///         .bind(record.attributes["plan"].as_str())
    ///         .execute(&mut **tx)
    ///         .await?;
    ///     Ok(())
    /// }))
    /// # }
    /// ```
    pub fn after_create<F>(mut self, hook: F) -> Self
    where
        F: for<'t> Fn(
                &'t TenantRecord,
                &'t mut TenantTransaction,
            ) -> BoxFuture<'t, Result<(), BoxError>>
            + Send
            + Sync
            + 'static,
    {
        self.after_create.push(AfterCreate(Arc::new(hook)));
        self
    }
}
