use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    clone::{CloneOptions, CloneProgress},
    provision::CreateOptions,
    rows::RowsProgress,
    tenant::Ident,
};

type OnProgress = dyn Fn(&RowsProgress<'_>) + Send + Sync;

/// Options for an export.
///
/// # Examples
///
/// ```
/// use tenantry::archive::ExportOptions;
///
/// let options = ExportOptions::default().on_progress(|progress| eprintln!("{progress}"));
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until an archiver gets them"]
pub struct ExportOptions {
    lock_timeout: Duration,
    on_progress: Option<Arc<OnProgress>>,
}

/// Options for an import.
///
/// # Examples
///
/// ```
/// use tenantry::archive::ImportOptions;
///
/// let options = ImportOptions::default().server("eu-1");
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until an archiver gets them"]
pub struct ImportOptions {
    server: Option<Arc<str>>,
    container: Option<Ident>,
    role: Option<Ident>,
    attributes: Value,
    lock_timeout: Duration,
    on_progress: Option<Arc<OnProgress>>,
}

/// How long a statement waits for a lock by default.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

impl Default for ExportOptions {
    fn default() -> Self {
        Self { lock_timeout: LOCK_TIMEOUT, on_progress: None }
    }
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            server: None,
            container: None,
            role: None,
            attributes: Value::Null,
            lock_timeout: LOCK_TIMEOUT,
            on_progress: None,
        }
    }
}

impl ExportOptions {
    /// Sets how long a statement may wait for a lock. Default: 5 s.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Calls a closure after each table, and about every megabyte of rows. A panic in it is caught.
    pub fn on_progress(
        mut self,
        progress: impl Fn(&RowsProgress<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.on_progress = Some(Arc::new(progress));
        self
    }

    pub(super) fn copying(&self) -> CloneOptions {
        copying(self.lock_timeout, self.on_progress.as_ref())
    }
}

impl ImportOptions {
    /// Sets the tenant's server, by its name in the manager's configuration; `main` is the manager's own. Default: as
    /// for [a new tenant](CreateOptions::server). The server in the archive is not used.
    pub fn server(mut self, server: impl Into<Arc<str>>) -> Self {
        self.server = Some(server.into());
        self
    }

    /// Sets the name of the tenant's schema. Default: according to the manager's name template. The name in the archive
    /// is not used.
    ///
    /// Requires a catalog that stores the name, such as [`TableCatalog`](crate::TableCatalog).
    pub fn container(mut self, schema: Ident) -> Self {
        self.container = Some(schema);
        self
    }

    /// Sets the [role](crate::TenantRecord::role) of the tenant's sessions, to which the privileges and objects of the
    /// archived tenant's own role go. Default: that of the manager's rules. Required if the archived tenant had its own
    /// role, and the rules name none.
    pub fn role(mut self, role: Ident) -> Self {
        self.role = Some(role);
        self
    }

    /// Sets the attributes in the catalog, if it can store them. Default: none. Those of the archived tenant are in
    /// [`Manifest::attributes`](super::Manifest::attributes), which [`Archiver::read`](super::Archiver::read) returns.
    pub fn attributes(mut self, attributes: Value) -> Self {
        self.attributes = attributes;
        self
    }

    /// Sets how long a statement may wait for a lock. Default: 5 s.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Calls a closure after each table, and about every megabyte of rows. A panic in it is caught.
    pub fn on_progress(
        mut self,
        progress: impl Fn(&RowsProgress<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.on_progress = Some(Arc::new(progress));
        self
    }

    pub(super) fn copying(&self) -> CloneOptions {
        copying(self.lock_timeout, self.on_progress.as_ref())
    }

    /// Returns the options of creating the tenant, whose rows have this key.
    pub(super) fn create(&self, key: Option<Arc<str>>) -> CreateOptions {
        let Self { server, container, role, attributes, lock_timeout, .. } = self.clone();
        let mut create = CreateOptions::default().attributes(attributes).lock_timeout(lock_timeout);
        if let Some(server) = server {
            create = create.server(server);
        }
        if let Some(container) = container {
            create = create.container(container);
        }
        if let Some(role) = role {
            create = create.role(role);
        }
        if let Some(key) = key {
            create = create.key(key);
        }
        create
    }
}

/// Returns the options of copying a schema with all its rows.
fn copying(lock_timeout: Duration, on_progress: Option<&Arc<OnProgress>>) -> CloneOptions {
    let options = CloneOptions::default().data(true).lock_timeout(lock_timeout);
    let Some(told) = on_progress.cloned() else { return options };
    options.on_progress(move |progress: &CloneProgress<'_>| {
        let CloneProgress { table, tables, tables_total, rows, bytes, .. } = *progress;
        if let Some(table) = table {
            told(&RowsProgress { table, tables, tables_total, rows, bytes });
        }
    })
}

impl fmt::Debug for ExportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportOptions")
            .field("lock_timeout", &self.lock_timeout)
            .field("on_progress", &self.on_progress.is_some())
            .finish()
    }
}

impl fmt::Debug for ImportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportOptions")
            .field("server", &self.server)
            .field("container", &self.container)
            .field("role", &self.role)
            .field("lock_timeout", &self.lock_timeout)
            .field("on_progress", &self.on_progress.is_some())
            .finish_non_exhaustive()
    }
}
