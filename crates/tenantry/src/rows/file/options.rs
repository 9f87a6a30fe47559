use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::progress::{Counter, OnProgress, RowsProgress};
use crate::tenant::Ident;

/// Options for [exporting](crate::provision::Provisioner::export_rows) the rows of a tenant.
///
/// # Examples
///
/// ```
/// use tenantry::rows::ExportOptions;
///
/// let options = ExportOptions::default().on_progress(|progress| println!("{progress}"));
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until a provisioner gets them"]
pub struct ExportOptions {
    pub(crate) lock_timeout: Duration,
    on_progress: Option<Arc<OnProgress>>,
}

/// Options for [restoring](crate::provision::Provisioner::restore_rows) the rows of a tenant.
///
/// # Examples
///
/// ```
/// use tenantry::rows::RestoreOptions;
///
/// // Back to the state of the file.
/// let back = RestoreOptions::default().replace(true);
/// // A second tenant beside the one whose rows the file has.
/// let beside = RestoreOptions::default().new_ids(true);
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until a provisioner gets them"]
pub struct RestoreOptions {
    pub(crate) replace: bool,
    pub(crate) new_ids: bool,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) attributes: Value,
    pub(crate) role: Option<Ident>,
    pub(crate) lock_timeout: Duration,
    on_progress: Option<Arc<OnProgress>>,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { lock_timeout: Duration::from_secs(5), on_progress: None }
    }
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            replace: false,
            new_ids: false,
            key: None,
            attributes: Value::Null,
            role: None,
            lock_timeout: Duration::from_secs(5),
            on_progress: None,
        }
    }
}

impl ExportOptions {
    /// Sets how long to wait for tables that are being altered. Default: 5 s.
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

    pub(crate) fn counter(&self, tables: usize) -> Counter<'_> {
        Counter::new(self.on_progress.as_ref(), tables)
    }
}

impl RestoreOptions {
    /// Deletes the rows that the tenant has, in the same transaction. Default: `false`, and a tenant with rows is
    /// refused.
    ///
    /// Suspend the tenant first if its application could write meanwhile: rows that it adds during the restore stay.
    pub fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Draws new values for columns that are unique among all tenants, have a sequence, an identity or
    /// `gen_random_uuid()` as their default, and are not referred to, as
    /// [`clone_tenant`](crate::provision::Provisioner::clone_tenant) does. Default: `false`, all rows keep their ids.
    ///
    /// Needed to restore a tenant beside the one whose rows the file has. Rows whose ids cannot change are refused.
    pub fn new_ids(mut self, new_ids: bool) -> Self {
        self.new_ids = new_ids;
        self
    }

    /// Sets the key of a new tenant in the tables of all tenants. Default: the key that the catalog has, or the id.
    ///
    /// Requires a catalog that stores the key. Refused for a tenant that exists.
    pub fn key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the attributes of a new tenant in the catalog, if it can store them. Default: none. Refused for a tenant
    /// that exists.
    pub fn attributes(mut self, attributes: Value) -> Self {
        self.attributes = attributes;
        self
    }

    /// Sets the [role](crate::TenantRecord::role) of a new tenant's sessions. Default: that of all tenants in rows.
    /// Refused for a tenant that exists.
    pub fn role(mut self, role: Ident) -> Self {
        self.role = Some(role);
        self
    }

    /// Sets how long a statement may wait for a lock. Default: 5 s.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Calls a closure after each table that was read, and about every megabyte of rows. A panic in it is caught.
    pub fn on_progress(
        mut self,
        progress: impl Fn(&RowsProgress<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.on_progress = Some(Arc::new(progress));
        self
    }

    /// Returns `true` if an option is given that only a new tenant can have.
    pub(crate) fn names_new_tenant(&self) -> bool {
        self.key.is_some() || self.role.is_some() || !self.attributes.is_null()
    }

    pub(crate) fn counter(&self, tables: usize) -> Counter<'_> {
        Counter::new(self.on_progress.as_ref(), tables)
    }
}

impl fmt::Debug for ExportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportOptions")
            .field("lock_timeout", &self.lock_timeout)
            .field("on_progress", &self.on_progress.is_some())
            .finish()
    }
}

impl fmt::Debug for RestoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreOptions")
            .field("replace", &self.replace)
            .field("new_ids", &self.new_ids)
            .field("key", &self.key)
            .field("role", &self.role)
            .field("lock_timeout", &self.lock_timeout)
            .field("on_progress", &self.on_progress.is_some())
            .finish_non_exhaustive()
    }
}
