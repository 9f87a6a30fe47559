//! What prevents a move between kinds is named before anything is changed, or the move is undone.

use std::error::Error as _;

use tenantry::{
    ErrorKind, Ident, IsolationKind, TableCatalog,
    moves::{Destination, MoveOptions, MoveStage, ObstacleKind, Obstacles},
};

use super::{
    Two, built,
    kinds::{Scene, own_rows},
    latest, value,
};
use crate::support::{TestResult, run};

async fn obstacles(
    scene: &Scene,
    id: &str,
    to: Destination,
    options: MoveOptions,
) -> Vec<(ObstacleKind, String)> {
    let error =
        scene.manager.mover().move_tenant(id, to, options).await.expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::Move, "{error:?}");
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    let obstacles = error.source().and_then(|source| source.downcast_ref::<Obstacles>());
    let obstacles = obstacles.expect("they are the source").all();
    obstacles.iter().map(|of| (of.kind, of.what.clone())).collect()
}

fn to(kind: IsolationKind) -> Destination {
    Destination::isolation(kind)
}

#[tokio::test]
async fn each_obstacle_is_named() -> TestResult {
    use IsolationKind::{Database, Row, Schema};
    let scene = Scene::new(&[]).await;
    scene.create("rows", Row).await;
    scene.create("schema", Schema).await;
    let mut main = scene.at("main").await;
    let database = || Destination::isolation(Database).database(Ident::parse("taken").unwrap());
    let without = super::options();
    let found = obstacles(&scene, "rows", to(Schema), without).await;
    assert_eq!((found.len(), found[0].0), (1, ObstacleKind::Structure), "{found:?}");
    assert!(found[0].1.contains("MoveOptions::tenants"), "{found:?}");
    for (id, to, obstruct, clear, kind, words) in [
        (
            "rows",
            to(Schema),
            "create schema tenant_rows",
            "drop schema tenant_rows",
            ObstacleKind::Name,
            "already has a schema tenant_rows",
        ),
        (
            "schema",
            to(Row),
            "insert into tenant_schema.files values ('a')",
            "delete from tenant_schema.files",
            ObstacleKind::NotCarried,
            "table files has rows, and no column tenant_id",
        ),
        (
            "schema",
            to(Row),
            "insert into tenant_schema.users values (7, 'x', 'globex')",
            "delete from tenant_schema.users where tenant_id = 'globex'",
            ObstacleKind::NotCarried,
            "table users has rows with another tenant_id than \"schema\"",
        ),
        (
            "schema",
            to(Row),
            "insert into app.users values (7, 'x', 'schema')",
            "delete from app.users where tenant_id = 'schema'",
            ObstacleKind::Structure,
            "table app.users has rows with its key \"schema\" already",
        ),
        (
            "schema",
            to(Row),
            "alter table tenant_schema.users add more text",
            "alter table tenant_schema.users drop more",
            ObstacleKind::Structure,
            "there is no column users.more",
        ),
        (
            "schema",
            database(),
            "create database taken",
            "drop database taken",
            ObstacleKind::Name,
            "already has a database taken",
        ),
        (
            "schema",
            database(),
            "create view public.all_users as select * from tenant_schema.users",
            "drop view public.all_users",
            ObstacleKind::Outside,
            "view public.all_users outside of the schema depends on it",
        ),
    ] {
        run(&mut main, obstruct).await;
        let found = obstacles(&scene, id, to, scene.options()).await;
        assert_eq!(found.len(), 1, "{obstruct}: {found:?}");
        assert_eq!(found[0].0, kind, "{found:?}");
        assert!(found[0].1.contains(words), "{found:?}");
        run(&mut main, clear).await;
    }
    for (id, to, kind) in [
        ("rows", to(Row), ErrorKind::Config),
        ("rows", Destination::server("main"), ErrorKind::Config),
        ("rows", to(Schema).database(Ident::parse("x")?), ErrorKind::Config),
        ("rows", Destination::server("mars").isolated_by(Schema), ErrorKind::Placement),
    ] {
        let error = scene.manager.mover().move_tenant(id, to, scene.options()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    let there = "select to_regclass('tenantry_moves') is null";
    assert_eq!(value(&mut main, there).await, "t", "nothing was begun");
    scene.manager.close().await;
    Ok(())
}

/// A manager without settings of rows would give the tenant's sessions no key.
#[tokio::test]
async fn rows_have_to_be_configured() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let manager = built(two.builder().catalog(TableCatalog::new()));
    let plan = manager.mover().plan("acme", to(IsolationKind::Row), &super::options()).await?;
    assert_eq!(plan.obstacles[0].kind, ObstacleKind::Isolation, "{plan}");
    assert!(plan.to_string().contains("or_isolation"), "{plan}");
    manager.close().await;
    Ok(())
}

/// What only shows when the rows are written leaves the tenant where it was.
#[tokio::test]
async fn a_move_whose_rows_do_not_fit_is_undone() -> TestResult {
    let scene = Scene::new(&[]).await;
    scene.create("acme", IsolationKind::Schema).await;
    let mut main = scene.at("main").await;
    run(&mut main, "create unique index once on app.users (name)").await;
    let error = scene
        .manager
        .mover()
        .move_tenant("acme", to(IsolationKind::Row), scene.options())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Move, "{error}");
    assert!(error.to_string().contains("served where it was"), "{error}");
    assert_eq!(latest(&scene.manager).await.stage, MoveStage::Undone);
    assert_eq!(own_rows(&scene.manager, "acme").await, "acme two a b acme");
    let left = "select count(*) from app.users where tenant_id = 'acme'";
    assert_eq!(value(&mut main, left).await, "0");

    // The same for rows that leave shared tables.
    run(&mut main, "drop index app.once").await;
    scene.create("umbrella", IsolationKind::Row).await;
    scene.files.write("0002_check.sql", "alter table users add check (name <> 'umbrella');");
    let options = scene.options();
    let moved =
        scene.manager.mover().move_tenant("umbrella", to(IsolationKind::Database), options).await;
    assert_eq!(moved.unwrap_err().kind(), ErrorKind::Move);
    assert_eq!(own_rows(&scene.manager, "umbrella").await, "umbrella two a b umbrella");
    let db = scene.manager.tenant("umbrella").await?;
    run(&db, "insert into users values (5, 'five')").await;
    for left in [
        "select count(*) from pg_trigger where tgname like '%tenantry\\_fence%'",
        "select count(*) from pg_proc where proname like 'tenantry\\_fence%'",
        "select count(*) from pg_database where datname like 'db\\_%' or datname like 'tenantry%'",
        "select count(*) from app._tenantry_retired_keys where taken_at is null",
    ] {
        assert_eq!(value(&mut main, left).await, "0", "{left}");
    }
    scene.others_are_untouched().await;
    scene.manager.close().await;
    Ok(())
}

/// A transaction of another tenant that has written to the shared tables is waited for, and not for long.
#[tokio::test]
async fn a_transaction_of_another_tenant_delays_the_fence_and_then_the_move_is_given_up()
-> TestResult {
    let scene = Scene::new(&[]).await;
    scene.create("acme", IsolationKind::Row).await;
    let mut tx = scene.manager.tenant("globex").await?.begin().await?;
    run(&mut *tx, "update users set name = name").await;
    let options = scene.options().fence_tries(2);
    let error = scene
        .manager
        .mover()
        .move_tenant("acme", to(IsolationKind::Schema), options)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Move, "{error}");
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("have written to the tables of all tenants"), "{cause}");
    assert_eq!(own_rows(&scene.manager, "acme").await, "acme two a b acme");
    tx.rollback().await?;
    scene.go("acme", to(IsolationKind::Schema)).await;
    assert_eq!(own_rows(&scene.manager, "acme").await, "acme two a b acme");
    scene.manager.close().await;
    Ok(())
}
