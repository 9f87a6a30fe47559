/// Column names of a table, view or query, for
/// [`TableCatalog::columns`](super::TableCatalog::columns).
///
/// Only the id is required. Fields without a column have their default: the manager's
/// [isolation](crate::ManagerBuilder::isolation) applies and its server, the container follows the
/// [name template](crate::NameTemplate), the tenant is active, and there is no other data.
///
/// | column | type | meaning |
/// |---|---|---|
/// | [`id`](Self::id) | `text`, `uuid`, integers or any other | the tenant's id: the value as text |
/// | [`isolation`](Self::isolation) | `text` | `schema`, `row` or `database`; null selects the manager's |
/// | [`server`](Self::server) | `text` | its server; null selects `main` |
/// | [`database`](Self::database) | `text` | its database, if it has a separate one; null selects the name template |
/// | [`container`](Self::container) | `text` | its schema; null selects the name template |
/// | [`key`](Self::key) | `text`, `uuid` or integers | its key in tables of all tenants; null selects the id |
/// | [`epoch`](Self::epoch) | integers | the number of its placement, from 1; null is 1 |
/// | [`state`](Self::state) | `text` or `boolean` | `active`, `suspended`, `moving` or `cutover`; true is active |
/// | [`created_at`](Self::created_at) | `timestamptz`, `timestamp` or `date` | when it was created |
/// | [`attributes`](Self::attributes) | `jsonb` or `json` | anything else |
/// | [`role`](Self::role) | `text` | the role that its sessions take on |
/// | [`settings`](Self::settings) | `jsonb`, `json` or `text[]` | session settings: `{"statement_timeout": "5s"}` or `{statement_timeout=5s}` |
///
/// Write names as they are stored in the database's catalog: not folded, without quotes.
///
/// # Examples
///
/// ```
/// use tenantry::{CatalogColumns, TableCatalog};
///
/// // customers(id uuid, slug text, schema_name text, active boolean, …)
/// let columns = CatalogColumns::new().id("slug").container("schema_name").state("active");
/// let catalog = TableCatalog::new().table("customers")?.columns(columns);
/// # Ok::<(), tenantry::IdentError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct CatalogColumns {
    names: Vec<(Field, String)>,
}

/// A field of the tenant's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Isolation,
    Server,
    Database,
    Container,
    Key,
    Epoch,
    State,
    CreatedAt,
    Attributes,
    Role,
    Settings,
    Step,
}

impl Field {
    pub(super) const ALL: [Self; 13] = [
        Self::Id,
        Self::Isolation,
        Self::Server,
        Self::Database,
        Self::Container,
        Self::Key,
        Self::Epoch,
        Self::State,
        Self::CreatedAt,
        Self::Attributes,
        Self::Role,
        Self::Settings,
        Self::Step,
    ];

    /// Returns the default name of the column, which is also the name of the setter.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Isolation => "isolation",
            Self::Server => "server",
            Self::Database => "database",
            Self::Container => "container",
            Self::Key => "key",
            Self::Epoch => "epoch",
            Self::State => "state",
            Self::CreatedAt => "created_at",
            Self::Attributes => "attributes",
            Self::Role => "role",
            Self::Settings => "settings",
            Self::Step => "step",
        }
    }

    /// Returns a description of the column.
    pub(super) fn purpose(self) -> &'static str {
        match self {
            Self::Id => "the tenant's id",
            Self::Isolation => "how the tenant is isolated",
            Self::Server => "the name of the tenant's server",
            Self::Database => "the name of the tenant's database",
            Self::Container => "the name of the tenant's schema",
            Self::Key => "the tenant's key in the tables of all tenants",
            Self::Epoch => "the number of the tenant's placement",
            Self::State => "the tenant's state",
            Self::CreatedAt => "when the tenant was created",
            Self::Attributes => "the tenant's attributes",
            Self::Role => "the role of the tenant's sessions",
            Self::Settings => "the settings of the tenant's sessions",
            Self::Step => "the remaining steps of the tenant's creation",
        }
    }
}

impl CatalogColumns {
    /// Reads only the column `id`.
    pub fn new() -> Self {
        Self { names: vec![(Field::Id, Field::Id.name().to_owned())] }
    }

    /// Sets the column of the id. Default: `id`.
    pub fn id(self, column: impl Into<String>) -> Self {
        self.with(Field::Id, column.into())
    }

    /// Sets the column of the [isolation](crate::TenantRecord::isolation). Default: none; every
    /// tenant has the manager's.
    pub fn isolation(self, column: impl Into<String>) -> Self {
        self.with(Field::Isolation, column.into())
    }

    /// Sets the column of the [server](crate::TenantRecord::server). Default: none; every tenant is
    /// on the manager's server.
    pub fn server(self, column: impl Into<String>) -> Self {
        self.with(Field::Server, column.into())
    }

    /// Sets the column of the [database](crate::TenantRecord::database). Default: none; the name
    /// template applies to tenants with a separate database.
    pub fn database(self, column: impl Into<String>) -> Self {
        self.with(Field::Database, column.into())
    }

    /// Sets the column of the schema. Default: none; the name template applies.
    pub fn container(self, column: impl Into<String>) -> Self {
        self.with(Field::Container, column.into())
    }

    /// Sets the column of the [key](crate::TenantRecord::key) in the tables of all tenants. Default:
    /// none; the key is the id.
    pub fn key(self, column: impl Into<String>) -> Self {
        self.with(Field::Key, column.into())
    }

    /// Sets the column of the [epoch](crate::TenantRecord::epoch), which must increase whenever a
    /// tenant moves. Default: none; every tenant is at its first place.
    ///
    /// Handles follow a tenant that moves only if the column of the
    /// [creation time](Self::created_at) is set, too: it tells a tenant that has moved from a new
    /// one with the same id.
    pub fn epoch(self, column: impl Into<String>) -> Self {
        self.with(Field::Epoch, column.into())
    }

    /// Sets the column of the state. Default: none; every tenant is active.
    ///
    /// A tenant whose state is null, or none of the [states](crate::TenantState), is refused. If
    /// your states have other names, translate them in a [query](super::TableCatalog::query).
    pub fn state(self, column: impl Into<String>) -> Self {
        self.with(Field::State, column.into())
    }

    /// Sets the column of the creation time. Default: none.
    pub fn created_at(self, column: impl Into<String>) -> Self {
        self.with(Field::CreatedAt, column.into())
    }

    /// Sets the column of the attributes. Default: none.
    pub fn attributes(self, column: impl Into<String>) -> Self {
        self.with(Field::Attributes, column.into())
    }

    /// Sets the column of the [role](crate::TenantRecord::role) that sessions take on. Default:
    /// none.
    pub fn role(self, column: impl Into<String>) -> Self {
        self.with(Field::Role, column.into())
    }

    /// Sets the column of the session [settings](crate::TenantRecord::settings). Default: none.
    pub fn settings(self, column: impl Into<String>) -> Self {
        self.with(Field::Settings, column.into())
    }

    fn with(mut self, field: Field, column: String) -> Self {
        self.names.retain(|(of, _)| *of != field);
        self.names.push((field, column));
        self
    }

    /// Returns the column of a field, if it has one.
    pub(super) fn of(&self, field: Field) -> Option<&str> {
        self.names.iter().find(|(of, _)| *of == field).map(|(_, column)| column.as_str())
    }
}

impl Default for CatalogColumns {
    fn default() -> Self {
        Self::new()
    }
}
