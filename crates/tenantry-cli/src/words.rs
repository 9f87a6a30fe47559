//! Translates the library's advice to the command line: keys and commands instead of Rust items.

/// The library's terms, and their equivalents in the command line.
const WORDS: [(&str, &str); 17] = [
    (".extension_schemas([\"…\"]) of the manager's builder", "tenants.extension_schemas"),
    ("ManagerBuilder::upkeep_credentials", "upkeep.url"),
    ("SchemaDiscovery::except", "catalog.except"),
    ("TableCatalog::columns", "catalog.columns"),
    ("TableCatalog::create_table", "`tenantry init --create-table`"),
    ("TableCatalog::table", "tenants.table"),
    ("TenantMigrator::baseline", "`tenantry migrate baseline`"),
    ("Provisioner::adopt", "`tenantry tenant adopt`"),
    ("Provisioner::drop_tenant", "`tenantry tenant drop`"),
    ("MergeOptions::overwrite_changed", "--even-if-changed"),
    ("ImportOptions::role", "--role"),
    ("Provisioner::export_rows", "`tenantry dump`"),
    ("PoolOptions::name_tenants", "pool.name_tenants"),
    ("Lint::allow_schema", "lint.allow_schemas"),
    ("Lint::skip(", "lint.skip_until ("),
    ("Lint::skip", "lint.skip_until"),
    ("with mark_applied", "with `tenantry migrate mark`"),
];

/// Translates a text for people. JSON output keeps the library's terms.
pub(crate) fn translated(text: &str) -> String {
    let has_items =
        text.contains("::") || text.contains("mark_applied") || text.contains("([\"…\"])");
    if !has_items {
        return text.to_owned();
    }
    WORDS.iter().fold(text.to_owned(), |text, (item, words)| text.replace(item, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_become_keys_and_commands() {
        for (text, expected) in [
            ("allow it with Lint::allow_schema", "allow it with lint.allow_schemas"),
            ("Lint::skip lets it be", "lint.skip_until lets it be"),
            (
                "make it a tenant with Provisioner::adopt, or",
                "make it a tenant with `tenantry tenant adopt`, or",
            ),
            ("record it with mark_applied after", "record it with `tenantry migrate mark` after"),
            ("a cast: id::text", "a cast: id::text"),
        ] {
            assert_eq!(translated(text), expected);
        }
    }
}
