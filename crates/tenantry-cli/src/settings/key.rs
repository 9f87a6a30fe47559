//! All settings: the single list that the file, the environment, the flags and the documentation share.

use std::borrow::Cow;

/// A setting.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    /// Its place in the file: table and key, with a dot.
    pub(crate) name: Cow<'static, str>,
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
    /// A number.
    Number,
    /// A file or folder, relative to the file that names it.
    Path,
    /// Texts: a list in the file, separated by commas elsewhere.
    List,
    /// A whole number of at least 1.
    Count,
    /// A duration such as `5s`, `250ms` or `1m`.
    Duration,
    Switch,
    Choice(&'static [&'static str]),
    /// A URL: its password is never shown.
    Url,
    /// A text that is never shown.
    Secret,
}

impl Key {
    /// Returns the environment variable of the setting.
    pub(crate) fn variable(&self) -> String {
        format!("TENANTRY_{}", self.name.replace(['.', '-'], "_").to_ascii_uppercase())
    }
}

/// Settings that the file has once for each name in a table, such as `servers.eu-1.url`.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) table: &'static str,
    /// What the names are of, for the file that `init` writes.
    pub(crate) about: &'static str,
    /// The settings of each name; their own name is the last part.
    pub(crate) keys: &'static [&'static Key],
}

impl Group {
    /// Returns a setting of this name.
    pub(crate) fn key(&self, name: &str, key: &Key) -> Key {
        let name = format!("{}.{name}.{}", self.table, key.name);
        Key { name: name.into(), ..key.clone() }
    }

    /// Returns the settings of this name.
    pub(crate) fn keys_of(&self, name: &str) -> impl Iterator<Item = Key> {
        self.keys.iter().map(move |key| self.key(name, key))
    }

    /// Finds a setting by its whole name.
    fn find(&self, whole: &str) -> Option<Key> {
        let (name, last) = whole.strip_prefix(self.table)?.strip_prefix('.')?.rsplit_once('.')?;
        let key = self.keys.iter().find(|key| key.name == last)?;
        (!name.is_empty()).then(|| self.key(name, key))
    }
}

/// Returns the group of a table, if it has one.
pub(crate) fn group(table: &str) -> Option<&'static Group> {
    GROUPS.iter().copied().find(|group| group.table == table)
}

macro_rules! keys {
    ($list:ident: $($constant:ident: $name:literal, $kind:expr, $default:expr, $about:literal;)*) => {
        $(pub(crate) static $constant: Key =
            Key { name: Cow::Borrowed($name), kind: $kind, default: $default, about: $about };)*

        /// Every setting of the list, in the order of the file.
        pub(crate) static $list: &[&Key] = &[$(&$constant),*];
    };
}

keys! { ALL:
    DATABASE_URL: "database.url", Kind::Url, None,
        "postgres://user@host:port/database; DATABASE_URL sets it, too";
    PASSWORD_FILE: "database.password_file", Kind::Path, None,
        "file whose first line is the password; without it, PGPASSWORD and ~/.pgpass are read";
    PASSWORD_COMMAND: "database.password_command", Kind::Text, None,
        "shell command that prints the password";
    REPLICATION_CONNECTION: "database.replication_connection", Kind::Secret, None,
        "libpq parameters for other servers that connect to this one, such as `password=…`; see docs/moving.md";
    UPKEEP_URL: "upkeep.url", Kind::Url, None,
        "URL of the role that migrates and creates tenants; same server and database as database.url";
    UPKEEP_USER: "upkeep.user", Kind::Text, None,
        "name of that role, as an alternative to upkeep.url";
    UPKEEP_PASSWORD_FILE: "upkeep.password_file", Kind::Path, None,
        "file whose first line is its password";
    UPKEEP_PASSWORD_COMMAND: "upkeep.password_command", Kind::Text, None,
        "shell command that prints its password";
    ISOLATION: "tenants.isolation", Kind::Choice(KINDS), Some("schema"),
        "how tenants are kept apart, unless their record or tier says otherwise";
    SCHEMA: "tenants.schema", Kind::Text, Some("tenant_{id}"),
        "name of a tenant's schema";
    DATABASE: "tenants.database", Kind::Text, Some("tenant_{id}"),
        "name of a tenant's database, for tenants with a separate one";
    PLACEMENT: "tenants.placement", Kind::Choice(&["main", "least_loaded", "by_weight"]), Some("main"),
        "server of new tenants whose tier names none; see [servers.NAME]";
    TIER: "tenants.tier", Kind::Text, None,
        "attribute of a tenant that names its tier, such as `plan`; see [tiers.NAME]";
    CATALOG: "tenants.catalog", Kind::Choice(&["schemas", "table", "query"]), Some("schemas"),
        "where tenants are listed: the schemas that exist, a table or view, or a query";
    TABLE: "tenants.table", Kind::Text, Some("tenants"),
        "table or view in the shared schema, with tenants.catalog = table";
    SHARED_SCHEMA: "tenants.shared_schema", Kind::Text, Some("public"),
        "schema that all tenants share";
    SEE_SHARED: "tenants.see_shared", Kind::Switch, Some("false"),
        "whether the shared schema is on the tenants' search path";
    EXTENSION_SCHEMAS: "tenants.extension_schemas", Kind::List, Some(""),
        "schemas in which extensions are installed";
    ROWS_KEY: "rows.key", Kind::Choice(&["text", "uuid", "bigint"]), Some("text"),
        "type of a tenant's key in tables with the rows of all tenants";
    ROWS_COLUMN: "rows.column", Kind::Text, Some("tenant_id"),
        "column of the key";
    ROWS_SETTING: "rows.setting", Kind::Text, Some("tenantry.tenant"),
        "setting of a session that holds the key";
    ROWS_ROLE: "rows.role", Kind::Text, None,
        "role that the sessions of these tenants take on";
    ROWS_SCHEMA: "rows.schema", Kind::Text, None,
        "schema of these tables; default: the shared schema";
    ROWS_SHARED_TABLES: "rows.shared_tables", Kind::List, Some(""),
        "tables of that schema which belong to no tenant";
    ROWS_ALLOW: "rows.allow", Kind::List, Some(""),
        "objects that may go around the policies";
    CATALOG_EXCEPT: "catalog.except", Kind::List, Some(""),
        "schemas that are not tenants, such as `audit` or `report_*`, with tenants.catalog = schemas";
    CATALOG_COLUMNS: "catalog.columns", Kind::List, Some(""),
        "column mapping of an existing table, such as `id=slug`; makes it read-only; see docs/catalogs.md";
    CATALOG_QUERY: "catalog.query", Kind::Text, None,
        "select that lists tenants, with tenants.catalog = query; see docs/catalogs.md";
    CATALOG_NOTIFY: "catalog.notify", Kind::Text, None,
        "NOTIFY channel that announces changes of such a table";
    MAX_CONNECTIONS: "pool.max_connections", Kind::Count, Some("20"),
        "maximum number of connections from one process to the server";
    MAX_CONNECTIONS_PER_TENANT: "pool.max_connections_per_tenant", Kind::Count, None,
        "maximum number of connections for one tenant; default: three quarters of the budget";
    ACQUIRE_TIMEOUT: "pool.acquire_timeout", Kind::Duration, Some("5s"),
        "how long a request waits for a connection";
    CONNECT_TIMEOUT: "pool.connect_timeout", Kind::Duration, Some("3s"),
        "how long a connection attempt may take";
    STATEMENT_TIMEOUT: "pool.statement_timeout", Kind::Duration, None,
        "how long a statement may take; unlimited unless set";
    IDLE_IN_TRANSACTION_TIMEOUT: "pool.idle_in_transaction_timeout", Kind::Duration, Some("60s"),
        "how long a transaction may be idle before the server ends it";
    NAME_TENANTS: "pool.name_tenants", Kind::Switch, Some("false"),
        "whether application_name includes the tenant that a session is bound to";
    INSTANCES: "service.instances", Kind::Count, Some("1"),
        "processes that share the server, each with its own budget";
    INSTANCE: "service.instance", Kind::Text, None,
        "name of this process in application_name: tenantry/NAME; default: cli and the process id";
    METRICS_URL: "service.metrics_url", Kind::Url, None,
        "the service's /metrics, for `metrics` and `top`";
    TENANT_MIGRATIONS: "migrations.tenants", Kind::Path, Some("migrations/tenants"),
        "folder with the migrations of every tenant's schema";
    SHARED_MIGRATIONS: "migrations.shared", Kind::Path, Some("migrations/shared"),
        "folder with the migrations of the shared schema";
    IGNORED_CHARS: "migrations.ignored_chars", Kind::Text, None,
        "characters ignored in checksums, as in sqlx.toml";
    CONCURRENCY: "migrations.concurrency", Kind::Count, Some("8"),
        "number of tenants migrated concurrently";
    LOCK_TIMEOUT: "migrations.lock_timeout", Kind::Duration, Some("2s"),
        "how long a statement may wait for a lock";
    MIGRATION_STATEMENT_TIMEOUT: "migrations.statement_timeout", Kind::Duration, None,
        "how long a statement of a migration may take; unlimited unless set";
    LINT_OFF: "lint.off", Kind::List, Some(""),
        "lint rules that are turned off; see `tenantry migrate lint --rules`";
    LINT_ALLOW_SCHEMAS: "lint.allow_schemas", Kind::List, Some(""),
        "schemas that tenant migrations may name";
    LINT_SKIP_UNTIL: "lint.skip_until", Kind::Count, None,
        "version up to which migrations are not linted";
    SEEDS: "seeds.folder", Kind::Path, Some("seeds"),
        "folder with seeds, one .sql file each";
    SEEDS_REPEATABLE: "seeds.repeatable", Kind::List, Some(""),
        "names of seeds that run every time; the others run once";
    DRIFT_REFERENCE: "drift.reference", Kind::Text, None,
        "tenant that all others are compared with; default: the first";
    DRIFT_MODEL: "drift.model", Kind::Path, None,
        "file with the model that tenants are compared with";
    DRIFT_IGNORE: "drift.ignore", Kind::List, Some(""),
        "objects whose differences are ignored, such as `idx_tmp_*`";
    DOCTOR_SKIP: "doctor.skip", Kind::List, Some(""),
        "checks to skip";
    DOCTOR_SEVERITY: "doctor.severity", Kind::List, Some(""),
        "severities that differ from the defaults, such as `primaryKeys=info`";
}

/// The kinds of isolation.
const KINDS: &[&str] = &["schema", "row", "database"];

keys! { OF_A_SERVER:
    SERVER_URL: "url", Kind::Url, None,
        "postgres://user@host:port/database of the server";
    SERVER_PASSWORD_FILE: "password_file", Kind::Path, None,
        "file whose first line is the password";
    SERVER_PASSWORD_COMMAND: "password_command", Kind::Text, None,
        "shell command that prints the password";
    SERVER_REPLICATION_CONNECTION: "replication_connection", Kind::Secret, None,
        "libpq parameters for other servers that connect to it, such as `password=…`; see docs/moving.md";
    SERVER_MAX_CONNECTIONS: "max_connections", Kind::Count, None,
        "maximum number of connections from one process to it; default: pool.max_connections";
    SERVER_MAX_CONNECTIONS_PER_TENANT: "max_connections_per_tenant", Kind::Count, None,
        "maximum number of connections for one tenant; default: pool.max_connections_per_tenant";
    SERVER_WEIGHT: "weight", Kind::Number, None,
        "share of new tenants, relative to other servers; default: 1";
    SERVER_DRAINING: "draining", Kind::Switch, None,
        "whether it gets no new tenants";
}

keys! { OF_A_TIER:
    TIER_ISOLATION: "isolation", Kind::Choice(KINDS), None,
        "how a new tenant is kept apart; default: tenants.isolation";
    TIER_SERVER: "server", Kind::Text, None,
        "server of a new tenant: `main`, or one of [servers.NAME]; default: tenants.placement";
    TIER_MAX_CONNECTIONS: "max_connections", Kind::Count, None,
        "maximum number of connections for one tenant";
    TIER_MAX_WAITING: "max_waiting", Kind::Count, None,
        "maximum number of a tenant's requests that wait for a connection";
    TIER_WEIGHT: "weight", Kind::Number, None,
        "share of connection time while tenants wait, from 0.1 to 100; default: 1";
    TIER_STATEMENT_TIMEOUT: "statement_timeout", Kind::Duration, None,
        "how long a statement may take";
    TIER_IDLE_IN_TRANSACTION_TIMEOUT: "idle_in_transaction_timeout", Kind::Duration, None,
        "how long a transaction may be idle before the server ends it";
    TIER_REQUESTS_PER_SECOND: "requests_per_second", Kind::Number, None,
        "number of requests that one process admits per second";
}

pub(crate) static SERVERS: Group = Group {
    table: "servers",
    about: "A further server, by the name that tenants' records have; the one of database.url is `main`.",
    keys: OF_A_SERVER,
};

pub(crate) static TIERS: Group = Group {
    table: "tiers",
    about: "A tier, for tenants whose attribute of the name in tenants.tier has this value.",
    keys: OF_A_TIER,
};

/// Every group, in the order of the file.
pub(crate) static GROUPS: &[&Group] = &[&SERVERS, &TIERS];

/// Finds a setting by its name.
pub(crate) fn find(name: &str) -> Option<Key> {
    let single = ALL.iter().copied().find(|key| key.name == name).cloned();
    single.or_else(|| GROUPS.iter().find_map(|group| group.find(name)))
}

/// Returns the names that one was possibly meant for: those of all settings, and of those of its
/// group.
pub(crate) fn candidates(name: &str) -> Vec<String> {
    let single = ALL.iter().map(|key| key.name.to_string());
    let in_group = |group: &&Group| {
        let (named, _) = name.strip_prefix(group.table)?.strip_prefix('.')?.rsplit_once('.')?;
        Some(group.keys_of(named).map(|key| key.name.into_owned()).collect::<Vec<_>>())
    };
    single.chain(GROUPS.iter().filter_map(in_group).flatten()).collect()
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
    fn a_group_has_its_settings_once_for_each_name() {
        let key = find("servers.eu-1.url").unwrap();
        assert_eq!((&*key.name, key.kind), ("servers.eu-1.url", Kind::Url));
        assert_eq!(key.variable(), "TENANTRY_SERVERS_EU_1_URL");
        assert_eq!(find("servers.eu.west.url").unwrap().name, "servers.eu.west.url");
        for none in
            ["servers.url", "servers..url", "servers.eu-1", "servers.eu-1.ulr", "serverseu.url"]
        {
            assert!(find(none).is_none(), "{none}");
        }
        let candidates = candidates("tiers.gold.wait");
        let near = nearest("tiers.gold.wait", candidates.iter().map(String::as_str));
        assert_eq!(near, Some("tiers.gold.weight"));
    }

    #[test]
    fn the_guide_has_every_setting_of_the_groups() {
        let guide = include_str!("../../../../docs/cli.md");
        for group in GROUPS {
            for key in group.keys {
                let row = format!("| `{}.NAME.{}` | {} |", group.table, key.name, key.about);
                assert!(guide.contains(&row), "docs/cli.md lacks {row}");
            }
        }
    }

    #[test]
    fn a_slip_finds_its_key() {
        let nearest = |name| nearest(name, ALL.iter().map(|key| &*key.name));
        assert_eq!(nearest("pool.max_conections"), Some("pool.max_connections"));
        assert_eq!(nearest("tenant.schema"), Some("tenants.schema"));
        assert_eq!(nearest("migrations.folder"), Some("seeds.folder"));
        assert_eq!(nearest("xyzzy"), None);
    }
}
