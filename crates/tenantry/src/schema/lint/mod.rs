//! Advice about an existing schema.

mod columns;
mod finding;
pub(crate) mod index;
mod indexes;
mod options;
mod rule;
mod safety;
mod tables;

pub use finding::LintFinding;
pub use options::{LintOptions, NameStyle};
pub use rule::{LintRule, Severity};

use super::{
    Attribute, Object, ObjectKey, ObjectKind, SchemaModel,
    ddl::{fill, ident, own},
    export::keys,
};

impl SchemaModel {
    /// Checks the schema against the rules. Findings are ordered by severity, most severe first, and then by object.
    ///
    /// Partitions are not checked where they follow the partitioned table.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(conn: &mut sqlx::PgConnection) -> Result<(), Box<dyn std::error::Error>> {
    /// use tenantry::schema::{LintOptions, introspect};
    ///
    /// let model = introspect(conn, &"tenant_acme".parse()?, None).await?;
    /// for finding in model.lint(&LintOptions::default()) {
    ///     // warning: constraint orders_customer_fkey on orders: no index starts with … (foreign-key-index)
    ///     println!("{finding}");
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn lint(&self, options: &LintOptions) -> Vec<LintFinding> {
        let mut findings = Findings { model: self, options, found: Vec::new() };
        tables::check(&mut findings);
        columns::check(&mut findings);
        indexes::check(&mut findings);
        safety::check(&mut findings);
        let mut found = findings.found;
        found.sort_by(|a, b| {
            let place = |finding: &LintFinding| (finding.object.clone(), finding.rule);
            b.severity.cmp(&a.severity).then_with(|| place(a).cmp(&place(b)))
        });
        found
    }
}

/// The findings so far.
struct Findings<'a> {
    model: &'a SchemaModel,
    options: &'a LintOptions,
    found: Vec<LintFinding>,
}

impl<'a> Findings<'a> {
    fn add(&mut self, rule: LintRule, object: &ObjectKey, message: String, fix: Option<String>) {
        let severity = self.options.severity_of(rule);
        if severity == Severity::Off {
            return;
        }
        let SchemaModel { schema, role, .. } = self.model;
        let fix = fix.map(|fix| fill(&fix, schema, role.as_deref()));
        self.found.push(LintFinding { rule, severity, object: object.clone(), message, fix });
    }

    fn is_ignored(&self, table: &str) -> bool {
        self.options.ignored_tables.contains(table)
    }

    /// Returns the tables without partitions, which are like their parents.
    fn tables(&self) -> Vec<(&'a ObjectKey, &'a Object)> {
        let tables = self.model.of_kind(ObjectKind::Table);
        let tables = tables.filter(|(key, table)| {
            table.get(Attribute::PartitionOf).is_none() && !self.is_ignored(&key.name)
        });
        tables.collect()
    }

    fn primary_key(&self, table: &str) -> Option<keys::Key> {
        keys::keys(self.model, table).into_iter().find(|key| key.is_primary)
    }
}

fn key(kind: ObjectKind, of: &str, name: &str) -> ObjectKey {
    ObjectKey::part(kind, of, name)
}

/// Returns a statement that changes a table.
fn alter(table: &str, change: &str) -> Option<String> {
    Some(format!("alter table {} {change};", own(table)))
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| ident(name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
