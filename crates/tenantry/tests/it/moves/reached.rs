//! Whether the target can connect to the source is found out before anything is done.

use tenantry::{
    ConfigError, ServerOptions, TableCatalog, TenantManager,
    moves::{MoveMethod, MovePlan},
};

use super::{Two, builder, built, options, replicated::logical, value};
use crate::support::{TestResult, run};

/// The source asks one role for its password.
async fn asking() -> Two {
    let two = logical(&["acme"]).await;
    let rules = "host all mover all scram-sha-256\nlocal all all trust\nhost all all all trust\n";
    std::fs::write(two.main.data_dir().join("pg_hba.conf"), rules).expect("it can be written");
    two.main.restart().await.expect("it restarts");
    let mut admin = two.at_main().await;
    run(&mut admin, "set password_encryption = 'scram-sha-256'").await;
    let roles = "create role mover superuser login password 'ge''heim \\ too'; create role app login; \
                 grant usage on schema tenant_acme to app; \
                 grant all on all tables in schema public, tenant_acme to app";
    run(&mut admin, roles).await;
    run(&mut two.at_eu().await, "create role app").await;
    two
}

fn as_user(url: &str, user: &str) -> String {
    url.replacen("postgres@", &format!("{user}@"), 1)
}

fn refusal(plan: &MovePlan) -> String {
    assert_eq!(plan.method, MoveMethod::UnderFence, "{plan}");
    plan.not_replicated.join("; ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_target_logs_in_to_the_source_with_what_other_servers_are_given() -> TestResult {
    let two = asking().await;
    let mover = as_user(&two.main.url(), "mover:ge%27heim%20%5C%20too");
    let manager = |given: Option<&str>| {
        let builder = builder(&mover, &two.eu.url()).catalog(TableCatalog::new());
        built(
            given.into_iter().fold(builder, |builder, given| builder.replication_connection(given)),
        )
    };
    for (given, words) in [
        (None, "no password supplied"),
        (Some("password=wrong"), "password authentication failed"),
        (Some("port=1"), "the target cannot connect to the source"),
        (Some("ge'heim too"), "its parameters cannot be read"),
    ] {
        let manager = manager(given);
        let plan = manager.mover().plan("acme", "eu-1", &options()).await?;
        let why = refusal(&plan);
        assert!(why.contains(words), "{given:?}: {why}");
        assert!(why.contains("replication_connection") && !why.contains("heim"), "{why}");
        let asked = options().method(MoveMethod::Replication);
        let plan = manager.mover().plan("acme", "eu-1", &asked).await?;
        assert!(plan.obstacles.iter().any(|of| of.what.contains(words)), "{plan}");
        manager.close().await;
    }
    let manager = manager(Some(r"password = 'ge\'heim \\ too'"));
    let report = manager.mover().move_tenant("acme", "eu-1", options()).await?;
    assert_eq!(report.method, MoveMethod::Replication);
    manager.close().await;
    let left = value(&mut two.at_eu().await, "select count(*) from pg_subscription").await;
    assert_eq!(left, "0");
    Ok(())
}

/// The role that serves tenants may not replicate, and that of maintenance may.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_target_logs_in_as_the_role_of_maintenance() -> TestResult {
    let two = asking().await;
    let manager = built(
        builder(&as_user(&two.main.url(), "app"), &two.eu.url())
            .catalog(TableCatalog::new())
            .upkeep_url(two.main.url()),
    );
    let plan = manager.mover().plan("acme", "eu-1", &options()).await?;
    assert_eq!(plan.method, MoveMethod::Replication, "{plan}");
    let report = manager.mover().move_tenant("acme", "eu-1", options()).await?;
    assert_eq!(report.method, MoveMethod::Replication);
    manager.close().await;
    Ok(())
}

#[test]
fn a_url_is_no_replication_connection() {
    let url = "postgres://mover:geheim@db/saas";
    let eu = ServerOptions::new("postgres://db-eu/saas").replication_connection(url);
    for (builder, server) in [
        (
            builder("postgres://db/saas", "postgres://db-eu/saas").replication_connection(url),
            "main",
        ),
        (TenantManager::builder("postgres://db/saas").server("eu", eu), "eu"),
    ] {
        let error = builder.build().expect_err("a URL is refused");
        assert!(matches!(&error, ConfigError::ReplicationConnection { name } if name == server));
        assert!(!error.to_string().contains("heim"), "{error}");
        assert!(!format!("{error:?}").contains("heim"), "{error:?}");
    }
}
