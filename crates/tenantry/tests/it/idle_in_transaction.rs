//! A transaction that the program leaves idle is ended by the server: its connection is lost, and nobody
//! else suffers.

use std::time::Duration;

use sqlx::Executor;
use tenantry::{
    Error, ErrorKind, FixedCatalog, TenantDb, TenantId, TenantManager, TenantRecord,
    seed::{Seed, SeedOptions},
};

use crate::support::{TestResult, World, eventually, name_of, state_of};

const LIMIT: Duration = Duration::from_secs(1);

fn manager(world: &World, limit: Option<Duration>) -> TenantManager {
    world.with_pool(|pool| {
        pool.max_connections = 2;
        pool.idle_in_transaction_timeout = limit;
    })
}

async fn limit_on(conn: impl Executor<'_, Database = sqlx::Postgres>) -> sqlx::Result<String> {
    sqlx::query_scalar("show idle_in_transaction_session_timeout").fetch_one(conn).await
}

#[tokio::test]
async fn has_an_error_of_its_own_and_the_pool_goes_on() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = manager(&world, Some(LIMIT));
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let mut admin = world.admin().await;

    for how in ["statement", "commit", "savepoint", "drop"] {
        let mut tx = acme.begin().await?;
        sqlx::query("update users set name = 'changed'").execute(&mut *tx).await?;
        let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *tx).await?;
        assert_eq!(name_of(&globex).await?, "globex", "others are served meanwhile");
        eventually("the server has ended it", async || state_of(&mut admin, pid).await == "gone")
            .await;
        let error = match how {
            "statement" => {
                let mut tx = tx;
                Some(name_of(&mut *tx).await.expect_err("it was ended"))
            }
            "commit" => Some(tx.commit().await.expect_err("it was ended")),
            "savepoint" => {
                let mut tx = tx;
                Some(tx.begin().await.map(drop).expect_err("it was ended"))
            }
            _ => {
                drop(tx);
                None
            }
        };
        if let Some(error) = error {
            let error = Error::from(error);
            assert_eq!(error.kind(), ErrorKind::IdleInTransaction, "{how}: {error}");
            assert!(!error.is_transient(), "{how}");
        }
        // More than there are connections, so that the place of the lost one is among them.
        for _ in 0..4 {
            let names = (name_of(&acme), name_of(&globex), name_of(&acme));
            let names = tokio::join!(names.0, names.1, names.2);
            assert_eq!(
                (names.0?, names.1?, names.2?),
                ("acme".into(), "globex".into(), "acme".into())
            );
        }
        eventually("all are back", async || manager.snapshot().leased == 0).await;
        assert!(manager.snapshot().total <= 2);
    }
    manager.close().await;
    Ok(())
}

/// A transaction that was begun with SQL, and one in which a statement has failed.
#[tokio::test]
async fn is_ended_however_it_was_begun() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = manager(&world, Some(LIMIT));
    let acme = manager.tenant("acme").await?;
    let mut admin = world.admin().await;
    for sql in ["begin", "begin; select 1/0"] {
        let mut lease = acme.acquire().await?;
        let _ = sqlx::raw_sql(sql).execute(&mut *lease).await;
        let pid = lease.backend_pid().expect("it is bound");
        eventually("the server has ended it", async || state_of(&mut admin, pid).await == "gone")
            .await;
        let error = Error::from(name_of(&mut *lease).await.expect_err("it was ended"));
        assert_eq!(error.kind(), ErrorKind::IdleInTransaction, "{sql}");
        drop(lease);
        assert_eq!(name_of(&acme).await?, "acme");
    }
    manager.close().await;
    Ok(())
}

/// Whatever was set on a session is the limit again for the next, on each kind of handle.
#[tokio::test]
async fn the_limit_is_that_of_the_pool() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    for (limit, shown) in [
        (Some(Duration::from_secs(60)), "1min"),
        (Some(Duration::from_millis(1_500)), "1500ms"),
        (Some(Duration::from_nanos(1)), "1ms"),
        (Some(Duration::MAX), "2147483647ms"),
        (Some(Duration::ZERO), "0"),
        (None, "7s"),
    ] {
        let url = world.database.url();
        let separator = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{separator}options=-c%20idle_in_transaction_session_timeout%3D7s");
        let mut options = tenantry::PoolOptions::default();
        options.max_connections = 1;
        options.idle_in_transaction_timeout = limit;
        let manager = TenantManager::builder(url).pool_options(options).build()?;
        let acme = manager.tenant("acme").await?;
        for _ in 0..2 {
            assert_eq!(limit_on(&acme).await?, shown, "{limit:?}");
            assert_eq!(limit_on(manager.shared()).await?, shown, "{limit:?}");
            let mut lease = acme.acquire().await?;
            lease.execute("set idle_in_transaction_session_timeout to '1h'").await?;
            assert_eq!(limit_on(&mut *lease).await?, "1h");
        }
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_tenants_own_setting_wins() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let id = |id| TenantId::parse(id).expect("it is one");
    let own = TenantRecord::new(id("acme")).setting("idle_in_transaction_session_timeout", "5s");
    let catalog = FixedCatalog::new([own, TenantRecord::new(id("globex"))]);
    let manager = world.builder().catalog(catalog).max_connections(1).build()?;
    let show = async |tenant: &str| {
        let db: TenantDb = manager.tenant(tenant).await.expect("it is there");
        limit_on(&db).await
    };
    for (tenant, shown) in [("acme", "5s"), ("globex", "1min"), ("acme", "5s")] {
        assert_eq!(show(tenant).await?, shown);
    }
    manager.close().await;
    Ok(())
}

/// What the library does itself may wait, for its other files or for another run.
#[tokio::test]
async fn upkeep_has_no_limit() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = manager(&world, Some(LIMIT));
    let patient = || {
        Seed::new("patient", |tx| {
            Box::pin(async move {
                sqlx::query("update users set name = 'seeded'").execute(&mut **tx).await?;
                tokio::time::sleep(2 * LIMIT).await;
                assert_eq!(limit_on(&mut **tx).await?, "0");
                Ok(())
            })
        })
    };
    let report = manager.seeder().seed(["acme"], &patient(), SeedOptions::default()).await?;
    assert!(report.is_success(), "{report}");
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "seeded");
    manager.close().await;
    Ok(())
}
