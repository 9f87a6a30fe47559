//! What others do to the tables, and to the log, while changes are logged.

use std::{error::Error as _, time::Duration};

use sqlx::PgConnection;
use tenantry::{
    ErrorKind, IsolationKind,
    moves::{Destination, MoveMethod, MoveOptions, MoveStage, ObstacleKind, Obstacles},
};
use tokio::{runtime::Handle, time::sleep};

use super::super::{
    kinds::{Scene, own_rows},
    latest,
    load::Writers,
    value,
};
use crate::support::{TestResult, connect, eventually_within, run};

fn to(kind: IsolationKind) -> Destination {
    Destination::isolation(kind)
}

fn options(scene: &Scene) -> MoveOptions {
    scene.options().method(MoveMethod::ChangeLog)
}

/// Runs statements on the main server when a stage begins or ends, while the mover waits.
fn meanwhile(
    options: MoveOptions,
    scene: &Scene,
    at: (MoveStage, bool),
    sql: &'static str,
) -> MoveOptions {
    let url = scene.main.url();
    options.on_progress(move |progress| {
        if (progress.stage, progress.is_worked_off) == at {
            tokio::task::block_in_place(|| {
                Handle::current().block_on(async { run(&mut connect(&url).await, sql).await });
            });
        }
    })
}

/// Nothing is left of a log.
async fn no_log_is_left(main: &mut PgConnection) {
    let left = "select (select count(*) from pg_namespace where nspname like '%\\_log') \
                + (select count(*) from pg_trigger where tgname like 'tenantry\\_moved\\_%')";
    assert_eq!(value(main, left).await, "0");
}

/// The move is undone, and the tenant is served where it was. Returns why.
async fn is_undone(scene: &Scene, kind: IsolationKind, options: MoveOptions) -> String {
    let error = scene
        .manager
        .mover()
        .move_tenant("acme", to(kind), options)
        .await
        .expect_err("it is undone or refused");
    assert_eq!(error.kind(), ErrorKind::Move, "{error:?}");
    assert_eq!(latest(&scene.manager).await.stage, MoveStage::Undone, "{error:?}");
    assert_eq!(own_rows(&scene.manager, "acme").await, "acme two a b acme");
    no_log_is_left(&mut scene.at("main").await).await;
    error.source().expect("it has a cause").to_string()
}

/// What the log does not have is noticed, and the move undone.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn changes_beside_the_log_are_noticed() -> TestResult {
    let scene = Scene::with(
        "create table more (id int, t text default '', v text, tenant_id text not null, primary key (tenant_id, id));\n\
         create table parts (id int, tenant_id text not null, primary key (tenant_id, id)) partition by range (id);\n\
         create table part_1 partition of parts for values from (0) to (100);\n\
         create table part_2 partition of parts for values from (100) to (200);\n",
    )
    .await;
    scene.create("acme", IsolationKind::Row).await;
    let row = "insert into app.more values (9, '', 'y', 'acme')";
    run(&mut scene.at("main").await, row).await;
    let copied = (MoveStage::Copying, true);
    let planted = "do $$ begin execute format('insert into tenant_acme.users values (%L, %L, %L)', 77, 'x', 'acme'); end $$";
    for (sql, words) in [
        ("truncate app.more", "table more was truncated"),
        ("truncate app.part_1", "table part_1 was truncated"),
        (
            "alter table app.parts detach partition app.part_2",
            "table part_2 was detached or dropped",
        ),
        (
            "create table app.later (tenant_id text not null, id int, primary key (tenant_id, id))",
            "table later was created",
        ),
        ("alter table app.more disable trigger user", "triggers were disabled"),
        ("alter table app.part_1 disable trigger all", "its triggers were disabled"),
        (
            "alter table app.parts detach partition app.part_1; insert into app.part_1 values (5, 'acme'); \
             alter table app.parts attach partition app.part_1 for values from (0) to (100)",
            "table part_1 was detached for a while",
        ),
        (
            "alter table app.more drop constraint more_pkey, add constraint more_pkey primary key (tenant_id, id, t)",
            "table more got another primary key",
        ),
        (
            "alter table app.more disable trigger user; insert into app.more (id, tenant_id) values (1, 'acme'); \
             alter table app.more enable trigger user",
            "triggers were disabled",
        ),
        (
            "create table public.child () inherits (app.more)",
            "table child, which inherits from others",
        ),
        (
            "update tenant_acme.more set v = 'planted' where id = 9",
            "the copy differs from its source: the table more",
        ),
        (planted, "the copy differs from its source: the table users has 3 rows of 2"),
    ] {
        let options = meanwhile(options(&scene), &scene, copied, sql);
        let why = is_undone(&scene, IsolationKind::Schema, options).await;
        assert!(why.contains(words), "{sql}: {why}");
        let clear = "drop table if exists app.later, public.child; delete from app.more; \
                     do $$ begin alter table app.parts attach partition app.part_2 for values from (100) to (200); \
                     exception when others then null; end $$; alter table app.part_1 enable trigger all; delete from app.parts; \
                     alter table app.more drop constraint more_pkey, add constraint more_pkey primary key (tenant_id, id)";
        let mut main = scene.at("main").await;
        run(&mut main, clear).await;
        run(&mut main, row).await;
    }
    // A partition that comes with rows is logged, as one is that is created.
    let sql = "create table app.part_3 partition of app.parts for values from (200) to (300); \
               insert into app.parts values (250, 'acme'); \
               create table app.part_4 (like app.parts); insert into app.part_4 values (350, 'acme'), (350, 'globex'); \
               alter table app.part_4 alter tenant_id set not null; \
               alter table app.parts attach partition app.part_4 for values from (300) to (400)";
    run(&mut scene.at("main").await, "create table app.part_0 partition of app.parts default")
        .await;
    scene.files.write("0002_default.sql", "create table part_0 partition of parts default;");
    let partitions = meanwhile(options(&scene), &scene, copied, sql);
    scene.manager.mover().move_tenant("acme", to(IsolationKind::Schema), partitions).await?;
    let mut main = scene.at("main").await;
    let arrived = "select string_agg(id::text, ' ' order by id) from tenant_acme.parts";
    assert_eq!(value(&mut main, arrived).await, "250 350");
    scene.sweep().await;
    scene.manager.mover().move_tenant("acme", to(IsolationKind::Row), options(&scene)).await?;
    scene.sweep().await;
    // A superuser's session in which ordinary triggers do not fire is heard of, too.
    let sql = "set session_replication_role = replica; update app.users set name = 'late' where tenant_id = 'acme' and id = 2";
    let options = meanwhile(options(&scene), &scene, (MoveStage::CatchingUp, true), sql);
    scene.manager.mover().move_tenant("acme", to(IsolationKind::Schema), options).await?;
    assert_eq!(own_rows(&scene.manager, "acme").await, "acme late a b acme");
    scene.others_are_untouched().await;
    scene.manager.close().await;
    Ok(())
}

/// A tenant with tables of its own that writes rows which would be lost stays where it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn rows_that_would_be_lost_are_noticed_until_the_end() -> TestResult {
    let scene = Scene::new(&[]).await;
    scene.create("acme", IsolationKind::Schema).await;
    for (sql, words) in [
        ("insert into tenant_acme.files values ('a')", "table files has rows"),
        (
            "insert into tenant_acme.users values (1070, 'x', 'other')",
            "table users has rows with another tenant_id",
        ),
    ] {
        let options = meanwhile(options(&scene), &scene, (MoveStage::CatchingUp, true), sql);
        let why = is_undone(&scene, IsolationKind::Row, options).await;
        assert!(why.contains(words), "{sql}: {why}");
        let clear = "delete from tenant_acme.files; delete from tenant_acme.users where tenant_id = 'other'";
        run(&mut scene.at("main").await, clear).await;
        let left = "select count(*) from app.users where tenant_id = 'acme'";
        assert_eq!(value(&mut scene.at("main").await, left).await, "0");
    }
    scene.manager.mover().move_tenant("acme", to(IsolationKind::Row), options(&scene)).await?;
    assert_eq!(own_rows(&scene.manager, "acme").await, "acme two a b acme");
    scene.manager.close().await;
    Ok(())
}

/// Other roles neither read nor write the log, and no code of a tenant runs with the rights of its owner.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_log_is_for_the_mover_alone() -> TestResult {
    let scene = Scene::with(
        "create table who (name text); grant insert, select on who to worker;\n\
         create function note_who() returns boolean language plpgsql as $$ begin \
           insert into who values (current_user); return true; end $$;\n\
         create domain noted as int check (note_who());\n\
         create table keyed (tenant_id text not null default current_setting('tenantry.tenant'), id noted, \
           primary key (tenant_id, id)); grant insert on keyed to worker;\n",
    )
    .await;
    scene.create("acme", IsolationKind::Row).await;
    let sql = "set search_path to app; truncate who; set role worker; set tenantry.tenant = 'acme'; \
               insert into keyed (id) values (1); reset role; \
               do $$ declare l text; begin \
                 select nspname into l from pg_namespace where nspname like '%\\_log'; \
                 set local role worker; \
                 begin execute format('select from %I.others', l); raise 'it can be read'; \
                 exception when insufficient_privilege then null; end; \
                 begin \
                   create temporary table own (id int); \
                   execute format('create trigger t after truncate on own for each statement execute function %I.others()', l); \
                   raise 'its function can be used'; \
                 exception when insufficient_privilege then null; end; end $$";
    let options = meanwhile(options(&scene), &scene, (MoveStage::Copying, true), sql);
    let moved = scene.manager.mover().move_tenant("acme", to(IsolationKind::Schema), options).await;
    moved.map_err(|error| format!("{error:?}"))?;
    let mut main = scene.at("main").await;
    let who = "select string_agg(distinct name, ' ') from app.who";
    assert_eq!(value(&mut main, who).await, "worker");
    no_log_is_left(&mut main).await;
    scene.manager.close().await;
    Ok(())
}

/// A mover that goes on after another one has taken over touches neither the log nor the target.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_mover_that_was_overtaken_does_nothing_more() -> TestResult {
    let scene = Scene::new(&[]).await;
    for (nth, at) in
        [MoveStage::Prepared, MoveStage::Copying, MoveStage::CatchingUp].into_iter().enumerate()
    {
        let tenant = format!("t{nth}");
        scene.create(&tenant, IsolationKind::Row).await;
        let overtaken = "update tenantry_movers set attempt = attempt + 1";
        let options = meanwhile(options(&scene), &scene, (at, false), overtaken);
        let moved =
            scene.manager.mover().move_tenant(&*tenant, to(IsolationKind::Schema), options).await;
        let error = moved.expect_err("it was overtaken");
        assert_eq!(error.kind(), ErrorKind::Busy, "{at}: {error:?}");
        let found = latest(&scene.manager).await;
        assert!(!found.stage.is_over(), "{at}: {found:?}");
        let mut main = scene.at("main").await;
        if at == MoveStage::Prepared {
            no_log_is_left(&mut main).await;
        }
        eventually_within(Duration::from_secs(20), "another mover completes it", async || {
            drop(scene.manager.mover().take_over().await);
            latest(&scene.manager).await.stage == MoveStage::Done
        })
        .await;
        assert_eq!(own_rows(&scene.manager, &tenant).await, format!("{tenant} two a b {tenant}"));
        no_log_is_left(&mut main).await;
    }
    scene.others_are_untouched().await;
    scene.manager.close().await;
    Ok(())
}

/// A transaction of another tenant that has written before the log began is waited for, and so is one behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_transaction_that_was_open_when_the_log_began_is_waited_for() -> TestResult {
    let scene = Scene::new(&[]).await;
    scene.create("acme", IsolationKind::Row).await;
    let mut tx = scene.manager.tenant("acme").await?.begin().await?;
    run(&mut *tx, "update users set name = 'late' where id = 2").await;
    let later = tokio::spawn(async move {
        sleep(Duration::from_secs(2)).await;
        run(&mut *tx, "insert into users values (3, 'three')").await;
        tx.commit().await
    });
    scene.manager.mover().move_tenant("acme", to(IsolationKind::Schema), options(&scene)).await?;
    later.await??;
    assert_eq!(own_rows(&scene.manager, "acme").await, "acme late three a b acme");
    scene.others_are_untouched().await;
    scene.manager.close().await;
    Ok(())
}

/// Autovacuum gives way to the log and to the fence, which wait for it without keeping others waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn autovacuum_at_work_in_shared_tables_gives_way() -> TestResult {
    let scene = Scene::new(&[("autovacuum_naptime", "1")]).await;
    let at_work = "select count(*) > 0 from pg_stat_activity where query like 'autovacuum: VACUUM%app.users%'";
    for method in [MoveMethod::ChangeLog, MoveMethod::UnderFence] {
        let tenant = format!("t-{}", method.as_str().replace('_', "-"));
        scene.create(&tenant, IsolationKind::Row).await;
        let mut main = scene.at("main").await;
        run(
            &mut main,
            "alter table app.users set (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, \
               autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0); \
             insert into app.users select n, repeat('x', 200), 'globex' from generate_series(1000, 20000) n; \
             delete from app.users where tenant_id = 'globex' and id >= 1000",
        )
        .await;
        eventually_within(Duration::from_secs(30), "autovacuum is at work", async || {
            value(&mut main, at_work).await == "t"
        })
        .await;
        let options = scene.options().method(method).fence_tries(1);
        scene.manager.mover().move_tenant(&*tenant, to(IsolationKind::Schema), options).await?;
        assert_eq!(own_rows(&scene.manager, &tenant).await, format!("{tenant} two a b {tenant}"));
        run(&mut main, "alter table app.users set (autovacuum_enabled = off)").await;
        run(&mut main, "alter table app.users reset (autovacuum_enabled)").await;
    }
    scene.manager.close().await;
    Ok(())
}

/// A tenant that writes as fast as it can is slowed down, and moves.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_flood_is_slowed_down_until_the_tenant_has_moved() -> TestResult {
    let scene = Scene::new(&[]).await;
    scene.create("acme", IsolationKind::Row).await;
    let db = scene.manager.tenant("acme").await?;
    let flood: Vec<_> = (0..3)
        .map(|nth| {
            let db = db.clone();
            tokio::spawn(async move {
                for round in 0_i32..1_000_000 {
                    let first = 100_000 * (nth + 1) + 100 * (round % 50);
                    let write = "insert into users select n, 'x' from generate_series($1::int, $1 + 99) n \
                                 on conflict (tenant_id, id) do update set name = 'y'";
                    sqlx::query(write).bind(first).execute(&db).await.expect("none is refused");
                }
            })
        })
        .collect();
    let others = Writers::start(std::slice::from_ref(&scene.manager), "globex", 1, false);
    sleep(Duration::from_millis(300)).await;
    let report = scene
        .manager
        .mover()
        .move_tenant("acme", to(IsolationKind::Schema), options(&scene))
        .await?;
    assert_eq!(report.method, MoveMethod::ChangeLog, "{report}");
    assert!(flood.iter().all(|task| !task.is_finished()), "a write was refused");
    flood.iter().for_each(tokio::task::JoinHandle::abort);
    assert!(others.stop().await.acknowledged > 0, "others go on");
    scene.manager.close().await;
    Ok(())
}

/// Returns the obstacles of a move.
async fn obstacles(
    scene: &Scene,
    kind: IsolationKind,
    options: MoveOptions,
) -> Vec<(ObstacleKind, String)> {
    let error = scene
        .manager
        .mover()
        .move_tenant("acme", to(kind), options)
        .await
        .expect_err("it is undone or refused");
    let obstacles = error.source().and_then(|source| source.downcast_ref::<Obstacles>());
    let obstacles = obstacles.unwrap_or_else(|| panic!("{error:?}")).all();
    obstacles.iter().map(|of| (of.kind, of.what.clone())).collect()
}

/// What keeps changes from being logged is said before anything is done; without the wish, rows are copied as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn it_is_said_why_changes_cannot_be_logged() -> TestResult {
    let scene = Scene::with(
        "create table more (tenant_id text not null, id int, primary key (tenant_id, id));\n\
         create function touch() returns trigger language plpgsql as $$ begin return new; end $$;\n",
    )
    .await;
    scene.create("acme", IsolationKind::Row).await;
    let mut main = scene.at("main").await;
    for (obstruct, clear, words) in [
        (
            "create table app.odd (tenant_id text not null, id int)",
            "drop table app.odd",
            "tables have no primary key, or one with a generated column or an operator of its own: odd",
        ),
        (
            "create table app.odd (tenant_id text not null, id int, twice int generated always as (id * 2) stored, \
               primary key (tenant_id, twice))",
            "drop table app.odd",
            "or an operator of its own: odd",
        ),
        (
            "create schema beside; create table beside.child () inherits (app.more)",
            "drop schema beside cascade",
            "these tables inherit from tables with rows, and lack the column of the tenants' key or are in another \
             schema: child",
        ),
    ] {
        run(&mut main, obstruct).await;
        let found = obstacles(&scene, IsolationKind::Schema, options(&scene)).await;
        assert!(
            found
                .iter()
                .any(|(kind, what)| *kind == ObstacleKind::ChangeLog && what.contains(words)),
            "{obstruct}: {found:?}"
        );
        run(&mut main, clear).await;
    }
    // Into shared tables: triggers there would fire again.
    scene.manager.mover().move_tenant("acme", to(IsolationKind::Schema), options(&scene)).await?;
    scene.sweep().await;
    for (obstruct, clear, words) in [
        (
            "create trigger t after delete on app.users for each row execute function app.touch()",
            "drop trigger t on app.users",
            Some("triggers of table users at the target would fire when a row is written again"),
        ),
        (
            "create trigger t after insert on app.more for each row execute function app.touch()",
            "drop trigger t on app.more",
            Some("triggers of table more at the target"),
        ),
        (
            "create rule r as on delete to app.more do also select 1",
            "drop rule r on app.more",
            Some("table more has rules at the target"),
        ),
        // The row is replaced, and no update fires a trigger.
        (
            "create trigger t before update on app.notes for each row execute function app.touch()",
            "drop trigger t on app.notes",
            None,
        ),
        ("alter table app.more drop constraint more_pkey, add primary key (id)", "", None),
    ] {
        run(&mut main, obstruct).await;
        let plan =
            scene.manager.mover().plan("acme", to(IsolationKind::Row), &options(&scene)).await?;
        match words {
            Some(words) => assert!(plan.to_string().contains(words), "{plan}"),
            None => assert!(plan.obstacles.is_empty(), "{obstruct}: {plan}"),
        }
        if !clear.is_empty() {
            run(&mut main, clear).await;
        }
    }
    let found = {
        let options = options(&scene);
        let to = Destination::server("eu-1");
        let error = scene
            .manager
            .mover()
            .move_tenant("acme", to, options)
            .await
            .expect_err("it is undone or refused");
        let found = error.source().and_then(|source| source.downcast_ref::<Obstacles>());
        found.expect("there are obstacles").all().to_vec()
    };
    assert!(found[0].what.contains("leave the choice to the mover"), "{found:?}");
    scene.manager.close().await;
    Ok(())
}

/// Rows that are copied in a moment are copied while requests wait; more of them while the tenant is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_mover_chooses_by_the_time_that_requests_would_wait() -> TestResult {
    let scene = Scene::new(&[]).await;
    scene.create("acme", IsolationKind::Row).await;
    let plan = |options: MoveOptions| {
        let mover = scene.manager.mover();
        async move { mover.plan("acme", to(IsolationKind::Schema), &options).await }
    };
    assert_eq!(plan(scene.options()).await?.method, MoveMethod::UnderFence);
    let db = scene.manager.tenant("acme").await?;
    run(&db, "insert into users select n, repeat('x', 200) from generate_series(1000, 150000) n")
        .await;
    let limited = scene.options().max_pause(Duration::from_millis(100));
    let chosen = plan(limited.clone()).await?;
    assert_eq!(chosen.method, MoveMethod::ChangeLog, "{chosen}");
    assert!(chosen.pause < Duration::from_millis(100) && chosen.obstacles.is_empty(), "{chosen}");
    let mut main = scene.at("main").await;
    run(&mut main, "create table app.odd (tenant_id text not null)").await;
    let refused = plan(limited).await?;
    assert_eq!(refused.method, MoveMethod::UnderFence, "{refused}");
    assert_eq!(refused.obstacles[0].kind, ObstacleKind::Pause, "{refused}");
    assert!(
        refused.to_string().contains("note: changes are not logged: tables have no primary key"),
        "{refused}"
    );
    scene.manager.close().await;
    Ok(())
}
