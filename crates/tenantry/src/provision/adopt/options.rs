use std::time::Duration;

use serde_json::Value;

/// How a schema becomes that of a tenant, and back.
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
    /// None is the schema that has the tenant's name already.
    pub(in crate::provision) schema: Option<String>,
    pub(in crate::provision) shared: Vec<String>,
    pub(in crate::provision) attributes: Value,
    pub(in crate::provision) dry_run: bool,
    pub(in crate::provision) lock_timeout: Duration,
}

impl Adopt {
    /// Names the schema that has the tables now, such as `public`, as the server stores it: in lower case,
    /// unless it was made in quotes.
    pub fn schema(name: impl Into<String>) -> Self {
        Self { schema: Some(name.into()), ..Self::in_place() }
    }

    /// Takes the schema that has the tenant's name already: its row is written into the catalog, and nothing is
    /// renamed. It is for schemas of tenants that another tool has made, with a catalog that lists none of them.
    ///
    /// Extensions that are installed in the schema stay there.
    pub fn in_place() -> Self {
        Self {
            schema: None,
            shared: Vec::new(),
            attributes: Value::Null,
            dry_run: false,
            lock_timeout: Duration::from_secs(5),
        }
    }

    /// Names tables, views and sequences that are for all tenants: they go into the manager's shared schema.
    /// Default: none. Tables of Tenantry's own, such as the catalog's, are among them anyway.
    pub fn keep_shared<T: Into<String>>(mut self, tables: impl IntoIterator<Item = T>) -> Self {
        self.shared.extend(tables.into_iter().map(Into::into));
        self
    }

    /// Sets what the catalog has on record beside the id, where it has a place for it. Default: nothing.
    pub fn attributes(mut self, attributes: Value) -> Self {
        self.attributes = attributes;
        self
    }

    /// Only tells what would be done and what keeps it from being done. Default: `false`.
    ///
    /// Everything is done in a transaction that is rolled back, so the report is exact. The locks are held
    /// until then, for a moment.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets how long a statement may wait for a lock. Default: 5 s. Nothing is tried again.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }
}
