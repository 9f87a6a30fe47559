use std::{collections::BTreeSet, sync::Arc};

use super::{Rule, row_tables::RowTables};
use crate::tenant::Ident;

/// Options of the lint: which schemas tenants' files can name besides the tenant's own, and which rules are off.
/// Default: no other schema, all rules on.
///
/// A build without the feature `lint`, which is on by default, has no SQL parser. The lint then goes by words: it
/// still finds transaction control, other search paths and roles, and most names of other schemas, but nothing that
/// can hurt a running service. Each run logs this at `INFO`.
///
/// # Examples
///
/// ```
/// use tenantry::migrate::{Lint, Rule};
///
/// // `references public.plans (id)` is fine; whatever is in version 7 is, too; small tables need no
/// // concurrent indexes.
/// let lint = Lint::default().allow_schema("public").skip(7).allow(Rule::IndexNotConcurrent);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "it does nothing until it is passed to migrations"]
pub struct Lint {
    schemas: BTreeSet<String>,
    extension_schemas: BTreeSet<String>,
    skipped: BTreeSet<i64>,
    skipped_to: Option<i64>,
    rules: BTreeSet<Rule>,
    rules_of: BTreeSet<(i64, Rule)>,
    is_for_citus: bool,
    /// Tables that earlier files have put under row security.
    row_tables: Arc<RowTables>,
}

impl Lint {
    /// Lets files name a schema, such as the one that all tenants share. Give the name as the server stores it: in
    /// lower case, unless it was created in quotes.
    pub fn allow_schema(mut self, schema: impl Into<String>) -> Self {
        self.schemas.insert(schema.into());
        self
    }

    /// Lets files use objects of a schema that holds extensions, such as `extensions.citext`. They still cannot
    /// create anything there. Give the name as the server stores it.
    pub fn extension_schema(mut self, schema: impl Into<String>) -> Self {
        self.extension_schemas.insert(schema.into());
        self
    }

    /// Skips the file of a version. Use it for a file that was already applied and must not be edited any more.
    /// Problems that would corrupt the file's migration record are still reported: transaction control, and
    /// unterminated quotes, comments or brackets. A `begin` is ignored: the file is in a transaction already, and the
    /// server only warns.
    pub fn skip(mut self, version: i64) -> Self {
        self.skipped.insert(version);
        self
    }

    /// [Skips](Self::skip) all files up to and including a version: those that were applied before the project
    /// adopted Tenantry.
    pub fn skip_until(mut self, version: i64) -> Self {
        self.skipped_to = self.skipped_to.max(Some(version));
        self
    }

    /// Turns a rule off for all files. A comment `-- tenantry: allow(drop_column, lock_table)` turns rules off for
    /// one file.
    ///
    /// The rules that protect a file's migration record stay on: [`TransactionControl`](Rule::TransactionControl),
    /// [`NotInTransaction`](Rule::NotInTransaction), [`Unterminated`](Rule::Unterminated) and
    /// [`ClientCommand`](Rule::ClientCommand).
    pub fn allow(mut self, rule: Rule) -> Self {
        self.rules.insert(rule);
        self
    }

    /// Turns a rule off for the file of one version. Otherwise like [`allow`](Self::allow).
    pub fn allow_in(mut self, version: i64, rule: Rule) -> Self {
        self.rules_of.insert((version, rule));
        self
    }

    /// Warns about statements that a coordinator of Citus refuses on the tables of tenants: see [`Rule::Citus`]. A run
    /// on a server with Citus does so by itself. Default: `false`.
    pub fn citus(mut self, is_for_citus: bool) -> Self {
        self.is_for_citus = is_for_citus;
        self
    }

    /// Lets files use objects in these extension schemas.
    pub(crate) fn reaching(self, extensions: &[Ident]) -> Self {
        extensions.iter().fold(self, |lint, schema| lint.extension_schema(schema.as_str()))
    }

    /// Lets rules know which tables earlier files have put under row security.
    pub(crate) fn after(self, row_tables: RowTables) -> Self {
        Self { row_tables: Arc::new(row_tables), ..self }
    }

    pub(super) fn is_for_citus(&self) -> bool {
        self.is_for_citus
    }

    pub(super) fn row_tables(&self) -> &RowTables {
        &self.row_tables
    }

    pub(super) fn allows(&self, schema: &str) -> bool {
        matches!(schema, "pg_catalog" | "information_schema" | "pg_temp")
            || schema.starts_with("pg_temp_")
            || self.schemas.contains(schema)
    }

    pub(super) fn is_of_extensions(&self, schema: &str) -> bool {
        self.extension_schemas.contains(schema)
    }

    pub(super) fn skips(&self, version: i64) -> bool {
        self.skipped.contains(&version) || self.skipped_to.is_some_and(|to| version <= to)
    }

    pub(super) fn turns_off(&self, version: i64, rule: Rule) -> bool {
        !rule.keeps_the_record()
            && (self.rules.contains(&rule) || self.rules_of.contains(&(version, rule)))
    }
}
