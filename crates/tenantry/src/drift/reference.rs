//! The reference of a comparison.

use std::sync::Arc;

use crate::{migrate::Migrations, schema::SchemaModel};

/// The reference that tenants' schemas are compared with.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Reference {
    /// The first of the compared tenants that has a schema name.
    #[default]
    First,
    /// A tenant, by its id. It need not be one of the compared tenants.
    Tenant(Arc<str>),
    /// The result of these migrations: they are applied in a scratch schema, which is removed afterwards.
    Migrations(Migrations),
    /// The result of these migrations up to each tenant's recorded version, so that a tenant that is merely behind
    /// has no drift.
    Recorded(Migrations),
    /// A model, such as one loaded from a file.
    Model(Arc<SchemaModel>),
}
