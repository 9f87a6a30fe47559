//! Behind a pooler that mixes up sessions nothing is served; whatever else stands between the pool and
//! the server is no reason to stop.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tenantry::{
    Error, ErrorClass, ErrorKind, Event, HealthOptions, HealthStatus, Pooling, TenantManager,
    ops::Ops, provision::CreateOptions,
};
use tenantry_devdb::DevServer;
use tokio::task::JoinSet;

use crate::{
    faults::{Mode, PgBouncer, Proxy, Reconnecting},
    support::{
        Heard, TestResult, at_rest, connect, create_tenant, eventually, kill, kind_of, name_of,
        pid_of, pool_options, private_server, run, sessions,
    },
};

const TENANTS: [&str; 6] = ["acme", "globex", "initech", "hooli", "umbrella", "wonka"];

const MS: Duration = Duration::from_millis(1);

fn manager(url: &str, connections: usize) -> TenantManager {
    TenantManager::builder(url)
        .pool_options(pool_options(|options| options.max_connections = connections))
        .build()
        .expect("the configuration is sound")
}

/// What requests have come to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    right: usize,
    wrong: usize,
    refused: usize,
    failed: Vec<String>,
}

impl Tally {
    fn add(&mut self, tenant: &str, answer: sqlx::Result<String>) {
        match answer {
            Ok(name) if name == tenant => self.right += 1,
            Ok(_) => self.wrong += 1,
            Err(error) => {
                let text = error.to_string();
                match kind_of(error) {
                    ErrorKind::TransactionPooler => self.refused += 1,
                    _ => self.failed.push(text),
                }
            }
        }
    }

    fn and(mut self, other: Self) -> Self {
        self.right += other.right;
        self.wrong += other.wrong;
        self.refused += other.refused;
        self.failed.extend(other.failed);
        self
    }
}

/// Sends requests of all tenants, 8 at a time.
async fn load(manager: &TenantManager, requests: usize) -> Tally {
    let mut tasks = JoinSet::new();
    for worker in 0..8 {
        let manager = manager.clone();
        tasks.spawn(async move {
            let mut tally = Tally::default();
            for request in 0..requests / 8 {
                let tenant = TENANTS[(worker + request) % TENANTS.len()];
                let answer = match manager.tenant(tenant).await {
                    Ok(db) => name_of(&db).await,
                    Err(error) => Err(error.into()),
                };
                tally.add(tenant, answer);
            }
            tally
        });
    }
    tasks.join_all().await.into_iter().fold(Tally::default(), Tally::and)
}

/// Checks that nothing is served, and that everybody is told so in the same sentence.
async fn serves_nothing(manager: &TenantManager) -> TestResult {
    let sentence = "a connection pooler in transaction mode mixes up the sessions of tenants; \
                    connect to PostgreSQL itself or to a pooler in session mode, and restart";
    let error = Error::from(manager.shared().acquire().await.expect_err("nothing is served"));
    assert_eq!(error.kind(), ErrorKind::TransactionPooler);
    assert_eq!(error.to_string(), format!("nothing is served: {sentence}"));
    assert_eq!((error.is_transient(), error.retry_after()), (false, None));
    assert_eq!(
        manager
            .provisioner()
            .create("new", CreateOptions::default())
            .await
            .map(drop)
            .map_err(|of| of.kind()),
        Err(error.kind())
    );
    let report = manager.health(HealthOptions::default()).await;
    assert_eq!((report.healthy, report.status), (false, HealthStatus::Unhealthy));
    assert_eq!((report.pooling, report.reason), (Pooling::Transaction, Some(sentence)));
    assert_eq!(report.shared_db.expect("it is included").reason, Some(sentence));
    let unasked = HealthOptions::default().ping(false).include_shared(false);
    assert!(!manager.health(unasked).await.healthy);
    let ready = Ops::new(manager.clone()).readyz().await;
    assert_eq!(ready.status_code(), 503);
    let said: serde_json::Value = serde_json::from_str(&ready.into_body())?;
    assert_eq!(said, serde_json::json!({ "status": "unhealthy", "reason": sentence }));
    Ok(())
}

/// Keeps a pooler busy with transactions of somebody else.
fn foreign_traffic(url: &str) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let url = url.to_owned();
        tasks.spawn(async move {
            let mut conn = connect(&url).await;
            loop {
                run(&mut conn, "begin; select pg_sleep(0.002); commit").await;
                tokio::time::sleep(MS).await;
            }
        });
    }
    tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_in_transaction_mode_nothing_is_served() -> TestResult {
    let server = private_server(&TENANTS).await;
    for (mode, size, round_robin, foreign) in [
        ("transaction", "3", "0", false),
        ("transaction", "1", "0", false),
        ("transaction", "2", "0", false),
        ("transaction", "20", "0", false),
        ("transaction", "1", "1", false),
        ("transaction", "2", "1", false),
        ("transaction", "3", "1", false),
        ("transaction", "20", "1", false),
        ("transaction", "1", "0", true),
        ("transaction", "3", "0", true),
        ("transaction", "20", "1", true),
        ("statement", "1", "0", false),
        ("statement", "3", "0", false),
        ("statement", "3", "1", false),
    ] {
        let settings =
            [("pool_mode", mode), ("default_pool_size", size), ("server_round_robin", round_robin)];
        let Some(pooler) = PgBouncer::before(server.port(), &settings).await else {
            return Ok(());
        };
        let _foreign = foreign.then(|| foreign_traffic(&pooler.url()));
        let heard = Heard::default();
        let manager = TenantManager::builder(pooler.url())
            .pool_options(pool_options(|options| options.max_connections = 8))
            .on_event(heard.hook())
            .build()?;
        let tally = load(&manager, 1_600).await;
        let refused = Tally { refused: 1_600, ..Tally::default() };
        assert_eq!(tally, refused, "{mode} {size} {round_robin} {foreign}");
        serves_nothing(&manager).await?;
        manager.close().await;
        let told = |event: &&Event| matches!(event, Event::PoolError(of) if of.attempted == "keeping tenants apart");
        assert_eq!(heard.all().iter().filter(told).count(), 1, "it is told once");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_changes_to_transaction_mode_is_found_out() -> TestResult {
    let server = private_server(&TENANTS).await;
    let session = [("pool_mode", "session"), ("default_pool_size", "8")];
    let transaction = [("pool_mode", "transaction"), ("default_pool_size", "3")];
    let Some(mut pooler) = PgBouncer::before(server.port(), &session).await else {
        return Ok(());
    };
    for restarts in [false, true] {
        pooler.restart(&session).await;
        let manager = manager(&pooler.url(), 8);
        let tally = load(&manager, 400).await;
        assert_eq!(tally, Tally { right: 400, ..Tally::default() });
        assert_eq!(manager.health(HealthOptions::default()).await.pooling, Pooling::Session);
        at_rest(&manager).await;
        match restarts {
            true => pooler.restart(&transaction).await,
            false => pooler.reload(&transaction),
        }
        let began = Instant::now();
        let mut tally = Tally::default();
        while tally.refused == 0 {
            assert!(began.elapsed() < MS * 20_000, "it is not found out: {tally:?}");
            tally = tally.and(load(&manager, 80).await);
        }
        // A statement that is on its way meanwhile is not called back. How many those are is up to the scheduling of
        // three processes; it is never most of the first load.
        assert!(tally.wrong <= 40, "{tally:?}");
        serves_nothing(&manager).await?;
        manager.close().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_of_one_is_served_and_said_to_be_unknown() -> TestResult {
    let server = private_server(&TENANTS).await;
    let manager_of_one = manager(&server.url(), 1);
    let tally = load(&manager_of_one, 80).await;
    assert_eq!(tally, Tally { right: 80, ..Tally::default() });
    let report = manager_of_one.health(HealthOptions::default()).await;
    assert_eq!((report.healthy, report.pooling, report.reason), (true, Pooling::Unknown, None));
    let json = serde_json::to_value(&report)?;
    assert_eq!((&json["pooling"], json.get("reason")), (&"unknown".into(), None));
    manager_of_one.close().await;

    // Two of them behind a pooler get in each other's way.
    let settings = [("pool_mode", "transaction"), ("default_pool_size", "3")];
    let Some(pooler) = PgBouncer::before(server.port(), &settings).await else {
        return Ok(());
    };
    let managers = [manager(&pooler.url(), 1), manager(&pooler.url(), 1)];
    let began = Instant::now();
    let mut refused = [0, 0];
    while refused == [0, 0] {
        assert!(began.elapsed() < MS * 20_000, "it is not found out");
        let (one, other) = tokio::join!(load(&managers[0], 400), load(&managers[1], 400));
        refused = [one.refused, other.refused];
    }
    // One that is alone with the pooler now has nobody to be mixed up with.
    let _foreign = foreign_traffic(&pooler.url());
    for manager in &managers {
        while load(manager, 80).await.refused == 0 {
            assert!(began.elapsed() < MS * 20_000, "it is not found out");
        }
    }
    for manager in managers {
        serves_nothing(&manager).await?;
        manager.close().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_in_session_mode_everything_is_served() -> TestResult {
    let server = private_server(&TENANTS).await;
    // The last ones have fewer sessions than the pool has connections.
    for (size, round_robin) in [("20", "0"), ("8", "1"), ("4", "0"), ("1", "0")] {
        let settings = [
            ("pool_mode", "session"),
            ("default_pool_size", size),
            ("server_round_robin", round_robin),
        ];
        let Some(pooler) = PgBouncer::before(server.port(), &settings).await else {
            return Ok(());
        };
        let manager = TenantManager::builder(pooler.url())
            .pool_options(pool_options(|options| {
                options.max_connections = 8;
                options.connect_timeout = MS * 500;
                options.idle_timeout = Some(MS * 300);
            }))
            .build()?;
        for _ in 0..3 {
            let tally = load(&manager, 400).await;
            assert_eq!((tally.wrong, tally.refused), (0, 0), "{size}: {tally:?}");
            if size != "1" {
                assert_eq!(tally.failed, [""; 0], "{size}");
            }
            // Connections are closed meanwhile, and others get their backends.
            tokio::time::sleep(MS * 400).await;
        }
        let expected = if size == "1" { Pooling::Unknown } else { Pooling::Session };
        let report = manager.health(HealthOptions::default()).await;
        assert_eq!((report.healthy, report.pooling), (true, expected), "{size}");
        manager.close().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_and_a_failover_are_no_poolers() -> TestResult {
    let servers = [private_server(&TENANTS).await, private_server(&TENANTS).await];
    let ports = servers.each_ref().map(DevServer::port);
    let proxy = Proxy::before_all(&ports).await;
    let manager = manager(&proxy.url(), 8);
    let tally = load(&manager, 1_600).await;
    assert_eq!(tally, Tally { right: 1_600, ..Tally::default() });
    for server in &servers {
        assert!(sessions(&mut connect(&server.url()).await).await > 0, "both are used");
    }
    assert_eq!(manager.health(HealthOptions::default()).await.pooling, Pooling::Session);
    for port in [ports[0], ports[1], ports[0]] {
        at_rest(&manager).await;
        proxy.turn_to(port);
        proxy.set(Mode::Cut);
        proxy.set(Mode::Pass);
        eventually("it is served again", async || {
            let tally = load(&manager, 80).await;
            assert_eq!((tally.wrong, tally.refused), (0, 0), "{tally:?}");
            tally.right == 80
        })
        .await;
    }
    assert_eq!(manager.health(HealthOptions::default()).await.pooling, Pooling::Session);
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_reconnects_is_no_pooler() -> TestResult {
    let server = private_server(&TENANTS).await;
    let mut admin = connect(&server.url()).await;
    for lingers in [Duration::ZERO, MS * 500] {
        let proxy = Reconnecting::before(server.port(), lingers).await;
        let manager = TenantManager::builder(proxy.url())
            .pool_options(pool_options(|options| {
                options.max_connections = 8;
                // A proxy that reconnects may swallow an answer.
                options.statement_timeout = Some(MS * 2_000);
            }))
            .build()?;
        assert_eq!(load(&manager, 400).await.right, 400);
        for round in 0..4 {
            at_rest(&manager).await;
            if round % 2 == 0 {
                proxy.reconnect().await;
            } else {
                let killed = pids(&mut admin).await;
                for pid in &killed {
                    kill(&mut admin, *pid).await;
                }
                eventually("all have reconnected", async || {
                    let now = pids(&mut admin).await;
                    now.len() >= killed.len() && !now.iter().any(|pid| killed.contains(pid))
                })
                .await;
            }
            // Their sessions are new, and bound to nobody. That is noticed at the next bind or sign of
            // life; a statement before may fail because its tables are not found.
            let rests = round < 2;
            if rests {
                tokio::time::sleep(MS * 1_100).await;
            }
            let mut all = 0;
            for _ in 0..10 {
                let tally = load(&manager, 400).await;
                assert_eq!((tally.wrong, tally.refused), (0, 0), "{lingers:?}, {round}: {tally:?}");
                all = tally.right;
                if rests || all == 400 {
                    break;
                }
            }
            assert_eq!(all, 400, "{lingers:?}, {round}");
        }
        let report = manager.health(HealthOptions::default()).await;
        assert_eq!((report.healthy, report.pooling), (true, Pooling::Session));
        manager.close().await;
    }
    Ok(())
}

/// The sessions of managers.
async fn pids(admin: &mut PgConnection) -> Vec<i32> {
    sqlx::query_scalar("select pid from pg_stat_activity where application_name like 'tenantry/%'")
        .fetch_all(admin)
        .await
        .expect("the server is running")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_put_in_the_wrong_place_are_closed() -> TestResult {
    let server = private_server(&TENANTS).await;
    let manager = manager(&server.url(), 4);
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let mut admin = connect(&server.url()).await;
    for round in 0..3 {
        let pid = pid_of(&globex).await?;
        let (mut one, mut other) = (acme.acquire().await?, globex.acquire().await?);
        std::mem::swap(&mut *one, &mut *other);
        drop((one, other));
        // One from outside, in the place of one of ours, which lives on.
        let mut foreign = connect(&server.url()).await;
        let mut lease = acme.acquire().await?;
        std::mem::swap(&mut *lease, &mut foreign);
        drop(lease);
        let mut transaction = acme.begin().await?;
        std::mem::swap(&mut *transaction, &mut foreign);
        drop(transaction);
        at_rest(&manager).await;
        let tally = load(&manager, 200).await;
        assert_eq!(tally, Tally { right: 200, ..Tally::default() }, "round {round}");
        let report = manager.health(HealthOptions::default()).await;
        assert_eq!((report.healthy, report.pooling), (true, Pooling::Session));
        foreign.close().await?;
        assert!(!pids(&mut admin).await.contains(&pid), "all that were open then are closed");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_server_without_room_for_a_second_connection_is_served() -> TestResult {
    let server = private_server(&[]).await;
    let mut admin = connect(&server.url()).await;
    create_tenant(&mut admin, "acme").await;
    run(&mut admin, "create role app login connection limit 1").await;
    run(&mut admin, "grant usage on schema tenant_acme to app").await;
    run(&mut admin, "grant select on tenant_acme.users to app").await;
    let url = format!("postgres://app@127.0.0.1:{}/postgres", server.port());
    let heard = Heard::default();
    let manager = TenantManager::builder(&url).on_event(heard.hook()).build()?;
    let began = Instant::now();
    let lease = manager.shared().acquire().await?;
    assert!(began.elapsed() < MS * 900, "it has waited for {:?}", began.elapsed());
    assert_eq!(heard.retries().len(), 0, "nobody has needed a second one");
    let full = |event: &&Event| matches!(event, Event::PoolError(of) if of.class == ErrorClass::TooManyConnections);
    assert_eq!(heard.all().iter().filter(full).count(), 0);
    drop(lease);
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    let report = manager.health(HealthOptions::default()).await;
    assert_eq!((report.healthy, report.pooling), (true, Pooling::Unknown));
    // There is room later, and another connection is needed.
    run(&mut admin, "alter role app connection limit 3").await;
    let held = manager.tenant("acme").await?.acquire().await?;
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    assert_eq!(manager.health(HealthOptions::default()).await.pooling, Pooling::Session);
    drop(held);
    manager.close().await;
    Ok(())
}
