//! Each way around the policies of tables with the rows of all tenants is found, and nothing else: a
//! sound schema is broken one way at a time.

use sqlx::PgConnection;
use tenantry::{
    CatalogColumns, Credentials, ErrorKind, FixedCatalog, Ident, Isolation, KeyType, Rows,
    TableCatalog, TenantId, TenantManager, TenantRecord,
    doctor::{
        CheckStatus,
        Severity::{self, Error, Info, Warning},
    },
    provision::{CreateOptions, DropOptions},
    rows::{
        RowTable, RowTables, RowsReport,
        RowsRule::{self, *},
        UnsafeRows,
    },
};
use tenantry_devdb::DevServer;

use crate::support::{TestResult, connect, private_server, run};

/// The key of the session, as a policy reads it.
const KEY: &str = "nullif(current_setting('tenantry.tenant', true), '')";

/// The roles of the service: one owns the tables, tenants' sessions take on another one.
const ROLES: &str = "\
    create role owner; create role app; create role service login; create role dba bypassrls; \
    create role replicator replication; \
    grant app to service";

/// What cases change beyond the schema.
const RESTORE: &str = "\
    drop schema if exists rows, elsewhere cascade; drop foreign data wrapper if exists wrapper cascade; \
    alter role app nosuperuser nobypassrls noreplication; alter role service nobypassrls noreplication; \
    revoke replicator, pg_read_server_files, pg_read_all_data from app; revoke dba from app; revoke dba from service; revoke owner from app; revoke owner from service; \
    create schema rows authorization owner; grant usage on schema rows to app, service; ";

fn rows() -> Rows {
    let rows = Rows::new().role("app").and_then(|rows| rows.schema("rows"));
    rows.and_then(|rows| rows.shared_tables(["plans"])).expect("these are identifiers")
}

/// The statements that make a sound schema.
fn sound(rows: &Rows) -> String {
    let table = |name| RowTable::new(name).expect("it is an identifier");
    let users = table("users").unique(["email"]).expect("it is an identifier");
    let orders = table("orders").references("user_id", "users").expect("these are identifiers");
    let tables = RowTables::new(rows).table(users).table(orders).create();
    format!(
        "{RESTORE} set search_path to rows; set role owner; {tables} \
         create table plans (id int primary key); grant select on plans to app; \
         create table _sqlx_migrations (version bigint primary key)"
    )
}

/// A database on a server of the test's own, because roles belong to servers.
struct Rig {
    server: DevServer,
    admin: PgConnection,
}

impl Rig {
    async fn new() -> Self {
        let server = private_server(&[]).await;
        let mut admin = connect(&server.url()).await;
        run(&mut admin, ROLES).await;
        run(&mut admin, "create role other").await;
        let blurred = "create collation blurred (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
        run(&mut admin, blurred).await;
        Self { server, admin }
    }

    /// Makes a sound schema, and breaks it as the owner of its tables, or as a superuser.
    async fn broken(&mut self, rows: &Rows, sql: &str) {
        run(&mut self.admin, &format!("reset role; reset search_path; {}", sound(rows))).await;
        run(&mut self.admin, sql).await;
        run(&mut self.admin, "reset role").await;
    }

    fn manager(&self, rows: Rows) -> TenantManager {
        let url = self.server.url().replace("postgres@", "service@");
        let builder = TenantManager::builder(url).isolation(Isolation::rows(rows));
        builder.catalog(FixedCatalog::new([])).build().expect("the configuration is sound")
    }
}

/// A table that a case adds, with these columns and with policies.
fn notes(columns: &str) -> String {
    format!("create table notes ({columns}); {}", policies("notes"))
}

fn policies(table: &str) -> String {
    format!(
        "alter table {table} enable row level security, force row level security; \
         create policy tenantry_all on {table} using (true); {}",
        policy(table, &format!("using (tenant_id = (select {KEY}))"))
    )
}

fn policy(table: &str, rest: &str) -> String {
    format!("create policy tenantry_tenant on {table} as restrictive for all {rest}")
}

/// Replaces the policy that keeps tenants apart in `users`.
fn replaced(rest: &str) -> String {
    format!("drop policy tenantry_tenant on users; create policy tenantry_tenant on users {rest}")
}

/// Replaces it by one that calls this function.
fn calling(function: &str) -> String {
    let policy = replaced("as restrictive for all using (tenant_id = (select own()))");
    format!("create function own() returns text {function}; {policy}")
}

type Expected = &'static [(RowsRule, Severity, &'static str)];

fn columns_of_notes() -> String {
    format!("tenant_id text not null default {KEY}, id uuid, primary key (tenant_id, id)")
}

/// What is done to a sound schema, by the owner of the tables unless it begins with `reset role`, and what
/// is then found.
fn cases() -> Vec<(String, Expected)> {
    [of_columns(), of_policies(), of_keys(), of_things_around(), of_roles()].concat()
}

fn of_columns() -> Vec<(String, Expected)> {
    let typed = |of: &str| notes(&columns_of_notes().replace("tenant_id text", of));
    let partitioned = format!(
        "create table notes ({}) partition by hash (tenant_id); {}; \
         create table notes_0 partition of notes for values with (modulus 1, remainder 0)",
        columns_of_notes(),
        policies("notes")
    );
    vec![
        (String::new(), &[]),
        ("create table notes (id uuid primary key)".into(), &[(TenantColumn, Error, "notes")]),
        (typed("tenant_id name"), &[(ColumnType, Error, "notes")]),
        (typed("tenant_id varchar(40)"), &[]),
        (typed("tenant_id text collate public.blurred"), &[(ColumnType, Error, "notes")]),
        (
            notes(&format!("tenant_id text default {KEY}")) + "; create index on notes (tenant_id)",
            &[(ColumnNotNull, Warning, "notes")],
        ),
        (
            "alter table users alter tenant_id drop default".into(),
            &[(ColumnDefault, Warning, "users")],
        ),
        (
            "alter table users alter tenant_id set default 'acme'".into(),
            &[(ColumnDefault, Warning, "users")],
        ),
        (partitioned.clone(), &[]),
        (
            format!("{partitioned}; grant select on notes_0 to app"),
            &[(Partition, Error, "notes_0")],
        ),
        (format!("{partitioned}; grant select on notes_0 to app; {}", policies("notes_0")), &[]),
        (
            format!("{partitioned}; reset role; grant pg_read_all_data to app"),
            &[(Partition, Error, "notes_0")],
        ),
        (
            format!(
                "{partitioned}; reset role; create schema elsewhere; alter table notes_0 set schema elsewhere; \
                 grant usage on schema elsewhere to app"
            ),
            &[],
        ),
        (
            format!(
                "{partitioned}; reset role; create schema elsewhere; alter table notes_0 set schema elsewhere; \
                 grant usage on schema elsewhere to app; grant select on elsewhere.notes_0 to app"
            ),
            &[(Partition, Error, "elsewhere.notes_0")],
        ),
        (
            format!(
                "reset role; create foreign data wrapper wrapper; create server far foreign data wrapper wrapper; \
                 create foreign table notes (tenant_id text not null default {KEY}) server far"
            ),
            &[(RowSecurity, Error, "notes")],
        ),
    ]
}

fn of_policies() -> Vec<(String, Expected)> {
    const POLICY: Expected = &[(TenantPolicy, Error, "users")];
    let sql = |body: &str| format!("language sql {body} as $$ select {KEY} $$");
    let flaws = [
        format!("as permissive for all using (tenant_id = (select {KEY}))"),
        format!("as restrictive for select using (tenant_id = (select {KEY}))"),
        format!("as restrictive for all to app using (tenant_id = (select {KEY}))"),
        format!("as restrictive for all using (tenant_id = (select {KEY}) or email = '')"),
        format!("as restrictive for all using (tenant_id <> (select {KEY}))"),
        format!("as restrictive for all using (email = (select {KEY}))"),
        "as restrictive for all using (tenant_id = (select current_setting('tenantry.tenant')))".into(),
        "as restrictive for all using (tenant_id = (select nullif(current_setting('a.b', true), '')))".into(),
        "as restrictive for all using (true)".into(),
        format!("as restrictive for all using (tenant_id = (select {KEY})) with check (true)"),
    ];
    let mut cases: Vec<(String, Expected)> =
        flaws.iter().map(|flaw| (replaced(flaw), POLICY)).collect();
    cases.extend([
        (
            "alter table users disable row level security".into(),
            &[(RowSecurity, Error, "users")] as Expected,
        ),
        (
            "alter table users no force row level security".into(),
            &[(ForceRowSecurity, Error, "users")],
        ),
        ("drop policy tenantry_tenant on users".into(), POLICY),
        ("drop policy tenantry_all on users".into(), &[(OpenPolicy, Warning, "users")]),
        ("create policy mine on users for select using (email like '%')".into(), &[]),
        (
            replaced(&format!("as restrictive for all using (tenant_id = {KEY})")),
            &[(PolicyPlan, Warning, "users")],
        ),
        (calling(&sql("stable")), &[]),
        (calling(&format!("language sql stable return {KEY}")), &[]),
        (calling(&sql("immutable")), &[(PolicyFunction, Error, "rows.own()")]),
        (
            calling(&format!("language plpgsql stable as $$ begin return {KEY}; end $$")),
            &[(PolicyFunction, Warning, "users")],
        ),
        (calling("language sql stable as $$ select 'acme' $$"), POLICY),
    ]);
    cases
}

fn of_keys() -> Vec<(String, Expected)> {
    vec![
        (
            "create unique index by_email on users (email)".into(),
            &[(UniqueIndex, Error, "by_email")],
        ),
        (
            "create unique index by_email on users (email) include (tenant_id)".into(),
            &[(UniqueIndex, Error, "by_email")],
        ),
        (
            "alter table users add constraint by_email exclude using btree (email with =)".into(),
            &[(UniqueIndex, Error, "by_email")],
        ),
        (
            "create unique index by_email on users (email, tenant_id)".into(),
            &[(Index, Warning, "by_email")],
        ),
        (
            "create unique index by_id on users (id); \
             alter table orders add constraint by_id foreign key (user_id) references users (id)"
                .into(),
            &[(UniqueIndex, Error, "by_id"), (ForeignKey, Error, "by_id")],
        ),
        (
            "alter table orders add buyer text, \
             add constraint by_buyer foreign key (buyer, user_id) references users (tenant_id, id)"
                .into(),
            &[(ForeignKey, Error, "by_buyer")],
        ),
        (
            "create schema elsewhere; create table elsewhere.log (whose text, user_id uuid, \
             constraint of_user foreign key (whose, user_id) references users (tenant_id, id))"
                .replace("create schema elsewhere", "reset role; create schema elsewhere"),
            &[(ForeignKey, Error, "of_user")],
        ),
        ("alter table users add plan int references plans (id)".into(), &[]),
        ("create index by_email on users (email)".into(), &[(Index, Warning, "by_email")]),
        (notes(&format!("tenant_id text not null default {KEY}")), &[(Index, Warning, "notes")]),
        (
            "alter table users add doc jsonb; create index by_doc on users using gin (doc)".into(),
            &[(LeakproofIndex, Info, "by_doc")],
        ),
        (
            "create index by_start on users (tenant_id, email text_pattern_ops)".into(),
            &[(LeakproofIndex, Info, "by_start")],
        ),
        (
            "create index by_lower on users (tenant_id, lower(email))".into(),
            &[(LeakproofIndex, Info, "by_lower")],
        ),
        ("create index by_both on users (tenant_id, email, id)".into(), &[]),
        (
            "alter table users add number bigint generated always as identity".into(),
            &[(Sequence, Info, "users")],
        ),
    ]
}

fn of_things_around() -> Vec<(String, Expected)> {
    let view = "create view recent as select * from users";
    let retired = "create table _tenantry_retired_keys (digest bigint primary key, \
                   retired_at timestamptz not null, taken_at timestamptz, waits_for text[])";
    let definer = "create function every() returns bigint security definer language sql \
                   as 'select count(*) from rows.users'";
    let hidden_definer = "reset role; create function hidden() returns trigger security definer language plpgsql \
                          as 'begin return new; end'; revoke execute on function hidden() from public";
    vec![
        (format!("{view}; grant select on recent to app"), &[(View, Warning, "recent")]),
        (format!("reset role; {view}; grant select on recent to app"), &[(View, Error, "recent")]),
        (
            format!("reset role; {view}; grant select (email) on recent to app"),
            &[(View, Error, "recent")],
        ),
        (format!("reset role; {view}"), &[]),
        (
            format!(
                "{view}; create view latest as select * from recent; grant select on latest to app"
            ),
            &[(View, Warning, "latest")],
        ),
        (
            "create materialized view every as select * from users; grant select on every to app"
                .into(),
            &[(MaterializedView, Error, "every")],
        ),
        (retired.into(), &[]),
        (
            format!("reset role; {retired}; alter table _tenantry_retired_keys owner to other"),
            &[(RetiredKeys, Error, "_tenantry_retired_keys")],
        ),
        (
            format!("reset role; {retired}; alter table _tenantry_retired_keys owner to service"),
            &[],
        ),
        (
            format!("{retired}; alter table _tenantry_retired_keys enable row level security"),
            &[(RetiredKeys, Error, "_tenantry_retired_keys")],
        ),
        (
            "create view _tenantry_retired_keys as select 1::bigint as digest".into(),
            &[(RetiredKeys, Error, "_tenantry_retired_keys")],
        ),
        (definer.into(), &[(DefinerFunction, Warning, "every")]),
        (format!("reset role; {definer}"), &[(DefinerFunction, Error, "every")]),
        (format!("reset role; {definer}; revoke execute on function every() from public"), &[]),
        (
            format!(
                "reset role; create schema elsewhere; grant usage on schema elsewhere to public; {}",
                definer.replace("every()", "elsewhere.every()")
            ),
            &[(DefinerFunction, Error, "elsewhere.every")],
        ),
        (
            format!("{hidden_definer}; create trigger t before insert on users for each row execute function hidden()"),
            &[(DefinerFunction, Error, "hidden")],
        ),
        (
            format!(
                "{hidden_definer}; grant insert on plans to app; \
                 create trigger t before insert on plans for each row execute function hidden()"
            ),
            &[(DefinerFunction, Error, "hidden")],
        ),
        (
            format!("{hidden_definer}; create trigger t before insert on plans for each row execute function hidden()"),
            &[],
        ),
        (
            "reset role; create function step(text, text) returns text security definer language sql \
               as 'select string_agg(email, $2) from rows.users'; \
             revoke execute on function step from public; create aggregate spy (text) (sfunc = step, stype = text)"
                .into(),
            &[(DefinerFunction, Error, "step")],
        ),
        (
            "create rule also as on insert to users do also update users set email = new.email".into(),
            &[(View, Warning, "also")],
        ),
        (
            "reset role; grant insert on plans to app; alter table plans owner to current_user; \
             create rule also as on insert to plans do also update users set email = 'a'"
                .into(),
            &[(View, Error, "also")],
        ),
        (
            "reset role; create rule also as on insert to plans do also update users set email = 'a'".into(),
            &[],
        ),
        ("create rule never as on delete to users do instead nothing".into(), &[]),
        ("grant truncate on users to app".into(), &[(Privilege, Error, "users")]),
        ("grant references on users to app".into(), &[(Privilege, Error, "users")]),
        ("grant references (id) on users to app".into(), &[(Privilege, Error, "users")]),
        ("grant trigger on users to public".into(), &[(Privilege, Error, "users")]),
        ("grant all on users to dba".into(), &[]),
        ("grant truncate on plans to app".into(), &[]),
    ]
}

fn of_roles() -> Vec<(String, Expected)> {
    vec![
        ("reset role; alter role app superuser".into(), &[(Role, Error, "app")]),
        ("reset role; alter role app bypassrls".into(), &[(Role, Error, "app")]),
        ("reset role; grant dba to app".into(), &[(Role, Error, "dba")]),
        ("reset role; alter role app replication".into(), &[(Role, Error, "app")]),
        ("reset role; grant replicator to app".into(), &[(Role, Error, "replicator")]),
        ("reset role; alter role service replication".into(), &[(Role, Warning, "service")]),
        (
            "reset role; grant pg_read_server_files to app".into(),
            &[(Role, Error, "pg_read_server_files")],
        ),
        ("reset role; alter table users owner to app".into(), &[(Role, Error, "app")]),
        ("reset role; grant owner to app".into(), &[(Role, Error, "owner")]),
        ("reset role; alter role service bypassrls".into(), &[(Role, Warning, "service")]),
        ("reset role; grant dba to service".into(), &[(Role, Warning, "dba")]),
        ("reset role; grant owner to service".into(), &[(Role, Warning, "owner")]),
    ]
}

fn found(report: &RowsReport) -> Vec<(RowsRule, Severity, &str)> {
    let findings = report.findings.iter();
    findings.map(|found| (found.rule, found.finding.severity, &*found.object)).collect()
}

#[tokio::test]
async fn each_way_around_the_policies_is_found_and_nothing_else() -> TestResult {
    let mut rig = Rig::new().await;
    let manager = rig.manager(rows());
    let mut seen = Vec::new();
    for (sql, expected) in cases() {
        rig.broken(&rows(), &sql).await;
        let report = manager.verify_rows().await?;
        assert_eq!(found(&report), expected, "{sql}\n{report}");
        for finding in &report.findings {
            assert!(
                !finding.finding.why.is_empty() && !finding.finding.how.is_empty(),
                "{finding}"
            );
            seen.push(finding.rule);
        }
        let is_sound = expected.iter().all(|(_, severity, _)| *severity != Error);
        assert_eq!(manager.refuse_unsafe_rows().await.is_ok(), is_sound, "{sql}");
    }
    // What only another configuration, or a unit test, brings about.
    let others = [Configuration, Active];
    let all = RowsRule::ALL.iter().filter(|rule| !others.contains(rule));
    let unseen: Vec<_> = all.filter(|rule| !seen.contains(rule)).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
    manager.close().await;
    Ok(())
}

/// The statements of a finding repair it.
#[tokio::test]
async fn what_a_finding_says_to_run_repairs_it() -> TestResult {
    let mut rig = Rig::new().await;
    let manager = rig.manager(rows());
    for (sql, expected) in cases() {
        if expected.is_empty() {
            continue;
        }
        rig.broken(&rows(), &sql).await;
        let report = manager.verify_rows().await?;
        // Among them is `security_invoker`, from PostgreSQL 15 on.
        let statements: Vec<_> =
            report.findings.iter().flat_map(|found| found.finding.sql.clone()).collect();
        if statements.is_empty() {
            continue;
        }
        for statement in statements {
            run(&mut rig.admin, &statement).await;
        }
        assert_eq!(found(&manager.verify_rows().await?), [], "{sql}\n{report}");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_server_is_asked_as_the_role_of_tenants() -> TestResult {
    let mut rig = Rig::new().await;
    let manager = rig.manager(rows());
    for (sql, unfiltered) in [
        ("", &[] as &[&str]),
        ("alter table users disable row level security", &["users"]),
        ("reset role; alter role app bypassrls", &["orders", "users"]),
        (
            "alter table users no force row level security; reset role; grant owner to app",
            &["users"],
        ),
        ("reset role; alter role service bypassrls", &[]),
    ] {
        rig.broken(&rows(), sql).await;
        let report = manager.verify_rows().await?;
        assert_eq!(report.unfiltered, unfiltered, "{sql}");
        assert_eq!((report.tables, &*report.role), (2, "app"));
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn every_type_of_key_and_other_names_are_verified() -> TestResult {
    let mut rig = Rig::new().await;
    for key in [KeyType::Uuid, KeyType::BigInt, KeyType::Text] {
        let rows = rows().key(key).column("Org \"1\"")?.setting("app.org")?;
        rig.broken(&rows, "").await;
        let manager = rig.manager(rows);
        assert_eq!(found(&manager.verify_rows().await?), [], "{key:?}");
        manager.close().await;
        // The default column is missing, so all of it is wrong.
        let manager = rig.manager(self::rows().key(key));
        let report = manager.verify_rows().await?;
        let wrong = [(TenantColumn, Error, "orders"), (TenantColumn, Error, "users")];
        assert_eq!(found(&report), wrong);
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_allowed_is_not_reported() -> TestResult {
    let mut rig = Rig::new().await;
    rig.broken(
        &rows(),
        "reset role; create unique index by_id on users (id); \
         alter table orders add constraint of_user foreign key (user_id) references users (id); \
         create view recent as select * from users; grant select on recent to app; \
         create schema elsewhere; grant usage on schema elsewhere to app; \
         create materialized view elsewhere.every as select * from users; \
         grant select on elsewhere.every to app; \
         create function total() returns bigint security definer language sql as 'select 1::bigint'",
    )
    .await;
    let manager = rig.manager(rows());
    assert_eq!(manager.verify_rows().await?.errors().count(), 5);
    manager.close().await;
    let allowed = ["by_id", "of_user", "recent", "elsewhere.every", "total"];
    let manager = rig.manager(rows().allow(allowed));
    assert_eq!(found(&manager.verify_rows().await?), []);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_configuration_that_cannot_serve_is_found() -> TestResult {
    let mut rig = Rig::new().await;
    rig.broken(&rows(), "").await;
    for (rows, object) in [
        (rows().role("nobody")?, "nobody"),
        // The login is not a member.
        (rows().role("other")?, "other"),
        (rows().schema("missing")?, "missing"),
    ] {
        let manager = rig.manager(rows);
        let report = manager.verify_rows().await?;
        assert_eq!(found(&report), [(Configuration, Error, object)], "{report}");
        manager.close().await;
    }
    rig.broken(&rows(), "reset role; revoke usage on schema rows from app").await;
    let manager = rig.manager(rows());
    let report = manager.verify_rows().await?;
    assert_eq!(found(&report), [(Configuration, Error, "app")], "{report}");
    run(&mut rig.admin, &report.findings[0].finding.sql.join("; ")).await;
    assert!(manager.verify_rows().await?.findings.is_empty());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn roles_that_records_name_are_verified() -> TestResult {
    let mut rig = Rig::new().await;
    rig.broken(&rows(), "").await;
    let url = rig.server.url().replace("postgres@", "service@");
    let record = |id: &str| TenantId::parse(id).map(TenantRecord::new);
    let records = [record("acme")?.role(Ident::parse("dba")?), record("globex")?];
    let manager = TenantManager::builder(url)
        .isolation(Isolation::rows(rows()))
        .catalog(FixedCatalog::new(records))
        .build()?;
    let report = manager.verify_rows().await?;
    assert_eq!(found(&report), [(Role, Error, "dba")], "{report}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn logins_of_dedicated_tenants_are_verified() -> TestResult {
    let mut rig = Rig::new().await;
    run(
        &mut rig.admin,
        "create role plain login; create role admin login bypassrls; grant app to plain, admin",
    )
    .await;
    for (rows, severity) in [
        // The session takes on the role, and a reset takes it off.
        (rows(), Warning),
        (Rows::new().schema("rows")?.shared_tables(["plans"])?, Error),
    ] {
        rig.broken(&rows, "").await;
        let url = rig.server.url().replace("postgres@", "service@");
        let record = |id: &str| TenantId::parse(id).map(TenantRecord::new);
        let manager = TenantManager::builder(url)
            .isolation(Isolation::rows(rows))
            .catalog(FixedCatalog::new([record("plain")?, record("admin")?, record("other")?]))
            .dedicate(|record| record.id.as_str() != "other")
            .credentials(|record| async move { Ok(Some(Credentials::new(record.id.as_str()))) })
            .build()?;
        let report = manager.verify_rows().await?;
        assert_eq!(found(&report), [(Role, severity, "admin")], "{report}");
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn tables_on_further_servers_are_verified() -> TestResult {
    let (mut rig, mut far, mut unused) = (Rig::new().await, Rig::new().await, Rig::new().await);
    for rig in [&mut rig, &mut far, &mut unused] {
        rig.broken(&rows(), "").await;
    }
    let url = |rig: &Rig| rig.server.url().replace("postgres@", "service@");
    let record = |id: &str| TenantId::parse(id).map(TenantRecord::new);
    let records = [record("acme")?, record("globex")?.server("far")];
    let manager = TenantManager::builder(url(&rig))
        .isolation(Isolation::rows(rows()))
        .catalog(FixedCatalog::new(records))
        .server("far", url(&far))
        .server("unused", url(&unused))
        .build()?;
    let report = manager.verify_rows().await?;
    assert_eq!((found(&report), report.tables), (vec![], 4), "{report}");
    unused.broken(&rows(), "drop policy tenantry_tenant on users").await;
    assert_eq!(found(&manager.verify_rows().await?), [], "no tenant is there");
    far.broken(
        &rows(),
        "drop policy tenantry_tenant on users; alter table orders disable row level security",
    )
    .await;
    let report = manager.verify_rows().await?;
    let expected = [(RowSecurity, Error, "orders"), (TenantPolicy, Error, "users")];
    assert_eq!(found(&report), expected, "{report}");
    for finding in &report.findings {
        assert_eq!(finding.server.as_deref(), Some("far"));
        assert!(finding.to_string().contains("on the server far, "), "{finding}");
    }
    assert_eq!(report.unfiltered, ["far: orders"]);
    assert!(manager.refuse_unsafe_rows().await.is_err());
    // A server that does not answer does not hide what is found on the others.
    rig.broken(&rows(), "alter table users no force row level security").await;
    far.server.stop_now().await?;
    let report = manager.verify_rows().await?;
    let mut rules = found(&report);
    rules.sort_unstable_by_key(|(_, _, object)| *object);
    assert_eq!(rules, [(Configuration, Error, "far"), (ForceRowSecurity, Error, "users")]);
    assert!(
        report.to_string().contains("on the server far, the tables could not be verified"),
        "{report}"
    );
    assert!(manager.refuse_unsafe_rows().await.is_err());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_login_without_a_role_is_the_role_of_tenants() -> TestResult {
    let mut rig = Rig::new().await;
    rig.broken(&rows(), "grant all on users to service").await;
    let rows = Rows::new().schema("rows")?.shared_tables(["plans"])?;
    let manager = rig.manager(rows.clone());
    let report = manager.verify_rows().await?;
    assert_eq!(report.role, "service");
    assert_eq!(found(&report), [(Privilege, Error, "users")], "{report}");
    run(&mut rig.admin, "revoke all on rows.users from service; grant owner to service").await;
    assert_eq!(found(&manager.verify_rows().await?), [(Role, Error, "owner")]);
    manager.close().await;
    // The role of most trials: nothing is kept from it.
    let manager = TenantManager::builder(rig.server.url())
        .isolation(Isolation::rows(rows))
        .catalog(FixedCatalog::new([]))
        .build()?;
    assert_eq!(found(&manager.verify_rows().await?), [(Role, Error, "postgres")]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_start_is_refused_with_every_reason() -> TestResult {
    let mut rig = Rig::new().await;
    rig.broken(
        &rows(),
        "alter table users disable row level security; grant truncate on orders to app",
    )
    .await;
    let manager = rig.manager(rows());
    let error = manager.refuse_unsafe_rows().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let source =
        std::error::Error::source(&error).and_then(|source| source.downcast_ref::<UnsafeRows>());
    let reasons = source.expect("it says why");
    assert_eq!(reasons.report().errors().count(), 2);
    let text = reasons.to_string();
    for part in [
        "2 ways around the policies in rows",
        "error: row security of users is disabled: PostgreSQL ignores the policies",
        "error: app may truncate on orders: row security does not restrict these privileges",
    ] {
        assert!(text.contains(part), "{text}");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_doctor_contains_what_is_found() -> TestResult {
    let mut rig = Rig::new().await;
    rig.broken(&rows(), "").await;
    let manager = rig.manager(rows());
    let doctor = manager.doctor().only(["rows"]);
    let report = doctor.run().await?;
    let check = report.check("rows").expect("it was run");
    assert_eq!(
        (check.status, &*check.message),
        (CheckStatus::Ok, "2 tables in rows, without a way around the policies")
    );
    for sql in
        ["alter role app bypassrls", "grant dba to app", "alter table rows.users owner to app"]
    {
        rig.broken(&rows(), &format!("reset role; {sql}")).await;
        let report = doctor.run().await?;
        let check = report.check("rows").expect("it was run");
        assert_eq!(
            (check.status, check.findings.len()),
            (CheckStatus::Error, 1),
            "{sql}: {report}"
        );
    }
    manager.close().await;
    let by_schema = TenantManager::builder(rig.server.url()).build()?;
    let report = by_schema.doctor().only(["rows"]).run().await?;
    let check = report.check("rows").expect("it was run");
    assert_eq!((check.status, &*check.message), (CheckStatus::Ok, "no tenant is isolated by row"));
    by_schema.close().await;
    Ok(())
}

#[tokio::test]
async fn the_list_of_tenants_and_the_librarys_tables_need_no_policy() -> TestResult {
    let server = private_server(&[]).await;
    let mut admin = connect(&server.url()).await;
    run(&mut admin, "create role app; create role service login; grant app to service").await;
    run(&mut admin, "grant create on schema public to service").await;
    let (url, rows) = (server.url().replace("postgres@", "service@"), Rows::new().role("app")?);
    let manager = |catalog: TableCatalog| {
        let builder = TenantManager::builder(&url).isolation(Isolation::rows(rows.clone()));
        builder.catalog(catalog).build().expect("the configuration is sound")
    };
    let ours = TableCatalog::new().table("customers")?;
    let writes = manager(ours.clone());
    ours.create_table(writes.shared()).await?;
    let notes = RowTables::new(&rows).table(RowTable::new("notes")?).create();
    run(&mut admin, &format!("set role service; {notes}; reset role")).await;
    // The library's tables of keys and names are beside the rows then.
    let provisioner = writes.provisioner();
    provisioner.create("acme", CreateOptions::default()).await?;
    drop(provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?);
    let found = |report: RowsReport| {
        let without = report.findings.into_iter().filter(|found| found.rule != RowsRule::Role);
        without.map(|found| (found.rule, found.object)).collect::<Vec<_>>()
    };
    assert_eq!(found(writes.verify_rows().await?), []);
    let doctor = writes.doctor().only(["rows"]).run().await?;
    assert!(!doctor.to_string().contains("customers"), "{doctor}");

    // A list of another form can have a column of that name.
    run(&mut admin, "create table accounts (tenant_id text primary key)").await;
    run(&mut admin, "grant select on accounts to service").await;
    let columns = CatalogColumns::new().id("tenant_id");
    let reads = manager(TableCatalog::new().table("accounts")?.columns(columns));
    let others = [(RowsRule::TenantColumn, "customers".to_owned())];
    assert_eq!(found(reads.verify_rows().await?), others, "it is not the list of this manager");
    for manager in [writes, reads] {
        manager.close().await;
    }
    Ok(())
}
