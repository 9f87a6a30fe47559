//! Tenants that are listed in a table, a view or by a query.

mod answers;
mod columns;
mod install;
mod own;
mod query;
mod reading;
mod record;
mod shape;

pub use columns::CatalogColumns;

use install::{install, install_for};
use reading::{From, Remembered};

use crate::{
    db::SharedDb,
    error::{Error, ErrorKind},
    tenant::{Ident, IdentError},
};

/// A catalog that reads a table or view of the shared schema, or a query.
///
/// **A table of its own.** [`new`](Self::new) reads, and the [provisioner](crate::provision) writes, a table of this
/// form. [`create_table`](Self::create_table) makes it, with a trigger that announces every change, so that all
/// processes forget what they have cached of a tenant as soon as its row changes. The manager keeps one connection of
/// its budget for listening.
///
/// | column | type | meaning |
/// |---|---|---|
/// | `id` | `text`, primary key | the tenant's id |
/// | `container` | `text`, unique | its schema; null leaves it to the name template |
/// | `state` | `text` | `active` or `suspended` |
/// | `created_at` | `timestamptz` | when the row was inserted |
/// | `attributes` | `jsonb` | anything else |
/// | `step` | `text` | null when the tenant is whole; otherwise what its creation has not come to yet |
///
/// **A table or view of an application's.** [`columns`](Self::columns) says which columns it has. It is only read:
/// nothing is created on it, no row is written, and only the columns that are named are looked at.
///
/// **A query.** [`query`](Self::query) lists tenants from anything that can be selected.
///
/// What is only read is changed where it is kept: a tenant is suspended by an update of the application's own table, and
/// the provisioner creates and drops schemas without writing a row. [`notify`](Self::notify) has changes heard of at
/// once; otherwise they count after [`CatalogOptions::ttl`](crate::CatalogOptions::ttl).
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

    /// Reads what a query selects. It runs as the shared schema's own statements do: names without a schema are found
    /// there and in the schemas of extensions, and the role of the manager needs the right to read.
    ///
    /// The columns of [`CatalogColumns`] count under the names of its methods: select `id`, and of the others what there
    /// is. `select *` is a risk, because a column `settings` or `role` may mean something else;
    /// [`columns`](Self::columns) limits what is read.
    ///
    /// The query is one `select`, `with`, `values` or `table`. It stands in a sub-select with a condition on the id:
    /// PostgreSQL uses an index for that where the query is a plain selection, and computes all of it where it has
    /// `distinct`, `limit`, a window or a set operation. Functions with side effects do not belong into it, and it should
    /// take no locks. It may take as long as [`CatalogOptions::timeout`](crate::CatalogOptions::timeout) says. The text is part of the
    /// program: never make it of what a request says.
    ///
    /// The query is checked when the manager is built, its columns when it is first used.
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
    /// [`IdentError`] when the name is no identifier.
    pub fn table(mut self, name: &str) -> Result<Self, IdentError> {
        self.table = Ident::parse(name)?;
        self.remembered = Remembered::default();
        Ok(self)
    }

    /// Names the columns, and reads no others. The table, view or query is only read from now on.
    ///
    /// Ids are compared in the type of their column, so that its index is used: `uuid`, whole numbers, `text` and
    /// `varchar`. Ids of other types are compared as text. Two rows for one id are an error for that tenant.
    #[must_use]
    pub fn columns(mut self, columns: CatalogColumns) -> Self {
        self.columns = Some(columns);
        self.remembered = Remembered::default();
        self
    }

    /// Names the channel on which changes are announced with `NOTIFY`, such as by a trigger of the application's. The
    /// payload is the id of the tenant, as text, or empty for all of them. Default: none; for the table that
    /// [`create_table`](Self::create_table) makes, the channel of its trigger.
    ///
    /// The manager keeps one connection of its budget for listening.
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

    /// Creates the table and its trigger where they are missing. Safe to call at every start, and
    /// from several processes at once.
    ///
    /// A table of that name that is there already is used when it has the columns above and its ids are
    /// unique; `varchar`, `timestamp` and `json` will do. It gets the trigger, or a newer one. Where nothing
    /// is missing, nothing is changed, so that the role needs no right to. Where
    /// [upkeep](crate::ManagerBuilder::upkeep_credentials) has a login of its own, it makes the table, and
    /// the manager's role may read it.
    ///
    /// A table without `step`, which earlier releases have made, gets it where the role may add it, and is as good
    /// without.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) when the catalog [only reads](Self::columns), or when there is a table of that name that is something else, a view,
    /// or somebody else's; nothing is changed then. Otherwise what the server answers, such as that the
    /// role may not create in the shared schema.
    ///
    /// # Cancel safety
    ///
    /// When dropped, all of it is there or nothing.
    pub async fn create_table(&self, shared: &SharedDb) -> Result<(), Error> {
        if !self.is_ours() {
            let of = self.from(shared.schema()).in_words();
            let attempted = format!("{of} is only read: nothing was created");
            return Err(Error::new(ErrorKind::Config, attempted));
        }
        let mut tx = shared.begin_upkeep().await?;
        let schema = shared.schema();
        match shared.role_of_manager() {
            None => drop(install(&mut tx, schema, &self.table).await?),
            Some(manager) => install_for(&mut tx, schema, &self.table, manager).await?,
        }
        tx.commit().await?;
        Ok(())
    }

    /// Says whether the table is one that is written.
    fn is_ours(&self) -> bool {
        self.query.is_none() && self.columns.is_none()
    }

    fn from<'a>(&'a self, shared_schema: &'a Ident) -> From<'a> {
        match &self.query {
            Some(query) => From::Query(query::check(query).unwrap_or(query)),
            None => From::Relation(shared_schema, &self.table),
        }
    }
}

impl Default for TableCatalog {
    fn default() -> Self {
        Self::new()
    }
}
