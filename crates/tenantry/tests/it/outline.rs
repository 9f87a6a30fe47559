//! A database in outline: what tools find before anything is configured.

use sqlx::Connection;

use crate::support::{TestResult, World, run, server_version};

#[tokio::test]
async fn a_database_is_seen_as_it_is() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create schema ext; create extension citext schema ext; create schema \"Odd \"\"Name\"; \
         create table public.plans (id int); create table \"Odd \"\"Name\".t (id int) partition by list (id); \
         create table \"Odd \"\"Name\".t1 partition of \"Odd \"\"Name\".t for values in (1); \
         create table public.customers (id text, container text, state text, created_at timestamptz, \
           attributes jsonb, more int); \
         create table public.near (id text, container text, state text, created_at timestamptz)",
    )
    .await;
    let manager = world.manager();
    let outline = manager.database_outline().await?;
    let version = server_version(&mut admin).await;
    assert_eq!(outline.server, manager.server_outline().await?);
    assert_eq!(outline.server.major(), version);
    assert!(outline.server.version.starts_with(&version.to_string()));
    assert!(outline.server.max_connections > outline.server.reserved_connections);
    assert_eq!(outline.server.database, world.database.name());
    let tables = |name| outline.schema(name).map(|schema| schema.tables);
    assert_eq!(
        (tables("Odd \"Name"), tables("ext"), tables("public")),
        (Some(1), Some(0), Some(3))
    );
    assert_eq!(tables("pg_catalog"), None);
    let extension = &outline.extensions[0];
    assert_eq!((extension.name.as_str(), extension.schema.as_str()), ("citext", "ext"));
    assert_eq!(outline.extensions.len(), 1);
    let found: Vec<_> = outline.catalog_tables.iter().map(|found| &*found.table).collect();
    assert_eq!(found, ["customers"]);
    let naming = &outline.namings()[0];
    assert_eq!((naming.template.as_str(), naming.schemas), ("tenant_{id}", 2));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn other_programs_open_the_sessions_of_a_tenant() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.builder().tenants_see_shared(true).build()?;
    let settings = manager.tenant("acme").await?.session_settings();
    let mut url = url_with(world.database.url());
    for (name, value) in &settings {
        url = url.options([(name, value)]);
    }
    let mut session = sqlx::PgConnection::connect_with(&url).await?;
    let path: String = sqlx::query_scalar("show search_path").fetch_one(&mut session).await?;
    assert_eq!(path, "\"tenant_acme\", \"public\"");
    assert_eq!(settings.len(), 1);
    manager.close().await;
    Ok(())
}

fn url_with(url: &str) -> sqlx::postgres::PgConnectOptions {
    url.parse().expect("the URL is a sound one")
}
