use std::collections::BTreeSet;

/// What the files of tenants may name, beside what is in the tenant's own schema. Default: nothing.
///
/// # Examples
///
/// ```
/// use tenantry::migrate::Lint;
///
/// // `references public.plans (id)` is fine; whatever is in version 7 is, too.
/// let lint = Lint::default().allow_schema("public").skip(7);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "it does nothing until migrations get it"]
pub struct Lint {
    schemas: BTreeSet<String>,
    skipped: BTreeSet<i64>,
}

impl Lint {
    /// Lets files name a schema, such as the one that all tenants share. The name is as the server stores it:
    /// in lower case, unless it was made in quotes.
    pub fn allow_schema(mut self, schema: impl Into<String>) -> Self {
        self.schemas.insert(schema.into());
        self
    }

    /// Does not look at which schemas are named in the file of a version, for what the lint takes for something
    /// that it is not. What would break the record of the file is still found: transaction control, and
    /// whatever is not closed.
    pub fn skip(mut self, version: i64) -> Self {
        self.skipped.insert(version);
        self
    }

    pub(super) fn allows(&self, schema: &str) -> bool {
        matches!(schema, "pg_catalog" | "information_schema" | "pg_temp")
            || self.schemas.contains(schema)
    }

    pub(super) fn skips(&self, version: i64) -> bool {
        self.skipped.contains(&version)
    }
}
