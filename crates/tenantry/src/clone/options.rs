use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::CloneProgress;
use crate::{anonymize::Anonymize, tenant::Ident};

pub(super) type OnProgress = dyn Fn(&CloneProgress<'_>) + Send + Sync;

/// Options for cloning a tenant.
///
/// # Examples
///
/// ```
/// use tenantry::clone::CloneOptions;
///
/// // The structure alone.
/// let empty = CloneOptions::default();
/// // A part of the rows, for a test system.
/// let recent = CloneOptions::default()
///     .data(true)
///     .exclude_tables(["audit_*"])
///     .filter("orders", "created_at > now() - interval '30 days'")
///     .limit("events", 10_000);
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until a provisioner gets them"]
pub struct CloneOptions {
    pub(crate) data: bool,
    pub(crate) anonymize: Option<Anonymize>,
    pub(crate) exclude: Vec<String>,
    pub(crate) parts: BTreeMap<String, Part>,
    pub(crate) container: Option<Ident>,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) attributes: Value,
    pub(crate) role: Option<Ident>,
    pub(crate) lock_timeout: Duration,
    pub(crate) connections: usize,
    pub(super) on_progress: Option<Arc<OnProgress>>,
}

/// The rows of a table to copy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    /// A condition in SQL.
    pub(crate) condition: Option<String>,
    pub(crate) limit: Option<u64>,
}

impl Default for CloneOptions {
    fn default() -> Self {
        Self {
            data: false,
            anonymize: None,
            exclude: Vec::new(),
            parts: BTreeMap::new(),
            container: None,
            key: None,
            attributes: Value::Null,
            role: None,
            lock_timeout: Duration::from_secs(5),
            connections: 1,
            on_progress: None,
        }
    }
}

impl CloneOptions {
    /// Copies the rows as well, and lets sequences continue at the source's values. Default: `false`, only the
    /// structure and the migration records.
    pub fn data(mut self, data: bool) -> Self {
        self.data = data;
        self
    }

    /// Masks personal data on its way into the clone, and turns [data](Self::data) on. Default: nothing is masked.
    ///
    /// The clone fails if a rule is wrong, if a column looks personal and has no rule (unless the rules are not
    /// [strict](Anonymize::strict)), or if a masked value is found anywhere in the clone. The report contains the
    /// proof.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::{anonymize::Anonymize, clone::CloneOptions};
    ///
    /// let rules = Anonymize::from_toml(
    ///     r#"
    ///     [[rules]]
    ///     columns = ["*.email"]
    ///     mask = "hash"
    ///     "#,
    /// )?;
    /// let options = CloneOptions::default().anonymize(rules);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn anonymize(mut self, rules: Anonymize) -> Self {
        self.anonymize = Some(rules);
        self.data(true)
    }

    /// Leaves out the rows of these tables; the tables themselves are cloned. `*` matches any characters, `?` matches
    /// one. Default: none. Rows of other tables that refer to them with a foreign key are left out, too.
    pub fn exclude_tables<N: Into<String>>(mut self, tables: impl IntoIterator<Item = N>) -> Self {
        self.exclude.extend(tables.into_iter().map(Into::into));
        self
    }

    /// Copies only the rows of a table that meet a condition: SQL over its columns, evaluated with the privileges of
    /// the library's own sessions, so it must not come from a tenant. Default: all rows. With several conditions for
    /// a table, all must be met.
    ///
    /// Foreign keys stay valid. Rows of other tables that refer to an omitted row are omitted, too. A row that meets
    /// the condition brings along the rows that it refers to.
    pub fn filter(mut self, table: impl Into<String>, condition: impl Into<String>) -> Self {
        let part = self.parts.entry(table.into()).or_default();
        let condition = condition.into();
        part.condition = Some(match part.condition.take() {
            Some(other) => format!("({other}\n) and ({condition}\n)"),
            None => condition,
        });
        self
    }

    /// Copies at most this many rows of a table, the first in primary key order. Default: all. Rows that others refer
    /// to are copied in addition. Foreign keys stay valid, as with [`filter`](Self::filter).
    pub fn limit(mut self, table: impl Into<String>, rows: u64) -> Self {
        self.parts.entry(table.into()).or_default().limit = Some(rows);
        self
    }

    /// Sets the name of the clone's schema. Default: according to the manager's name template.
    ///
    /// Requires a catalog that stores the name, such as [`TableCatalog`](crate::TableCatalog). Other catalogs do not
    /// find the tenant there.
    pub fn container(mut self, schema: Ident) -> Self {
        self.container = Some(schema);
        self
    }

    /// Sets the clone's key in the tables of all tenants, if the source is
    /// [isolated by row](crate::Isolation::row). Default: the key that the catalog has, or the id.
    ///
    /// A clone with a schema keeps the key of its source, if rows were configured and it has its rows: another one is
    /// refused with [`Config`](crate::ErrorKind::Config). Without rows, it can have any.
    ///
    /// Requires a catalog that stores the key.
    pub fn key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the attributes of the clone in the catalog, if it can store them. Default: none, because the source's
    /// attributes can reveal its identity.
    pub fn attributes(mut self, attributes: Value) -> Self {
        self.attributes = attributes;
        self
    }

    /// Sets the [role](crate::TenantRecord::role) of the clone's sessions, like
    /// [`CreateOptions::role`](crate::provision::CreateOptions::role). Objects and privileges of the source's own
    /// role belong to this role in the clone. Required if the source has its own role and the catalog has no role for
    /// the clone yet.
    pub fn role(mut self, role: Ident) -> Self {
        self.role = Some(role);
        self
    }

    /// Sets how long a statement may wait for a lock. Default: 5 s.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Sets how many connections copy rows at a time, from 1 on; the manager's budget sets a limit. Default: 1, and the
    /// clone is a single transaction.
    ///
    /// With more of them, and in any case when one transaction would need more locks than the server has, the clone is
    /// made under a provisional name, in many transactions that share one snapshot of the source, and gets its own name
    /// at the end. When the process is killed meanwhile, the next such clone, or
    /// [`fill_spares`](crate::provision::Provisioner::fill_spares), removes what was left.
    ///
    /// In a Citus cluster, whose workers do not share snapshots, it is 1.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Calls a closure as the clone proceeds: at the start of each stage, after each table, and about every megabyte
    /// of rows that passes through this process. A panic in it is caught.
    pub fn on_progress(
        mut self,
        progress: impl Fn(&CloneProgress<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.on_progress = Some(Arc::new(progress));
        self
    }
}

impl fmt::Debug for CloneOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloneOptions")
            .field("data", &self.data)
            .field("anonymize", &self.anonymize)
            .field("exclude", &self.exclude)
            .field("parts", &self.parts)
            .field("container", &self.container)
            .field("key", &self.key)
            .field("role", &self.role)
            .field("lock_timeout", &self.lock_timeout)
            .field("on_progress", &self.on_progress.is_some())
            .finish_non_exhaustive()
    }
}
