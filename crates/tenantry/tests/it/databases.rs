//! Tenants in databases of their own, over one budget: a connection is in one database for its life.

use std::time::Duration;

use futures_util::future::join_all;
use tenantry::{
    ErrorKind, FixedCatalog, Isolation, IsolationKind, ManagerBuilder, TenantId, TenantManager,
    TenantRecord,
};
use tenantry_devdb::DevServer;

use crate::support::{
    TestResult, at_rest, connect, eventually, kind_of, name_of, pid_of, private_server, run,
};

fn record(id: &str) -> TenantRecord {
    TenantRecord::new(TenantId::parse(id).expect("the id is valid"))
}

async fn create_database(server: &DevServer, id: &str) {
    let url = server.create_database(&format!("db_{id}")).await.expect("the server is running");
    let made = format!(
        "create table users (id int primary key, name text not null); insert into users values (1, '{id}')"
    );
    run(&mut connect(&url).await, &made).await;
}

async fn server(databases: &[&str]) -> DevServer {
    let server = private_server(&["small"]).await;
    for id in databases {
        create_database(&server, id).await;
    }
    server
}

fn builder(server: &DevServer, ids: &[&str]) -> ManagerBuilder {
    TenantManager::builder(server.url())
        .isolation(Isolation::database("db_{id}"))
        .catalog(FixedCatalog::new(ids.iter().map(|id| record(id))))
}

async fn acme_is_served_again(manager: &TenantManager) {
    eventually("it is served again", async || {
        let Ok(db) = manager.tenant("acme").await else { return false };
        name_of(&db).await.is_ok_and(|name| name == "acme")
    })
    .await;
}

/// The sessions of managers on the server, in all databases.
async fn sessions(server: &DevServer) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_stat_activity where application_name like 'tenantry/%'",
    )
    .fetch_one(&mut connect(&server.url()).await)
    .await
    .expect("the server is running")
}

#[tokio::test]
async fn each_tenant_is_served_in_its_database() -> TestResult {
    let ids = ["acme", "globex", "initech"];
    let server = server(&ids).await;
    let manager = builder(&server, &ids).max_connections(2).build()?;
    for _ in 0..3 {
        for id in ids {
            let db = manager.tenant(id).await?;
            assert_eq!(name_of(&db).await?, id);
            let placement = db.tenant().placement();
            assert_eq!(placement.isolation(), IsolationKind::Database);
            assert_eq!(placement.database().map(ToString::to_string), Some(format!("db_{id}")));
            assert_eq!(placement.container().as_str(), "public");
            let mut tx = db.begin().await?;
            let database: String =
                sqlx::query_scalar("select current_database()::text").fetch_one(&mut *tx).await?;
            assert_eq!(database, format!("db_{id}"));
            tx.commit().await?;
            assert!(sessions(&server).await <= 2);
        }
    }
    let pid = pid_of(&manager.tenant("acme").await?).await?;
    assert_eq!(pid_of(&manager.tenant("acme").await?).await?, pid, "a hit needs no connect");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_database_of_the_manager_is_no_tenants() -> TestResult {
    let server = server(&[]).await;
    for (name, says) in [
        ("postgres", "is the one in the URL of server main"),
        // Databases cannot be created while anybody is connected to it.
        ("template1", "is PostgreSQL's template for new databases"),
    ] {
        let record = record("acme").database(tenantry::Ident::parse(name)?);
        let manager = TenantManager::builder(server.url())
            .isolation(Isolation::database("db_{id}"))
            .catalog(FixedCatalog::new([record]))
            .build();
        let error = match manager {
            Ok(manager) => manager.tenant("acme").await.map(drop).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(says), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn one_connection_serves_fifty_databases() -> TestResult {
    let ids: Vec<_> = (0..50).map(|n| format!("t{n}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let server = server(&ids).await;
    // Fifty connects, one after the other, on a machine that may be busy.
    let patience = Duration::from_secs(30);
    let manager = builder(&server, &ids).max_connections(1).acquire_timeout(patience).build()?;
    let served = ids.iter().map(|id| async {
        let db = manager.tenant(*id).await.expect("the tenant is listed");
        (name_of(&db).await, *id)
    });
    let watch = async {
        let mut most = 0;
        for _ in 0..20 {
            most = most.max(sessions(&server).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        most
    };
    let (served, most) = tokio::join!(join_all(served), watch);
    for (name, id) in served {
        assert_eq!(name?, id);
    }
    assert!(most <= 1, "{most} sessions");
    manager.close().await;
    Ok(())
}

/// The sessions of the manager's database so far, once the server has reported all of them.
async fn established(admin: &mut sqlx::PgConnection) -> i64 {
    let mut last = -1;
    loop {
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        run(&mut *admin, "select pg_stat_clear_snapshot()").await;
        let sql = "select sessions from pg_stat_database where datname = 'postgres'";
        let now =
            sqlx::query_scalar(sql).fetch_one(&mut *admin).await.expect("the server is running");
        if now == last {
            return now;
        }
        last = now;
    }
}

#[tokio::test]
async fn a_connection_is_opened_where_it_is_needed() -> TestResult {
    let ids = ["acme", "globex", "initech", "umbrella"];
    let server = server(&ids).await;
    let manager = builder(&server, &ids).max_connections(2).build()?;
    for id in ids {
        name_of(&manager.tenant(id).await?).await?;
    }
    let mut admin = connect(&server.url()).await;
    let at_first = established(&mut admin).await;
    for round in 0..10 {
        let id = ids[round % ids.len()];
        name_of(&manager.tenant(id).await?).await?;
    }
    let opened = established(&mut admin).await - at_first;
    assert!(opened <= 2, "{opened} were opened in the manager's database first");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_database_that_is_gone_concerns_its_tenant_only() -> TestResult {
    let ids = ["acme", "globex"];
    let server = server(&ids).await;
    let manager = builder(&server, &ids).max_connections(2).build()?;
    for id in ids {
        name_of(&manager.tenant(id).await?).await?;
    }
    run(&mut connect(&server.url()).await, "drop database db_acme with (force)").await;
    for _ in 0..20 {
        let error = name_of(&manager.tenant("acme").await?).await.unwrap_err();
        drop(error);
        assert_eq!(name_of(&manager.tenant("globex").await?).await?, "globex");
    }
    let error = name_of(&manager.tenant("acme").await?).await.unwrap_err();
    let told = tenantry::ErrorReport::new(&error).to_string();
    assert!(told.contains("the tenant's database"), "{told}");
    assert_eq!(kind_of(error), ErrorKind::Placement);
    create_database(&server, "acme").await;
    acme_is_served_again(&manager).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn kinds_share_one_budget() -> TestResult {
    let server = server(&["acme", "globex"]).await;
    let mut admin = connect(&server.url()).await;
    run(
        &mut admin,
        "create table users (tenant_id text default nullif(current_setting('tenantry.tenant', true), ''), \
           id int default 1, name text); \
         insert into users (tenant_id, name) values ('row1', 'row1'), ('row2', 'row2'); \
         create role databases_app; grant usage on schema public to databases_app; \
         grant select on users to databases_app; alter table users enable row level security; \
         create policy p on users using (tenant_id = (select nullif(current_setting('tenantry.tenant', true), '')))",
    )
    .await;
    let tenants = [
        record("acme"),
        record("globex"),
        record("small").isolation(IsolationKind::Schema),
        record("row1").isolation(IsolationKind::Row),
        record("row2").isolation(IsolationKind::Row),
    ];
    let ids = tenants.clone().map(|record| record.id.to_string());
    let rows = tenantry::Rows::new().role("databases_app")?;
    let manager = TenantManager::builder(server.url())
        .isolation(Isolation::database("db_{id}"))
        .or_isolation(Isolation::rows(rows))
        .catalog(FixedCatalog::new(tenants))
        .max_connections(3)
        .build()?;
    let work = (0..200).map(|n: usize| {
        let (manager, id) = (manager.clone(), ids[n * 7 % 5].clone());
        async move {
            let db = manager.tenant(&*id).await.expect("the tenant is listed");
            let names: Vec<String> =
                sqlx::query_scalar("select name from users").fetch_all(&db).await?;
            assert_eq!(names, [id]);
            Ok::<_, sqlx::Error>(())
        }
    });
    let watch = async {
        let mut most = 0;
        for _ in 0..20 {
            most = most.max(sessions(&server).await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        most
    };
    let (done, most) = tokio::join!(join_all(work), watch);
    done.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert!(most <= 3, "{most} sessions");
    at_rest(&manager).await;
    manager.close().await;
    Ok(())
}

/// Three ways in which a database refuses a role, and how to undo each.
const REFUSALS: [(&str, &str); 3] = [
    (
        "alter database db_acme with allow_connections false",
        "alter database db_acme with allow_connections true",
    ),
    (
        "alter database db_acme with connection limit 0",
        "alter database db_acme with connection limit -1",
    ),
    (
        "revoke connect on database db_acme from public",
        "grant connect on database db_acme to public",
    ),
];

#[tokio::test]
async fn a_database_that_refuses_connections_concerns_its_tenant_only() -> TestResult {
    let ids = ["acme", "globex", "initech"];
    let server = server(&ids).await;
    let mut admin = connect(&server.url()).await;
    // Superusers are not counted, and may connect to any database.
    run(&mut admin, "create role app login").await;
    for id in ids {
        let database = server.database_url(&format!("db_{id}"));
        run(&mut connect(&database).await, "grant select on users to app").await;
    }
    let url = server.url().replace("//postgres@", "//app@");
    for (refuse, allow) in REFUSALS {
        run(&mut admin, refuse).await;
        let manager = TenantManager::builder(&url)
            .isolation(Isolation::database("db_{id}"))
            .catalog(FixedCatalog::new(ids.map(record)))
            .max_connections(2)
            .build()?;
        for _ in 0..5 {
            let error = name_of(&manager.tenant("acme").await?).await.unwrap_err();
            let told = tenantry::ErrorReport::new(&error).to_string();
            assert!(told.contains("opening a connection to the tenant's database"), "{told}");
            for id in ["globex", "initech"] {
                assert_eq!(name_of(&manager.tenant(id).await?).await?, id, "after {refuse}");
            }
        }
        run(&mut admin, allow).await;
        acme_is_served_again(&manager).await;
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_cold_database_is_served_while_hot_ones_never_stop() -> TestResult {
    let ids = ["acme", "globex", "initech"];
    let server = server(&ids).await;
    let manager = builder(&server, &ids).max_connections(2).build()?;
    let hot = ["acme", "globex", "acme", "globex"].map(|id| {
        let manager = manager.clone();
        tokio::spawn(async move {
            loop {
                let db = manager.tenant(id).await.expect("the tenant is listed");
                name_of(&db).await.expect("it is served");
            }
        })
    });
    let before = manager.snapshot().acquires;
    for _ in 0..5 {
        let asked = std::time::Instant::now();
        assert_eq!(name_of(&manager.tenant("initech").await?).await?, "initech");
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        assert!(sessions(&server).await <= 2);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let after = manager.snapshot().acquires;
    let (hits, all) = (after.hit - before.hit, after.hit + after.open - before.hit - before.open);
    assert!(hits * 10 > all * 9, "only {hits} of {all} found a connection");
    hot.iter().for_each(tokio::task::JoinHandle::abort);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_database_dropped_under_load_concerns_its_tenant_only() -> TestResult {
    let ids = ["acme", "globex"];
    let server = server(&ids).await;
    let manager = builder(&server, &ids).max_connections(3).build()?;
    let work = ids.map(|id| {
        let manager = manager.clone();
        tokio::spawn(async move {
            let mut errors = 0;
            for _ in 0..200 {
                let db = manager.tenant(id).await.expect("the tenant is listed");
                match name_of(&db).await {
                    Ok(name) => assert_eq!(name, id),
                    Err(_) => errors += 1,
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            errors
        })
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    run(&mut connect(&server.url()).await, "drop database db_acme with (force)").await;
    let [acme, globex] = work;
    assert!(acme.await? > 0);
    assert_eq!(globex.await?, 0, "requests of the other database failed");
    assert!(sessions(&server).await <= 3);
    manager.close().await;
    Ok(())
}

/// Takes the right to look up processes from everyone but superusers, in one database.
async fn keep_processes_secret(url: &str) {
    let secret = "revoke execute on function pg_stat_get_activity(int) from public";
    run(&mut connect(url).await, secret).await;
}

#[tokio::test]
async fn a_database_whose_processes_do_not_say_who_they_are_is_served_too() -> TestResult {
    let ids = ["acme", "globex", "initech"];
    let server = server(&ids).await;
    run(&mut connect(&server.url()).await, "create role app login").await;
    for id in ids {
        let url = server.database_url(&format!("db_{id}"));
        run(&mut connect(&url).await, "grant select on users to app").await;
    }
    keep_processes_secret(&server.database_url("db_globex")).await;
    let url = server.url().replace("//postgres@", "//app@");
    assert!(url.contains("//app@"), "{url}");
    let manager = TenantManager::builder(url)
        .isolation(Isolation::database("db_{id}"))
        .catalog(FixedCatalog::new(ids.iter().map(|id| record(id))))
        .max_connections(2)
        .build()?;
    for round in 0..3 {
        for id in ids {
            let db = manager.tenant(id).await?;
            assert_eq!(name_of(&db).await?, id, "round {round}");
            assert!(pid_of(&db).await? > 0);
        }
    }
    assert!(sessions(&server).await <= 2);
    manager.close().await;
    Ok(())
}
