//! State that a tenant can leave behind on its session.

/// State that PostgreSQL keeps in the session, and that a tenant leaves behind there.
#[derive(Debug, Clone, Copy)]
pub(in crate::proof) struct Plant {
    /// The SQL that leaves it behind.
    pub(super) sql: &'static str,
    /// A query whose result changes if the state is there. Empty if the look at the session shows it.
    pub(super) observe: &'static str,
    /// Whether it can hide in a function that a plain query calls.
    pub(super) hides: bool,
}

const fn plant(sql: &'static str, observe: &'static str) -> Plant {
    Plant { sql, observe, hides: true }
}

/// It cannot be run inside a function.
const fn bare(sql: &'static str, observe: &'static str) -> Plant {
    Plant { sql, observe, hides: false }
}

pub(in crate::proof) const SEARCH_PATH: &[Plant] = &[
    // The first one sets the tenant's own schema explicitly: if it is left behind, the next tenant reads the rows of
    // that schema.
    plant("select set_config('search_path', current_schema() || ', pg_catalog', false)", ""),
    plant("set search_path to pg_catalog", ""),
    plant("set search_path to ''", ""),
    bare("begin; set local search_path to pg_catalog", ""),
    plant(
        "update pg_settings set setting = current_schema() || ', pg_catalog' \
         where name = 'search_path'",
        "",
    ),
];

pub(in crate::proof) const SETTINGS: &[Plant] = &[
    plant("set tenantry_proof.planted to 'planted'", ""),
    plant("select set_config('tenantry_proof.planted', 'planted', false)", ""),
    plant("set datestyle to 'German'", ""),
    plant("set timezone to 'Asia/Kathmandu'", ""),
    plant("set bytea_output to escape", ""),
    plant("set client_encoding to latin1", "show client_encoding"),
    plant("set standard_conforming_strings to off", ""),
    plant("set row_security to off", ""),
    plant("set lock_timeout to 7777", ""),
    plant("set work_mem to '111kB'", ""),
    plant("set application_name to 'planted'", "show application_name"),
    plant("set session characteristics as transaction read only", "show transaction_read_only"),
    plant(
        "set session characteristics as transaction isolation level serializable",
        "show transaction_isolation",
    ),
];

pub(in crate::proof) const ROLE: &[Plant] = &[
    // Every login role is allowed to set this, and it is visible.
    plant("select set_config('role', session_user, false)", ""),
    plant("set role pg_monitor", ""),
];

pub(in crate::proof) const SESSION_AUTHORIZATION: &[Plant] =
    &[plant("set session authorization pg_monitor", "")];

pub(in crate::proof) const TEMPORARY: &[Plant] = &[
    plant("create temp table marker as select 'planted'::text as owner", ""),
    plant("create temp view marker as select 'planted'::text as owner", ""),
    plant("create function pg_temp.planted() returns int language sql as 'select 1'", ""),
    plant("create type pg_temp.planted as enum ('a')", ""),
];

pub(in crate::proof) const LISTEN: &[Plant] = &[plant("listen planted", "")];

pub(in crate::proof) const LOCKS: &[Plant] = &[
    plant("do 'begin perform pg_advisory_lock(42); perform pg_advisory_lock(42); end'", ""),
    plant("do 'begin perform pg_advisory_lock_shared(4, 2); end'", ""),
];

pub(in crate::proof) const CURSOR: &[Plant] =
    &[plant("declare planted cursor with hold for select 1", "")];

pub(in crate::proof) const PREPARED: &[Plant] = &[
    plant("prepare planted as select 1", ""),
    // The names under which sqlx prepares statements: the next tenant's statements would run these.
    bare(
        "deallocate all; prepare sqlx_s_1 as select 'planted'::text as owner; \
         prepare sqlx_s_2 as select 'planted'::text as owner; \
         prepare sqlx_s_3 as select 'planted'::text as owner; \
         prepare sqlx_s_4 as select 'planted'::text as owner",
        "",
    ),
    plant(r#"prepare "a""; set role pg_monitor; --é" as select 1"#, ""),
];

pub(in crate::proof) const SEQUENCES: &[Plant] =
    &[plant("do 'begin perform nextval(''counter''); end'", "select lastval()")];

pub(in crate::proof) const TRANSACTION: &[Plant] = &[
    bare("begin; insert into marker values ('planted')", "select count(*) from marker"),
    bare(
        "begin; savepoint s; insert into marker values ('planted')",
        "select count(*) from marker",
    ),
    bare(
        "begin; lock table marker",
        "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and pid = pg_backend_pid()",
    ),
    bare("begin isolation level serializable read only", "show transaction_isolation"),
    bare("begin; select 1/0", ""),
    bare("/* begin; */ begin", ""),
];

pub(in crate::proof) const SEVERAL: &[Plant] = &[
    bare("select 1; set search_path to pg_catalog; begin; select 1; commit; select 2", ""),
    bare("select 1; begin; insert into marker values ('planted'); select 1/0; select 2", ""),
    bare(
        "listen planted; select pg_advisory_lock(42); create temp table marker (owner text); \
         set tenantry_proof.planted to 'planted'; declare c cursor with hold for select 1",
        "",
    ),
];

pub(in crate::proof) const TIMEOUT: &[Plant] = &[
    bare("begin; set statement_timeout to 5; commit; select pg_sleep(1)", "select pg_sleep(0.02)"),
    plant("set statement_timeout to 1", "select pg_sleep(0.02)"),
];
