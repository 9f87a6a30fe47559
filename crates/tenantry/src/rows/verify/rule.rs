use std::fmt;

use serde::Serialize;

macro_rules! rules {
    ($($(#[$docs:meta])* $variant:ident = $id:literal;)*) => {
        /// What [`verify_rows`](crate::TenantManager::verify_rows) checks.
        ///
        /// `Display` and JSON use its id: `tenant-policy`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
        #[non_exhaustive]
        pub enum RowsRule {
            $($(#[$docs])* #[serde(rename = $id)] $variant,)*
        }

        impl RowsRule {
            /// All rules, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the id.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$variant => $id,)*
                }
            }
        }
    };
}

rules! {
    /// The schema and the role of the configuration exist, the login can become the role, and the role may use the schema.
    Configuration = "configuration";
    /// Policies apply to the roles of tenants' sessions: none of them, and no role that they can
    /// become, is a superuser, has `bypassrls` or owns the tables.
    Role = "role";
    /// A table has the tenant column, or is listed as [shared](crate::Rows::shared_tables).
    TenantColumn = "tenant-column";
    /// The tenant column has the type of the key.
    ColumnType = "column-type";
    /// The tenant column is never null.
    ColumnNotNull = "column-not-null";
    /// The default of the tenant column is the key of the session.
    ColumnDefault = "column-default";
    /// Row security is enabled, and the table is one that can have it.
    RowSecurity = "row-security";
    /// Row security also applies to the owner of the table.
    ForceRowSecurity = "force-row-security";
    /// A restrictive policy for all commands and all roles compares the tenant column with the key
    /// of the session.
    TenantPolicy = "tenant-policy";
    /// A permissive policy lets sessions see rows.
    OpenPolicy = "open-policy";
    /// The policy reads the key in a sub-select, so that plans suit every tenant.
    PolicyPlan = "policy-plan";
    /// Functions in policies are evaluated for each execution, and are inlined.
    PolicyFunction = "policy-function";
    /// A partition that is granted has policies itself.
    Partition = "partition";
    /// Unique keys contain the tenant column.
    UniqueIndex = "unique-index";
    /// Foreign keys contain the tenant columns.
    ForeignKey = "foreign-key";
    /// An index leads with the tenant column.
    Index = "index";
    /// The operators of indexes are leakproof, so that an index serves conditions of a query.
    LeakproofIndex = "leakproof-index";
    /// Views run with the privileges of the session.
    View = "view";
    /// Nothing shows rows that were stored with the privileges of another role.
    MaterializedView = "materialized-view";
    /// No function runs with the privileges of its owner.
    DefinerFunction = "definer-function";
    /// No role has privileges that row security does not restrict.
    Privilege = "privilege";
    /// No sequence tells how many rows other tenants have.
    Sequence = "sequence";
    /// The table of keys that were given up is the library's own.
    RetiredKeys = "retired-keys";
    /// The server reports that policies apply to the role of the session.
    Active = "active";
}

impl fmt::Display for RowsRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}
