//! Tenants listed in a table, a view or by a query.

mod answers;
mod columns;
mod install;
mod name;
mod own;
mod query;
mod reading;
mod record;
mod rights;
mod shape;
mod upgrade;

pub use columns::CatalogColumns;

use install::{install, install_for};
use reading::{Remembered, Source};
use rights::name_missing_right;

use crate::{
    db::SharedDb,
    error::{Error, ErrorKind},
    tenant::{Ident, IdentError},
};

/// A catalog that reads a table or view of the shared schema, or a query.
///
/// **The library's own table.** [`new`](Self::new) reads, and the [provisioner](crate::provision)
/// writes, a table of this form. [`create_table`](Self::create_table) creates it, with a trigger
/// that announces every change, so that all processes discard their cached entry of a tenant as
/// soon as its row changes. The manager uses one connection of its budget for listening.
///
/// | column | type | meaning |
/// |---|---|---|
/// | `id` | `text`, primary key | the tenant's id |
/// | `isolation` | `text` | `schema`, `row` or `database`; null selects the manager's isolation |
/// | `server` | `text` | its server; null is `main`, the manager's |
/// | `database` | `text` | its database, if it has a separate one; null selects the name template |
/// | `container` | `text`, unique for each server and database | its schema; null selects the name template |
/// | `key` | `text`, unique for each server | its key in tables of all tenants; null is the id |
/// | `epoch` | `bigint` | the number of its placement, which increases whenever it moves |
/// | `state` | `text` | `active`, `suspended`, `moving` or `cutover` |
/// | `created_at` | `timestamptz` | when the row was inserted |
/// | `attributes` | `jsonb` | anything else |
/// | `step` | `text` | null when the tenant is complete; otherwise the next step of its creation |
///
/// **An application's table or view.** [`columns`](Self::columns) sets its column names. It is only
/// read: nothing is created on it, no row is written, and only the named columns are used.
///
/// **A query.** [`query`](Self::query) lists tenants from anything that can be selected.
///
/// A read-only source is changed by its owner: to suspend a tenant, update the application's table;
/// the provisioner creates and drops schemas without writing a row. With [`notify`](Self::notify),
/// changes take effect at once; otherwise after
/// [`CatalogOptions::ttl`](crate::CatalogOptions::ttl).
#[derive(Debug, Clone)]
pub struct TableCatalog {
    table: Ident,
    query: Option<String>,
    columns: Option<CatalogColumns>,
    channel: Option<String>,
    remembered: Remembered,
}

/// The channel on which the trigger announces changes.
const CHANNEL: &str = "tenantry_catalog";

impl TableCatalog {
    /// Reads and writes the table `tenants`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: Ident::parse("tenants").expect("the name is an identifier"),
            query: None,
            columns: None,
            channel: None,
            remembered: Remembered::default(),
        }
    }

    /// Reads the result of a query. It runs like the shared schema's own statements: unqualified
    /// names resolve in the shared schema and in the extension schemas, and the manager's role
    /// needs the privilege to read.
    ///
    /// The columns are those of [`CatalogColumns`], under the names of its methods: select `id`,
    /// and any of the others. Avoid `select *`, because a column `settings` or `role` may mean
    /// something else; [`columns`](Self::columns) limits the columns that are read.
    ///
    /// The query is one `select`, `with`, `values` or `table`. It becomes a sub-select with a
    /// condition on the id: PostgreSQL uses an index for a plain selection, and computes the whole
    /// result if it has `distinct`, `limit`, a window or a set operation. Avoid functions with side
    /// effects: they would run with each look-up. It is cancelled after
    /// [`CatalogOptions::timeout`](crate::CatalogOptions::timeout). The text is part of the
    /// program: never build it from a request.
    ///
    /// The text is checked when the manager is built, the columns at the first use.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::TableCatalog;
    ///
    /// let catalog = TableCatalog::query(
    ///     "select slug as id, 'customer_' || id as container, \
    ///        case when suspended_at is null then 'active' else 'suspended' end as state, \
    ///        jsonb_build_object('plan', plan) as attributes \
    ///      from crm.customers where deleted_at is null",
    /// );
    /// ```
    #[must_use]
    pub fn query(select: impl Into<String>) -> Self {
        Self { query: Some(select.into()), ..Self::new() }
    }

    /// Reads another table or view of the shared schema.
    ///
    /// # Errors
    ///
    /// [`IdentError`] when the name is not a valid identifier.
    pub fn table(mut self, name: &str) -> Result<Self, IdentError> {
        self.table = Ident::parse(name)?;
        self.remembered = Remembered::default();
        Ok(self)
    }

    /// Sets the column names; no other columns are read. The table, view or query becomes
    /// read-only.
    ///
    /// Ids are compared in the type of their column, so that its index is used: `uuid`, integers,
    /// `text` and `varchar`. Ids of other types are compared as text. Two rows for one id are an
    /// error for that tenant.
    #[must_use]
    pub fn columns(mut self, columns: CatalogColumns) -> Self {
        self.columns = Some(columns);
        self.remembered = Remembered::default();
        self
    }

    /// Sets the channel on which changes are announced with `NOTIFY`, such as by a trigger of the
    /// application. The payload is the tenant's id as text, or empty for all tenants. Default:
    /// none; for the table that [`create_table`](Self::create_table) creates, the channel of its
    /// trigger.
    ///
    /// The manager uses one connection of its budget for listening.
    ///
    /// ```sql
    /// create function announce_customer() returns trigger language plpgsql as $$
    /// begin
    ///     perform pg_notify('customers', coalesce(new.slug, old.slug));
    ///     return null;
    /// end $$;
    ///
    /// create trigger announce_customer after insert or update or delete on customers
    ///     for each row execute function announce_customer();
    /// ```
    #[must_use]
    pub fn notify(mut self, channel: impl Into<String>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// Creates the table and its trigger if missing. Safe to call at every start, and from several
    /// processes at once.
    ///
    /// An existing table of that name is used if it has `id`, `container`, `state`, `created_at` and
    /// `attributes`, and its ids are unique; `varchar`, `timestamp` and `json` are accepted. It gets
    /// the current trigger. If nothing is
    /// missing, nothing is changed, so the role needs no privilege for it. With a separate
    /// [maintenance login](crate::ManagerBuilder::upkeep_credentials), that role creates the table,
    /// and the manager's role may read it.
    ///
    /// A table of an earlier release is upgraded if the role owns it: it gets the other columns, and
    /// its constraints on `state` and `container` are replaced. This waits at most 2 s for a lock
    /// and is otherwise left for the next call. Until then, the table works as before, and tenants
    /// that need a new column cannot be written.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) when the catalog is [read-only](Self::columns), or when the
    /// existing object of that name has another form, is a view, or belongs to another role;
    /// nothing is changed then. [`PermissionDenied`](ErrorKind::PermissionDenied) when the role may
    /// not create in the shared schema; the message has the statement that grants it. Otherwise the
    /// server's error.
    ///
    /// # Cancel safety
    ///
    /// When dropped, either everything was created or nothing.
    pub async fn create_table(&self, shared: &SharedDb) -> Result<(), Error> {
        if !self.is_ours() {
            let of = self.source(shared.schema()).in_words();
            let attempted = format!("{of} is read-only: nothing was created");
            return Err(Error::new(ErrorKind::Config, attempted));
        }
        match self.install(shared).await {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                Err(name_missing_right(shared, error).await)
            }
            result => result,
        }
    }

    async fn install(&self, shared: &SharedDb) -> Result<(), Error> {
        let mut tx = shared.begin_upkeep().await?;
        let schema = shared.schema();
        match shared.role_of_manager() {
            None => drop(install(&mut tx, schema, &self.table).await?),
            Some(manager) => install_for(&mut tx, schema, &self.table, manager).await?,
        }
        tx.commit().await?;
        Ok(())
    }

    /// Returns `true` if the library writes the table.
    fn is_ours(&self) -> bool {
        self.query.is_none() && self.columns.is_none()
    }

    fn source<'a>(&'a self, shared_schema: &'a Ident) -> Source<'a> {
        match &self.query {
            Some(query) => Source::Query(query::check(query).unwrap_or(query)),
            None => Source::Relation(shared_schema, &self.table),
        }
    }
}

impl Default for TableCatalog {
    fn default() -> Self {
        Self::new()
    }
}
