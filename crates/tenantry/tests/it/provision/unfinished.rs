//! A tenant whose seeds outside a transaction have not run is not served, wherever it is listed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;
use tenantry::{
    ErrorKind, TableCatalog, TenantState,
    provision::{CreateOptions, DropOptions, HowMade},
    seed::Seed,
};
use tokio::sync::Notify;

use super::{by_discovery, with_table};
use crate::{
    migrate::Files,
    support::{TestResult, World, observe, run},
};

/// A seed that hangs the first time, after it has said that it runs.
fn hangs_once() -> (Seed, Arc<Notify>) {
    let (runs, times) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let told = Arc::clone(&runs);
    let seed = Seed::with_db("demo", move |db: tenantry::TenantDb| {
        let (told, first) = (Arc::clone(&told), times.fetch_add(1, Ordering::Relaxed) == 0);
        async move {
            if first {
                told.notify_one();
                std::future::pending::<()>().await;
            }
            sqlx::query("insert into notes (id, text) values (1, 'demo')")
                .execute(&db)
                .await
                .map(drop)
        }
    });
    (seed, runs)
}

#[tokio::test]
async fn a_creation_that_is_given_up_is_not_served_and_gone_on_with() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    let (seed, runs) = hangs_once();
    let provisioner = provisioner.seed(seed);
    let create = {
        let provisioner = provisioner.clone();
        tokio::spawn(async move { provisioner.create("acme", CreateOptions::default()).await })
    };
    runs.notified().await;
    // Nobody is served by it, and nobody else creates it meanwhile.
    assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::Suspended);
    let listed = manager.tenants().await?.remove(0);
    assert_eq!(listed.state, TenantState::Suspended);
    let step = listed.step.expect("it says why");
    assert!(step.contains("\"demo\""), "{step}");
    let twice = provisioner.create("acme", CreateOptions::default()).await.unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::TenantExists);
    for refused in [provisioner.resume("acme").await, provisioner.rename("acme", "b").await] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Busy);
    }
    // Not even when somebody says so by hand.
    let mut admin = world.admin().await;
    run(&mut admin, "update tenants set state = 'active'").await;
    let refused = manager.tenant("acme").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Suspended);
    create.abort();
    drop(create.await);
    let created = loop {
        match provisioner.create("acme", CreateOptions::default()).await {
            // The session that has its lock is being reset.
            Err(error) if error.kind() == ErrorKind::TenantExists => tokio::task::yield_now().await,
            created => break created?,
        }
    };
    assert_eq!((created.how, created.seeds.len()), (HowMade::Resumed, 1));
    let db = manager.tenant("acme").await?;
    let notes: i64 = sqlx::query_scalar("select count(*) from notes").fetch_one(&db).await?;
    assert_eq!(notes, 1);
    assert_eq!(observe(&mut admin, "select step from tenants").await, "None");
    Ok(())
}

#[tokio::test]
async fn nobody_gets_what_another_sign_up_has_brought() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    for (first, second) in [
        (own("first"), own("second")),
        (own("first"), CreateOptions::default()),
        (CreateOptions::default().attributes(json!({ "plan": "pro" })), own("second")),
    ] {
        let (seed, runs) = hangs_once();
        let provisioner = provisioner.clone().seed(seed);
        let create = {
            let provisioner = provisioner.clone();
            tokio::spawn(async move { provisioner.create("acme", first).await })
        };
        runs.notified().await;
        create.abort();
        drop(create.await);
        let mut admin = world.admin().await;
        let created = loop {
            match provisioner.create("acme", second.clone()).await {
                Err(error) if error.kind() == ErrorKind::TenantExists => {}
                Err(error) if error.kind() == ErrorKind::NameInUse => {
                    crate::support::free_names(&mut admin).await;
                }
                created => break created?,
            }
        };
        assert_eq!(created.how, HowMade::AtOnce);
        let db = manager.tenant("acme").await?;
        assert!(db.tenant().attributes().get("plan").is_none());
        let sql = "select count(*) from notes where text = 'first'";
        let firsts: i64 = sqlx::query_scalar(sql).fetch_one(&db).await?;
        assert_eq!(firsts, 0);
        provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
        crate::support::free_names(&mut admin).await;
    }
    Ok(())
}

fn own(text: &'static str) -> CreateOptions {
    CreateOptions::default().seed(move |tx| {
        Box::pin(async move {
            let insert = "insert into notes (id, text) values (7, $1)";
            sqlx::query(insert).bind(text).execute(&mut **tx).await?;
            Ok(())
        })
    })
}

/// Tables of an earlier release, and of an application that has a column of that name.
#[tokio::test]
async fn a_table_without_a_place_for_it_is_used_all_the_same() -> TestResult {
    const TABLE: &str = "create table tenants (id text primary key, container text unique, \
                         state text not null default 'active', created_at timestamptz default now(), \
                         attributes jsonb not null default '{}'";
    for (more, upgraded) in [("", true), (", step int default 3", false), ("", false)] {
        let (world, files) = (World::new().await, Files::notes());
        let mut admin = world.admin().await;
        run(&mut admin, &format!("{TABLE}{more})")).await;
        let manager = world.builder().catalog(TableCatalog::new()).build()?;
        if upgraded {
            TableCatalog::new().create_table(manager.shared()).await?;
            let sql = "select count(*)::text from information_schema.columns \
                       where table_name = 'tenants' and column_name = 'step'";
            assert_eq!(observe(&mut admin, sql).await, "Some(\"1\")");
        }
        let (seed, runs) = hangs_once();
        let provisioner = manager.provisioner().tenants(files.read()).seed(seed);
        provisioner.fill_spares(1).await?;
        let create = {
            let provisioner = provisioner.clone();
            tokio::spawn(async move { provisioner.create("acme", CreateOptions::default()).await })
        };
        runs.notified().await;
        let kind = if upgraded { ErrorKind::Suspended } else { ErrorKind::UnknownTenant };
        assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), kind, "{more}");
        create.abort();
        drop(create.await);
        loop {
            match provisioner.create("acme", CreateOptions::default()).await {
                Err(error) if error.kind() == ErrorKind::TenantExists => {
                    tokio::task::yield_now().await;
                }
                created => break drop(created?),
            }
        }
        manager.tenant("acme").await?.ping().await?;
        provisioner.suspend("acme").await?;
        provisioner.resume("acme").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_step_of_the_application_is_none_of_ours() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    let mut admin = world.admin().await;
    run(&mut admin, "update tenants set step = 'has chosen a plan'").await;
    manager.tenant("acme").await?;
    Ok(())
}

#[tokio::test]
async fn many_at_once_leave_each_other_connections() -> TestResult {
    for connections in [1, 2, 4] {
        let (world, files) = (World::new().await, Files::notes());
        let catalog = TableCatalog::new();
        let builder = world.builder().catalog(catalog.clone()).max_connections(connections + 1);
        let in_table = builder.build()?;
        catalog.create_table(in_table.shared()).await?;
        let discovered = world.builder().max_connections(connections).build()?;
        for (manager, of) in [(in_table, "t"), (discovered, "d")] {
            let seed = Seed::with_db("demo", |db: tenantry::TenantDb| async move {
                sqlx::query("insert into notes (id, text) values (1, 'demo')")
                    .execute(&db)
                    .await
                    .map(drop)
            });
            let provisioner = manager.provisioner().tenants(files.read()).seed(seed);
            let create = (0..6).map(|number| {
                let (provisioner, id) = (provisioner.clone(), format!("{of}{number}"));
                async move { provisioner.create(id, CreateOptions::default()).await }
            });
            for created in futures_util::future::join_all(create).await {
                created?;
            }
            manager.close().await;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_seed_that_fails_leaves_no_trace_where_schemas_are_discovered() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = by_discovery(&world, &files);
    let refuses = Seed::with_db("refuses", |_| async { Err::<(), _>("it is Monday") });
    let provisioner = provisioner.seed(refuses);
    let error = provisioner.create("acme", CreateOptions::default()).await.unwrap_err();
    assert_eq!((error.kind(), manager.tenants().await?.len()), (ErrorKind::Seed, 0));
    let kept = provisioner.create("acme", CreateOptions::default().keep_failed(true)).await;
    assert!(kept.unwrap_err().to_string().contains("tenantry_spare_"));
    assert_eq!(manager.tenants().await?.len(), 0);
    let mut admin = world.admin().await;
    let sql = "select count(*)::text from pg_namespace where nspname like 'tenant%'";
    assert_eq!(observe(&mut admin, sql).await, "Some(\"1\")");
    Ok(())
}
