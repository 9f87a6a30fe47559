//! An existing service is taken over with the commands, while it goes on to write: `docs/adopting.md` as a test.
//!
//! Twelve schemas of 138 tables as Rails makes them, four of them one migration behind, extensions in a schema of
//! their own and in `public`, a table of customers that is somebody else's, and a role that may not create anything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection, PgConnection};
use tenantry::{TableCatalog, TenantManager};
use tenantry_devdb::DevServer;
use tokio::{task::JoinHandle, time::sleep};

use crate::support::{Folder, Ran, execute, value};

const TENANTS: usize = 12;
/// The last of them lack [`LATEST`].
const BEHIND: usize = 4;
/// Tables of Rails itself, `schema_migrations` and `ar_internal_metadata`, are two of 138.
const OWN_TABLES: usize = 136;
const LATEST: &str = "alter table items_002 add column archived_at timestamp(6);\n\
                      create index index_items_002_on_archived_at on items_002 (archived_at);\n";

fn id(number: usize) -> String {
    format!("c{number:02}")
}

fn schema(number: usize) -> String {
    format!("customer_{}", id(number))
}

fn tables() -> impl Iterator<Item = String> {
    (1..=OWN_TABLES).map(|number| format!("items_{number:03}"))
}

/// The statements that make a schema, with rows.
fn made_by_rails(number: usize) -> String {
    let schema = schema(number);
    let mut sql = format!(
        "create schema {schema}; set search_path = {schema}, public, extensions;\n\
         create table schema_migrations (version varchar primary key);\n\
         create table ar_internal_metadata (key varchar primary key, value varchar, \
             created_at timestamp(6) not null, updated_at timestamp(6) not null);\n\
         insert into schema_migrations values ('20240101000000');\n\
         insert into ar_internal_metadata values ('environment', 'production', now(), now());\n"
    );
    let mut parent: Option<String> = None;
    for table in tables() {
        let reference = match &parent {
            Some(parent) => format!("references {parent} (id)"),
            None => String::new(),
        };
        sql.push_str(&format!(
            "create table {table} (id bigserial primary key, name extensions.citext not null, amount numeric(10, 2) \
                 default 0.0, parent_id bigint {reference}, created_at timestamp(6) not null default now(), \
                 updated_at timestamp(6) not null default now());\n\
             create index index_{table}_on_parent_id on {table} using btree (parent_id);\n\
             insert into {table} (name, amount, parent_id) values ('{schema} {table}', {number}.5, null), ('B', 2, 1);\n"
        ));
        parent = Some(table);
    }
    if number <= TENANTS - BEHIND {
        sql.push_str(LATEST);
        sql.push_str("insert into schema_migrations values ('20240201000000');\n");
    }
    sql
}

/// The server as the other application has left it: it logs in as `legacy`, which owns everything.
const AROUND: &str = "
    create role legacy login; create role runtime login;
    grant create on database postgres to legacy;
    create schema extensions authorization legacy;
    grant usage on schema extensions to public;
    create extension citext schema extensions; create extension pgcrypto schema public;
    create table public.tenants (id uuid primary key default gen_random_uuid(), slug text unique, plan text);
    alter table public.tenants owner to legacy;
    grant select on public.tenants to runtime;";

/// The other application: one connection, on which it names the schema that it works in.
async fn old_application(url: String, stop: Arc<AtomicBool>) -> usize {
    let mut conn = PgConnection::connect(&url).await.unwrap();
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) || written == 0 {
        for number in 1..=TENANTS {
            let path = format!("set search_path = {}, public, extensions", schema(number));
            execute(&mut conn, &path).await;
            execute(&mut conn, "insert into items_001 (name) values ('from the old one')").await;
        }
        written += 1;
        sleep(Duration::from_millis(20)).await;
    }
    written
}

/// A checksum over the rows of each table but the one that the old application writes, without the new column.
async fn checksums(conn: &mut PgConnection) -> Vec<String> {
    let mut sums = Vec::new();
    for number in 1..=TENANTS {
        let schema = schema(number);
        let names = tables().skip(1).chain(["ar_internal_metadata".to_owned()]);
        let each = names.map(|table| {
            let row = "(to_jsonb(t) - 'archived_at')::text";
            let sum = format!("md5(string_agg({row}, ',' order by {row}))");
            format!("select '{schema}.{table} ' || {sum} as sum from {schema}.{table} t")
        });
        let each = each.collect::<Vec<_>>().join(" union all ");
        let all = format!("select string_agg(sum, ',' order by sum) from ({each}) as each");
        sums.extend(value(conn, &all).await.split(',').map(str::to_owned));
    }
    sums
}

struct Scene {
    server: DevServer,
    folder: Folder,
    admin: PgConnection,
}

impl Scene {
    async fn new() -> Self {
        let server = DevServer::start().await.unwrap();
        let mut admin = PgConnection::connect(&server.url()).await.unwrap();
        execute(&mut admin, AROUND).await;
        let mut legacy = PgConnection::connect(&Self::url_of(&server, "legacy")).await.unwrap();
        for number in 1..=TENANTS {
            execute(&mut legacy, &made_by_rails(number)).await;
            let row =
                format!("insert into public.tenants (slug, plan) values ('{}', 'pro')", id(number));
            execute(&mut legacy, &row).await;
        }
        Self { server, folder: Folder::new(), admin }
    }

    fn url_of(server: &DevServer, user: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/postgres", server.port())
    }

    fn url(&self, user: &str) -> String {
        Self::url_of(&self.server, user)
    }

    /// Runs a command as the role that serves.
    async fn run(&self, command: &str) -> Ran {
        self.folder.tenantry(command.split(' ')).url(self.url("runtime")).run().await
    }

    fn start_old_application(&self) -> (Arc<AtomicBool>, JoinHandle<usize>) {
        let stop = Arc::new(AtomicBool::new(false));
        (Arc::clone(&stop), tokio::spawn(old_application(self.url("legacy"), stop)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_adopted_while_it_goes_on_to_write() {
    let mut scene = Scene::new().await;
    let before = checksums(&mut scene.admin).await;
    let (stop, old) = scene.start_old_application();
    configured(&scene).await;
    recorded(&scene).await;
    let ran = scene.run("migrate --all --json").await.ended_with(0).json();
    assert_eq!((&ran["migrated"], &ran["upToDate"]), (&BEHIND.into(), &(TENANTS - BEHIND).into()));
    scene.run("drift --reference c01").await.ended_with(0);
    let status = scene.run("status --json").await.ended_with(0).json();
    assert_eq!(status["migrations"]["upToDate"], TENANTS, "{status}");
    served(&scene).await;
    stop.store(true, Ordering::Relaxed);
    let written = old.await.expect("no statement of the old application has failed");
    let after = checksums(&mut scene.admin).await;
    let changed: Vec<_> =
        before.iter().zip(&after).filter(|(before, after)| before != after).collect();
    assert!(changed.is_empty() && before.len() == after.len(), "{changed:?}");
    assert_eq!(before.len(), TENANTS * OWN_TABLES);
    for number in 1..=TENANTS {
        // Two from the beginning, and one of the new service.
        let count =
            value(&mut scene.admin, &format!("select count(*) from {}.items_001", schema(number)))
                .await;
        assert_eq!(count, (2 + 1 + written).to_string());
    }
    scene.server.close().await;
}

/// The configuration, and the first two files: one made of a schema that is behind, one written by hand.
async fn configured(scene: &Scene) {
    let init = "init --yes --set tenants.catalog=table --set catalog.columns=id=slug --set upkeep.user=legacy \
                --set tenants.see_shared=true --set migrations.tenants=db/migrate";
    scene.run(&init.split_whitespace().collect::<Vec<_>>().join(" ")).await.ended_with(0);
    let written = scene.folder.read("tenantry.toml");
    assert!(written.contains("schema = \"customer_{id}\""), "{written}");
    assert!(written.contains("extension_schemas = [\"extensions\"]"), "{written}");
    let listed = scene.run("tenant list --ids").await.ended_with(0).stdout;
    assert_eq!(listed.lines().count(), TENANTS, "{listed}");
    let behind = schema(TENANTS);
    let base = format!("migrate baseline --from-schema {behind} --version 20240101000000");
    scene.run(&base).await.ended_with(0).says("db/migrate/20240101000000_baseline.sql");
    let sql = scene.folder.read("db/migrate/20240101000000_baseline.sql");
    assert!(!sql.contains(&behind) && !sql.contains("legacy"), "{sql}");
    scene.folder.write("db/migrate/20240201000000_archived.sql", LATEST);
    scene.run("migrate lint").await.ended_with(0);
}

/// Nothing is run where nothing is recorded; what each schema has is found out and recorded.
async fn recorded(scene: &Scene) {
    let plan = scene.run("migrate --all --dry-run").await.ended_with(1);
    plan.says("138 tables, no migration records: create a baseline?");
    let refused = scene.run("migrate --all --json").await.ended_with(1).json();
    assert_eq!((&refused["migrated"], &refused["failed"]), (&0.into(), &TENANTS.into()));
    let drift = scene.run("drift --reference c01").await.ended_with(1);
    drift.says("archived_at").says(&id(TENANTS)).says(&id(TENANTS - BEHIND + 1));
    let look = scene.run("migrate baseline --all --dry-run --json").await.ended_with(0).json();
    assert_eq!(look["marked"], TENANTS, "{look}");
    let marked = scene.run("migrate baseline --all").await.ended_with(0);
    marked
        .says("12 of 12 tenants marked as applied")
        .says("8 up to 20240201000000_archived.sql, the last")
        .says("4 up to 20240101000000_baseline.sql, 1 file behind");
}

/// The new service reads and writes with the rights of its role, and no more.
async fn served(scene: &Scene) {
    let query = "select slug as id, jsonb_build_object('plan', plan) as attributes from tenants";
    let manager = TenantManager::builder(scene.url("runtime"))
        .catalog(TableCatalog::query(query))
        .isolation(tenantry::Isolation::schema("customer_{id}"))
        .tenants_see_shared(true)
        .extension_schemas(["extensions"])
        .build()
        .unwrap();
    for number in 1..=TENANTS {
        let db = manager.tenant(&*id(number)).await.unwrap();
        let insert = "insert into items_001 (name) values ('from the new one')";
        sqlx::query(insert).execute(&db).await.unwrap();
        let found = "select name = 'FROM THE NEW ONE' and digest('x', 'sha1') is not null from items_001 \
                     where name like 'from the new%'";
        assert!(sqlx::query_scalar::<_, bool>(found).fetch_one(&db).await.unwrap());
        let archived = "select count(archived_at) from items_002";
        assert_eq!(sqlx::query_scalar::<_, i64>(archived).fetch_one(&db).await.unwrap(), 0);
        for ddl in ["create table mine (id int)", "alter table items_003 add column mine int"] {
            let refused = sqlx::query(ddl).execute(&db).await.unwrap_err();
            let code = refused.as_database_error().and_then(|error| error.code().map(String::from));
            assert_eq!(code.as_deref(), Some("42501"), "{ddl}: {refused}");
        }
    }
    manager.close().await;
}
