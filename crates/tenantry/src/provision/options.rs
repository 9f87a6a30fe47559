use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::{
    db::TenantTransaction,
    error::{Error, ErrorKind, OptionsError},
    retry::RetryPolicy,
    seed::{BoxError, Seed},
    tenant::Ident,
};

/// How to create a tenant.
///
/// # Examples
///
/// ```
/// use serde_json::json;
/// use tenantry::provision::CreateOptions;
///
/// let options = CreateOptions::default().attributes(json!({ "plan": "pro" }));
/// ```
#[derive(Debug, Clone)]
#[must_use = "options do nothing until a provisioner gets them"]
pub struct CreateOptions {
    pub(super) container: Option<Ident>,
    pub(super) attributes: Value,
    pub(super) role: Option<Ident>,
    pub(super) keep_failed: bool,
    pub(super) use_spare: bool,
    pub(super) from_template: bool,
    pub(super) lock_timeout: Duration,
    pub(super) seeds: Vec<Seed>,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self {
            container: None,
            attributes: Value::Null,
            role: None,
            keep_failed: false,
            use_spare: true,
            from_template: false,
            lock_timeout: Duration::from_secs(5),
            seeds: Vec::new(),
        }
    }
}

impl CreateOptions {
    /// Names the tenant's schema. Default: the manager's name template does.
    ///
    /// Only a catalog that has a place for it, such as
    /// [`TableCatalog`](crate::TableCatalog), finds the tenant there afterwards.
    pub fn container(mut self, schema: Ident) -> Self {
        self.container = Some(schema);
        self
    }

    /// Sets what the catalog has on record beside the id, where it has a place for it. Default: nothing.
    pub fn attributes(mut self, attributes: Value) -> Self {
        self.attributes = attributes;
        self
    }

    /// Names the [role](crate::TenantRecord::role) of the tenant's sessions. Default: the one that the
    /// catalog has on record for the id already, if it has.
    ///
    /// The role must exist, or the creation fails with [`Config`](crate::ErrorKind::Config). It gets usage on the schema, and the rights to read and change rows of what is
    /// in it, now and later. The record that the catalog [writes](crate::catalog::Catalog::write) has the role,
    /// too. [`TableCatalog`](crate::TableCatalog) cannot store a role, and refuses it.
    pub fn role(mut self, role: Ident) -> Self {
        self.role = Some(role);
        self
    }

    /// Runs a closure in the transaction that creates the tenant, after the seeds that run there: for what
    /// this tenant alone gets, such as its first user. Default: nothing. May be called several times.
    ///
    /// What it does is part of the tenant: both are there afterwards or neither. It may run a second time,
    /// after everything that it has done in the database was rolled back, so let it do nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::provision::CreateOptions;
    ///
    /// fn options(email: String) -> CreateOptions {
    ///     CreateOptions::default().seed(move |tx| {
    ///         let email = email.clone();
    ///         Box::pin(async move {
    ///             sqlx::query("insert into users (email) values ($1)")
    ///                 .bind(email)
    ///                 .execute(&mut **tx)
    ///                 .await?;
    ///             Ok(())
    ///         })
    ///     })
    /// }
    /// ```
    pub fn seed<F>(mut self, run: F) -> Self
    where
        F: for<'t> Fn(&'t mut TenantTransaction) -> BoxFuture<'t, Result<(), BoxError>>
            + Send
            + Sync
            + 'static,
    {
        self.seeds.push(Seed::new("create", run).repeatable());
        self
    }

    /// Keeps what was made of a tenant whose creation has failed, for a look at it. Default: `false`,
    /// nothing is left behind.
    ///
    /// The files are then run one by one, in a schema with a name of its own that no tenant has, and the
    /// error names it. It is never served.
    pub fn keep_failed(mut self, keep: bool) -> Self {
        self.keep_failed = keep;
        self
    }

    /// Sets whether a [spare](super::Provisioner::fill_spares) is used, when there is one. Default:
    /// `true`.
    pub fn use_spare(mut self, use_spare: bool) -> Self {
        self.use_spare = use_spare;
        self
    }

    /// Makes the tenant a copy of a template, a schema in which all files were run, instead of running them. Default:
    /// they are run. A [spare](Self::use_spare) is preferred, when there is one.
    ///
    /// The first call for a set of files runs them twice in scratch schemas, and compares what they have
    /// made. Where the two differ, in rows, too, or where the files write to other schemas, the files are run for each
    /// tenant after all, and [`Created::remarks`](super::Created::remarks) says why. The
    /// template is kept in the database for other processes with the same files, and is removed when it was not used for
    /// 24 h; spares are made of it as well.
    pub fn from_template(mut self) -> Self {
        self.from_template = true;
        self
    }

    /// Sets how long a statement may wait for a lock, and so for somebody else who creates a tenant of
    /// the same id. Default: 5 s.
    ///
    /// Where files are run one by one, a statement that was refused is tried again, up to five times; one such as
    /// `create index concurrently` waits for other transactions for five times as long instead.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }
}

/// How to drop a tenant.
#[derive(Debug, Clone)]
#[must_use = "options do nothing until a provisioner gets them"]
pub struct DropOptions {
    pub(super) dry_run: bool,
    pub(super) batch: usize,
    pub(super) cascade: bool,
    pub(super) lock_timeout: Duration,
    pub(super) retry: RetryPolicy,
}

impl Default for DropOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            batch: 50,
            cascade: false,
            lock_timeout: Duration::from_secs(2),
            retry: RetryPolicy::default().max_attempts(5).initial_delay(Duration::from_millis(250)),
        }
    }
}

impl DropOptions {
    /// Reports what would be dropped, and drops nothing. Default: `false`.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets how many objects are dropped in one transaction, from 1 on. Default: 50.
    ///
    /// Each table takes some fifteen locks until the end of its transaction, and by default a server has
    /// room for 6,400 of all sessions together; see
    /// [`max_locks_per_transaction`](https://www.postgresql.org/docs/current/runtime-config-locks.html).
    pub fn batch(mut self, objects: usize) -> Self {
        self.batch = objects;
        self
    }

    /// Drops what depends on the tenant's tables from outside its schema, too: a view over all tenants,
    /// or a foreign key. A function that has the schema's name in its text stays, and is
    /// [reported](super::DropReport::named). Default: `false`, which refuses to drop such a tenant.
    pub fn cascade(mut self, cascade: bool) -> Self {
        self.cascade = cascade;
        self
    }

    /// Sets how long a statement may wait for a lock. Default: 2 s. It is tried up to five times.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match self.batch {
            0 => {
                let wrong = OptionsError::new("batch", "be at least 1");
                Err(Error::new(ErrorKind::Config, format!("dropping: {wrong}")).with_source(wrong))
            }
            _ => Ok(()),
        }
    }
}
