use tenantry::{
    TenantManager,
    doctor::{CheckStatus, Severity},
    migrate::Migrations,
};
use tenantry_devdb::DevServer;

use super::{of, whats, with_status};
use crate::{
    migrate::Files,
    support::{TestResult, World, connect, create_tenant, pool_options, run},
};

/// What is wrong with the server, its roles and its database.
const DEFECTS: &str = "\
    create role app login createrole bypassrls connection limit 15; \
    grant pg_read_server_files to app; \
    alter database postgres set row_security to off; \
    alter role app in database postgres set search_path to public; \
    alter role app set default_transaction_read_only to on; \
    alter role app set idle_session_timeout to '1min'; \
    create schema tenant_gone; create schema \"it's mine\"; create schema \"\u{1b}[31m\"; \
    grant usage on schema tenant_acme, tenant_gone, \"it's mine\", \"\u{1b}[31m\" to app; \
    create extension citext; create table tenant_acme.mails (address citext); \
    alter schema tenant_globex owner to app; \
    alter system set max_connections to 50; \
    select pg_create_physical_replication_slot('idle', true); \
    select pg_create_physical_replication_slot('tenantry_move_00000000000000ab', true)";

/// What the checks say of it, in part.
const FOUND: &[(&str, &[&str])] = &[
    (
        "poolConfig",
        &[
            "2 instances with 20 connections each need 40, and the server has 15",
            "connect_timeout",
            "remembers 1 tenant, and 2 tenants are active",
        ],
    ),
    (
        "role",
        &[
            "app has bypassrls",
            "app has createrole",
            "a member of pg_read_server_files",
            "owns 1 schema",
            "3 schemas that belong to no tenant: \\u{1b}[31m, it's mine, tenant_gone",
        ],
    ),
    (
        "searchPath",
        &[
            "database postgres sets row_security = off",
            "role app in database postgres sets search_path",
            "role app sets default_transaction_read_only",
        ],
    ),
    ("extensions", &["citext: the schema public is not in the search path"]),
    (
        "timeouts",
        &[
            "statements of requests",
            "transactions can stay idle indefinitely",
            "idle for 60s (idle_session_timeout)",
        ],
    ),
    ("autovacuum", &["autovacuum is off"]),
    ("locks", &["the tenant globex has 244 relations"]),
    ("replication", &["read-only by default"]),
    (
        "settings",
        &["fsync is off", "password_encryption is md5", "wait for a restart: max_connections"],
    ),
    (
        "transactionIds",
        &[
            "the replication slot idle is inactive",
            "the replication slot tenantry_move_00000000000000ab is inactive",
        ],
    ),
];

async fn broken_server() -> Result<DevServer, Box<dyn std::error::Error>> {
    let server = DevServer::builder()
        .setting("max_connections", "25")
        .setting("max_wal_senders", "2")
        .setting("wal_level", "replica")
        .setting("autovacuum", "off")
        .setting("max_locks_per_transaction", "10")
        .setting("password_encryption", "md5")
        .start()
        .await?;
    let mut admin = connect(&server.url()).await;
    for tenant in ["acme", "globex"] {
        create_tenant(&mut admin, tenant).await;
    }
    run(
        &mut admin,
        "do $$ begin for t in 1..60 loop \
           execute format('create table tenant_globex.t%s (id int primary key, name text)', t); \
         end loop; end $$",
    )
    .await;
    for statement in DEFECTS.split("; ") {
        run(&mut admin, statement).await;
    }
    run(&mut admin, "select pg_reload_conf()").await;
    Ok(server)
}

#[tokio::test]
async fn what_is_wrong_with_the_server_is_found() -> TestResult {
    let server = broken_server().await?;
    let _hidden_from_app = connect(&server.url()).await;
    let options = pool_options(|options| {
        options.max_connections = 20;
        options.connect_timeout = options.acquire_timeout;
        options.idle_in_transaction_timeout = None;
        options.max_tenant_pools = 1;
    });
    let catalog = tenantry::FixedCatalog::new(
        ["acme", "globex"].map(|id| tenantry::TenantRecord::new(id.parse().expect("an id"))),
    );
    let url = server.url().replace("postgres@", "app@");
    let manager = TenantManager::builder(&url).catalog(catalog).pool_options(options).build()?;
    let report = manager.doctor().instances(2).run().await?;
    assert!(!report.success);
    let text = report.to_string();
    assert!(
        !text.contains('\u{1b}') && !serde_json::to_string(&report)?.contains('\u{1b}'),
        "{text}"
    );
    for (name, parts) in FOUND {
        for part in *parts {
            assert!(whats(&report, name).iter().any(|what| what.contains(part)), "{part}: {text}");
        }
    }
    assert_eq!(with_status(&report, CheckStatus::Unknown), ["oldSnapshots"], "{text}");
    assert_eq!(of(&report, "extensions").findings[0].severity, Severity::Warning);
    for sql in [
        r#"alter role "app" nobypassrls;"#,
        r#"revoke "pg_read_server_files" from "app";"#,
        r#"alter role "app" in database "postgres" reset "search_path";"#,
        "select pg_catalog.pg_drop_replication_slot('idle');",
    ] {
        assert!(text.contains(sql), "{sql}: {text}");
    }
    // That of a move is dropped by taking the move over.
    assert!(text.contains("`tenantry move --take-over`"), "{text}");
    assert!(!text.contains("pg_drop_replication_slot('tenantry_move_"), "{text}");
    assert!(report.findings().all(|(_, finding)| !finding.harmless), "they are for people to run");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_the_configuration_is_found() -> TestResult {
    let world = World::with_managed_tenants(&["acme", "globex", "initech"]).await;
    run(&mut world.admin().await, "create table tenant_globex.t (); drop schema public cascade")
        .await;
    let tenants =
        Files::new(&[("0001_t.sql", "create table t (id int)"), ("0002_bad.sql", "set role x")]);
    let shared = Files::new(&[("0001_plans.sql", "create table plans (id int)")]);
    let manager = world.builder().shared_schema("missing").build()?;
    let doctor = manager
        .doctor()
        .tenants(Migrations::from_dir(tenants.path())?)
        .shared(Migrations::from_dir(shared.path())?)
        .only(["tenants", "migrations", "sharedMigrations", "isolation"]);
    let report = doctor.run().await?;
    let text = report.to_string();
    assert_eq!(
        with_status(&report, CheckStatus::Error),
        ["migrations", "sharedMigrations", "isolation"],
        "{text}"
    );
    assert_eq!(of(&report, "migrations").message, "2 files, 3 tenants pending");
    let pending = of(&report, "migrations").findings.iter().find_map(|of| of.tenants.as_ref());
    assert_eq!(pending.map(|of| (of.affected, of.of, of.worst.len())), Some((3, 3, 3)));
    assert!(text.contains("3 of 3 tenants: migrations have not been applied"), "{text}");
    assert!(text.contains("1 statement is forbidden in migrations"), "{text}");
    assert!(text.contains("there is no schema missing"), "{text}");
    manager.close().await;

    let manager = world.builder().catalog(tenantry::TableCatalog::default()).build()?;
    let report = manager.doctor().only(["tenants", "migrations", "role"]).run().await?;
    assert_eq!(of(&report, "tenants").status, CheckStatus::Error, "{report}");
    assert!(!of(&report, "role").unseen.is_empty(), "{report}");
    manager.close().await;

    let empty = World::new().await;
    let manager = empty.manager();
    let report = manager.doctor().only(["tenants"]).run().await?;
    assert_eq!(of(&report, "tenants").status, CheckStatus::Warn, "{report}");
    manager.close().await;
    Ok(())
}
