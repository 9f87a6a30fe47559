//! Outline of a database, for tools that configure a service: the server's limits, the schemas, and
//! the patterns of their names.

mod naming;
mod read;

use serde::Serialize;

pub use naming::Naming;

use crate::{error::Error, manager::TenantManager};

/// Outline of a database.
///
/// It describes the current state without judging it: for that, use the [doctor](crate::doctor).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DatabaseOutline {
    /// The server and its database.
    pub server: ServerOutline,
    /// All schemas except PostgreSQL's own, by name.
    pub schemas: Vec<SchemaOutline>,
    /// Extensions with types, functions or operators outside `pg_catalog`, by name.
    pub extensions: Vec<ExtensionOutline>,
    /// Tables that have the columns of a [`TableCatalog`](crate::TableCatalog), by schema and name.
    pub catalog_tables: Vec<TableOutline>,
}

/// The server of a [`DatabaseOutline`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServerOutline {
    /// The version, such as `17.2`.
    pub version: String,
    /// `server_version_num`, such as 170002.
    pub version_number: i32,
    /// The name of the database.
    pub database: String,
    /// The server's `max_connections`.
    pub max_connections: usize,
    /// Number of connections that the server reserves for superusers and other privileged roles.
    pub reserved_connections: usize,
}

impl ServerOutline {
    /// Returns the major version, such as 17.
    #[must_use]
    pub fn major(&self) -> i32 {
        self.version_number / 10_000
    }
}

/// A schema of a [`DatabaseOutline`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SchemaOutline {
    /// Its name.
    pub name: String,
    /// Number of tables, without partitions and tables of extensions.
    pub tables: usize,
}

/// An extension of a [`DatabaseOutline`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ExtensionOutline {
    /// The extension, such as `citext`.
    pub name: String,
    /// The schema in which it is installed.
    pub schema: String,
}

/// A table of a [`DatabaseOutline`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TableOutline {
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
}

impl DatabaseOutline {
    /// Groups the schema names by a common prefix or suffix of an id: candidates for a
    /// [`NameTemplate`](crate::NameTemplate), the one with most schemas first. Schemas without
    /// tables count.
    #[must_use]
    pub fn namings(&self) -> Vec<Naming> {
        naming::namings(self.schemas.iter().map(|schema| schema.name.as_str()))
    }

    /// Returns the schema of this name.
    #[must_use]
    pub fn schema(&self, name: &str) -> Option<&SchemaOutline> {
        self.schemas.iter().find(|schema| schema.name == name)
    }
}

impl TenantManager {
    /// Reads the outline of the database, in four statements on the catalogs. Requires no tenant or
    /// shared schema.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// let outline = manager.database_outline().await?;
    /// println!("PostgreSQL {}, {} schemas", outline.server.version, outline.schemas.len());
    /// for naming in outline.namings() {
    ///     println!("{}: {} schemas", naming.template, naming.schemas);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When a query fails.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn database_outline(&self) -> Result<DatabaseOutline, Error> {
        read::outline(self.fleet().system()).await
    }

    /// Reads the server's version and limits, in one statement.
    ///
    /// # Errors
    ///
    /// When the query fails.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn server_outline(&self) -> Result<ServerOutline, Error> {
        read::server(self.fleet().system()).await
    }
}
