//! What PostgreSQL keeps with a session: how to leave it behind, and how to see that it is there.

/// How a tenant comes to run the SQL that leaves something behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// On a connection of its own.
    Lease,
    /// Hidden in a function of another schema that a plain `select` on the handle calls.
    Function,
    /// Hidden in a function of its own that is younger than the pool's look at its schema.
    Young,
}

/// Something that PostgreSQL keeps with the session.
#[derive(Clone, Copy)]
pub(crate) struct Leak {
    pub(crate) name: &'static str,
    pub(crate) leave: &'static str,
    /// Answers differently once `leave` has run, which is checked.
    pub(crate) observe: &'static str,
    pub(crate) ways: &'static [Way],
}

pub(crate) const BOTH: &[Way] = &[Way::Lease, Way::Function];
const LEASE: &[Way] = &[Way::Lease];

pub(crate) const fn leak(
    name: &'static str,
    ways: &'static [Way],
    leave: &'static str,
    observe: &'static str,
) -> Leak {
    Leak { name, leave, observe, ways }
}

/// The state of a session, in the order of the chapter on `DISCARD`, then settings.
pub(crate) const LEAKS: &[Leak] = &[
    leak(
        "cursor with hold",
        BOTH,
        "declare secret cursor with hold for select 1",
        "select count(*) from pg_cursors where name = 'secret'",
    ),
    leak(
        "session authorization",
        BOTH,
        "set session authorization pg_monitor",
        "select session_user",
    ),
    leak("role", BOTH, "set role pg_monitor", "select current_user"),
    leak(
        "prepared statement",
        BOTH,
        "prepare secret as select 1",
        "select count(*) from pg_prepared_statements where name = 'secret'",
    ),
    leak(
        "prepared statement with a hostile name",
        BOTH,
        r#"prepare "a""; set role pg_monitor; --é" as select 1"#,
        "select count(*) from pg_prepared_statements where from_sql",
    ),
    leak(
        "channel listened to",
        BOTH,
        "listen secret",
        "select count(*) from pg_listening_channels()",
    ),
    leak(
        "session advisory lock",
        BOTH,
        "do 'begin perform pg_advisory_lock(42); perform pg_advisory_lock(42); end'",
        "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
    ),
    leak(
        "shared session advisory lock",
        BOTH,
        "do 'begin perform pg_advisory_lock_shared(4, 2); end'",
        "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
    ),
    leak(
        "temporary table",
        BOTH,
        "create temp table secret as select 1",
        "select to_regclass('secret')",
    ),
    leak(
        "temporary table in place of a real one",
        BOTH,
        "create temp table users as select 1 as id, 'spoofed' as name",
        "select name from users",
    ),
    leak(
        "temporary view",
        BOTH,
        "create temp view secret as select 1",
        "select to_regclass('secret')",
    ),
    leak(
        "temporary function",
        BOTH,
        "create function pg_temp.secret() returns int language sql as 'select 1'",
        "select count(*) from pg_proc where pronamespace = pg_my_temp_schema()",
    ),
    leak(
        "temporary type",
        BOTH,
        "create type pg_temp.secret as enum ('a')",
        "select to_regtype('secret')",
    ),
    leak(
        "currval",
        BOTH,
        "do 'begin perform nextval(''public.counter''); end'",
        "select currval('public.counter')",
    ),
    leak(
        "lastval",
        BOTH,
        "do 'begin perform nextval(''public.counter''); end'",
        "select lastval()",
    ),
    leak(
        "open transaction",
        LEASE,
        "begin; insert into users values (2, 'secret')",
        "select count(*) from users",
    ),
    leak(
        "open transaction with a lock",
        LEASE,
        "begin; lock table users",
        "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and pid = pg_backend_pid()",
    ),
    leak(
        "open savepoint",
        LEASE,
        "begin; savepoint s; insert into users values (2, 'secret')",
        "select count(*) from users",
    ),
    leak("failed transaction", LEASE, "begin; select 1/0", "select 1"),
    leak(
        "transaction with a local setting",
        LEASE,
        "begin; set local search_path to tenant_globex",
        "show search_path",
    ),
    leak(
        "serializable transaction",
        LEASE,
        "begin isolation level serializable read only deferrable",
        "show transaction_isolation",
    ),
    leak(
        "isolation level",
        BOTH,
        "set session characteristics as transaction isolation level serializable",
        "show transaction_isolation",
    ),
    leak(
        "read-only session",
        BOTH,
        "set session characteristics as transaction read only",
        "show transaction_read_only",
    ),
    leak("search path", BOTH, "set search_path to tenant_initech, public", "show search_path"),
    leak(
        "search path by function",
        BOTH,
        "do $$ begin perform set_config('search_path', 'tenant_initech', false); end $$",
        "select name from users",
    ),
    leak("empty search path", BOTH, "set search_path to ''", "select name from users"),
    leak(
        "setting of the application",
        BOTH,
        "set app.secret to 'x'",
        "select nullif(current_setting('app.secret', true), '')",
    ),
    leak(
        "setting by function",
        BOTH,
        "do $$ begin perform set_config('app.secret', 'x', false); end $$",
        "select nullif(current_setting('app.secret', true), '')",
    ),
];

/// Settings with a value of their own that no test database has.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("application_name", "secret"),
    ("bytea_output", "escape"),
    ("client_connection_check_interval", "0"),
    ("client_encoding", "latin1"),
    ("client_min_messages", "error"),
    ("datestyle", "German"),
    ("default_tablespace", "pg_global"),
    ("default_transaction_deferrable", "on"),
    ("extra_float_digits", "-15"),
    ("idle_in_transaction_session_timeout", "1h"),
    ("idle_session_timeout", "1h"),
    ("intervalstyle", "iso_8601"),
    ("lock_timeout", "7"),
    ("log_statement", "all"),
    ("plan_cache_mode", "force_generic_plan"),
    ("row_security", "off"),
    ("session_replication_role", "replica"),
    ("standard_conforming_strings", "off"),
    ("statement_timeout", "7777"),
    ("synchronous_commit", "off"),
    ("temp_buffers", "111"),
    ("timezone", "Asia/Kathmandu"),
    ("transform_null_equals", "on"),
    ("work_mem", "111kB"),
    ("xmloption", "document"),
];
