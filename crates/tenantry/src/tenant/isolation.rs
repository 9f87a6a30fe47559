use super::{IsolationKind, NameTemplate, Rows, TemplateError, TenantId};

/// How tenants' data is isolated, unless a tenant's [record](crate::TenantRecord::isolation) names
/// another kind.
///
/// | kind | a tenant's data is in | choose it for |
/// |---|---|---|
/// | [`schema`](Self::schema) | a schema of its own | most services, up to some 10,000 tenants |
/// | [`row`](Self::row) | rows of tables that all tenants use | very many small tenants |
/// | [`database`](Self::database) | a database of its own | few large tenants |
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Isolation {
    /// A separate schema for every tenant, named by the template.
    Schema(NameTemplate),
    /// Rows of all tenants in the same tables, kept apart by row-level security.
    Row(Rows),
    /// A separate database for every tenant, named by the template.
    Database(NameTemplate),
}

impl Isolation {
    /// Keeps every tenant in a separate schema, named by a template such as `tenant_{id}`.
    ///
    /// The template is checked when the manager is built.
    #[must_use]
    pub fn schema(template: &str) -> Self {
        Self::Schema(NameTemplate::unchecked(template))
    }

    /// Keeps every tenant in a separate schema, named by a closure.
    ///
    /// See [`NameTemplate::from_fn`] for the checks. The tenant cannot be derived from a schema
    /// name, so [`SchemaDiscovery`](crate::SchemaDiscovery) cannot list tenants; see
    /// [`schema_with_inverse`](Self::schema_with_inverse).
    pub fn schema_with<F, N>(name: F) -> Self
    where
        F: Fn(&TenantId) -> N + Send + Sync + 'static,
        N: Into<String>,
    {
        Self::Schema(NameTemplate::from_fn(name))
    }

    /// Keeps every tenant in a separate schema, named by a closure whose inverse maps a schema name
    /// back to its tenant.
    ///
    /// See [`NameTemplate::with_inverse`] for the checks.
    pub fn schema_with_inverse<F, N, I>(name: F, id_of: I) -> Self
    where
        F: Fn(&TenantId) -> N + Send + Sync + 'static,
        N: Into<String>,
        I: Fn(&str) -> Option<TenantId> + Send + Sync + 'static,
    {
        Self::Schema(NameTemplate::with_inverse(name, id_of))
    }

    /// Keeps the rows of all tenants in the same tables of the shared schema, kept apart by
    /// row-level security on the column `tenant_id`, of the type `text`, which holds the tenant's id.
    ///
    /// Same as [`rows`](Self::rows) with [`Rows::new`].
    #[must_use]
    pub fn row() -> Self {
        Self::Row(Rows::new())
    }

    /// Keeps the rows of all tenants in the same tables, as configured.
    ///
    /// SQL that a tenant writes itself can reach every tenant, because it can change the setting
    /// that the policies compare with. Such tenants need a schema and a login of their own.
    #[must_use]
    pub fn rows(rows: Rows) -> Self {
        Self::Row(rows)
    }

    /// Keeps every tenant in a separate database, named by a template such as `tenant_{id}`. The
    /// tables are in the database's schema `public`, unless a tenant's record names another
    /// container.
    ///
    /// The template is checked when the manager is built.
    #[must_use]
    pub fn database(template: &str) -> Self {
        Self::Database(NameTemplate::unchecked(template))
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> IsolationKind {
        match self {
            Self::Schema(_) => IsolationKind::Schema,
            Self::Row(_) => IsolationKind::Row,
            Self::Database(_) => IsolationKind::Database,
        }
    }

    /// Returns the configuration of a kind that was not configured.
    pub(crate) fn of_kind(kind: IsolationKind) -> Self {
        match kind {
            IsolationKind::Schema => Self::default(),
            IsolationKind::Row => Self::row(),
            IsolationKind::Database => Self::database("tenant_{id}"),
        }
    }

    /// Checks the template.
    pub(crate) fn check(&self) -> Result<(), TemplateError> {
        self.template().map_or(Ok(()), NameTemplate::check)
    }

    /// Returns the template of the names of schemas or databases; `None` if tenants have none.
    pub(crate) fn template(&self) -> Option<&NameTemplate> {
        match self {
            Self::Schema(template) | Self::Database(template) => Some(template),
            Self::Row(_) => None,
        }
    }

    /// Returns the template of schemas' names, if tenants have schemas of their own.
    pub(crate) fn of_schemas(&self) -> Option<&NameTemplate> {
        match self {
            Self::Schema(template) => Some(template),
            Self::Row(_) | Self::Database(_) => None,
        }
    }
}

impl Default for Isolation {
    /// A schema per tenant, named `tenant_{id}`.
    fn default() -> Self {
        Self::schema("tenant_{id}")
    }
}
