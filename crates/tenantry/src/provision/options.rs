use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::{
    db::TenantTransaction,
    error::{Error, ErrorKind, OptionsError},
    retry::RetryPolicy,
    seed::{BoxError, Seed},
    tenant::{Ident, IsolationKind},
};

/// Options for creating a tenant.
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
    pub(super) isolation: Option<IsolationKind>,
    pub(super) server: Option<Arc<str>>,
    pub(super) key: Option<Arc<str>>,
    pub(super) container: Option<Ident>,
    pub(super) database: Option<Ident>,
    pub(super) database_template: Option<Ident>,
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
            isolation: None,
            server: None,
            key: None,
            container: None,
            database: None,
            database_template: None,
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
    /// Sets how the tenant's data is kept apart. Default: the kind that the catalog already records for the id, if
    /// any, and otherwise that of its [tier](crate::ManagerBuilder::tier).
    ///
    /// Requires a catalog that stores the kind, unless it is the manager's.
    pub fn isolation(mut self, isolation: IsolationKind) -> Self {
        self.isolation = Some(isolation);
        self
    }

    /// Sets the tenant's server, by its name in the manager's configuration; `main` is the manager's own. Default: the
    /// server that the catalog already records for the id, if any, otherwise that of its
    /// [tier](crate::ManagerBuilder::tier), and otherwise the one that the manager's [placement
    /// policy](crate::ManagerBuilder::placement) chooses.
    ///
    /// Requires a catalog that stores the name. An unknown name, and a server that is
    /// [draining](crate::ServerOptions::draining), is refused with [`Placement`](crate::ErrorKind::Placement).
    pub fn server(mut self, server: impl Into<Arc<str>>) -> Self {
        self.server = Some(server.into());
        self
    }

    /// Sets the tenant's key in the tables of all tenants, with [`IsolationKind::Row`]. Default: the key that the
    /// catalog already records for the id, if any, and otherwise the id.
    ///
    /// Requires a catalog that stores the key.
    pub fn key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the name of the tenant's schema. Default: according to the manager's name template.
    ///
    /// Requires a catalog that stores the name, such as [`TableCatalog`](crate::TableCatalog). Other catalogs do not
    /// find the tenant there.
    pub fn container(mut self, schema: Ident) -> Self {
        self.container = Some(schema);
        self
    }

    /// Sets the name of the tenant's database, with [`IsolationKind::Database`]. Default: the name that the catalog
    /// already records for the id, if any, and otherwise according to the name template of
    /// [`Isolation::database`](crate::Isolation::database).
    ///
    /// Requires a catalog that stores the name, such as [`TableCatalog`](crate::TableCatalog).
    pub fn database(mut self, name: Ident) -> Self {
        self.database = Some(name);
        self
    }

    /// Sets the database that the tenant's database is copied from, with [`IsolationKind::Database`]. Default:
    /// `template1`, which is PostgreSQL's default.
    ///
    /// The role must own it, or it must be
    /// [marked as a template](https://www.postgresql.org/docs/current/manage-ag-templatedbs.html). Nothing may be
    /// connected to it: the creation waits for up to four times the [`lock_timeout`](Self::lock_timeout). Migrations
    /// that are recorded in it are not run again.
    pub fn database_template(mut self, name: Ident) -> Self {
        self.database_template = Some(name);
        self
    }

    /// Sets the attributes in the catalog, if it can store them. Default: none.
    pub fn attributes(mut self, attributes: Value) -> Self {
        self.attributes = attributes;
        self
    }

    /// Sets the [role](crate::TenantRecord::role) of the tenant's sessions. Default: the role that the catalog
    /// already has for the id, if any.
    ///
    /// The role must exist; otherwise the creation fails with [`Config`](crate::ErrorKind::Config). It is granted
    /// usage on the schema, and privileges to read and change the rows of all current and future tables in it. The
    /// record that the catalog [writes](crate::catalog::Catalog::write) contains the role.
    /// [`TableCatalog`](crate::TableCatalog) cannot store a role, and refuses it.
    pub fn role(mut self, role: Ident) -> Self {
        self.role = Some(role);
        self
    }

    /// Runs a closure in the transaction that creates the tenant, after the transactional seeds: for data of this
    /// tenant only, such as its first user. Default: none. Can be called several times.
    ///
    /// Its changes are committed atomically with the tenant. It can run a second time, after its changes in the
    /// database were rolled back, so it should have no other side effects.
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

    /// Keeps what a failed creation has made, for inspection. Default: `false`, nothing is left behind.
    ///
    /// The files are then run one by one, in a schema with a separate name that no tenant has; the error contains the
    /// name. It is never served.
    pub fn keep_failed(mut self, keep: bool) -> Self {
        self.keep_failed = keep;
        self
    }

    /// Sets whether a [spare](super::Provisioner::fill_spares) is used if one is available. Default: `true`.
    pub fn use_spare(mut self, use_spare: bool) -> Self {
        self.use_spare = use_spare;
        self
    }

    /// Creates the tenant as a copy of a template, a schema in which all files were run, instead of running them.
    /// Default: the files are run. A [spare](Self::use_spare) takes precedence, if one is available.
    ///
    /// The first call for a set of files runs them twice in scratch schemas and compares the results. If the two
    /// differ, including in rows, or if the files write to other schemas, the files are run for each tenant after
    /// all, and [`Created::remarks`](super::Created::remarks) says why. The template is kept in the database for
    /// other processes with the same files, and is removed after 24 h without use; spares are created from it as
    /// well.
    pub fn from_template(mut self) -> Self {
        self.from_template = true;
        self
    }

    /// Sets the lock timeout of statements, which also limits the wait for a concurrent creation of the same id.
    /// Default: 5 s.
    ///
    /// If files are run one by one, a statement that times out is retried, up to five times; statements such as
    /// `create index concurrently` wait for other transactions for five times as long instead.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }
}

/// Options for dropping a tenant.
#[derive(Debug, Clone)]
#[must_use = "options do nothing until a provisioner gets them"]
pub struct DropOptions {
    pub(super) dry_run: bool,
    pub(super) batch: Option<usize>,
    pub(super) cascade: bool,
    pub(super) lock_timeout: Duration,
    pub(super) retry: RetryPolicy,
}

impl Default for DropOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            batch: None,
            cascade: false,
            lock_timeout: Duration::from_secs(2),
            retry: RetryPolicy::default().max_attempts(5).initial_delay(Duration::from_millis(250)),
        }
    }
}

impl DropOptions {
    /// Reports what would be dropped, without dropping anything. Default: `false`.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets how many objects are dropped per transaction, or how many rows of a tenant that is isolated by row.
    /// Minimum: 1. Default: 50 objects, 5,000 rows.
    ///
    /// Dropping a table takes some fifteen locks until the end of the transaction, and by default a server has room
    /// for 6,400 locks of all sessions together; see
    /// [`max_locks_per_transaction`](https://www.postgresql.org/docs/current/runtime-config-locks.html).
    pub fn batch(mut self, size: usize) -> Self {
        self.batch = Some(size);
        self
    }

    /// Returns how many objects are dropped per transaction.
    pub(super) fn objects_per_batch(&self) -> usize {
        self.batch.unwrap_or(50)
    }

    /// Returns how many rows are deleted per transaction.
    pub(super) fn rows_per_batch(&self) -> usize {
        self.batch.unwrap_or(5_000)
    }

    /// Also drops objects outside the tenant's schema that depend on its tables: a view over all tenants, or a
    /// foreign key. A function that contains the schema's name in its text stays, and is
    /// [reported](super::DropReport::named). Default: `false`, which refuses to drop such a tenant.
    pub fn cascade(mut self, cascade: bool) -> Self {
        self.cascade = cascade;
        self
    }

    /// Sets the lock timeout of statements. Default: 2 s. There are up to five attempts.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match self.batch {
            Some(0) => {
                let wrong = OptionsError::new("batch", "be at least 1");
                Err(Error::new(ErrorKind::Config, format!("dropping: {wrong}")).with_source(wrong))
            }
            _ => Ok(()),
        }
    }
}
