use std::io;

use tenantry::fan_out::{FanOutReport, TenantRows};

/// Writes rows as they arrive.
pub(super) trait Writer {
    /// Writes some rows of a tenant.
    fn rows(&mut self, rows: &TenantRows) -> io::Result<()>;

    /// Writes the part after the last row.
    fn end(&mut self, report: &FanOutReport) -> io::Result<()>;
}

/// The name of the first column.
pub(super) const TENANT: &str = "tenant";

/// Returns the names of the columns after the first, without duplicates: repeated names get a number.
pub(super) fn names(rows: &TenantRows) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(rows.columns.len());
    for column in rows.columns.iter() {
        let name = column.name.to_string();
        let is_taken = |name: &str| name == TENANT || names.iter().any(|other| other == name);
        let mut unique = name.clone();
        let mut number = 2;
        while is_taken(&unique) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        names.push(unique);
    }
    names
}
