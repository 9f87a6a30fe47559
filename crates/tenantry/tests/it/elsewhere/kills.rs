//! A process that is killed at any step leaves a tenant that is whole, or not there, or found by the next creation or
//! drop.

use std::{net::ToSocketAddrs, str::FromStr};

use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use tenantry::{
    ErrorKind, Isolation, IsolationKind, Rows, TableCatalog, TenantDb, TenantManager, TenantState,
    provision::{DatabaseSpares, DropOptions, HowMade, Provisioner},
    seed::Seed,
};

use super::{Host, built, notes_of_all, options, plain, provisioner};
use crate::{
    faults::{Guillotine, at_every_step},
    migrate::Files,
    support::{connect, eventually, free_names, observe, run},
};

/// Whose messages are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Main,
    Eu,
}

/// Two servers, and a process that is not killed.
struct Scene {
    main: Host,
    eu: Host,
    files: Files,
    kind: IsolationKind,
    /// The budget of the processes that are killed.
    connections: usize,
    witness: TenantManager,
}

fn outside() -> Seed {
    Seed::with_db("outside", |db: TenantDb| async move {
        let insert = "insert into notes (id, text) values (2, 'outside') on conflict do nothing";
        sqlx::query(insert).execute(&db).await.map(drop)
    })
}

fn manager(main: &str, eu: &str, kind: IsolationKind) -> tenantry::ManagerBuilder {
    let isolation = match kind {
        IsolationKind::Row => Isolation::rows(Rows::new().role("app").expect("a name")),
        _ => Isolation::database("db_{id}"),
    };
    TenantManager::builder(main)
        .or_isolation(isolation)
        .catalog(TableCatalog::new())
        .max_connections(4)
        .server("eu-1", eu)
}

/// Puts a guillotine before a server.
async fn before(url: &str) -> (Guillotine, String) {
    let options = PgConnectOptions::from_str(url).expect("it is a URL");
    let server = format!("{}:{}", options.get_host(), options.get_port());
    let address = server.to_socket_addrs().expect("it has an address").next();
    let guillotine = Guillotine::before(address.expect("it has an address")).await;
    let url = url.replace(&server, &guillotine.address().to_string());
    (guillotine, url)
}

impl Scene {
    async fn new(kind: IsolationKind) -> Self {
        let (main, mut eu) = (Host::new().await, Host::new().await);
        if kind == IsolationKind::Row {
            run(&mut eu.admin, &notes_of_all()).await;
        }
        let of_witness = |host: &Host| format!("{}?application_name=witness", host.server.url());
        let witness = built(manager(&of_witness(&main), &of_witness(&eu), kind)).await;
        Self { main, eu, files: Files::notes(), kind, connections: 4, witness }
    }

    fn provisioner(&self, manager: &TenantManager) -> Provisioner {
        provisioner(manager, &self.files).seed(outside())
    }

    /// Has a process do something and kills it after so many messages to one of the servers. Returns whether it came
    /// to that.
    async fn kill(
        &mut self,
        counted: Counted,
        messages: usize,
        act: impl AsyncFnOnce(Provisioner),
    ) -> bool {
        let (main, main_url) = before(&self.main.server.url()).await;
        let (eu, eu_url) = before(&self.eu.server.url()).await;
        let builder = manager(&main_url, &eu_url, self.kind).max_connections(self.connections);
        let manager = builder.build().expect("it is sound");
        manager.tenants().await.expect("the server runs");
        let guillotine = if counted == Counted::Main { &main } else { &eu };
        guillotine.kill_after(messages);
        tokio::select! {
            () = guillotine.fallen() => {}
            () = act(self.provisioner(&manager)) => {}
        }
        let killed = guillotine.has_fallen();
        drop((main, eu, manager));
        killed
    }

    /// Waits until the server has noticed that the process is gone.
    async fn noticed(&mut self) {
        for host in [&mut self.main, &mut self.eu] {
            eventually("the server has noticed", async || {
                let sql = "select count(*)::text from pg_stat_activity where application_name like 'tenantry/%' \
                           and application_name not in ('tenantry/witness', 'tenantry/rival')";
                plain(host.ask(sql).await) == "0"
            })
            .await;
        }
    }

    /// Checks that every tenant that is served is whole, and returns their number.
    async fn check(&mut self, at: &str) -> usize {
        let mut whole = 0;
        for record in self.witness.tenants().await.expect("the server runs") {
            if record.state != TenantState::Active {
                assert!(record.step.is_some(), "{at}: {record:?}");
                continue;
            }
            let db = self.witness.tenant(record.id.clone()).await.expect(at);
            let notes = observe(&db, "select string_agg(text, ' ' order by id) from notes").await;
            assert_eq!(plain(notes), "inside outside", "{at}");
            whole += 1;
        }
        whole
    }

    /// The containers are those of the tenants.
    async fn expect_no_remains(&mut self, at: &str) {
        let names = self.witness.tenants().await.expect("the server runs");
        let of = |start: &str| {
            let mut names: Vec<_> =
                names.iter().map(|record| format!("{start}{}", record.id)).collect();
            names.sort();
            names.join(" ")
        };
        let (databases, schemas) = (self.eu.databases().await, self.eu.schemas().await);
        match self.kind {
            IsolationKind::Database => {
                assert_eq!((databases, schemas), (of("db_"), String::new()), "{at}")
            }
            IsolationKind::Row => {
                let sql = "select coalesce(string_agg(distinct tenant_id, ' ' order by tenant_id), '') from notes";
                assert_eq!(plain(self.eu.ask(sql).await), of(""), "{at}");
            }
            _ => assert_eq!((databases, schemas), (String::new(), of("tenant_")), "{at}"),
        }
    }
}

async fn a_creation_is_killed(kind: IsolationKind, counted: Counted) {
    let mut scene = Scene::new(kind).await;
    at_every_step(async |messages| {
        let id = format!("t{messages}");
        let at = format!("killed after {messages} messages to {counted:?}");
        let before = scene.check(&at).await;
        let name = id.clone();
        let killed = scene
            .kill(counted, messages, async move |of: Provisioner| {
                drop(of.create(name, options().server("eu-1").isolation(kind)).await);
            })
            .await;
        scene.noticed().await;
        let after = scene.check(&at).await;
        // The placement is that of the interrupted creation, if that got so far.
        let again = scene.provisioner(&scene.witness);
        let created = again.create(id.as_str(), options().server("eu-1").isolation(kind)).await;
        match created {
            Ok(_) => assert_eq!(after, before, "{at}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TenantExists, "{at}: {error:?}");
                assert_eq!(after, before + 1, "{at}");
            }
        }
        assert_eq!(scene.check(&at).await, before + 1, "{at}");
        scene.expect_no_remains(&at).await;
        let dropped = again.drop_tenant(id.as_str(), &id, DropOptions::default()).await;
        dropped.expect(&at);
        scene.expect_no_remains(&at).await;
        killed
    })
    .await;
}

async fn a_drop_is_killed(kind: IsolationKind, counted: Counted) {
    let mut scene = Scene::new(kind).await;
    at_every_step(async |messages| {
        let at = format!("killed after {messages} messages to {counted:?}");
        let id = format!("t{messages}");
        let provisioner = scene.provisioner(&scene.witness);
        provisioner.create(id.as_str(), options().server("eu-1").isolation(kind)).await.expect(&at);
        let name = id.clone();
        let killed = scene
            .kill(counted, messages, async move |of: Provisioner| {
                drop(of.drop_tenant(name.as_str(), &name, DropOptions::default().batch(1)).await);
            })
            .await;
        scene.noticed().await;
        assert!(scene.check(&at).await <= 1, "{at}");
        match provisioner.drop_tenant(id.as_str(), &id, DropOptions::default()).await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::UnknownTenant, "{at}: {error:?}"),
        }
        assert_eq!(scene.main.tenants().await, "", "{at}");
        scene.expect_no_remains(&at).await;
        killed
    })
    .await;
}

/// Two processes without a connection for the lock create the same tenant, one of them with other attributes every
/// second time, and one is killed meanwhile. Whatever they have left, the next creation completes or replaces.
async fn a_race_without_a_lock_is_killed(kind: IsolationKind, counted: Counted) {
    let mut scene = Scene::new(kind).await;
    scene.connections = 2;
    let rival = |host: &Host| format!("{}?application_name=rival", host.server.url());
    let rival = manager(&rival(&scene.main), &rival(&scene.eu), kind).max_connections(2);
    let rival = rival.build().expect("it is sound");
    rival.tenants().await.expect("the server runs");
    at_every_step(async |messages| {
        let id = format!("t{messages}");
        let at = format!("killed after {messages} messages to {counted:?}");
        let plan =
            if messages % 2 == 0 { serde_json::Value::Null } else { json!({"plan": "gold"}) };
        let of_rival = scene.provisioner(&rival);
        let theirs = options().server("eu-1").isolation(kind).attributes(plan);
        let (name, same) = (id.clone(), id.clone());
        let theirs = tokio::spawn(async move { of_rival.create(same, theirs).await });
        let killed = scene
            .kill(counted, messages, async move |of: Provisioner| {
                drop(of.create(name, options().server("eu-1").isolation(kind)).await);
            })
            .await;
        drop(theirs.await.expect("it does not panic"));
        scene.noticed().await;
        let before = scene.check(&at).await;
        let again = scene.provisioner(&scene.witness);
        match again.create(id.as_str(), options().server("eu-1").isolation(kind)).await {
            Ok(_) => assert_eq!(before, 0, "{at}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TenantExists, "{at}: {error:?}");
                assert_eq!(before, 1, "{at}: {error:?}");
            }
        }
        assert_eq!(scene.check(&at).await, 1, "{at}");
        scene.expect_no_remains(&at).await;
        again.drop_tenant(id.as_str(), &id, DropOptions::default()).await.expect(&at);
        scene.expect_no_remains(&at).await;
        killed
    })
    .await;
    rival.close().await;
}

#[tokio::test]
async fn creations_of_a_database_without_a_lock() {
    a_race_without_a_lock_is_killed(IsolationKind::Database, Counted::Eu).await;
}

#[tokio::test]
async fn creations_of_a_database_without_a_lock_at_the_catalog() {
    a_race_without_a_lock_is_killed(IsolationKind::Database, Counted::Main).await;
}

#[tokio::test]
async fn creations_of_a_schema_without_a_lock() {
    a_race_without_a_lock_is_killed(IsolationKind::Schema, Counted::Eu).await;
    a_race_without_a_lock_is_killed(IsolationKind::Schema, Counted::Main).await;
}

#[tokio::test]
async fn creations_of_rows_without_a_lock() {
    a_race_without_a_lock_is_killed(IsolationKind::Row, Counted::Eu).await;
}

/// The spares of `eu-1` alone.
fn spares_of_eu(spares: usize) -> DatabaseSpares {
    DatabaseSpares::new(0).on("eu-1", spares)
}

impl Scene {
    /// Has the witness fill the spares, and checks that there is no other database that is not a tenant's.
    async fn fill(&mut self, spares: usize, at: &str) {
        let provisioner = self.provisioner(&self.witness);
        let report = provisioner.fill_database_spares(&spares_of_eu(spares)).await.expect(at);
        assert!(report.is_success() && report.servers[0].ready == spares, "{at}: {report}");
        let left = self.eu.databases().await;
        let left = left.split_terminator(' ').filter(|name| !name.starts_with("db_")).count();
        assert_eq!(left, spares, "{at}: {}", self.eu.databases().await);
    }
}

/// A process is killed while it turns a spare into a tenant: there is the spare or the tenant, and never both.
async fn a_creation_from_a_spare_is_killed(counted: Counted) {
    let mut scene = Scene::new(IsolationKind::Database).await;
    let of_database = || options().server("eu-1").isolation(IsolationKind::Database);
    let mut resumed = 0;
    at_every_step(async |messages| {
        let (id, at) = (format!("t{messages}"), format!("killed after {messages} to {counted:?}"));
        scene.fill(1, &at).await;
        let oid = "select oid::text from pg_database where shobj_description(oid, 'pg_database') like 'tenantry: ready%'";
        let spare = plain(scene.eu.ask(oid).await);
        let name = id.clone();
        let killed = scene
            .kill(counted, messages, async move |of: Provisioner| {
                drop(of.create(name, options().server("eu-1").isolation(IsolationKind::Database)).await);
            })
            .await;
        scene.noticed().await;
        scene.check(&at).await;
        let found = scene.eu.databases().await;
        assert_eq!(found.split_terminator(' ').count(), 1, "{at}: {found}");
        match scene.provisioner(&scene.witness).create(id.as_str(), of_database()).await {
            Ok(created) => {
                assert!([HowMade::Spare, HowMade::Resumed].contains(&created.how), "{at}: {created}");
                resumed += usize::from(created.how == HowMade::Resumed);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::TenantExists, "{at}: {error:?}"),
        }
        assert_eq!(scene.check(&at).await, 1, "{at}");
        scene.expect_no_remains(&at).await;
        let of_tenant = format!("select oid::text from pg_database where datname = 'db_{id}'");
        assert_eq!(plain(scene.eu.ask(&of_tenant).await), spare, "{at}: it was the spare");
        let provisioner = scene.provisioner(&scene.witness);
        provisioner.drop_tenant(id.as_str(), &id, DropOptions::default()).await.expect(&at);
        killed
    })
    .await;
    assert!(resumed > 0, "no creation was interrupted after it had begun");
}

#[tokio::test]
async fn a_creation_from_a_spare() {
    a_creation_from_a_spare_is_killed(Counted::Eu).await;
}

#[tokio::test]
async fn a_creation_from_a_spare_at_the_catalog() {
    a_creation_from_a_spare_is_killed(Counted::Main).await;
}

#[tokio::test]
async fn the_making_of_a_spare() {
    let mut scene = Scene::new(IsolationKind::Database).await;
    at_every_step(async |messages| {
        let (id, at) = (format!("t{messages}"), format!("killed after {messages} messages"));
        let killed = scene
            .kill(Counted::Eu, messages, async |of: Provisioner| {
                drop(of.fill_database_spares(&spares_of_eu(1)).await);
            })
            .await;
        scene.noticed().await;
        let found = scene.eu.databases().await;
        assert!(found.split_terminator(' ').count() <= 1, "{at}: {found}");
        scene.fill(1, &at).await;
        // What is ready has all files.
        let provisioner = scene.provisioner(&scene.witness);
        let of_database = options().server("eu-1").isolation(IsolationKind::Database);
        assert_eq!(
            provisioner.create(id.as_str(), of_database).await.expect(&at).how,
            HowMade::Spare
        );
        assert_eq!(scene.check(&at).await, 1, "{at}");
        provisioner.drop_tenant(id.as_str(), &id, DropOptions::default()).await.expect(&at);
        killed
    })
    .await;
}

#[tokio::test]
async fn a_creation_of_a_database() {
    a_creation_is_killed(IsolationKind::Database, Counted::Eu).await;
}

#[tokio::test]
async fn a_creation_of_a_database_at_the_catalog() {
    a_creation_is_killed(IsolationKind::Database, Counted::Main).await;
}

#[tokio::test]
async fn a_creation_of_a_schema() {
    a_creation_is_killed(IsolationKind::Schema, Counted::Eu).await;
}

#[tokio::test]
async fn a_creation_of_a_schema_at_the_catalog() {
    a_creation_is_killed(IsolationKind::Schema, Counted::Main).await;
}

#[tokio::test]
async fn a_creation_of_rows() {
    a_creation_is_killed(IsolationKind::Row, Counted::Eu).await;
    a_creation_is_killed(IsolationKind::Row, Counted::Main).await;
}

#[tokio::test]
async fn a_drop_of_rows() {
    a_drop_is_killed(IsolationKind::Row, Counted::Eu).await;
    a_drop_is_killed(IsolationKind::Row, Counted::Main).await;
}

#[tokio::test]
async fn a_drop_of_a_database() {
    a_drop_is_killed(IsolationKind::Database, Counted::Eu).await;
    a_drop_is_killed(IsolationKind::Database, Counted::Main).await;
}

#[tokio::test]
async fn a_drop_of_a_schema() {
    a_drop_is_killed(IsolationKind::Schema, Counted::Eu).await;
    a_drop_is_killed(IsolationKind::Schema, Counted::Main).await;
}

/// `create database` does not end with its client: the server goes on while another process drops the tenant.
#[tokio::test]
async fn a_drop_right_after_a_killed_creation_leaves_nothing() {
    let mut scene = Scene::new(IsolationKind::Database).await;
    at_every_step(async |messages| {
        let at = format!("killed after {messages} messages");
        let killed = scene
            .kill(Counted::Eu, messages, async |of: Provisioner| {
                let options = options().server("eu-1").isolation(IsolationKind::Database);
                drop(of.create("acme", options).await);
            })
            .await;
        let provisioner = scene.provisioner(&scene.witness);
        for _ in 0..2 {
            match provisioner.drop_tenant("acme", "acme", DropOptions::default()).await {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::UnknownTenant, "{at}: {error:?}"),
            }
            scene.noticed().await;
        }
        assert_eq!(scene.main.tenants().await, "", "{at}");
        scene.expect_no_remains(&at).await;
        killed
    })
    .await;
}

/// A removal that was killed in its middle is not mistaken for a half-made schema: it goes on.
#[tokio::test]
async fn an_undoing_that_was_killed_goes_on() {
    let mut scene = Scene::new(IsolationKind::Schema).await;
    // More than are dropped at once.
    let tables = (0..60).map(|n| format!("create table t{n} (id int);\n")).collect::<String>();
    scene.files.write("0003_tables.sql", &tables);
    let mut eu = connect(&scene.eu.server.url()).await;
    at_every_step(async |messages| {
        let at = format!("killed after {messages} messages");
        let failing = Seed::with_db("failing", |_: TenantDb| async {
            Err::<(), tenantry::seed::BoxError>("it fails".into())
        });
        let killed = scene
            .kill(Counted::Eu, messages, async |of: Provisioner| {
                drop(of.seed(failing).create("acme", options().server("eu-1")).await);
            })
            .await;
        scene.noticed().await;
        assert_eq!(scene.check(&at).await, 0, "{at}");
        let again = scene.provisioner(&scene.witness);
        again.create("acme", options().server("eu-1")).await.expect(&at);
        assert_eq!(scene.check(&at).await, 1, "{at}");
        scene.expect_no_remains(&at).await;
        again.drop_tenant("acme", "acme", DropOptions::default()).await.expect(&at);
        free_names(&mut eu).await;
        killed
    })
    .await;
}

/// The data of a sign-up that was interrupted is not that of the next one with the same id.
#[tokio::test]
async fn a_sign_up_does_not_get_the_data_of_another() {
    for kind in [IsolationKind::Database, IsolationKind::Schema, IsolationKind::Row] {
        let mut scene = Scene::new(kind).await;
        let options = |user: &'static str| {
            options().server("eu-1").isolation(kind).seed(move |tx| {
                Box::pin(async move {
                    let insert = "insert into notes (id, text) values (3, $1)";
                    sqlx::query(insert).bind(user).execute(&mut **tx).await?;
                    Ok(())
                })
            })
        };
        let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
        let endless = Seed::with_db("outside", move |_: TenantDb| {
            let begun = begun.clone();
            async move {
                begun.send(()).expect("the test waits");
                std::future::pending::<Result<(), sqlx::Error>>().await
            }
        });
        let first = provisioner(&scene.witness, &scene.files).seed(endless);
        tokio::select! {
            created = first.create("acme", options("first")) => panic!("{created:?}"),
            _ = has_begun.recv() => {}
        }
        assert_eq!(scene.main.tenants().await, "acme suspended tenantry: making ");
        let next = provisioner(&scene.witness, &scene.files).seed(outside());
        eventually("the lock of the first creation is released", async || {
            next.create("acme", options("second")).await.is_ok()
        })
        .await;
        let db = scene.witness.tenant("acme").await.expect("it is served");
        let notes = observe(&db, "select string_agg(text, ' ' order by id) from notes").await;
        assert_eq!(plain(notes), "inside outside second", "{kind}");
        scene.expect_no_remains("at the end").await;
    }
}
