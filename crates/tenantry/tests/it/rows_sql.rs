//! The SQL that `RowTables` writes keeps tenants apart on a real server.

use sqlx::PgConnection;
use tenantry::{
    Credentials, FixedCatalog, Isolation, KeyType, Rows, TenantDb, TenantId, TenantManager,
    TenantRecord,
    migrate::{MigrateOptions, Migrations},
    rows::{RowTable, RowTables},
};
use tenantry_devdb::DevServer;

use crate::{
    migrate::Files,
    support::{TestResult, connect, observe, private_server, run},
};

/// A server with a role that migrates, one that logs in, and one that serves tenants.
async fn server() -> (DevServer, PgConnection) {
    let server = private_server(&[]).await;
    let mut admin = connect(&server.url()).await;
    let roles = "create role owner login; create role app; create role service login; \
                 grant app to service; create schema rows authorization owner; \
                 grant usage on schema rows to app, service";
    run(&mut admin, roles).await;
    (server, admin)
}

fn keys(key: KeyType) -> [&'static str; 2] {
    match key {
        KeyType::Uuid => {
            ["00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"]
        }
        KeyType::BigInt => ["1", "2"],
        _ => ["O'Hara \\ 1", "globex"],
    }
}

/// Tenants `a` and `b`, with keys of this type.
fn manager(server: &DevServer, rows: &Rows, key: KeyType) -> TenantManager {
    let records = ["a", "b"]
        .into_iter()
        .zip(keys(key))
        .map(|(id, key)| TenantRecord::new(TenantId::parse(id).expect("it is an id")).key(key));
    TenantManager::builder(server.url().replace("postgres@", "service@"))
        .isolation(Isolation::rows(rows.clone()))
        .catalog(FixedCatalog::new(records))
        .shared_schema("rows")
        .upkeep_credentials(Credentials::new("owner"))
        .build()
        .expect("the configuration is sound")
}

fn rows(key: KeyType) -> Rows {
    Rows::new().key(key).role("app").expect("it is an identifier")
}

fn table(name: &str) -> RowTable {
    RowTable::new(name).expect("it is an identifier")
}

fn tables(rows: &Rows) -> RowTables {
    let users = table("users").unique(["email"]).expect("it is an identifier");
    let orders = table("orders").references("user_id", "users").expect("these are identifiers");
    RowTables::new(rows).table(users).table(orders)
}

/// Migrates the shared schema, which holds the tables.
async fn migrate(manager: &TenantManager, files: Migrations) {
    let checked = files.check();
    assert!(checked.errors.is_empty() && checked.warnings.is_empty(), "{checked}");
    let migrator = manager.migrator().shared(files);
    let report = migrator.migrate_shared(MigrateOptions::default()).await.expect("it runs");
    assert!(report.is_success(), "{report}");
}

/// Returns the first value of an answer, or its SQLSTATE.
async fn said(db: &TenantDb, sql: &str) -> String {
    observe(db, sql).await
}

async fn attack(manager: &TenantManager, key: KeyType) {
    let (a, b) =
        (manager.tenant("a").await.expect("listed"), manager.tenant("b").await.expect("listed"));
    for db in [&a, &b] {
        run(
            db,
            "insert into users (id, email) values ('00000000-0000-0000-0000-000000000001', 'x')",
        )
        .await;
    }
    let mine = "11111111-1111-1111-1111-111111111111";
    run(&a, &format!("insert into users (id, email) values ('{mine}', 'a')")).await;
    let theirs = keys(key)[0].replace('\'', "''");
    let cases = [
        ("select count(*)::text from users".to_owned(), r#"Some("1")"#),
        (format!("select email from users where id = '{mine}'"), "no row"),
        (format!("update users set email = 'b' where id = '{mine}' returning email"), "no row"),
        (format!("delete from users where id = '{mine}' returning email"), "no row"),
        (
            format!(
                "insert into users (tenant_id, email) values (E'{}', 'b')",
                theirs.replace('\\', "\\\\")
            ),
            "error 42501",
        ),
        (
            format!("update users set tenant_id = E'{}'", theirs.replace('\\', "\\\\")),
            "error 42501",
        ),
        (format!("insert into orders (user_id) values ('{mine}')"), "error 23503"),
        ("truncate users cascade".to_owned(), "error 42501"),
        ("alter table users disable row level security".to_owned(), "error 42501"),
        // The same key and the same value as another tenant's: an upsert meets only its own row.
        (
            format!(
                "insert into users (id, email) values ('{mine}', 'a') \
                     on conflict (tenant_id, email) do update set email = 'seen' returning email"
            ),
            r#"Some("a")"#,
        ),
    ];
    for (sql, expected) in cases {
        let got = said(&b, &sql).await;
        let none = "no rows returned by a query that expected to return at least one row";
        assert_eq!(got.replace(none, "no row"), expected, "{key:?}: {sql}");
    }
    assert_eq!(
        said(&a, "select string_agg(email, ',' order by email) from users").await,
        r#"Some("a,x")"#
    );
    let report = manager.verify_rows().await.expect("it can be read");
    assert_eq!(report.findings, [], "{report}");
}

#[tokio::test]
async fn new_tables_keep_tenants_apart() -> TestResult {
    for key in [KeyType::Uuid, KeyType::BigInt, KeyType::Text] {
        let (server, _admin) = server().await;
        let rows = rows(key);
        let manager = manager(&server, &rows, key);
        migrate(&manager, Files::new(&[("0001_tables.sql", tables(&rows).create())]).read()).await;
        attack(&manager, key).await;
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn tables_that_the_same_file_creates_are_protected() -> TestResult {
    let (server, _admin) = server().await;
    let rows = rows(KeyType::Uuid);
    let users = table("users").unique(["email"])?.index(["created_at", "id"])?;
    let orders = table("orders").references("user_id", "users")?;
    let file = format!(
        "create table users (tenant_id uuid, id uuid default gen_random_uuid(), email text not null, \
         created_at timestamptz not null default now(), primary key (tenant_id, id)); \
         create table orders (tenant_id uuid, id uuid default gen_random_uuid(), user_id uuid not null, \
         primary key (tenant_id, id)); {}",
        RowTables::new(&rows).table(users).table(orders).protect()
    );
    let manager = manager(&server, &rows, KeyType::Uuid);
    migrate(&manager, Files::new(&[("0001_tables.sql", file)]).read()).await;
    attack(&manager, KeyType::Uuid).await;
    manager.close().await;
    Ok(())
}

/// Tables of one customer, with more rows than fit into a batch.
const BEFORE: &str = "\
    create table users (id uuid primary key default gen_random_uuid(), email text not null unique); \
    create table orders (id uuid primary key default gen_random_uuid(), \
      user_id uuid not null references users); \
    create table lines (order_id uuid, line int, primary key (order_id, line), \
      foreign key (order_id) references orders); \
    insert into users (email) select i || '@a' from generate_series(1, 12000) i; \
    insert into orders (user_id) select id from users; \
    insert into lines select id, 1 from orders limit 5000;";

/// The rows of a table that is called like a word of the statement that fills it belong to the right tenants.
#[tokio::test]
async fn a_table_called_parent_is_filled_from_its_own_parent() -> TestResult {
    let (_server, mut admin) = server().await;
    let before = "set role owner; set search_path to rows; \
        create table users (id uuid primary key default gen_random_uuid(), tenant_id text not null, user_id uuid); \
        create table parent (id uuid primary key default gen_random_uuid(), user_id uuid references users); \
        insert into users (tenant_id) values ('a'), ('b'); update users set user_id = id; \
        insert into parent (user_id) select id from users; reset role";
    run(&mut admin, before).await;
    let rows = rows(KeyType::Text);
    let parent = table("parent").references("user_id", "users")?.filled_from_parent();
    let tables = RowTables::new(&rows).table(table("users")).table(parent);
    let steps = tables.adopt();
    let fill = steps.iter().find(|step| step.name == "tenant_fill_parent").expect("it is filled");
    run(&mut admin, "set search_path to rows").await;
    run(&mut admin, &steps[0].sql).await;
    run(&mut admin, &fill.sql).await;
    let wrong = "select count(*) from parent p join users u on u.id = p.user_id \
                 where p.tenant_id is distinct from u.tenant_id";
    assert_eq!(sqlx::query_scalar::<_, i64>(wrong).fetch_one(&mut admin).await?, 0);
    Ok(())
}

#[tokio::test]
async fn existing_tables_are_adopted_step_by_step() -> TestResult {
    for key in [KeyType::Uuid, KeyType::Text] {
        let (server, mut admin) = server().await;
        run(&mut admin, &format!("set role owner; set search_path to rows; {BEFORE} reset role"))
            .await;
        let rows = rows(key);
        let users = table("users").unique(["email"])?.filled_with(keys(key)[0]);
        let orders = table("orders").references("user_id", "users")?.filled_from_parent();
        let lines = table("lines").primary_key(["order_id", "line"])?;
        let lines = lines.references("order_id", "orders")?.filled_from_parent();
        let steps = RowTables::new(&rows).table(users).table(orders).table(lines).adopt();
        let files = Files::new::<&str>(&[]);
        for (version, step) in steps.iter().enumerate() {
            files.write(&format!("{:04}_{}.sql", version + 1, step.name), &step.sql);
        }
        let manager = manager(&server, &rows, key);
        migrate(&manager, files.read()).await;
        let a = manager.tenant("a").await?;
        let all = "select (select count(*) from users) || ' ' || (select count(*) from orders) || ' ' \
                   || (select count(*) from lines)";
        assert_eq!(said(&a, all).await, r#"Some("12000 12000 5000")"#);
        run(&a, "delete from lines; delete from orders; delete from users").await;
        attack(&manager, key).await;
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_row_that_was_missed_stops_the_adoption() -> TestResult {
    let (server, mut admin) = server().await;
    run(&mut admin, &format!("set role owner; set search_path to rows; {BEFORE} reset role")).await;
    let rows = rows(KeyType::Text);
    let steps = RowTables::new(&rows).table(table("users").filled_with("acme")).adopt();
    let files = Files::new::<&str>(&[]);
    let manager = manager(&server, &rows, KeyType::Text);
    for (version, step) in steps.iter().enumerate() {
        // A release that does not set the tenant adds a row after the others were filled.
        let late = "insert into rows.users (email) values ('late')";
        if step.name == "tenant_check" {
            run(&mut admin, late).await;
        }
        files.write(&format!("{:04}_{}.sql", version + 1, step.name), &step.sql);
        let migrator = manager.migrator().shared(files.read());
        let report = migrator.migrate_shared(MigrateOptions::default()).await?;
        if step.name == "tenant_validate" {
            assert!(!report.is_success() && report.to_string().contains("23514"), "{report}");
            manager.close().await;
            return Ok(());
        }
        assert!(report.is_success(), "{report}");
    }
    panic!("no step has failed");
}

#[tokio::test]
async fn steps_say_what_runs_outside_of_a_transaction() -> TestResult {
    let orders = table("orders").references("user_id", "users")?.filled_from_parent();
    let users = table("users").filled_with("acme");
    let steps = RowTables::new(&Rows::new()).table(users).table(orders).adopt();
    let names: Vec<_> =
        steps.iter().map(|step| (step.name.as_str(), step.is_transactional())).collect();
    assert_eq!(
        names,
        [
            ("tenant_column", true),
            ("tenant_fill_users", false),
            ("tenant_fill_orders", false),
            ("tenant_check", true),
            ("tenant_validate", false),
            ("tenant_not_null", true),
            ("tenant_indexes", false),
            ("tenant_keys", true),
            ("tenant_references", false),
            ("row_security", true),
        ]
    );
    // A column that is there and filled is neither added nor filled, and without keys nothing is validated.
    let steps = RowTables::new(&Rows::new()).table(table("users")).adopt();
    assert!(!steps[0].sql.contains("add column"), "{}", steps[0].sql);
    assert!(
        steps.iter().all(|step| !step.name.contains("fill") && step.name != "tenant_references")
    );
    Ok(())
}

#[tokio::test]
async fn names_and_keys_are_quoted() -> TestResult {
    let (server, mut admin) = server().await;
    let (new, old) = ("New\"; drop table x; --", "Old $do$ \"'; --");
    let rows = rows(KeyType::Text).column("Ten\"ant")?;
    let quoted = old.replace('"', "\"\"");
    let before = format!(
        "set role owner; set search_path to rows; create table \"{quoted}\" (id int primary key); \
         insert into \"{quoted}\" values (1); reset role"
    );
    run(&mut admin, &before).await;
    let mut files = vec![("create".to_owned(), RowTables::new(&rows).table(table(new)).create())];
    let adopted = RowTables::new(&rows).table(table(old).filled_with(keys(KeyType::Text)[0]));
    files.extend(adopted.adopt().into_iter().map(|step| (step.name, step.sql)));
    let folder = Files::new::<&str>(&[]);
    for (version, (name, sql)) in files.iter().enumerate() {
        folder.write(&format!("{:04}_{name}.sql", version + 1), sql);
    }
    let manager = manager(&server, &rows, KeyType::Text);
    migrate(&manager, folder.read()).await;
    for (tenant, count) in [("a", r#"Some("1")"#), ("b", r#"Some("0")"#)] {
        let db = manager.tenant(tenant).await?;
        assert_eq!(said(&db, &format!("select count(*)::text from \"{quoted}\"")).await, count);
    }
    let report = manager.verify_rows().await?;
    assert_eq!((report.tables, &report.findings[..]), (2, &[][..]), "{report}");
    manager.close().await;
    Ok(())
}

/// The policies are forced, so they apply to the role that migrates, too: it is told, and no row is forgotten.
#[tokio::test]
async fn a_change_of_all_rows_says_that_policies_are_in_its_way() -> TestResult {
    let (server, _admin) = server().await;
    let rows = rows(KeyType::Text);
    let manager = manager(&server, &rows, KeyType::Text);
    let files = Files::new(&[("0001_tables.sql", tables(&rows).create())]);
    migrate(&manager, files.read()).await;
    for tenant in ["a", "b"] {
        run(&manager.tenant(tenant).await?, "insert into users (email) values ('X')").await;
    }
    let change = "update users set email = lower(email)";
    let key = "alter table users add column friend uuid, \
               add foreign key (tenant_id, friend) references users (tenant_id, id)";
    for change in [change, key] {
        files.write("0002_change.sql", change);
        let migrator = manager.migrator().shared(files.read());
        let report = migrator.migrate_shared(MigrateOptions::default()).await?;
        assert!(!report.is_success() && report.to_string().contains("42501"), "{report}");
    }
    let unforced = format!(
        "alter table users no force row level security; {change}; alter table users force row level security"
    );
    files.write("0002_change.sql", unforced);
    migrate(&manager, files.read()).await;
    for tenant in ["a", "b"] {
        let db = manager.tenant(tenant).await?;
        assert_eq!(said(&db, "select string_agg(email, ',') from users").await, r#"Some("x")"#);
    }
    assert_eq!(manager.verify_rows().await?.findings, []);
    // What a tenant loads comes with an insert.
    let a = manager.tenant("a").await?;
    assert_eq!(said(&a, "copy users (email) from stdin").await, "error 0A000");
    manager.close().await;
    Ok(())
}
