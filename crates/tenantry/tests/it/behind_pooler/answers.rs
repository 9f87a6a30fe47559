//! Every answer is the tenant's own, with fewer sessions than connections, in each form of a statement.

use futures_util::TryStreamExt;
use sqlx::{Executor, Row};
use tenantry::{Error, ErrorKind, HealthOptions, Pooling, TenantDb, TenantManager};
use tokio::task::JoinSet;

use super::{Scene, TENANTS, behind};
use crate::support::{TestResult, code_of, connect, observe, run, run as execute};

/// Runs a statement in one of several forms, and returns the tenant and a number of the caller's.
async fn ask(db: &TenantDb, number: i32, form: usize) -> sqlx::Result<(String, i32)> {
    let sql = "select name, $1::int4 from users";
    let query = sqlx::query_as(sql).bind(number);
    match form % 6 {
        0 => query.fetch_one(db).await,
        1 => query.fetch_all(db).await.map(|mut rows| rows.remove(0)),
        2 => {
            let rows: Vec<_> = query.fetch(db).try_collect().await?;
            rows.into_iter().next().ok_or(sqlx::Error::RowNotFound)
        }
        3 => {
            let mut tx = db.begin().await?;
            let row = query.fetch_one(&mut *tx).await?;
            // Twice, as sqlx prepares it under a name.
            let again: (String, i32) = sqlx::query_as(sql).bind(number).fetch_one(&mut *tx).await?;
            tx.commit().await?;
            assert_eq!(row, again);
            Ok(row)
        }
        4 => {
            db.transaction(async |tx: &mut sqlx::Transaction<'_, sqlx::Postgres>| {
                query.fetch_one(&mut **tx).await
            })
            .await
        }
        _ => {
            let row = sqlx::raw_sql("select name from users").fetch_one(db).await?;
            Ok((row.try_get(0)?, number))
        }
    }
}

/// Sends requests of all tenants, 12 at a time; returns how many were answered wrongly, and the errors.
async fn load(manager: &TenantManager, requests: usize) -> (usize, Vec<String>) {
    let mut tasks = JoinSet::new();
    for worker in 0..12 {
        let manager = manager.clone();
        tasks.spawn(async move {
            let (mut wrong, mut failed) = (0, Vec::new());
            for request in 0..requests / 12 {
                let tenant = TENANTS[(worker + request) % TENANTS.len()];
                let number = i32::try_from(worker * 100_000 + request).expect("it is small");
                let db = manager.tenant(tenant).await.expect("it is in the catalog");
                match ask(&db, number, request).await {
                    Ok((name, echo)) => wrong += usize::from((&*name, echo) != (tenant, number)),
                    Err(error) => failed.push(format!("{:?}", Error::from(error))),
                }
            }
            (wrong, failed)
        });
    }
    let all = tasks.join_all().await.into_iter();
    all.fold((0, Vec::new()), |(wrong, mut failed), (more, errors)| {
        failed.extend(errors);
        (wrong + more, failed)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_the_tenants_own() -> TestResult {
    for (mode, sessions) in [("transaction", "3"), ("transaction", "1"), ("session", "20")] {
        let Some(scene) = Scene::new(mode, sessions).await else { return Ok(()) };
        let manager = scene.manager();
        let (wrong, failed) = load(&manager, 6_000).await;
        assert_eq!((wrong, failed.len()), (0, 0), "{mode} {sessions}: {:?}", failed.first());
        let report = manager.health(HealthOptions::default()).await;
        assert_eq!((report.healthy, report.pooling), (true, Pooling::Session), "of the direct URL");
        let registry = prometheus::Registry::new();
        registry.register(Box::new(manager.collector(Default::default())))?;
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather())?;
        for line in ["tenantry_connections_max 8", "tenantry_direct_connections_max 4"] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(text.contains("tenantry_direct_connections{state=\"idle\"}"), "{text}");
        manager.close().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_connection_does_no_harm() -> TestResult {
    let Some(scene) = Scene::new("transaction", "3").await else { return Ok(()) };
    let direct = scene.server.url().replace("//postgres@", "//app@");
    let manager = behind(&direct, &scene.server.url()).build()?;
    assert_eq!(load(&manager, 1_200).await, (0, Vec::new()));
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_direct_url_must_not_be_a_transaction_pooler() -> TestResult {
    let Some(scene) = Scene::new("transaction", "3").await else { return Ok(()) };
    let manager = behind(&scene.url(), &scene.pooler.url()).build()?;
    let mut refused = 0;
    for tenant in TENANTS.iter().cycle().take(60) {
        let answer = match manager.tenant(*tenant).await {
            Ok(db) => ask(&db, 1, 0).await.map_err(Error::from),
            Err(error) => Err(error),
        };
        match answer {
            Ok((name, _)) => assert_eq!(name, *tenant),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TransactionPooler, "{error:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "the direct connections are compared");
    assert!(!manager.health(HealthOptions::default()).await.healthy);
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_is_the_error_of_the_statement() -> TestResult {
    let Some(scene) = Scene::new("transaction", "2").await else { return Ok(()) };
    let manager = scene.manager();
    let db = manager.tenant("acme").await?;
    let deferred = "create table notes (id int primary key, of int references users deferrable initially deferred)";
    execute(&db, deferred).await;
    let insert = || sqlx::query("insert into notes values ($1, $2) returning id");
    for form in 0..4 {
        let failed = match form {
            0 => insert().bind(1).bind(99).execute(&db).await.map(drop),
            1 => insert().bind(1).bind(99).fetch_one(&db).await.map(drop),
            2 => insert().bind(1).bind(99).fetch(&db).try_collect::<Vec<_>>().await.map(drop),
            _ => {
                let mut tx = db.begin().await?;
                insert().bind(1).bind(99).execute(&mut *tx).await?;
                tx.commit().await
            }
        };
        assert_eq!(
            code_of(&failed.expect_err("there is no such user")),
            "error 23503",
            "form {form}"
        );
    }
    insert().bind(2).bind(1).execute(&db).await?;
    let mut admin = scene.admin().await;
    assert_eq!(
        observe(&mut admin, "select array_agg(id)::text from tenant_acme.notes").await,
        "Some(\"{2}\")"
    );
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_committed_is_rolled_back() -> TestResult {
    let Some(scene) = Scene::new("transaction", "1").await else { return Ok(()) };
    let manager = scene.manager();
    let db = manager.tenant("acme").await?;
    let insert = "insert into users values (2, 'x')";
    let mut tx = db.begin().await?;
    run(&mut *tx, insert).await;
    drop(tx);
    let mut tx = db.begin_with("begin isolation level repeatable read").await?;
    let level = observe(&mut *tx, "show transaction_isolation").await;
    assert_eq!(level, "Some(\"repeatable read\")");
    {
        let mut savepoint = tx.begin().await?;
        run(&mut *savepoint, insert).await;
        savepoint.rollback().await?;
    }
    tx.rollback().await?;
    let failed: Result<(), sqlx::Error> = db
        .transaction(async |tx: &mut sqlx::Transaction<'_, sqlx::Postgres>| {
            tx.execute(insert).await?;
            Err(sqlx::Error::RowNotFound)
        })
        .await;
    assert!(failed.is_err());
    // Of a statement whose rows are not read to the end.
    let mut rows =
        sqlx::query("insert into users select n, 'x' from generate_series(2, 3000) n returning id")
            .fetch(&db);
    assert!(rows.try_next().await?.is_some());
    drop(rows);
    let mut tx = db.begin().await?;
    assert_eq!(
        code_of(&sqlx::query("select 1/0").execute(&mut *tx).await.unwrap_err()),
        "error 22012"
    );
    assert_eq!(code_of(&tx.commit().await.unwrap_err()), "error 25P02");
    assert!(db.begin_with("begin; select 1").await.is_err());
    let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&db).await?;
    assert_eq!(users, 1);
    let idle = "select count(*) from pg_stat_activity where state like 'idle in transaction%'";
    let mut admin = connect(&scene.server.url()).await;
    crate::support::eventually("no transaction stays open", async || {
        observe(&mut admin, idle).await == "Some(0)" || {
            let open: i64 = sqlx::query_scalar(idle).fetch_one(&mut admin).await.unwrap_or(1);
            open == 0
        }
    })
    .await;
    manager.close().await;
    Ok(())
}
