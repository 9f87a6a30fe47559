use super::{Ident, NameTemplate, TemplateError, TenantId};

/// How tenants' data is isolated.
///
/// Currently one schema per tenant; a database per tenant or rows in shared tables may follow, so
/// the enum is non-exhaustive.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Isolation {
    /// A separate schema for every tenant, named by the template.
    Schema(NameTemplate),
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

    /// Checks the template against the shared schema.
    pub(crate) fn check(&self) -> Result<(), TemplateError> {
        match self {
            Self::Schema(template) => template.check(),
        }
    }

    /// Returns the name of the container of `id`.
    pub(crate) fn container(&self, id: &TenantId) -> Result<Ident, TemplateError> {
        match self {
            Self::Schema(template) => template.container(id),
        }
    }

    /// Returns the name template.
    pub(crate) fn template(&self) -> &NameTemplate {
        match self {
            Self::Schema(template) => template,
        }
    }
}

impl Default for Isolation {
    /// A schema per tenant, named `tenant_{id}`.
    fn default() -> Self {
        Self::schema("tenant_{id}")
    }
}
