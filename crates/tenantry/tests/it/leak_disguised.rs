//! What is left behind in disguise, or by the library itself, is taken off all the same.

use std::time::Duration;

use sqlx::{Executor, Row, SqlSafeStr, Statement};
use tenantry::{FixedCatalog, PoolOptions, TenantId, TenantRecord};

use crate::support::{TestResult, World, name_of, run};

#[tokio::test]
async fn the_text_of_a_binding_is_not_shown_to_the_next_tenant() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let acme = TenantRecord::new(TenantId::parse("acme")?).setting("app.secret", "s3cret");
    let globex = TenantRecord::new(TenantId::parse("globex")?);
    let catalog = FixedCatalog::new([acme, globex]);
    let manager = world.builder().catalog(catalog).max_connections(1).build()?;
    let secret: String = sqlx::query_scalar("select current_setting('app.secret')")
        .fetch_one(&manager.tenant("acme").await?)
        .await?;
    assert_eq!(secret, "s3cret");
    let shown: Vec<String> = sqlx::query_scalar("select statement from pg_prepared_statements")
        .fetch_all(&manager.tenant("globex").await?)
        .await?;
    assert!(!shown.is_empty(), "the session has prepared statements to look at");
    for text in shown {
        assert!(!text.contains("s3cret") && !text.contains("tenant_acme"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_is_begun_in_disguise_is_ended() -> TestResult {
    for disguise in ["/* old: /* hint */ select 1 */ begin", "-- \r begin /*\n select 1 */"] {
        let world = World::with_tenants(&["acme", "globex"]).await;
        let manager = world.builder().max_connections(1).build()?;
        run(&manager.tenant("acme").await?, disguise).await;
        sqlx::query("insert into users values (2, 'kept')")
            .execute(&manager.tenant("globex").await?)
            .await?;
        let kept: i64 = sqlx::query_scalar("select count(*) from tenant_globex.users where id = 2")
            .fetch_one(&mut world.admin().await)
            .await?;
        assert_eq!(kept, 1, "{disguise:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_search_path_that_is_set_by_an_update_does_not_last() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.builder().max_connections(1).build()?;
    let acme = manager.tenant("acme").await?;
    run(&acme, "update pg_settings set setting = 'tenant_globex' where name = 'search_path'").await;
    assert_eq!(name_of(&acme).await?, "acme");
    Ok(())
}

#[tokio::test]
async fn a_statement_that_was_prepared_before_a_column_went_has_the_right_columns() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    run(&mut admin, "create table tenant_acme.t (id int, a text, b text)").await;
    run(&mut admin, "insert into tenant_acme.t values (1, 'a', 'b')").await;
    let manager = world.builder().max_connections(1).build()?;
    let acme = manager.tenant("acme").await?;
    let statement = (&acme).prepare("select * from t".into_sql_str()).await?;
    assert_eq!(statement.query().fetch_one(&acme).await?.get::<String, _>("a"), "a");
    run(&mut admin, "alter table tenant_acme.t drop column a").await;
    let row = statement.query().fetch_one(&acme).await?;
    assert_eq!((row.len(), row.get::<String, _>("b")), (2, "b".to_owned()));
    Ok(())
}

#[tokio::test]
async fn the_longest_durations_are_no_trap() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut options = PoolOptions::default();
    options.max_connections = 2;
    options.acquire_timeout = Duration::MAX;
    options.connect_timeout = Duration::MAX;
    options.cleanup_timeout = Duration::MAX;
    options.idle_timeout = Some(Duration::MAX);
    options.max_lifetime = Some(Duration::MAX);
    options.tenant_pool_ttl = Duration::MAX;
    options.liveness_check_after = Duration::MAX;
    options.affinity = Duration::MAX;
    let manager = world.builder().pool_options(options).build()?;
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let names = (0..20).map(|n| {
        let db = if n % 2 == 0 { acme.clone() } else { globex.clone() };
        tokio::spawn(
            async move { name_of(&db).await.map(|name| name == db.tenant().id().as_str()) },
        )
    });
    for right in names.collect::<Vec<_>>() {
        assert!(right.await??);
    }
    manager.close_within(Duration::MAX).await;
    Ok(())
}
