use std::{sync::Arc, time::Duration};

use serde_json::Value;

/// Options for adopting a schema as a tenant, and for releasing it.
///
/// # Examples
///
/// ```
/// use tenantry::provision::Adopt;
///
/// let adopt = Adopt::schema("public").keep_shared(["plans", "countries"]).dry_run(true);
/// ```
#[derive(Debug, Clone)]
#[must_use = "options do nothing until a provisioner gets them"]
pub struct Adopt {
    /// `None` means the schema that already has the tenant's name.
    pub(in crate::provision) schema: Option<String>,
    pub(in crate::provision) shared: Vec<String>,
    pub(in crate::provision) attributes: Value,
    pub(in crate::provision) key: Option<Arc<str>>,
    pub(in crate::provision) dry_run: bool,
    pub(in crate::provision) lock_timeout: Duration,
}

impl Adopt {
    /// Names the schema that holds the tables now, such as `public`, as the server stores it: in lower case, unless
    /// it was created in quotes.
    pub fn schema(name: impl Into<String>) -> Self {
        Self { schema: Some(name.into()), ..Self::in_place() }
    }

    /// Adopts the schema that already has the tenant's name: only its catalog row is written, and nothing is renamed.
    /// For tenants whose schemas were created by another tool and that the catalog does not list.
    ///
    /// Extensions that are installed in the schema stay there.
    pub fn in_place() -> Self {
        Self {
            schema: None,
            shared: Vec::new(),
            attributes: Value::Null,
            key: None,
            dry_run: false,
            lock_timeout: Duration::from_secs(5),
        }
    }

    /// Names tables, views and sequences that all tenants share: they are moved into the manager's shared schema.
    /// Default: none. Tenantry's own tables, such as the catalog's, are always included.
    pub fn keep_shared<T: Into<String>>(mut self, tables: impl IntoIterator<Item = T>) -> Self {
        self.shared.extend(tables.into_iter().map(Into::into));
        self
    }

    /// Sets the attributes in the catalog, if it can store them. Default: none.
    pub fn attributes(mut self, attributes: Value) -> Self {
        self.attributes = attributes;
        self
    }

    /// Sets the key that the tenant's rows have in their [tenant column](crate::Rows::column), if the manager has
    /// [rows](crate::Isolation::rows) configured. Default: the id.
    ///
    /// Requires a catalog that stores the key. A schema with rows of another key is not adopted, because the tenant's
    /// sessions would not see them; [`AdoptReport::blockers`](super::AdoptReport::blockers) names their tables.
    pub fn key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Only reports what would be done and what prevents it. Default: `false`.
    ///
    /// Everything runs in a transaction that is rolled back, so the report is exact. Locks are held until then, for a
    /// moment.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets the lock timeout of statements. Default: 5 s. There are no retries.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }
}
