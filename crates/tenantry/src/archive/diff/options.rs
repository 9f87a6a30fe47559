use std::{collections::BTreeSet, time::Duration};

use crate::{
    clone::{CloneOptions, KeyedTable, KeyedTables, Names},
    error::{Error, ErrorKind},
};

/// Options for a comparison.
///
/// # Examples
///
/// ```
/// use tenantry::archive::DiffOptions;
///
/// let options = DiffOptions::default().tables(["orders", "customers"]).keys(100);
/// ```
#[derive(Debug, Clone)]
#[must_use = "options do nothing until an archiver gets them"]
pub struct DiffOptions {
    tables: Option<BTreeSet<String>>,
    pub(super) keys: usize,
    lock_timeout: Duration,
}

impl Default for DiffOptions {
    fn default() -> Self {
        Self { tables: None, keys: 20, lock_timeout: Duration::from_secs(5) }
    }
}

impl DiffOptions {
    /// Compares these tables alone. A partitioned table stands for its partitions. Default: all.
    pub fn tables<T: Into<String>>(mut self, tables: impl IntoIterator<Item = T>) -> Self {
        self.tables = Some(tables.into_iter().map(Into::into).collect());
        self
    }

    /// Sets how many rows of each table are listed with their keys. Default: 20. All rows are counted.
    pub fn keys(mut self, keys: usize) -> Self {
        self.keys = keys;
        self
    }

    /// Sets how long a statement may wait for a lock. Default: 5 s.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    pub(super) fn copying(&self) -> CloneOptions {
        CloneOptions::default().data(true).lock_timeout(self.lock_timeout)
    }

    /// Returns `true` if a table is to be compared.
    pub(super) fn has(&self, table: &Names) -> bool {
        self.tables.as_ref().is_none_or(|tables| table.iter().any(|name| tables.contains(name)))
    }

    /// Refuses names of tables that neither tenant has: with a typing error, nothing would be compared.
    pub(super) fn check(&self, tables: &KeyedTables) -> Result<(), Error> {
        let KeyedTables { both, only_in_first, only_in_second } = tables;
        let all = both.iter().map(KeyedTable::names).chain(only_in_first).chain(only_in_second);
        let names: BTreeSet<_> = all.flat_map(Names::iter).collect();
        match self.tables.iter().flatten().find(|table| !names.contains(table.as_str())) {
            None => Ok(()),
            Some(table) => {
                let table = crate::plain::clipped(table, 80);
                let attempted = format!("comparing two tenants: neither has a table {table:?}");
                Err(Error::new(ErrorKind::Config, attempted))
            }
        }
    }
}
