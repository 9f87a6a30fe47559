//! A process that is killed at any step leaves a tenant that is whole, or is not there, or is gone on with by the
//! next who creates it. An answer that is lost is looked up.

use std::{net::ToSocketAddrs, str::FromStr};

use sqlx::{PgConnection, postgres::PgConnectOptions};
use tenantry::{
    ErrorKind, SchemaDiscovery, TableCatalog, TenantDb, TenantManager, TenantState,
    clone::CloneOptions,
    provision::{CreateOptions, DropOptions, Provisioner},
    seed::Seed,
};

use crate::{
    faults::{Guillotine, at_every_step},
    migrate::Files,
    support::{World, eventually, observe, run, sessions},
};

/// Where tenants are listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    InTable,
    BySchemas,
}

/// A service, and a process of it that is not killed.
struct Scene {
    world: World,
    admin: PgConnection,
    files: Files,
    listed: Listed,
    seeds: Vec<Seed>,
    witness: TenantManager,
}

fn inside() -> Seed {
    Seed::sql("inside", "insert into notes (id, text) values (1, 'inside')")
}

fn outside() -> Seed {
    Seed::with_db("outside", |db: TenantDb| async move {
        let insert = "insert into notes (id, text) values (2, 'outside') on conflict do nothing";
        sqlx::query(insert).execute(&db).await.map(drop)
    })
}

fn manager(url: &str, listed: Listed) -> TenantManager {
    let builder = TenantManager::builder(url).max_connections(4);
    let builder = match listed {
        Listed::InTable => builder.catalog(TableCatalog::new()),
        Listed::BySchemas => builder.catalog(SchemaDiscovery::default()),
    };
    builder.build().expect("it is sound")
}

impl Scene {
    async fn new(listed: Listed, files: Files, seeds: Vec<Seed>) -> Self {
        let world = World::new().await;
        let mut admin = world.admin().await;
        let url = format!("{}?application_name=witness", world.database.url());
        let witness = manager(&url, listed);
        if listed == Listed::InTable {
            let table = TableCatalog::new();
            table.create_table(witness.shared()).await.expect("the server runs");
        }
        // It is there from the start, so that names can be freed.
        run(
            &mut admin,
            "create table tenantry_retired (name text primary key, schema oid not null, \
             retired_at timestamptz not null, waits_for text[])",
        )
        .await;
        Self { world, admin, files, listed, seeds, witness }
    }

    fn provisioner(&self, manager: &TenantManager) -> Provisioner {
        let provisioner = manager.provisioner().tenants(self.files.read());
        self.seeds.iter().cloned().fold(provisioner, Provisioner::seed)
    }

    /// Returns the provisioner of the process that is not killed.
    fn of_witness(&self) -> Provisioner {
        self.provisioner(&self.witness)
    }

    /// Puts a process behind a guillotine.
    async fn behind_guillotine(&self) -> (Guillotine, TenantManager) {
        let url = self.world.database.url();
        let options = PgConnectOptions::from_str(url).expect("it is a URL");
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let address = server.to_socket_addrs().expect("it has an address").next();
        let guillotine = Guillotine::before(address.expect("it has an address")).await;
        let url = url.replace(&server, &guillotine.address().to_string());
        let manager = manager(&url, self.listed);
        manager.tenants().await.expect("the server runs");
        (guillotine, manager)
    }

    /// Has a process do something and kills it after so many messages to the server. Returns whether it came
    /// to that.
    async fn kill(&mut self, messages: usize, act: impl AsyncFnOnce(Provisioner)) -> bool {
        let (guillotine, manager) = self.behind_guillotine().await;
        guillotine.kill_after(messages);
        let provisioner = self.provisioner(&manager);
        tokio::select! {
            () = guillotine.fallen() => {}
            () = act(provisioner) => {}
        }
        let killed = guillotine.has_fallen();
        drop(guillotine);
        drop(manager);
        eventually("the server has noticed", async || sessions(&mut self.admin).await == 0).await;
        killed
    }

    /// Looks at every tenant that is listed, and says how many are served.
    async fn check(&mut self, at: &str) -> usize {
        let mut whole = 0;
        for record in self.witness.tenants().await.expect("the server runs") {
            if record.state != TenantState::Active {
                assert!(record.step.is_some(), "{at}: {record:?}");
                continue;
            }
            let sql = format!("select count(*)::text from tenant_{}.notes", record.id);
            let notes = observe(&mut self.admin, &sql).await;
            assert_eq!(notes, format!("Some(\"{}\")", self.seeds.len()), "{at}");
            whole += 1;
        }
        whole
    }

    /// Creates a tenant, when its name is free. Returns whether it was not there.
    async fn create(&mut self, id: &str, at: &str) -> bool {
        loop {
            match self.of_witness().create(id, CreateOptions::default()).await {
                Ok(_) => return true,
                Err(error) if error.kind() == ErrorKind::NameInUse => self.free_names().await,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TenantExists, "{at}: {error:?}");
                    return false;
                }
            }
        }
    }

    /// Nothing is left but tenants, and spares.
    async fn expect_no_remains(&mut self, at: &str) {
        self.of_witness().fill_spares(0).await.expect(at);
        let sql = "select count(*)::text from pg_namespace where nspname like 'tenantry\\_spare%' \
                   and coalesce(obj_description(oid), '') not like 'tenantry: ready%' \
                   and coalesce(obj_description(oid), '') not like 'tenantry: in use%'";
        assert_eq!(observe(&mut self.admin, sql).await, "Some(\"0\")", "{at}");
    }

    async fn free_names(&mut self) {
        let sql = "update tenantry_retired set retired_at = retired_at - interval '1 hour'";
        run(&mut self.admin, sql).await;
    }
}

/// Kills the creation of a tenant at every step, and creates it again.
async fn create_is_killed(mut scene: Scene, spares: usize) {
    at_every_step(async |messages| {
        let id = format!("t{messages}");
        let at = format!("killed after {messages} messages");
        let before = scene.check(&at).await;
        if spares > 0 {
            scene.of_witness().fill_spares(spares).await.expect(&at);
        }
        let name = id.clone();
        let create = async move |of: Provisioner| {
            drop(of.create(name, CreateOptions::default()).await);
        };
        let killed = scene.kill(messages, create).await;
        let after = scene.check(&at).await;
        let created = scene.create(&id, &at).await;
        assert_eq!(after, before + usize::from(!created), "{at}");
        assert_eq!(scene.check(&at).await, before + 1, "{at}");
        scene.witness.tenant(id.as_str()).await.expect(&at);
        scene.expect_no_remains(&at).await;
        killed
    })
    .await;
}

#[tokio::test]
async fn a_creation_in_one_transaction() {
    create_is_killed(Scene::new(Listed::InTable, Files::notes(), vec![inside()]).await, 0).await;
}

#[tokio::test]
async fn a_creation_in_steps() {
    let files = Files::notes();
    files.write("0003_i.sql", "-- no-transaction\ncreate index concurrently on notes (text);");
    create_is_killed(Scene::new(Listed::InTable, files, vec![inside()]).await, 0).await;
}

#[tokio::test]
async fn a_creation_from_a_spare() {
    create_is_killed(Scene::new(Listed::InTable, Files::notes(), vec![inside()]).await, 1).await;
}

#[tokio::test]
async fn a_creation_with_a_seed_outside() {
    let seeds = vec![inside(), outside()];
    create_is_killed(Scene::new(Listed::InTable, Files::notes(), seeds).await, 0).await;
}

#[tokio::test]
async fn a_creation_with_a_seed_outside_where_schemas_are_discovered() {
    for spares in [0, 1] {
        let seeds = vec![inside(), outside()];
        create_is_killed(Scene::new(Listed::BySchemas, Files::notes(), seeds).await, spares).await;
    }
}

#[tokio::test]
async fn a_rename() {
    let mut scene = Scene::new(Listed::InTable, Files::notes(), vec![inside()]).await;
    scene.create("a", "at first").await;
    at_every_step(async |messages| {
        let at = format!("killed after {messages} messages");
        let rename = async |of: Provisioner| drop(of.rename("a", "b").await);
        let killed = scene.kill(messages, rename).await;
        assert_eq!(scene.check(&at).await, 1, "{at}");
        loop {
            scene.free_names().await;
            match scene.of_witness().rename("b", "a").await {
                Err(error) if error.kind() == ErrorKind::NameInUse => {}
                Err(error) => break assert_eq!(error.kind(), ErrorKind::UnknownTenant, "{at}"),
                Ok(()) => break,
            }
        }
        scene.free_names().await;
        killed
    })
    .await;
}

#[tokio::test]
async fn a_drop() {
    let mut scene = Scene::new(Listed::InTable, Files::notes(), vec![inside()]).await;
    at_every_step(async |messages| {
        let at = format!("killed after {messages} messages");
        scene.create("a", &at).await;
        let drop_it = async |of: Provisioner| {
            drop(of.drop_tenant("a", "a", DropOptions::default().batch(1)).await);
        };
        let killed = scene.kill(messages, drop_it).await;
        assert!(scene.check(&at).await <= 1, "{at}");
        scene.expect_no_remains(&at).await;
        killed
    })
    .await;
}

/// How transactions are committed: as sqlx does, and in the round trip that gives the connection back.
const COMMIT: [&str; 2] = ["COMMIT", "close all; commit"];

#[tokio::test]
async fn the_lost_answer_to_a_commit_is_looked_up() {
    let mut scene = Scene::new(Listed::InTable, Files::notes(), vec![inside()]).await;
    let (guillotine, manager) = scene.behind_guillotine().await;
    let provisioner = scene.provisioner(&manager);
    guillotine.lose_answer_to(&COMMIT);
    provisioner.create("a", CreateOptions::default()).await.expect("it was committed");
    assert!(guillotine.has_lost());
    guillotine.lose_answer_to(&COMMIT);
    provisioner.suspend("a").await.expect("it was committed");
    assert!(guillotine.has_lost());
    provisioner.resume("a").await.expect("the server runs");
    guillotine.lose_answer_to(&COMMIT);
    provisioner.rename("a", "b").await.expect("it was committed");
    assert!(guillotine.has_lost());
    assert_eq!(scene.check("renamed").await, 1);
    manager.tenant("b").await.expect("it is served");
    guillotine.lose_answer_to(&COMMIT);
    drop(provisioner.drop_tenant("b", "b", DropOptions::default()).await);
    assert!(guillotine.has_lost());
    assert_eq!(scene.check("dropped").await, 0);
}

/// Kills the clone of a tenant at every step.
async fn a_clone_is_killed(connections: usize) {
    let mut scene = Scene::new(Listed::InTable, Files::notes(), vec![inside()]).await;
    scene.create("source", "at first").await;
    at_every_step(async |messages| {
        let id = format!("c{messages}");
        let at = format!("killed after {messages} messages");
        let before = scene.check(&at).await;
        let name = id.clone();
        let clone = async move |of: Provisioner| {
            let options = CloneOptions::default().data(true).connections(connections);
            drop(of.clone_tenant("source", name, options).await);
        };
        let killed = scene.kill(messages, clone).await;
        let after = scene.check(&at).await;
        let is_there = scene.witness.tenant(id.as_str()).await.is_ok();
        assert_eq!(after, before + usize::from(is_there), "{at}");
        if connections == 1 {
            let sql = format!(
                "select count(*)::text from pg_namespace where nspname like 'tenantry%' or nspname = 'tenant_{id}'"
            );
            assert_eq!(observe(&mut scene.admin, &sql).await, format!("Some(\"{}\")", usize::from(is_there)), "{at}");
        }
        scene.expect_no_remains(&at).await;
        killed
    })
    .await;
}

#[tokio::test]
async fn a_clone_in_one_transaction() {
    a_clone_is_killed(1).await;
}

#[tokio::test]
async fn a_clone_in_steps() {
    a_clone_is_killed(2).await;
}
