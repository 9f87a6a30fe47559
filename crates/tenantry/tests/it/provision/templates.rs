//! A tenant that is a copy of the template is what the files make, or the files are run.

use sqlx::PgConnection;
use tenantry::{
    Ident, TenantManager,
    provision::{CreateOptions, HowMade, Provisioner},
    schema::{compare, introspect},
    seed::Seed,
};

use crate::{
    migrate::Files,
    support::{World, observe, run},
};

struct Scene {
    world: World,
    admin: PgConnection,
    manager: TenantManager,
    files: Files,
}

impl Scene {
    async fn new(files: &[(&str, &str)]) -> Self {
        let world = World::new().await;
        let admin = world.admin().await;
        let manager = world.with_pool(|options| options.max_connections = 10);
        let all = Files::new(files);
        Self { world, admin, manager, files: all }
    }

    fn provisioner(&self) -> Provisioner {
        self.manager.provisioner().tenants(self.files.read())
    }

    /// Expects two tenants to hold the same, in rows, too.
    async fn expect_equal(&mut self, one: &str, other: &str, tables: &[&str]) {
        let [left, right] =
            [one, other].map(|id| Ident::parse(&format!("tenant_{id}")).expect("an identifier"));
        let left = introspect(&mut self.admin, &left, None).await.expect("it is there");
        let right = introspect(&mut self.admin, &right, None).await.expect("it is there");
        assert_eq!(compare(&left, &right), []);
        for table in tables {
            let rows = |id| {
                format!(
                    "select coalesce(string_agg(replace(t::text, 'tenant_{id}', ''), ' ' order by t::text), '') from tenant_{id}.{table} t"
                )
            };
            let left = observe(&mut self.admin, &rows(one)).await;
            assert_eq!(left, observe(&mut self.admin, &rows(other)).await, "{table}");
            assert_ne!(left, "Some(\"\")", "{table}");
        }
    }

    async fn templates(&mut self) -> String {
        let sql = "select count(*)::text from pg_namespace where obj_description(oid) like 'tenantry: template %'";
        observe(&mut self.admin, sql).await
    }
}

const HISTORY: [(&str, &str); 4] = [
    (
        "0001_all.sql",
        "create table users (id int generated always as identity primary key, name text unique, old int);
         create type mood as enum ('sad', 'happy');
         create table notes (id serial primary key, user_id int references users, mood mood, at regclass default 'users'::regclass);
         create function touch() returns trigger language plpgsql as 'begin new.name := lower(new.name); return new; end';
         insert into users (name) values ('root'), ('guest');
         insert into notes (user_id, mood) values (1, 'happy')",
    ),
    ("0002_less.sql", "alter table users drop column old; create index on notes (user_id)"),
    ("0003_more.sql", "create trigger touch before insert on users for each row execute function touch(); create view v as select * from users"),
    ("0004_seq.sql", "create sequence tickets start 7; select nextval('tickets'); create materialized view m as select count(*) as n from users"),
];

#[tokio::test]
async fn a_copy_is_what_the_files_make() {
    let mut scene = Scene::new(&HISTORY).await;
    let provisioner =
        scene.provisioner().seed(Seed::sql("plan", "insert into users (name) values ('SEED')"));
    provisioner.create("files", CreateOptions::default()).await.expect("it is created");
    for id in ["a", "b", "c"] {
        let created = provisioner
            .create(id, CreateOptions::default().from_template())
            .await
            .expect("it is created");
        assert_eq!(created.how, HowMade::Template, "{created}");
        assert!(created.remarks.is_empty(), "{created}");
        scene.expect_equal("files", id, &["users", "notes", "m"]).await;
        for (sql, expected) in [
            (
                "insert into tenant_{}.users (name) values ('New') returning id::text || name",
                "4new",
            ),
            ("insert into tenant_{}.notes (user_id) values (4) returning id::text", "2"),
            ("select nextval('tenant_{}.tickets')::text", "8"),
            ("select distinct at::text from tenant_{}.notes", "tenant_{}.users"),
            ("select count(*)::text from tenant_{}._sqlx_migrations where success", "4"),
        ] {
            let sql = sql.replace("{}", id);
            let expected = format!("Some({:?})", expected.replace("{}", id));
            assert_eq!(observe(&mut scene.admin, &sql).await, expected, "{sql}");
        }
        run(&mut scene.admin, &format!("delete from tenant_{id}.notes where id = 2")).await;
    }
    assert_eq!(scene.templates().await, "Some(\"1\")");
    // Nothing is left to migrate, and nothing has drifted.
    let report =
        scene.manager.migrator().tenants(scene.files.read()).migrate_all(Default::default()).await;
    assert_eq!(report.expect("it runs").failed, 0);
    // Another process uses the same one; spares are made of it.
    let other = scene.world.with_pool(|options| options.max_connections = 10);
    let theirs = other.provisioner().tenants(scene.files.read());
    let created =
        theirs.create("d", CreateOptions::default().from_template()).await.expect("it is created");
    assert_eq!(created.how, HowMade::Template, "{created}");
    assert_eq!(theirs.fill_spares(3).await.expect("they are made").ready, 3);
    assert_eq!(scene.templates().await, "Some(\"1\")");
    for id in ["e", "f", "g"] {
        let created = theirs
            .create(id, CreateOptions::default().from_template())
            .await
            .expect("it is created");
        assert_eq!(created.how, HowMade::Spare);
        scene.expect_equal("d", id, &["users", "notes"]).await;
    }
    // New files, a new template.
    scene.files.write("0005_new.sql", "alter table users add column born date");
    let newer = scene.provisioner();
    let created =
        newer.create("h", CreateOptions::default().from_template()).await.expect("it is created");
    assert_eq!(created.how, HowMade::Template, "{created}");
    assert_eq!(scene.templates().await, "Some(\"2\")");
    other.close().await;
    scene.manager.close().await;
}

#[tokio::test]
async fn what_is_new_each_time_is_not_copied() {
    for (sql, words) in [
        (
            "create table keys (id uuid primary key default gen_random_uuid()); insert into keys default values",
            "rows into keys",
        ),
        (
            "create table t (at timestamptz); insert into t values (clock_timestamp())",
            "rows into t",
        ),
        ("create table t (home text); insert into t values (current_schema())", "rows into t"),
        (
            "do $$ begin execute format('create table %I (a int)', 't' || (random() * 1000000000)::int); end $$",
            "the same objects twice",
        ),
        ("insert into public.registry select current_schema()", "public.registry"),
        ("update public.counter set n = n + 1", "public.counter"),
    ] {
        let mut scene = Scene::new(&[("0001_x.sql", sql)]).await;
        run(&mut scene.admin, "create table public.registry (name text); create table public.counter as select 0 as n").await;
        let set =
            scene.files.read().lint(tenantry::migrate::Lint::default().allow_schema("public"));
        let provisioner = scene.manager.provisioner().tenants(set);
        for id in ["a", "b"] {
            let created = provisioner.create(id, CreateOptions::default().from_template()).await;
            let created = created.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            assert_ne!(created.how, HowMade::Template, "{sql}");
            assert!(
                created.remarks.iter().any(|remark| remark.contains(words)),
                "{sql}: {created}"
            );
        }
        assert_eq!(scene.templates().await, "Some(\"0\")", "{sql}");
        let left = "select count(*)::text from pg_namespace where nspname like 'tenantry%'";
        assert_eq!(observe(&mut scene.admin, left).await, "Some(\"0\")", "{sql}");
        scene.manager.close().await;
    }
}

#[tokio::test]
async fn many_at_once_make_one_template() {
    let mut scene = Scene::new(&HISTORY).await;
    let provisioner = scene.provisioner();
    let creating = (0..8).map(|number| {
        let provisioner = provisioner.clone();
        async move {
            provisioner.create(format!("t{number}"), CreateOptions::default().from_template()).await
        }
    });
    let created = futures_util::future::join_all(creating).await;
    for created in created {
        created.expect("it is created");
    }
    assert_eq!(scene.templates().await, "Some(\"1\")");
    scene.expect_equal("t0", "t7", &["users"]).await;
    // A template that is gone is made anew.
    run(
        &mut scene.admin,
        "do $$ declare s text; begin for s in select nspname from pg_namespace where obj_description(oid) like 'tenantry: template %' \
         loop execute format('drop schema %I cascade', s); end loop; end $$",
    )
    .await;
    for id in ["x", "y"] {
        provisioner
            .create(id, CreateOptions::default().from_template())
            .await
            .expect("it is created");
    }
    scene.expect_equal("t0", "y", &["users"]).await;
    assert_eq!(scene.templates().await, "Some(\"1\")");
    scene.manager.close().await;
}
