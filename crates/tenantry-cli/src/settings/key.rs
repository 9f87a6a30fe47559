//! All settings: the single list that the file, the environment, the flags and the documentation share.

/// A setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its place in the file: table and key, with a dot.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The default, in the syntax of the file; `None` leaves it unset.
    pub(crate) default: Option<&'static str>,
    /// Its description, for the file that `init` writes and for `config`.
    pub(crate) about: &'static str,
}

/// The type of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// A file or folder, relative to the file that names it.
    Path,
    /// Texts: a list in the file, separated by commas elsewhere.
    List,
    /// A whole number from 1 on.
    Count,
    /// A duration such as `5s`, `250ms` or `1m`.
    Duration,
    Switch,
    Choice(&'static [&'static str]),
    /// A URL: its password is never shown.
    Url,
}

impl Key {
    /// Returns the environment variable of the setting.
    pub(crate) fn variable(&self) -> String {
        format!("TENANTRY_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }
}

macro_rules! keys {
    ($($constant:ident: $name:literal, $kind:expr, $default:expr, $about:literal;)*) => {
        $(pub(crate) static $constant: Key =
            Key { name: $name, kind: $kind, default: $default, about: $about };)*

        /// Every setting, in the order of the file.
        pub(crate) static ALL: &[&Key] = &[$(&$constant),*];
    };
}

keys! {
    DATABASE_URL: "database.url", Kind::Url, None,
        "postgres://user@host:port/database; DATABASE_URL will do as well";
    PASSWORD_FILE: "database.password_file", Kind::Path, None,
        "file whose first line is the password; without it, PGPASSWORD and ~/.pgpass are read";
    PASSWORD_COMMAND: "database.password_command", Kind::Text, None,
        "shell command that prints the password";
    UPKEEP_URL: "upkeep.url", Kind::Url, None,
        "URL with the role that migrates and creates tenants: its user and password, on the same server and database";
    UPKEEP_USER: "upkeep.user", Kind::Text, None,
        "that role without a URL, if it is not the one in database.url";
    UPKEEP_PASSWORD_FILE: "upkeep.password_file", Kind::Path, None,
        "file whose first line is its password";
    UPKEEP_PASSWORD_COMMAND: "upkeep.password_command", Kind::Text, None,
        "shell command that prints its password";
    SCHEMA: "tenants.schema", Kind::Text, Some("tenant_{id}"),
        "name of a tenant's schema";
    CATALOG: "tenants.catalog", Kind::Choice(&["schemas", "table", "query"]), Some("schemas"),
        "where tenants are listed: the schemas that exist, a table or view, or a query";
    TABLE: "tenants.table", Kind::Text, Some("tenants"),
        "the table or view, in the shared schema, if the catalog is one";
    SHARED_SCHEMA: "tenants.shared_schema", Kind::Text, Some("public"),
        "schema that all tenants share";
    SEE_SHARED: "tenants.see_shared", Kind::Switch, Some("false"),
        "whether tenants find the shared tables without naming the schema";
    EXTENSION_SCHEMAS: "tenants.extension_schemas", Kind::List, Some(""),
        "schemas in which extensions are installed";
    CATALOG_EXCEPT: "catalog.except", Kind::List, Some(""),
        "schemas that are never tenants', such as `audit` or `report_*`, if the catalog is the schemas";
    CATALOG_COLUMNS: "catalog.columns", Kind::List, Some(""),
        "columns of a table of another shape, such as `id=slug`: it is only read then; see docs/catalogs.md";
    CATALOG_QUERY: "catalog.query", Kind::Text, None,
        "select that lists tenants, if the catalog is a query; see docs/catalogs.md";
    CATALOG_NOTIFY: "catalog.notify", Kind::Text, None,
        "channel on which changes of such a table are announced with NOTIFY";
    MAX_CONNECTIONS: "pool.max_connections", Kind::Count, Some("20"),
        "connections of one process to the server, at most";
    MAX_CONNECTIONS_PER_TENANT: "pool.max_connections_per_tenant", Kind::Count, None,
        "connections of one tenant, at most; three quarters of the budget unless set";
    ACQUIRE_TIMEOUT: "pool.acquire_timeout", Kind::Duration, Some("5s"),
        "how long a request waits for a connection";
    CONNECT_TIMEOUT: "pool.connect_timeout", Kind::Duration, Some("3s"),
        "how long a connection attempt takes";
    STATEMENT_TIMEOUT: "pool.statement_timeout", Kind::Duration, None,
        "how long a statement on a handle takes; unlimited unless set";
    IDLE_IN_TRANSACTION_TIMEOUT: "pool.idle_in_transaction_timeout", Kind::Duration, Some("60s"),
        "how long a transaction is idle before the server ends it";
    NAME_TENANTS: "pool.name_tenants", Kind::Switch, Some("false"),
        "whether application_name ends with the tenant that a session is bound to";
    INSTANCES: "service.instances", Kind::Count, Some("1"),
        "processes that share the server, each with its own budget";
    INSTANCE: "service.instance", Kind::Text, None,
        "name of this process in application_name: tenantry/NAME; cli and the process id unless set";
    METRICS_URL: "service.metrics_url", Kind::Url, None,
        "the service's /metrics, for `metrics` and `top`";
    TENANT_MIGRATIONS: "migrations.tenants", Kind::Path, Some("migrations/tenants"),
        "folder with the migrations of every tenant's schema";
    SHARED_MIGRATIONS: "migrations.shared", Kind::Path, Some("migrations/shared"),
        "folder with the migrations of the shared schema";
    IGNORED_CHARS: "migrations.ignored_chars", Kind::Text, None,
        "characters that are left out of checksums, as in sqlx.toml";
    CONCURRENCY: "migrations.concurrency", Kind::Count, Some("8"),
        "tenants that are migrated at a time";
    LOCK_TIMEOUT: "migrations.lock_timeout", Kind::Duration, Some("2s"),
        "how long a statement waits for a lock";
    MIGRATION_STATEMENT_TIMEOUT: "migrations.statement_timeout", Kind::Duration, None,
        "how long a statement of a migration takes; unlimited unless set";
    LINT_OFF: "lint.off", Kind::List, Some(""),
        "rules for migrations that are turned off; see `tenantry migrate lint --rules`";
    LINT_ALLOW_SCHEMAS: "lint.allow_schemas", Kind::List, Some(""),
        "schemas that the migrations of tenants may name";
    LINT_SKIP_UNTIL: "lint.skip_until", Kind::Count, None,
        "version up to which migrations are not linted";
    SEEDS: "seeds.folder", Kind::Path, Some("seeds"),
        "folder with seeds: an .sql file each";
    SEEDS_REPEATABLE: "seeds.repeatable", Kind::List, Some(""),
        "seeds that are run every time, by name; all others once";
    DRIFT_REFERENCE: "drift.reference", Kind::Text, None,
        "tenant that all others are compared with; the first unless set";
    DRIFT_MODEL: "drift.model", Kind::Path, None,
        "file with the model that tenants are compared with";
    DRIFT_IGNORE: "drift.ignore", Kind::List, Some(""),
        "objects whose differences do not count, such as `idx_tmp_*`";
    DOCTOR_SKIP: "doctor.skip", Kind::List, Some(""),
        "checks that are left out";
    DOCTOR_SEVERITY: "doctor.severity", Kind::List, Some(""),
        "severities of checks that are not the usual ones, such as `primaryKeys=info`";
}

/// Finds a setting by its name.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    ALL.iter().copied().find(|key| key.name == name)
}

/// Returns the most similar known name, if there is a similar one.
pub(crate) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    const ALIKE: f64 = 0.75;
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |other: &str| {
        let whole = strsim::jaro_winkler(name, other);
        whole.max(strsim::jaro_winkler(&last(name), &last(other)) - 0.05)
    };
    let rated = known.into_iter().map(|other| (likeness(other), other));
    rated
        .filter(|(like, _)| *like >= ALIKE)
        // Of two equally similar names, the first one.
        .min_by(|a, b| b.0.total_cmp(&a.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_variables_are_unique() {
        let mut variables: Vec<_> = ALL.iter().map(|key| key.variable()).collect();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), ALL.len());
        assert!(ALL.iter().all(|key| key.name.matches('.').count() == 1));
    }

    #[test]
    fn a_slip_finds_its_key() {
        let nearest = |name| nearest(name, ALL.iter().map(|key| key.name));
        assert_eq!(nearest("pool.max_conections"), Some("pool.max_connections"));
        assert_eq!(nearest("tenant.schema"), Some("tenants.schema"));
        assert_eq!(nearest("migrations.folder"), Some("seeds.folder"));
        assert_eq!(nearest("xyzzy"), None);
    }
}
