//! What prevents a move is named before anything is changed.

use std::{error::Error as _, time::Duration};

use tenantry::{
    ErrorKind, SchemaDiscovery, TableCatalog, TenantManager,
    moves::{MoveOptions, ObstacleKind, Obstacles},
};

use super::{Two, built, options, value};
use crate::support::{TestResult, name_of, run};

async fn obstacles(manager: &TenantManager, options: MoveOptions) -> Vec<(ObstacleKind, String)> {
    let error =
        manager.mover().move_tenant("acme", "eu-1", options).await.expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::Move, "{error:?}");
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    let obstacles = error.source().and_then(|source| source.downcast_ref::<Obstacles>());
    let obstacles = obstacles.expect("they are the source").all();
    obstacles.iter().map(|of| (of.kind, of.what.clone())).collect()
}

#[tokio::test]
async fn each_obstacle_is_named_and_nothing_is_changed() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let (mut main, mut eu) = (two.at_main().await, two.at_eu().await);
    let manager = two.manager();
    for (what, obstruct, clear, kind, words) in [
        (
            "eu",
            "create schema tenant_acme",
            "drop schema tenant_acme",
            ObstacleKind::Name,
            "already has a schema tenant_acme",
        ),
        (
            "main",
            "create role others; grant select on tenant_acme.users to others",
            "revoke select on tenant_acme.users from others",
            ObstacleKind::Structure,
            "role \"others\" does not exist",
        ),
        (
            "main",
            "create publication told for table tenant_acme.users",
            "drop publication told",
            ObstacleKind::NotCarried,
            "it is published",
        ),
        (
            "main",
            "create view public.all_users as select * from tenant_acme.users",
            "drop view public.all_users",
            ObstacleKind::Outside,
            "view public.all_users outside of the schema depends on it",
        ),
        (
            "main",
            "create table public.countries (id int primary key); \
             alter table tenant_acme.users add country int references public.countries",
            "alter table tenant_acme.users drop country",
            ObstacleKind::Structure,
            "countries",
        ),
        (
            "main",
            "update tenants set state = 'suspended'",
            "update tenants set state = 'active'",
            ObstacleKind::State,
            "only an active tenant is moved",
        ),
    ] {
        let at = if what == "eu" { &mut eu } else { &mut main };
        run(&mut *at, obstruct).await;
        let found = obstacles(&manager, options()).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, kind, "{found:?}");
        assert!(found[0].1.contains(words), "{found:?}");
        run(at, clear).await;
    }
    let found = obstacles(&manager, options().max_pause(Duration::from_micros(1))).await;
    assert_eq!((found.len(), found[0].0), (1, ObstacleKind::Pause), "{found:?}");
    assert!(found[0].1.contains("requests would wait for about"), "{found:?}");
    assert_eq!(value(&mut main, "select to_regclass('tenantry_moves') is null").await, "t");
    assert_eq!(value(&mut main, "select state || epoch from tenants").await, "active1");
    assert_eq!(
        value(&mut eu, "select count(*) from pg_namespace where nspname like 'tenant%'").await,
        "0"
    );
    manager.mover().move_tenant("acme", "eu-1", options()).await?;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_move_needs_a_catalog_that_records_it_and_another_server() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let discovering = built(two.builder().catalog(SchemaDiscovery::new()));
    let found = obstacles(&discovering, options()).await;
    assert_eq!(found[0].0, ObstacleKind::Catalog, "{found:?}");
    discovering.close().await;
    let fixed = two.builder().catalog(TableCatalog::new());
    let fixed = built(fixed.map_records(|record| record.server("main")));
    let found = obstacles(&fixed, options()).await;
    assert_eq!(found[0].0, ObstacleKind::Catalog, "{found:?}");
    assert!(found[0].1.contains("map_records"), "{found:?}");
    fixed.close().await;
    let manager = two.manager();
    for (to, kind) in [("main", ErrorKind::Config), ("mars", ErrorKind::Placement)] {
        let error = manager.mover().move_tenant("acme", to, options()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    let error = manager.mover().move_tenant("nobody", "eu-1", options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownTenant);
    let error = manager.mover().cancel("acme").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Move);
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    manager.close().await;
    Ok(())
}
