//! What tenants are compared with.

use std::sync::Arc;

use crate::{migrate::Migrations, schema::SchemaModel};

/// What the schemas of tenants are compared with.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Reference {
    /// The first of the tenants that are compared and have a schema's name.
    #[default]
    First,
    /// A tenant, by its id. It need not be among those that are compared.
    Tenant(Arc<str>),
    /// What these migrations make: they are applied in a scratch schema, which is removed afterwards.
    Migrations(Migrations),
    /// What these migrations make up to the version that each tenant has on record, so that a tenant that is merely
    /// behind has no drift.
    Recorded(Migrations),
    /// A model, such as one that was saved in a file.
    Model(Arc<SchemaModel>),
}
