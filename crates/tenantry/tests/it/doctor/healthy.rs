use tenantry::{
    TenantManager,
    doctor::{CheckStatus, Severity},
    migrate::{MigrateOptions, Migrations},
};
use tenantry_devdb::DevServer;

use super::{of, with_status};
use crate::{
    migrate::Files,
    support::{TestResult, connect, pool_options, run},
};

/// A server as one would be for real, but for its size, and a role for a service.
async fn sound_server() -> Result<(DevServer, String), Box<dyn std::error::Error>> {
    let server = DevServer::builder()
        .setting("fsync", "on")
        .setting("full_page_writes", "on")
        .setting("wal_level", "replica")
        .setting("max_wal_senders", "2")
        .setting("max_connections", "40")
        .start()
        .await?;
    let mut admin = connect(&server.url()).await;
    run(&mut admin, "create role owner login; create role app login").await;
    run(&mut admin, "create database saas owner owner").await;
    let url = server.database_url("saas").replace("postgres@", "app@");
    let mut admin = connect(&server.database_url("saas")).await;
    run(&mut admin, "revoke create on schema public from public; create extension citext").await;
    Ok((server, url))
}

#[tokio::test]
async fn a_sound_service_passes_and_a_plain_role_says_what_it_cannot_see() -> TestResult {
    let (server, url) = sound_server().await?;
    let files = Files::new(&[("0001_users.sql", "create table users (id int primary key)")]);
    let migrations = Migrations::from_dir(files.path())?;
    let options = pool_options(|options| {
        options.max_connections = 10;
        options.statement_timeout = Some(std::time::Duration::from_secs(60));
    });
    let manager = TenantManager::builder(&url)
        .pool_options(options)
        .extension_schemas(["public"])
        .shared_schema("shared")
        .upkeep_credentials(tenantry::Credentials::new("owner"))
        .build()?;
    let mut owner = connect(&url.replace("app@", "owner@")).await;
    run(
        &mut owner,
        "create schema shared; create schema tenant_acme; create schema tenant_globex; \
         grant usage on schema shared, tenant_acme, tenant_globex to app",
    )
    .await;
    let migrator = manager.migrator().tenants(migrations.clone());
    assert!(migrator.migrate_all(MigrateOptions::default()).await?.is_success());

    let doctor = manager.doctor().tenants(migrations).instances(3).skip(["versionEndOfLife"]);
    // Another role's session, which app may not look at.
    run(&mut owner, "begin").await;
    let report = doctor.run().await?;
    assert!(report.success, "{report}");
    assert_eq!(with_status(&report, CheckStatus::Error), [""; 0], "{report}");
    assert_eq!(with_status(&report, CheckStatus::Warn), [""; 0], "{report}");
    assert_eq!(with_status(&report, CheckStatus::Skipped), ["sharedMigrations"], "{report}");
    assert_eq!(with_status(&report, CheckStatus::Unknown), ["oldSnapshots"], "{report}");
    let unseen = &of(&report, "oldSnapshots").unseen;
    assert!(unseen[0].contains("of other roles: grant pg_read_all_stats"), "{unseen:?}");
    let infos: Vec<_> =
        report.findings().map(|(check, of)| (check.name.as_str(), of.severity)).collect();
    for (name, severity) in &infos {
        assert_eq!(*severity, Severity::Info, "{name}");
    }
    for (name, message) in [
        ("tenants", "2 tenants found"),
        ("migrations", "1 file"),
        ("role", "app, upkeep has another"),
        ("tls", "not used: the server is on this machine"),
        ("pooler", "direct"),
        ("replication", "primary, no standby"),
        ("citus", "not used"),
        ("settings", "nothing that loses data"),
        ("timeouts", "statements 60s, idle transactions 60s"),
    ] {
        assert_eq!(of(&report, name).message, message);
    }
    assert!(report.health.healthy);

    // With the right to see it, the session is no finding yet. Short statements of others are not counted.
    let mut busy = connect(&server.database_url("saas")).await;
    let load = tokio::spawn(async move {
        loop {
            run(&mut busy, "select pg_sleep(0.1)").await;
        }
    });
    let mut admin = connect(&server.url()).await;
    run(&mut admin, "grant pg_read_all_stats to app").await;
    let report = doctor.only(["oldSnapshots"]).run().await?;
    assert_eq!(with_status(&report, CheckStatus::Ok), ["oldSnapshots"], "{report}");
    assert_eq!(of(&report, "oldSnapshots").message, "1 open transaction");
    load.abort();
    manager.close().await;

    let missing = tenantry::Credentials::new("missing").password("correct-horse");
    let manager = TenantManager::builder(&url).upkeep_credentials(missing).build()?;
    let report = manager.doctor().only(["role"]).run().await?;
    assert_eq!(with_status(&report, CheckStatus::Error), ["role"], "{report}");
    let text = report.to_string();
    assert!(text.contains("upkeep cannot log in") && !text.contains("correct-horse"), "{text}");
    manager.close().await;
    Ok(())
}
