//! Several hosts: each connect finds the one that is asked for, whatever has become of the others.

use std::{
    error::Error as _,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use sqlx::Executor;
use tenantry::{ErrorKind, PoolOptions, TableCatalog, TenantManager, retry::RetryPolicy};

use crate::{
    failover::Pair,
    faults::{Mode, Proxy},
    secrets::in_full,
    support::{
        TestResult, World, connect, eventually, eventually_within, name_of, private_server, run,
        sessions,
    },
};

/// A port on which nobody listens.
fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
    listener.local_addr().expect("it is bound").port()
}

fn url(ports: &[u16], parameters: &str) -> String {
    let hosts: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("postgres://postgres:s3cret@{}/postgres?{parameters}", hosts.join(","))
}

async fn in_recovery(manager: &TenantManager) -> Result<bool, Box<dyn std::error::Error>> {
    let ask = sqlx::query_scalar("select pg_is_in_recovery()");
    Ok(ask.fetch_one(&manager.tenant("acme").await?).await?)
}

const ADD: &str = "insert into added values (1)";

#[tokio::test]
async fn the_host_that_is_asked_for_is_found_and_found_again_after_a_failover() -> TestResult {
    let pair = Pair::start().await?;
    let ports = [closed_port(), pair.standby.port(), pair.primary.port()];
    let build = |parameters: &str| TenantManager::builder(url(&ports, parameters)).build();
    for (target, standby) in [
        ("any", true),
        ("read-write", false),
        ("primary", false),
        ("read-only", true),
        ("standby", true),
        ("prefer-standby", true),
        ("read-write&load_balance_hosts=random", false),
    ] {
        let manager = build(&format!("target_session_attrs={target}"))?;
        assert_eq!(in_recovery(&manager).await?, standby, "{target}");
        manager.close().await;
    }

    // The primary goes away while it is used.
    let manager = build("target_session_attrs=read-write")?;
    let db = manager.tenant("acme").await?;
    sqlx::query(ADD).execute(&db).await?;
    pair.primary.stop_now().await?;
    run(&mut connect(&pair.standby.url()).await, "select pg_promote(true, 60)").await;
    eventually("the new primary takes writes", async || {
        sqlx::query(ADD).execute(&db).await.is_ok()
    })
    .await;

    // There is no standby any more.
    let preferring = build("target_session_attrs=prefer-standby")?;
    assert!(!in_recovery(&preferring).await?);
    preferring.close().await;
    let never = PoolOptions::default().retry(RetryPolicy::never());
    let url = url(&ports, "target_session_attrs=standby");
    let insisting = TenantManager::builder(url).pool_options(never).build()?;
    let error = insisting.tenant("acme").await.expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_transient(), "one may come");
    let sources = std::iter::successors(error.source(), |error| (*error).source());
    let words = sources.map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(words.contains("none of 3 hosts can be used"), "{words}");
    for port in ports {
        assert!(words.contains(&format!("127.0.0.1:{port}: ")), "{words}");
    }
    assert!(words.contains("is not in recovery") && !words.contains("s3cret"), "{words}");
    insisting.close().await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_host_that_hangs_takes_its_share_of_the_time_and_no_connection() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    let port =
        sqlx::query_scalar::<_, i32>("select inet_server_port()").fetch_one(&mut admin).await?;
    let port = u16::try_from(port)?;
    let hung = Proxy::before(port).await;
    hung.set(Mode::BlackHole);
    let database: String =
        sqlx::query_scalar("select current_database()").fetch_one(&mut admin).await?;
    let rest = format!(",127.0.0.1:{port}/{database}?target_session_attrs=primary");
    let url = hung.url().trim_end_matches("/postgres").to_owned() + &rest;
    let options = PoolOptions::default()
        .connect_timeout(Duration::from_millis(1_500))
        .acquire_timeout(Duration::from_secs(10))
        .max_connections(1);
    let manager = TenantManager::builder(url).pool_options(options).build()?;
    let began = Instant::now();
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    let took = began.elapsed();
    assert!((700..1_500).contains(&took.as_millis()), "{took:?}");
    assert_eq!(sessions(&mut admin).await, 1);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn who_listens_to_the_catalog_goes_to_the_primary() -> TestResult {
    let pair = Pair::start().await?;
    let mut admin = connect(&pair.primary.url()).await;
    let primary = TenantManager::builder(pair.primary.url()).build()?;
    TableCatalog::new().create_table(primary.shared()).await?;
    primary.close().await;
    admin.execute("insert into tenants (id) values ('acme')").await?;
    let ports = [pair.standby.port(), pair.primary.port()];
    let manager = TenantManager::builder(url(&ports, "target_session_attrs=prefer-standby"))
        .catalog(TableCatalog::new())
        .build()?;
    eventually_within(Duration::from_secs(20), "the standby has the tenant", async || {
        manager.tenant("acme").await.is_ok()
    })
    .await;
    let listens = "select count(*) from pg_stat_activity where query ilike 'listen %' and pid <> pg_backend_pid()";
    eventually("it listens", async || {
        let count = sqlx::query_scalar::<_, i64>(listens).fetch_one(&mut admin).await;
        count.is_ok_and(|count| count == 1)
    })
    .await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn hosts_can_be_addresses_of_both_kinds_and_folders_of_sockets() -> TestResult {
    let server = private_server(&["acme"]).await;
    let (port, closed) = (server.port(), closed_port());
    let never = || PoolOptions::default().retry(RetryPolicy::never());
    let nowhere = format!("[::1]:{closed},%2Fno%2Fwhere:{port}");
    let socket = server.socket_dir().display().to_string().replace('/', "%2F");
    for (last, over_socket) in [(socket, true), ("127.0.0.1".to_owned(), false)] {
        let url = format!("postgres://postgres@{nowhere},{last}:{port}/postgres");
        let manager = TenantManager::builder(url).pool_options(never()).build()?;
        let db = manager.tenant("acme").await?;
        let local: bool =
            sqlx::query_scalar("select inet_server_addr() is null").fetch_one(&db).await?;
        assert_eq!(local, over_socket);
        manager.close().await;
    }
    let url = format!("postgres://postgres@{nowhere}/postgres");
    let manager = TenantManager::builder(url).pool_options(never()).build()?;
    let words = in_full(&manager.tenant("acme").await.expect_err("there is none"));
    for host in [format!("[::1]:{closed}: "), format!("/no/where:{port}: ")] {
        assert!(words.contains(&host), "{words}");
    }
    manager.close().await;
    let error = TenantManager::builder("postgres://a/d").hosts([]).build().expect_err("no host");
    assert_eq!(error.to_string(), "hosts are empty; give at least one");
    Ok(())
}

#[tokio::test]
async fn connections_are_spread_over_hosts_in_a_random_order_alone() -> TestResult {
    let server = private_server(&["acme"]).await;
    for (order, both) in [("random", true), ("disable", false)] {
        let [one, other] = [Proxy::before(server.port()).await, Proxy::before(server.port()).await];
        let address = |proxy: &Proxy| {
            proxy.url().replace("postgres://postgres@", "").replace("/postgres", "")
        };
        let hosts = [&one, &other].map(address).join(",");
        let url = format!("postgres://postgres@{hosts}/postgres?load_balance_hosts={order}");
        // One of 20 is kept back. All at one host by chance: once in a quarter of a million runs.
        let manager = TenantManager::builder(url)
            .max_connections(20)
            .acquire_timeout(Duration::from_secs(30))
            .build()?;
        let shared = manager.shared();
        let leases = try_join_all((0..19).map(|_| shared.acquire())).await?;
        assert_eq!(other.taken() > 0 && one.taken() > 0, both, "{order}");
        drop(leases);
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_connect_may_take_as_long_as_it_likes() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| options.connect_timeout = Duration::MAX);
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    manager.close().await;
    Ok(())
}
