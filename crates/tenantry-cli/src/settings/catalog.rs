//! Builds the catalog that the settings describe.

use tenantry::{CatalogColumns, SchemaDiscovery, TableCatalog};

use super::{Key, Settings, key};
use crate::failure::{Failure, chain};

/// The kinds of columns that `catalog.columns` can name.
const COLUMNS: [&str; 12] = [
    "id",
    "isolation",
    "server",
    "database",
    "container",
    "key",
    "epoch",
    "state",
    "created_at",
    "attributes",
    "role",
    "settings",
];

impl Settings {
    /// Returns the catalog that is a table, a view or a query, if tenants are listed in one.
    ///
    /// # Errors
    ///
    /// With the invalid key, and where it was set.
    pub(crate) fn table_catalog(&self) -> Result<Option<TableCatalog>, Failure> {
        let kind = self.text(&key::CATALOG).unwrap_or_default();
        if kind == "schemas" {
            return Ok(None);
        }
        self.refuse_beside(kind, &key::CATALOG_EXCEPT, "schemas")?;
        let catalog = match kind {
            "query" => TableCatalog::query(self.query()?),
            _ => {
                self.refuse_beside(kind, &key::CATALOG_QUERY, "query")?;
                let name = self.text(&key::TABLE).unwrap_or_default();
                TableCatalog::new().table(name).map_err(|error| {
                    Failure::new(format!("{}: {}", self.place(&key::TABLE), chain(&error)))
                })?
            }
        };
        let catalog = match self.columns()? {
            Some(columns) => catalog.columns(columns),
            None => catalog,
        };
        let channel = self.text(&key::CATALOG_NOTIFY);
        Ok(Some(channel.into_iter().fold(catalog, TableCatalog::notify)))
    }

    /// Returns the catalog that is the schemas.
    ///
    /// # Errors
    ///
    /// If a setting is for another catalog.
    pub(crate) fn schema_catalog(&self) -> Result<SchemaDiscovery, Failure> {
        self.refuse_beside("schemas", &key::CATALOG_QUERY, "query")?;
        self.refuse_beside("schemas", &key::CATALOG_COLUMNS, "table")?;
        self.refuse_beside("schemas", &key::CATALOG_NOTIFY, "table")?;
        Ok(SchemaDiscovery::new().except(self.list(&key::CATALOG_EXCEPT)))
    }

    fn query(&self) -> Result<&str, Failure> {
        self.text(&key::CATALOG_QUERY).ok_or_else(|| {
            Failure::new(format!(
                "{} is query, and catalog.query is not set",
                self.place(&key::CATALOG)
            ))
            .hint("write catalog.query = \"select slug as id from customers\"")
        })
    }

    /// Returns the columns, if any are named.
    fn columns(&self) -> Result<Option<CatalogColumns>, Failure> {
        let pairs = self.list(&key::CATALOG_COLUMNS);
        let mut columns = CatalogColumns::new();
        for pair in pairs {
            let (field, column) = pair.split_once('=').unwrap_or((pair, ""));
            let column = column.trim();
            columns = match field.trim() {
                _ if column.is_empty() => return Err(self.wrong_column(pair, "names no column")),
                "id" => columns.id(column),
                "isolation" => columns.isolation(column),
                "server" => columns.server(column),
                "database" => columns.database(column),
                "container" => columns.container(column),
                "key" => columns.key(column),
                "epoch" => columns.epoch(column),
                "state" => columns.state(column),
                "created_at" => columns.created_at(column),
                "attributes" => columns.attributes(column),
                "role" => columns.role(column),
                "settings" => columns.settings(column),
                _ => return Err(self.wrong_column(pair, "is for nothing that a tenant has")),
            };
        }
        Ok((!pairs.is_empty()).then_some(columns))
    }

    fn wrong_column(&self, pair: &str, why: &str) -> Failure {
        Failure::new(format!("{}: {pair:?} {why}", self.place(&key::CATALOG_COLUMNS)))
            .hint(format!("write \"id=slug\"; the part before = is one of {}", COLUMNS.join(", ")))
    }

    /// Refuses a setting that has no effect with this catalog.
    fn refuse_beside(&self, kind: &str, key: &Key, needed: &str) -> Result<(), Failure> {
        if self.text(key).is_none() && self.list(key).is_empty() {
            return Ok(());
        }
        let failure = Failure::new(format!(
            "{} has no effect while tenants.catalog is {kind}",
            self.place(key)
        ));
        Err(failure.hint(format!("set tenants.catalog = \"{needed}\"")))
    }
}
