use std::collections::HashSet;

use super::super::options::PoolOptions;

/// Wear of a session: the server process keeps memory for everything it has served.
#[derive(Debug, Default)]
pub(super) struct Wear {
    /// The serials of the sets of tables.
    served: HashSet<u64>,
    tables: usize,
}

impl Wear {
    /// Counts a set of tables, if it is a new one.
    pub(super) fn serve(&mut self, serial: u64, tables: usize) {
        if self.served.insert(serial) {
            self.tables += tables;
        }
    }

    /// Counts tables that were read without a bind to their schema.
    pub(super) fn read(&mut self, tables: usize) {
        self.tables += tables;
    }

    /// Returns `true` if the server process has grown too large.
    pub(super) fn is_too_much(&self, options: &PoolOptions) -> bool {
        self.tables >= options.max_tables_per_connection
            || self.served.len() >= options.max_tenants_per_connection
    }
}
