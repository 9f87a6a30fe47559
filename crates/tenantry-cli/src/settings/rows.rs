//! Builds what the settings say of tables with the rows of all tenants.

use tenantry::{KeyType, Rows};

use super::{Key, Settings, key};
use crate::failure::{Failure, chain};

impl Settings {
    /// Returns how rows are kept apart.
    ///
    /// # Errors
    ///
    /// With the invalid key, and where it was set.
    pub(crate) fn rows(&self) -> Result<Rows, Failure> {
        let mut rows = Rows::new().key(match self.text(&key::ROWS_KEY) {
            Some("uuid") => KeyType::Uuid,
            Some("bigint") => KeyType::BigInt,
            _ => KeyType::Text,
        });
        if let Some(column) = self.text(&key::ROWS_COLUMN) {
            rows = rows.column(column).map_err(|error| self.wrong(&key::ROWS_COLUMN, &error))?;
        }
        if let Some(setting) = self.text(&key::ROWS_SETTING) {
            rows = rows.setting(setting).map_err(|error| self.wrong(&key::ROWS_SETTING, &error))?;
        }
        if let Some(role) = self.text(&key::ROWS_ROLE) {
            rows = rows.role(role).map_err(|error| self.wrong(&key::ROWS_ROLE, &error))?;
        }
        if let Some(schema) = self.text(&key::ROWS_SCHEMA) {
            rows = rows.schema(schema).map_err(|error| self.wrong(&key::ROWS_SCHEMA, &error))?;
        }
        let shared = self.list(&key::ROWS_SHARED_TABLES).iter().map(String::as_str);
        let rows = rows.shared_tables(shared);
        let rows = rows.map_err(|error| self.wrong(&key::ROWS_SHARED_TABLES, &error))?;
        Ok(rows.allow(self.list(&key::ROWS_ALLOW).iter().map(String::as_str)))
    }

    /// Returns `true` if some tenants can have rows of shared tables.
    pub(super) fn has_rows(&self) -> bool {
        let keys = [
            &key::ROWS_KEY,
            &key::ROWS_COLUMN,
            &key::ROWS_SETTING,
            &key::ROWS_ROLE,
            &key::ROWS_SCHEMA,
            &key::ROWS_SHARED_TABLES,
            &key::ROWS_ALLOW,
        ];
        let is_row = |key: &Key| self.text(key) == Some("row");
        let of_tier = |name: &String| is_row(&key::TIERS.key(name, &key::TIER_ISOLATION));
        is_row(&key::ISOLATION)
            || keys.into_iter().any(|key| !self.is_default(key))
            || self.names(&key::TIERS).iter().any(of_tier)
    }

    /// Returns the error of a setting, with its place.
    pub(super) fn wrong(&self, key: &Key, error: &(dyn std::error::Error + 'static)) -> Failure {
        Failure::new(format!("{}: {}", self.place(key), chain(error)))
    }
}
