//! A process that is killed while it creates or drops a tenant leaves one that can be created or dropped again.

use std::{net::ToSocketAddrs, str::FromStr};

use sqlx::postgres::PgConnectOptions;
use tenantry::{
    ErrorKind, TableCatalog, TenantDb, TenantManager, TenantState,
    provision::{CreateOptions, DropOptions, Provisioner},
    seed::Seed,
};

use super::{Login, Scene};
use crate::{
    faults::{Guillotine, at_every_step},
    support::{eventually, sessions},
};

fn seeds(provisioner: Provisioner) -> Provisioner {
    let outside = Seed::with_db("outside", |db: TenantDb| async move {
        let insert = "insert into users (id, name) values (2, 'b') on conflict do nothing";
        sqlx::query(insert).execute(&db).await.map(drop)
    });
    let inside = Seed::sql("inside", "insert into users (id, name) values (1, 'a');");
    provisioner.seed(inside).seed(outside)
}

/// Has a process do something and kills it after so many messages to the server. Returns whether it came to that.
async fn kill(scene: &mut Scene, messages: usize, act: impl AsyncFnOnce(Provisioner)) -> bool {
    let url = scene.world.database.url();
    let options = PgConnectOptions::from_str(url).expect("it is a URL");
    let server = format!("{}:{}", options.get_host(), options.get_port());
    let address = server.to_socket_addrs().expect("it has an address").next();
    let guillotine = Guillotine::before(address.expect("it has an address")).await;
    let url = url.replace(&server, &guillotine.address().to_string());
    let rows = tenantry::Rows::new().schema("app").and_then(|rows| rows.role(&scene.role));
    let isolation = tenantry::Isolation::rows(rows.expect("identifiers"));
    let manager = TenantManager::builder(&url).isolation(isolation).catalog(TableCatalog::new());
    let manager = manager.max_connections(4).build().expect("it is sound");
    manager.tenants().await.expect("the server runs");
    guillotine.kill_after(messages);
    tokio::select! {
        () = guillotine.fallen() => {}
        () = act(seeds(manager.provisioner())) => {}
    }
    let killed = guillotine.has_fallen();
    drop((guillotine, manager));
    eventually("the server has noticed", async || sessions(&mut scene.admin).await == 0).await;
    killed
}

/// A scene whose manager has no open sessions.
async fn scene() -> Scene {
    let url = |url: &str| format!("{url}?application_name=witness");
    let mut scene = Scene::new(Login::Superuser).await;
    let rows = tenantry::Rows::new().schema("app").and_then(|rows| rows.role(&scene.role));
    let isolation = tenantry::Isolation::rows(rows.expect("identifiers"));
    let builder = TenantManager::builder(url(scene.world.database.url())).isolation(isolation);
    let witness = builder.catalog(TableCatalog::new()).build().expect("it is sound");
    std::mem::replace(&mut scene.manager, witness).close().await;
    scene.create(&["globex"]).await;
    scene
}

#[tokio::test]
async fn a_creation() {
    let mut scene = scene().await;
    at_every_step(async |messages| {
        let at = format!("killed after {messages} messages");
        let create =
            async |of: Provisioner| drop(of.create("acme", CreateOptions::default()).await);
        let killed = kill(&mut scene, messages, create).await;
        for record in scene.manager.tenants().await.expect(&at) {
            let is_whole = record.state == TenantState::Active && record.step.is_none();
            let is_marked = record.state == TenantState::Suspended && record.step.is_some();
            assert!(is_whole || is_marked, "{at}: {record:?}");
        }
        match seeds(scene.provisioner()).create("acme", CreateOptions::default()).await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::TenantExists, "{at}: {error:?}"),
        }
        assert_eq!(scene.rows("users").await, "acme 2, globex 3", "{at}");
        scene.manager.tenant("acme").await.expect(&at);
        let dropped = scene.provisioner().drop_tenant("acme", "acme", DropOptions::default()).await;
        dropped.unwrap_or_else(|error| panic!("{at}: {error:?}"));
        scene.free_keys().await;
        killed
    })
    .await;
}

#[tokio::test]
async fn a_drop() {
    let mut scene = scene().await;
    at_every_step(async |messages| {
        let at = format!("killed after {messages} messages");
        scene.create(&["acme"]).await;
        let drop_it = async |of: Provisioner| {
            drop(of.drop_tenant("acme", "acme", DropOptions::default().batch(1)).await);
        };
        let killed = kill(&mut scene, messages, drop_it).await;
        let left = scene.rows("users").await;
        let tenants = scene.manager.tenants().await.expect(&at);
        match tenants.iter().find(|record| record.id.as_str() == "acme") {
            Some(record) if record.state == TenantState::Active => {
                assert_eq!(left, "acme 3, globex 3", "{at}");
            }
            Some(_) => assert!(left.ends_with("globex 3"), "{at}: {left}"),
            None => assert_eq!(left, "globex 3", "{at}"),
        }
        match scene.provisioner().drop_tenant("acme", "acme", DropOptions::default()).await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::UnknownTenant, "{at}: {error:?}"),
        }
        assert_eq!(scene.rows("users").await, "globex 3", "{at}");
        assert_eq!(scene.rows("notes").await, "globex 3", "{at}");
        scene.free_keys().await;
        killed
    })
    .await;
}
