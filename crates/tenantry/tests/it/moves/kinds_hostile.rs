//! Moves between kinds meet what others do meanwhile: open leases, triggers of the tables, tenants with the same key,
//! and sweeps that were interrupted.

use std::time::Duration;

use sqlx::PgConnection;
use tenantry::{
    CatalogColumns, ErrorKind, FixedCatalog, Isolation, IsolationKind, KeyType, Rows, TableCatalog,
    TenantDb, TenantManager, TenantRecord,
    moves::{Destination, MoveOptions, MoveStage, ObstacleKind},
    provision::CreateOptions,
};
use tenantry_devdb::DevServer;

use super::{
    built,
    kinds::{Scene, own_rows},
    latest, value,
};
use crate::{
    migrate::Files,
    support::{TestResult, connect, eventually, run, try_run},
};

fn to(kind: IsolationKind) -> Destination {
    Destination::isolation(kind)
}

/// What a process that has heard nothing writes in a connection that it holds is refused, also after a sweep.
#[tokio::test]
async fn a_lease_that_is_held_across_a_move_and_a_sweep_loses_no_write() -> TestResult {
    let scene = Scene::new(&[]).await;
    scene.create("acme", IsolationKind::Row).await;
    let stale = scene.stale();
    let mut held = stale.tenant("acme").await?.acquire().await?;
    run(&mut *held, "insert into users values (50, 'before')").await;
    scene.go("acme", to(IsolationKind::Schema)).await;
    for _ in 0..2 {
        let swept = scene.manager.mover().sweep().await?;
        let written = try_run(&mut *held, "insert into users values (51, 'late')").await;
        let error = written.expect_err("it would be lost");
        assert!(error.to_string().contains("has moved"), "{error}; {swept:?}");
        let removed = try_run(&mut *held, "delete from users where id = 50").await;
        assert!(removed.is_err(), "{swept:?}");
    }
    drop(held);
    stale.close().await;
    scene.sweep().await;
    let mut main = scene.at("main").await;
    let left = "select count(*) from app.users where tenant_id = 'acme'";
    assert_eq!(value(&mut main, left).await, "0");
    let seen = "select count(*) from users where id = 50";
    let db = scene.manager.tenant("acme").await?;
    assert_eq!(sqlx::query_scalar::<_, i64>(seen).fetch_one(&db).await?, 1);
    scene.others_are_untouched().await;
    scene.manager.close().await;
    Ok(())
}

/// Rows whose key is set by a trigger, whatever its name, are the tenant's, too.
#[tokio::test]
async fn rows_whose_key_a_trigger_sets_are_fenced() -> TestResult {
    let scene = Scene::new(&[]).await;
    let mut main = scene.at("main").await;
    for name in ["zz_key", "ü", "~~"] {
        run(
            &mut main,
            &format!(
                "create or replace function app.set_key() returns trigger language plpgsql as $$ begin \
                   new.tenant_id := coalesce(new.tenant_id, current_setting('tenantry.tenant')); return new; end $$; \
                 alter table app.users alter tenant_id drop default; \
                 create trigger \"{name}\" before insert on app.users for each row execute function app.set_key()"
            ),
        )
        .await;
        scene.create("acme", IsolationKind::Row).await;
        let stale = scene.stale();
        let mut held = stale.tenant("acme").await?.acquire().await?;
        run(&mut *held, "insert into users values (50, 'before')").await;
        scene.go("acme", to(IsolationKind::Schema)).await;
        let late = "insert into users (id, name) values (51, 'late') returning id";
        let written: Result<i32, _> = sqlx::query_scalar(late).fetch_one(&mut *held).await;
        drop(held);
        stale.close().await;
        let rows = "select count(*) from app.users where tenant_id = 'acme' and id = 51";
        assert_eq!(value(&mut main, rows).await, "0", "{name}");
        assert!(written.is_err(), "{name}");
        scene.sweep().await;
        scene.provisioner().drop_tenant("acme", "acme", Default::default()).await?;
        scene.sweep().await;
        run(&mut main, &format!("drop trigger \"{name}\" on app.users")).await;
    }
    scene.others_are_untouched().await;
    scene.manager.close().await;
    Ok(())
}

/// A tenant that was renamed keeps its key, and another one can have got its id, and so the same key.
#[tokio::test]
async fn a_tenant_does_not_get_into_shared_tables_with_the_key_of_another_one() -> TestResult {
    let scene = Scene::new(&[]).await;
    scene.create("hooli", IsolationKind::Schema).await;
    scene.provisioner().rename("hooli", "beta").await?;
    scene.free_all().await;
    // An application's own table may have no such index.
    run(&mut scene.at("main").await, "drop index tenants_coalesce_key_idx").await;
    let options = CreateOptions::default().isolation(IsolationKind::Row);
    scene.provisioner().create("hooli", options).await?;
    let moved =
        scene.manager.mover().move_tenant("beta", to(IsolationKind::Row), scene.options()).await;
    let hooli = scene.manager.tenant("hooli").await?;
    let seen: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&hooli).await?;
    assert_eq!(seen, 0, "{moved:?}");
    let error = moved.expect_err("it is refused");
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    scene.manager.close().await;
    Ok(())
}

/// A process dies after it has removed what was left, and before it has recorded that.
#[tokio::test]
async fn a_sweep_that_was_interrupted_continues() -> TestResult {
    use IsolationKind::{Database, Row, Schema};
    let scene = Scene::new(&[]).await;
    let mut main = scene.at("main").await;
    for (id, from, next) in [("a", Row, Schema), ("b", Schema, Database), ("c", Database, Row)] {
        scene.create(id, from).await;
        scene.go(id, to(next)).await;
    }
    scene.sweep().await;
    run(&mut main, "update tenantry_moves set swept_at = null").await;
    // The key is another tenant's now.
    scene.provisioner().drop_tenant("a", "a", Default::default()).await?;
    scene.free_all().await;
    scene.create("a", Row).await;
    let swept = scene.manager.mover().sweep().await?;
    assert_eq!(swept.len(), 3);
    assert!(swept.iter().all(|of| of.error.is_none()), "{swept:?}");
    assert_eq!(own_rows(&scene.manager, "a").await, "a two a b a");
    scene.others_are_untouched().await;
    scene.manager.close().await;
    Ok(())
}

/// Only the owner of a table can remove the triggers of the fence.
#[tokio::test]
async fn a_role_that_could_not_take_the_fence_down_does_not_put_it_up() -> TestResult {
    let scene = Scene::new(&[]).await;
    scene.create("acme", IsolationKind::Row).await;
    let mut main = scene.at("main").await;
    run(
        &mut main,
        "create role keeper login createrole; grant worker to keeper; \
         grant all on schema app, public to keeper; grant all on all tables in schema app, public to keeper; \
         grant all on all sequences in schema app to keeper; \
         do $$ begin execute format('grant all on database %I to keeper', current_database()); end $$; \
         alter role keeper bypassrls",
    )
    .await;
    run(&mut main, "alter table tenants owner to keeper").await;
    let url = with_user(&scene.main.url(), "keeper");
    let manager = super::kinds::builder(&url, &scene.eu.url()).catalog(TableCatalog::new());
    let manager = built(manager);
    let moved =
        manager.mover().move_tenant("acme", to(IsolationKind::Schema), scene.options()).await;
    let left = "select count(*) from pg_trigger where tgname like '%tenantry\\_fence%'";
    assert_eq!(value(&mut main, left).await, "0", "{moved:?}");
    let error = moved.expect_err("it is refused");
    let plan = manager.mover().plan("acme", to(IsolationKind::Schema), &scene.options()).await?;
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    assert!(plan.obstacles.iter().any(|of| of.kind == ObstacleKind::Privilege), "{plan}");
    manager.close().await;
    scene.manager.close().await;
    Ok(())
}

pub(super) fn with_user(url: &str, user: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{user}@{host}")
}

/// All rows of the [tables](rich_tables) that a tenant sees.
const SEEN: &str = "select (select string_agg(t::text, ';' order by id) from \"My Users\" t) \
                    || (select string_agg(t::text, ';' order by id) from parts t) \
                    || (select string_agg(t::text, ';' order by id) from teams t) \
                    || (select string_agg(t::text, ';' order by id) from leads t)";

/// Tables with columns of many types, whose key has this type.
fn rich_tables(key_type: KeyType) -> String {
    let sql_type = key_type.as_str();
    let key = format!("nullif(current_setting('my.key', true), '')::{sql_type}");
    let keyed = |name: &str, columns: &str, more: &str| {
        format!(
            "create table {name} (\"Org Id\" {sql_type} not null default {key}, {columns}) {more}; \
             alter table {name} enable row level security; alter table {name} force row level security; \
             create policy tenantry_all on {name} as permissive for all using (true) with check (true); \
             create policy tenantry_tenant on {name} as restrictive for all \
               using (\"Org Id\" = (select {key})) with check (\"Org Id\" = {key}); \
             grant select, insert, update, delete on {name} to worker;\n"
        )
    };
    keyed(
        "\"My Users\"",
        "id int generated always as identity, boss int, f float8, r float4, b bytea, j json, jb jsonb, a text[], \
         aa int[][], rng int4range, mr nummultirange, ts timestamptz, d date, iv interval, n numeric, u uuid, \
         o bool, ip inet, mo money, x bit varying, doubled int generated always as (boss * 2) stored, \
         \"weird \"\"col\" text, primary key (\"Org Id\", id)",
        "",
    ) + "alter table \"My Users\" add foreign key (\"Org Id\", boss) references \"My Users\" (\"Org Id\", id);\n"
        + &keyed(
            "parts",
            "id int, team int, at date not null, primary key (\"Org Id\", id, at)",
            "partition by range (at)",
        )
        + "create table parts_1 partition of parts for values from ('2020-01-01') to ('2021-01-01');\n\
           create table parts_2 partition of parts default;\n"
        + &keyed("teams", "id int, lead int, primary key (\"Org Id\", id)", "")
        + &keyed("leads", "id int, team int not null, primary key (\"Org Id\", id)", "")
        + "alter table teams add foreign key (\"Org Id\", lead) references leads (\"Org Id\", id) deferrable;\n\
           alter table leads add foreign key (\"Org Id\", team) references teams (\"Org Id\", id) deferrable;\n"
}

async fn fill_richly(db: &TenantDb) {
    run(
        db,
        "insert into \"My Users\" (boss, f, r, b, j, jb, a, aa, rng, mr, ts, d, iv, n, u, o, ip, mo, x, \"weird \"\"col\") \
         values (null, 'NaN', 0.1, '\\x00ff5c', '{\"a\" :  1}', '{\"a\": 1.10}', array['a,b', null, '\"', ''], \
           '{{1,2},{3,4}}', 'empty', '{[1,2),[3,)}', 'infinity', '0044-03-15 bc', '1 mon -3 days 04:05:06.7', \
           'NaN', gen_random_uuid(), true, '::1/64', -12.34, '1011', E'\\\\N\\ttab\\nnew\\\\.'), \
         (null, 1e-300, 3.4e38, '', 'null', 'null', '{}', null, '[1,5)', '{}', '-infinity', '-infinity', null, \
           123456789012345678901234567890.123456789, null, false, null, null, '', '\\N')",
    )
    .await;
    run(db, "update \"My Users\" set boss = (select min(id) from \"My Users\")").await;
    run(db, "insert into parts (id, team, at) values (1, 1, '2020-05-05'), (2, 2, '2030-01-01')")
        .await;
    run(
        db,
        "insert into teams (id, lead) values (1, null), (2, null); \
         insert into leads (id, team) values (1, 1), (2, 2); update teams set lead = 3 - id",
    )
    .await;
}

/// As if an hour had passed since names and keys were given up.
async fn let_an_hour_pass(admin: &mut PgConnection) {
    run(
        &mut *admin,
        "update app._tenantry_retired_keys set retired_at = retired_at - interval '1 hour'",
    )
    .await;
    run(
        admin,
        "do $$ begin if to_regclass('tenantry_retired') is not null then \
         update tenantry_retired set retired_at = retired_at - interval '1 hour'; end if; end $$",
    )
    .await;
}

/// Values of many types, identities, generated columns, partitions and circles of foreign keys arrive as they were, with
/// a key of another type, column and setting.
#[tokio::test]
async fn rows_of_many_types_arrive_as_they_were() -> TestResult {
    for (key_type, keys) in [
        (KeyType::Text, ["it's \"a\" \\ $$ $body$ {id} %s", "other"]),
        (KeyType::BigInt, ["-9223372036854775808", "42"]),
        (
            KeyType::Uuid,
            ["0b5f2f3a-6d0e-4a57-9f3c-0123456789ab", "0b5f2f3a-6d0e-4a57-9f3c-0123456789ac"],
        ),
    ] {
        let server = DevServer::start().await?;
        let files = Files::new(&[("0001_tables.sql", rich_tables(key_type))]);
        let rows = || {
            let rows = Rows::new().schema("app").expect("an identifier").key(key_type);
            let rows =
                rows.column("Org Id").expect("an identifier").setting("my.key").expect("a setting");
            Isolation::rows(rows.role("worker").expect("an identifier"))
        };
        let mut admin = connect(&server.url()).await;
        run(
            &mut admin,
            "create role worker; create schema app; grant usage on schema app to worker",
        )
        .await;
        let no_tenants: FixedCatalog = std::iter::empty::<TenantRecord>().collect();
        let own = built(TenantManager::builder(server.url()).isolation(rows()).catalog(no_tenants));
        let migrated = own.migrator().tenants(files.read()).migrate_all(Default::default()).await?;
        assert!(migrated.is_success(), "{migrated}");
        own.close().await;
        let builder = || {
            TenantManager::builder(server.url())
                .isolation(Isolation::schema("tenant_{id}"))
                .or_isolation(rows())
                .or_isolation(Isolation::database("db_{id}"))
                .max_connections(8)
        };
        let manager = built(builder().catalog(TableCatalog::new()));
        TableCatalog::new().create_table(manager.shared()).await?;
        let columns = CatalogColumns::new().container("container").server("server").epoch("epoch");
        let columns = columns.isolation("isolation").database("database").key("key");
        let columns = columns.state("state").created_at("created_at");
        let stale = built(builder().catalog(TableCatalog::new().columns(columns)));
        for (id, key) in ["Acme-1_x", "other"].into_iter().zip(keys) {
            let options = CreateOptions::default().isolation(IsolationKind::Row).key(key);
            manager.provisioner().tenants(files.read()).create(id, options).await?;
            let db = manager.tenant(id).await?;
            fill_richly(&db).await;
        }
        let before: String =
            sqlx::query_scalar(SEEN).fetch_one(&manager.tenant("Acme-1_x").await?).await?;
        let other: String =
            sqlx::query_scalar(SEEN).fetch_one(&manager.tenant("other").await?).await?;
        let mut held = stale.tenant("Acme-1_x").await?.acquire().await?;
        for kind in
            [IsolationKind::Schema, IsolationKind::Row, IsolationKind::Database, IsolationKind::Row]
        {
            let options = super::options().keep(Duration::ZERO).tenants(files.read());
            let moved = manager.mover().move_tenant("Acme-1_x", to(kind), options).await;
            moved.unwrap_or_else(|error| panic!("{key_type:?} {kind}: {error:?}"));
            for of in [&manager, &stale] {
                let db = of.tenant("Acme-1_x").await?;
                let after: String = sqlx::query_scalar(SEEN).fetch_one(&db).await?;
                if db.tenant().placement().isolation() == kind {
                    assert_eq!(after, before, "{key_type:?} {kind}");
                }
                let after: String =
                    sqlx::query_scalar(SEEN).fetch_one(&of.tenant("other").await?).await?;
                assert_eq!(after, other, "{key_type:?} {kind}");
            }
            // A write of a connection that has heard nothing is refused.
            let late = try_run(&mut *held, "update \"My Users\" set o = o").await;
            assert!(late.is_err(), "{key_type:?} {kind}");
            drop(held);
            let_an_hour_pass(&mut admin).await;
            // The connection that was held is returned in the background.
            eventually("all is swept", async || {
                let swept = manager.mover().sweep().await.expect("they can be listed");
                swept.iter().all(|of| of.error.is_none())
            })
            .await;
            let_an_hour_pass(&mut admin).await;
            held = manager.tenant("Acme-1_x").await?.acquire().await?;
        }
        drop(held);
        stale.close().await;
        manager.close().await;
    }
    Ok(())
}

/// Moves to and fro without a sweep are refused or done, and nothing is mixed up.
#[tokio::test]
async fn a_tenant_that_moves_to_and_fro_without_a_sweep_keeps_its_rows() -> TestResult {
    use IsolationKind::{Database, Row, Schema};
    let scene = Scene::new(&[]).await;
    scene.create("acme", Schema).await;
    let (mut moved, mut refused) = (0, 0);
    for (nth, kind) in [Row, Schema, Row, Database, Schema, Row, Database].into_iter().enumerate() {
        for server in ["main", "eu-1"] {
            let to = Destination::server(server).isolated_by(kind);
            match scene.manager.mover().move_tenant("acme", to, scene.options()).await {
                Ok(_) => moved += 1,
                Err(error) => {
                    assert_ne!(error.kind(), ErrorKind::Database, "{error:?}");
                    refused += 1;
                }
            }
            if latest(&scene.manager).await.stage != MoveStage::Done {
                panic!("{:?}", latest(&scene.manager).await);
            }
            assert_eq!(
                own_rows(&scene.manager, "acme").await,
                "acme two a b acme",
                "{nth} {kind} {server}"
            );
            if nth == 3 {
                scene.sweep().await;
                assert_eq!(
                    own_rows(&scene.manager, "acme").await,
                    "acme two a b acme",
                    "{nth} {kind} {server}"
                );
            }
        }
    }
    assert!(moved > 3 && refused > 0, "{moved} {refused}");
    scene.sweep().await;
    assert_eq!(own_rows(&scene.manager, "acme").await, "acme two a b acme");
    scene.others_are_untouched().await;
    scene.manager.close().await;
    Ok(())
}

/// Runs a statement in the middle of a move, when this stage begins.
fn meanwhile(
    options: MoveOptions,
    stage: MoveStage,
    url: String,
    sql: &'static str,
) -> MoveOptions {
    options.on_progress(move |progress| {
        if progress.stage != stage || progress.is_worked_off || progress.copy.is_some() {
            return;
        }
        run_now(&url, sql);
    })
}

/// Runs a statement in a callback.
fn run_now(url: &str, sql: &'static str) {
    let url = url.to_owned();
    let written = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be built").block_on(async {
            run(&mut connect(&url).await, sql).await;
        });
    });
    written.join().expect("it is written");
}

/// What the tenant writes after the examination would not get into the tables of all tenants.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_after_the_examination_is_not_left_behind() -> TestResult {
    let scene = Scene::new(&[]).await;
    for (id, sql, words) in [
        ("acme", "insert into tenant_acme.files values ('late')", "table files has rows"),
        (
            "beta",
            "insert into tenant_beta.users values (7, 'x', 'globex')",
            "table users has rows with another tenant_id",
        ),
    ] {
        scene.create(id, IsolationKind::Schema).await;
        let options = meanwhile(scene.options(), MoveStage::Prepared, scene.main.url(), sql);
        let moved = scene.manager.mover().move_tenant(id, to(IsolationKind::Row), options).await;
        let error = moved.expect_err("it would be lost");
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        assert!(cause.as_ref().is_some_and(|cause| cause.contains(words)), "{cause:?}");
        let db = scene.manager.tenant(id).await?;
        let seen =
            "select (select count(*) from files) + (select count(*) from users where id = 7)";
        assert_eq!(sqlx::query_scalar::<_, i64>(seen).fetch_one(&db).await?, 1, "{id}");
    }
    scene.others_are_untouched().await;
    scene.manager.close().await;
    Ok(())
}

/// Numbers that the application draws itself are drawn once.
#[tokio::test]
async fn sequences_that_belong_to_no_column_continue() -> TestResult {
    use IsolationKind::{Database, Row, Schema};
    let scene = Scene::new(&[]).await;
    scene.files.write(
        "0002_numbers.sql",
        "create sequence invoices; grant usage on sequence invoices to worker; \
         create sequence down increment by -1; grant usage on sequence down to worker;",
    );
    let migrator = scene.manager.migrator().tenants(scene.files.read());
    assert!(migrator.migrate_all(Default::default()).await?.is_success());
    scene.create("acme", Row).await;
    let mut last = 0_i64;
    for kind in [Schema, Row, Database, Schema, Row] {
        let db = scene.manager.tenant("acme").await?;
        for _ in 0..5 {
            let next: i64 = sqlx::query_scalar("select nextval('invoices')").fetch_one(&db).await?;
            assert!(next > last, "{kind}: {next} after {last}");
            last = next;
        }
        scene.go("acme", to(kind)).await;
        scene.sweep().await;
    }
    scene.manager.close().await;
    Ok(())
}

/// A sequence that was set and not drawn from since continues at that number.
#[tokio::test]
async fn sequences_that_were_restarted_continue_there() -> TestResult {
    use IsolationKind::{Database, Row, Schema};
    let scene = Scene::new(&[]).await;
    scene.files.write(
        "0002_numbers.sql",
        "create sequence invoices; create sequence jumped; create sequence down increment by -1; \
         grant usage on sequence invoices, jumped, down to worker;",
    );
    let migrator = scene.manager.migrator().tenants(scene.files.read());
    assert!(migrator.migrate_all(Default::default()).await?.is_success());
    let mut main = scene.at("main").await;
    for (id, kind) in [("acme", Database), ("hooli", Row)] {
        scene.create(id, Schema).await;
        run(
            &mut main,
            &format!(
                "alter sequence tenant_{id}.invoices restart with 500; \
                 select setval('tenant_{id}.jumped', 20000, false); \
                 alter sequence tenant_{id}.down restart with -50; \
                 alter sequence tenant_{id}.notes_id_seq restart with 700"
            ),
        )
        .await;
        scene.go(id, to(kind)).await;
        let db = scene.manager.tenant(id).await?;
        for (sequence, expected) in [("invoices", 500), ("jumped", 20000), ("down", -50)] {
            let next = sqlx::query_scalar::<_, i64>("select nextval($1::text::regclass)");
            let next = next.bind(sequence).fetch_one(&db).await?;
            assert_eq!(next, expected, "{id}: {sequence}");
        }
        let note = "insert into notes (user_id, text) values (1, 'new') returning id";
        let note: i32 = sqlx::query_scalar(note).fetch_one(&db).await?;
        assert_eq!(note, 700, "{id}");
    }
    scene.manager.close().await;
    Ok(())
}

/// The database that a tenant has left can be used by others before it is dropped.
#[tokio::test]
async fn what_others_have_put_into_a_former_database_is_not_dropped() -> TestResult {
    let scene = Scene::new(&[]).await;
    scene.create("acme", IsolationKind::Database).await;
    scene.go("acme", to(IsolationKind::Schema)).await;
    let (server, _) = scene
        .main
        .url()
        .rsplit_once('/')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("a URL");
    let mut old = connect(&format!("{server}/db_acme")).await;
    run(&mut old, "create schema theirs; create table theirs.rows (id int); insert into theirs.rows values (1)").await;
    let swept = scene.manager.mover().sweep().await?;
    assert_eq!(value(&mut old, "select count(*) from theirs.rows").await, "1", "{swept:?}");
    assert!(swept[0].error.as_ref().is_some_and(|error| error.contains("theirs")), "{swept:?}");
    run(&mut old, "drop schema theirs cascade").await;
    drop(old);
    scene.sweep().await;
    scene.manager.close().await;
    Ok(())
}

/// A tenant is dropped, and created again at the target, before a move that was undone is tidied up: its rows stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_move_that_is_tidied_up_late_leaves_the_rows_of_a_later_tenant() -> TestResult {
    let scene = Scene::new(&[]).await;
    scene.create("acme", IsolationKind::Row).await;
    let (tell, mut halted) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (wait, url) = (std::sync::Mutex::new(wait), scene.main.url());
    let options = scene.options().on_progress(move |progress| {
        match (progress.stage, progress.is_worked_off) {
            // The catalog refuses the switch, and lets the move be undone.
            (MoveStage::Fenced, true) => run_now(&url, "update tenants set epoch = epoch + 5"),
            (MoveStage::Undoing, false) => run_now(&url, "update tenants set epoch = epoch - 5"),
            (MoveStage::Reopened, false) => {
                tell.send(()).ok();
                tokio::task::block_in_place(|| {
                    wait.lock().expect("it is not poisoned").recv().ok()
                });
            }
            _ => {}
        }
    });
    let mover = scene.manager.mover();
    let there = Destination::server("eu-1").isolated_by(IsolationKind::Row);
    let moving = tokio::spawn(async move { mover.move_tenant("acme", there, options).await });
    halted.recv().await.expect("it is undone");
    scene.provisioner().drop_tenant("acme", "acme", Default::default()).await?;
    let copy = "delete from app.notes where tenant_id = 'acme'; delete from app.users where tenant_id = 'acme'";
    run(&mut scene.at("eu-1").await, copy).await;
    scene.free_all().await;
    let options = CreateOptions::default().isolation(IsolationKind::Row).server("eu-1");
    scene.provisioner().create("acme", options).await?;
    scene.fill("acme").await;
    drop(go_on);
    let error = moving.await?.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Move, "{error:?}");
    assert_eq!(latest(&scene.manager).await.stage, MoveStage::Undone);
    assert_eq!(own_rows(&scene.manager, "acme").await, "acme two a b acme");
    scene.others_are_untouched().await;
    scene.manager.close().await;
    Ok(())
}
