//! What statements leave in a session of the pooler without showing it in their text does not reach other tenants.

use sqlx::{Executor, raw_sql};
use tenantry::{ErrorKind, FixedCatalog, Isolation, TenantDb, TenantId, TenantRecord};

use super::{Scene, TENANTS, behind};
use crate::support::{
    TestResult, at_rest, code_of, connect, eventually, kind_of, name_of, observe, run, try_run,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_of_a_sequence_reach_no_other_tenant() -> TestResult {
    let Some(scene) = Scene::new("transaction", "1").await else { return Ok(()) };
    let manager = scene.manager();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    run(&acme, "create table orders (id serial primary key)").await;
    assert_eq!(observe(&globex, "select lastval()::text").await, "error 55000");
    for _ in 0..3 {
        run(&acme, "insert into orders default values").await;
        assert_eq!(observe(&globex, "select lastval()::text").await, "error 55000");
    }
    manager.close().await;
    Ok(())
}

/// A function that changes its session, and nothing in a statement that calls it shows that.
const SETS: &str = "create function tenant_acme.sets() returns int language plpgsql as \
    $$ begin perform set_config('app.key', 'acme', false), set_config('statement_timeout', '7s', false), \
    set_config('row_security', 'off', false); return 1; end $$";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_came_after_the_first_look_set_nothing_for_others() -> TestResult {
    let state = "select concat(current_setting('app.key', true), current_setting('statement_timeout'), \
                 current_setting('row_security'))";
    for by_application in [true, false] {
        let Some(scene) = Scene::new("transaction", "1").await else { return Ok(()) };
        let manager = scene.manager();
        let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
        for db in [&acme, &globex] {
            name_of(db).await?;
        }
        match by_application {
            true => {
                let mut tx = acme.begin().await?;
                run(&mut *tx, SETS).await;
                tx.commit().await?;
            }
            false => run(&mut scene.admin().await, SETS).await,
        }
        for _ in 0..2 {
            run(&acme, "select sets()").await;
            assert_eq!(observe(&globex, state).await, "Some(\"0on\")", "{by_application}");
        }
        manager.close().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_by_text_reaches_no_other_tenant() -> TestResult {
    let Some(scene) = Scene::new("transaction", "1").await else { return Ok(()) };
    let manager = scene.manager();
    let acme = manager.tenant("acme").await?;
    let state = "select concat(current_setting('app.key', true), current_setting('statement_timeout'), \
                 (select count(*) from pg_class where relpersistence = 't'), (select count(*) from pg_cursors), \
                 (select count(*) from pg_listening_channels()))";
    for end in ["commit", "commit; begin; commit"] {
        let leaves = format!(
            "create temp table users (id int, name text); insert into users values (1, 'of acme'); \
             set app.key to 'acme'; set statement_timeout to '7s'; listen news; \
             declare c cursor with hold for select 1; {end}"
        );
        let mut tx = acme.begin().await?;
        run(&mut *tx, &leaves).await;
        for tenant in TENANTS {
            let db = manager.tenant(tenant).await?;
            assert_eq!(name_of(&db).await?, tenant, "{end}");
            assert_eq!(observe(&db, state).await, "Some(\"0000\")", "{end}");
            let mut other = db.begin().await?;
            assert_eq!(name_of(&mut *other).await?, tenant, "{end}");
            other.commit().await?;
        }
        assert_eq!(kind_of(tx.commit().await.expect_err("it is over")), ErrorKind::BehindPooler);
    }
    manager.close().await;
    Ok(())
}

/// Takes a lock of the session, and fails.
const LOCKS: &str = "select pg_advisory_lock(7), 1 / (id - 1) from users";

/// Waits until no session holds a lock that the application has taken.
async fn nothing_is_locked(scene: &Scene, after: &str) {
    let mut admin = scene.admin().await;
    let locks = "select count(*)::text from pg_locks where locktype = 'advisory' and (classid, objid) = (0, 7)";
    eventually(after, async || observe(&mut admin, locks).await == "Some(\"0\")").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_keeps_no_lock() -> TestResult {
    let Some(scene) = Scene::new("transaction", "1").await else { return Ok(()) };
    let manager = scene.manager();
    let acme = manager.tenant("acme").await?;
    assert_eq!(code_of(&try_run(&acme, LOCKS).await.expect_err("it divides")), "error 22012");
    nothing_is_locked(&scene, "a statement").await;

    let failed: Result<(), sqlx::Error> = acme
        .transaction(async |tx: &mut sqlx::Transaction<'_, sqlx::Postgres>| {
            run(&mut **tx, "select pg_advisory_lock(7)").await;
            Err(sqlx::Error::RowNotFound)
        })
        .await;
    assert!(failed.is_err());
    nothing_is_locked(&scene, "a closure").await;

    let ignored: Result<(), sqlx::Error> = acme
        .transaction(async |tx: &mut sqlx::Transaction<'_, sqlx::Postgres>| {
            assert!(try_run(&mut **tx, LOCKS).await.is_err());
            Ok(())
        })
        .await;
    assert_eq!(code_of(&ignored.expect_err("it has failed")), "error 25P02");
    nothing_is_locked(&scene, "an error that a closure has ignored").await;
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_keeps_what_its_client_has_asked_for() -> TestResult {
    let Some(scene) = Scene::new("transaction", "2").await else { return Ok(()) };
    let settings =
        "alter role app set timezone to 'Asia/Tokyo'; alter role app set datestyle to 'SQL, DMY'";
    run(&mut scene.admin().await, settings).await;
    let manager = scene.manager();
    let acme = manager.tenant("acme").await?;
    let state = "select concat(current_setting('TimeZone'), ' ', current_setting('DateStyle'), ' ', \
                 current_setting('client_encoding'), ' ', starts_with(current_setting('application_name'), 'tenantry/'))";
    let expected = "Some(\"UTC ISO, MDY UTF8 t\")";
    for round in 0..4 {
        assert_eq!(observe(&acme, state).await, expected, "{round}");
        let mut tx = acme.begin().await?;
        assert_eq!(observe(&mut *tx, state).await, expected, "{round}");
        match round % 2 {
            0 => tx.commit().await?,
            _ => tx.rollback().await?,
        }
    }
    manager.close().await;
    Ok(())
}

#[derive(Debug, PartialEq, Clone, Copy, sqlx::Type)]
#[sqlx(type_name = "mood", rename_all = "lowercase")]
enum Mood {
    Sad,
    Happy,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_that_was_replaced_is_looked_up_again() -> TestResult {
    let Some(scene) = Scene::new("transaction", "2").await else { return Ok(()) };
    let moods = "drop table if exists moods; drop type if exists mood; create type mood as enum ('sad', 'happy'); \
                 create table moods (m mood)";
    let mut admin = scene.admin().await;
    let manager = scene.manager();
    let acme = manager.tenant("acme").await?;
    let insert = async |db: &TenantDb, mood: Mood| {
        let insert = sqlx::query_scalar::<_, Mood>("insert into moods values ($1) returning m");
        insert.bind(mood).fetch_one(db).await
    };
    for _ in 0..3 {
        run(&mut admin, "set search_path to tenant_acme").await;
        run(&mut admin, moods).await;
        for mood in [Mood::Sad, Mood::Happy, Mood::Sad] {
            assert_eq!(insert(&acme, mood).await?, mood);
        }
        let all = sqlx::query_scalar::<_, Mood>("select m from moods where m = $1").bind(Mood::Sad);
        assert_eq!(all.fetch_all(&acme).await?, [Mood::Sad; 2]);
    }
    manager.close().await;
    Ok(())
}

fn records() -> FixedCatalog {
    let record = |id| TenantRecord::new(TenantId::parse(id).expect("the id is valid"));
    FixedCatalog::new(TENANTS.map(record))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_exchanged_reach_no_other_database() -> TestResult {
    let Some(scene) = Scene::new("transaction", "2").await else { return Ok(()) };
    for tenant in TENANTS {
        let url = scene.server.create_database(&format!("db_{tenant}")).await?;
        let table = format!(
            "create table users (id int, name text); insert into users values (1, '{tenant}')"
        );
        run(&mut connect(&url).await, &table).await;
    }
    let manager = behind(&scene.url(), &scene.server.url())
        .isolation(Isolation::database("db_{id}"))
        .catalog(records())
        .build()?;
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    for round in 0..4 {
        let (mut one, mut other) = (acme.begin().await?, globex.begin().await?);
        std::mem::swap(&mut *one, &mut *other);
        match round % 2 {
            0 => drop((one, other)),
            _ => drop((one.rollback().await, other.rollback().await)),
        }
        at_rest(&manager).await;
        for (db, name) in [(&acme, "acme"), (&globex, "globex"), (&acme, "acme")] {
            assert_eq!(name_of(db).await?, name, "{round}");
        }
    }
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extension_schemas_are_checked() -> TestResult {
    let Some(scene) = Scene::new("transaction", "2").await else { return Ok(()) };
    let mut admin = scene.admin().await;
    let manager = || scene.builder().catalog(records()).extension_schemas(["ext"]).build();
    let missing = manager()?;
    let refused = name_of(&missing.tenant("acme").await?).await.expect_err("it does not exist");
    assert_eq!(kind_of(refused), ErrorKind::Config);
    run(&mut admin, "create schema ext").await;
    assert_eq!(name_of(&missing.tenant("acme").await?).await?, "acme");
    missing.close().await;
    run(&mut admin, "create table ext.plans (id int)").await;
    let foreign = manager()?;
    let refused = foreign.tenant("acme").await?.execute(raw_sql("select id from plans")).await;
    assert_eq!(kind_of(refused.expect_err("all tenants would find it")), ErrorKind::Config);
    foreign.close().await;
    Ok(())
}
