//! Reads the migrations that the settings name.

use tenantry::migrate::{Lint, MigrateOptions, Migrations, Rule};

use super::{Key, Settings, key};
use crate::failure::{Failure, chain};

impl Settings {
    /// Reads the tenants' migrations. `None` if the folder is the default one and does not exist.
    pub(crate) fn tenant_migrations(&self) -> Result<Option<Migrations>, Failure> {
        let migrations = self.migrations(&key::TENANT_MIGRATIONS)?;
        migrations.map(|migrations| Ok(migrations.lint(self.lint()?))).transpose()
    }

    /// Reads the migrations of the shared schema.
    pub(crate) fn shared_migrations(&self) -> Result<Option<Migrations>, Failure> {
        let migrations = self.migrations(&key::SHARED_MIGRATIONS)?;
        migrations.map(|migrations| Ok(migrations.lint(self.lint()?))).transpose()
    }

    fn migrations(&self, key: &Key) -> Result<Option<Migrations>, Failure> {
        let Some(folder) = self.path(key) else { return Ok(None) };
        if self.is_default(key) && !folder.exists() {
            return Ok(None);
        }
        let ignored = self.text(&key::IGNORED_CHARS).unwrap_or_default().chars();
        let read = Migrations::from_dir_ignoring(folder, ignored);
        read.map(Some)
            .map_err(|error| Failure::new(format!("{}: {}", self.place(key), chain(&error))))
    }

    fn lint(&self) -> Result<Lint, Failure> {
        let mut lint = Lint::default();
        for schema in self.list(&key::LINT_ALLOW_SCHEMAS) {
            lint = lint.allow_schema(schema);
        }
        for schema in self.list(&key::EXTENSION_SCHEMAS) {
            lint = lint.extension_schema(schema);
        }
        for name in self.list(&key::LINT_OFF) {
            lint = lint.allow(self.rule(name)?);
        }
        if let Some(version) = self.count(&key::LINT_SKIP_UNTIL) {
            lint = lint.skip_until(i64::try_from(version).unwrap_or(i64::MAX));
        }
        Ok(lint)
    }

    fn rule(&self, name: &str) -> Result<Rule, Failure> {
        let snake = name.replace('-', "_").to_ascii_lowercase();
        let rule = Rule::ALL.iter().copied().find(|rule| rule.as_str() == snake);
        rule.ok_or_else(|| {
            let nearest = key::nearest(&snake, Rule::ALL.iter().map(|rule| rule.as_str()));
            let hint = nearest.map_or_else(
                || "`tenantry migrate lint --rules` lists all rules".to_owned(),
                |nearest| format!("did you mean {nearest}?"),
            );
            Failure::new(format!("{}: unknown rule {name}", self.place(&key::LINT_OFF))).hint(hint)
        })
    }

    /// Returns the options of a run of migrations.
    pub(crate) fn migrate_options(&self) -> MigrateOptions {
        let mut options = MigrateOptions::default();
        if let Some(concurrency) = self.count(&key::CONCURRENCY) {
            options = options.concurrency(concurrency);
        }
        if let Some(timeout) = self.duration(&key::LOCK_TIMEOUT) {
            options = options.lock_timeout(timeout);
        }
        if let Some(timeout) = self.duration(&key::MIGRATION_STATEMENT_TIMEOUT) {
            options = options.statement_timeout(timeout);
        }
        options
    }
}
