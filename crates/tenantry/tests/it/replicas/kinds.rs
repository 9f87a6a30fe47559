use serde_json::json;
use tenantry::{
    FixedCatalog, Ident, Isolation, IsolationKind, KeyType, ReplicaOptions, Rows, TableCatalog,
    TenantId, TenantManager, TenantRecord,
    provision::{CreateOptions, DropOptions},
};

use super::{is_on_replica, warm};
use crate::{
    failover::Pair,
    support::{TestResult, connect, eventually, pool_options, run},
};

/// What keeps tenants apart on the primary does so on a replica, on few sessions for all.
#[tokio::test]
async fn tenants_of_every_kind_are_kept_apart_on_a_replica() -> TestResult {
    let pair = Pair::start().await?;
    let key = "nullif(current_setting('tenantry.tenant', true), '')";
    let mut admin = connect(&pair.primary.url()).await;
    let table = format!(
        "create role app; create table public.notes (tenant_id text not null default {key}, text text not null); \
         alter table notes enable row level security; alter table notes force row level security; \
         create policy tenantry_all on notes as permissive for all using (true) with check (true); \
         create policy tenantry_tenant on notes as restrictive for all \
           using (tenant_id = (select {key})) with check (tenant_id = {key}); \
         grant select, insert on notes to app"
    );
    run(&mut admin, &table).await;
    let one = || pool_options(|options| options.max_connections = 2);
    let manager = TenantManager::builder(pair.primary.url())
        .isolation(Isolation::schema("t_{id}"))
        .or_isolation(Isolation::rows(Rows::new().key(KeyType::Text)))
        .or_isolation(Isolation::database("t_{id}"))
        .catalog(TableCatalog::new())
        .map_records(|record| match record.isolation {
            Some(IsolationKind::Row) => record.role(Ident::parse("app").expect("a name")),
            _ => record,
        })
        .max_connections(6)
        .replica("main", ReplicaOptions::new(pair.standby.url()).pool_options(one()))
        .build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    let kinds = [IsolationKind::Schema, IsolationKind::Row, IsolationKind::Database];
    let tenants: Vec<_> = kinds
        .into_iter()
        .flat_map(|kind| ["a", "b"].map(|name| (format!("{name}-{}", kind.as_str()), kind)))
        .collect();
    for (tenant, kind) in &tenants {
        let options = CreateOptions::default().isolation(*kind).attributes(json!({}));
        manager.provisioner().create(tenant.as_str(), options).await?;
        let db = manager.tenant(tenant.as_str()).await?;
        if *kind != IsolationKind::Row {
            run(&db, "create table notes (tenant_id text, text text not null)").await;
        }
    }
    for round in 1..=5 {
        for (tenant, _) in &tenants {
            let db = manager.tenant(tenant.as_str()).await?;
            sqlx::query("insert into notes (text) values ($1)").bind(tenant).execute(&db).await?;
            let notes = sqlx::query_scalar("select text from notes");
            let notes: Vec<String> = notes.fetch_all(&db.read()).await?;
            assert_eq!(notes, vec![tenant.clone(); round], "{tenant}, round {round}");
        }
    }
    for (tenant, _) in &tenants {
        warm(&manager, tenant).await;
        let db = manager.tenant(tenant.as_str()).await?;
        eventually("the replica answers, with the tenant's own rows", async || {
            let (text, is_replica): (Vec<String>, bool) =
                sqlx::query_as("select array_agg(distinct text), pg_is_in_recovery() from notes")
                    .fetch_one(&db.read())
                    .await
                    .expect("it is served");
            assert_eq!(text, [tenant.as_str()]);
            is_replica
        })
        .await;
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_dropped_tenant_is_not_read_and_its_successor_never_sees_its_rows() -> TestResult {
    let pair = Pair::start().await?;
    let manager = TenantManager::builder(pair.primary.url())
        .isolation(Isolation::schema("t_{id}"))
        .replica("main", pair.standby.url())
        .build()?;
    manager.provisioner().create("acme", CreateOptions::default()).await?;
    let db = manager.tenant("acme").await?;
    run(&db, "create table notes (text text); insert into notes values ('before')").await;
    warm(&manager, "acme").await;
    let first: String = sqlx::query_scalar("select text from notes").fetch_one(&db.read()).await?;
    assert_eq!(first, "before");
    super::pause(&pair).await;
    manager.provisioner().drop_tenant("acme", "acme", DropOptions::default()).await?;
    let mut admin = connect(&pair.primary.url()).await;
    crate::support::free_names(&mut admin).await;
    manager.provisioner().create("acme", CreateOptions::default()).await?;
    let successor = manager.tenant("acme").await?;
    run(&successor, "create table notes (text text)").await;
    // The replica still has the former tenant under this name.
    for _ in 0..5 {
        let count: i64 =
            sqlx::query_scalar("select count(*) from notes").fetch_one(&successor.read()).await?;
        assert_eq!(count, 0);
        assert!(!is_on_replica(&successor.read()).await);
        let stale = sqlx::query("select text from notes").fetch_all(&db.read()).await;
        assert!(stale.is_err(), "the handle is that of the former tenant");
    }
    super::resume(&pair).await;
    eventually("the replica answers", async || is_on_replica(&successor.read()).await).await;
    let count: i64 =
        sqlx::query_scalar("select count(*) from notes").fetch_one(&successor.read()).await?;
    assert_eq!(count, 0);
    assert!(sqlx::query("select text from notes").fetch_all(&db.read()).await.is_err());
    manager.close().await;
    Ok(())
}

/// A catalog that tells no schema: a tenant is tied to it by the first session, and its record is looked up again.
#[tokio::test]
async fn a_tenant_that_is_looked_up_again_goes_on_being_read_on_the_replica() -> TestResult {
    let pair = Pair::start().await?;
    let manager = TenantManager::builder(pair.primary.url())
        .catalog(FixedCatalog::new([TenantRecord::new(TenantId::parse("acme")?)]))
        .replica("main", pair.standby.url())
        .build()?;
    for _ in 0..3 {
        warm(&manager, "acme").await;
        manager.invalidate("acme").await;
    }
    manager.close().await;
    Ok(())
}
