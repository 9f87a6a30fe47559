//! The activity of several servers and databases is read in one go, and a server that is away spoils nothing.

use std::time::{Duration, Instant};

use tenantry::{
    ErrorKind, FixedCatalog, Isolation, ServerOptions, TenantManager,
    activity::{Activity, ActivityOptions, ActivityRates, SizeMethod, TenantActivity},
};

use crate::{
    faults::Frozen,
    migrate::{Homes, records},
    support::{TestResult, connect, eventually, pool_options, run},
};

/// A manager whose sessions are named after their tenants, on both servers.
fn named(homes: &Homes) -> TenantManager {
    let options = || {
        pool_options(|options| {
            options.name_tenants = true;
            options.connect_timeout = Duration::from_millis(500);
            options.acquire_timeout = Duration::from_secs(2);
        })
    };
    let eu = ServerOptions::new(homes.eu.url()).pool_options(options());
    let builder = TenantManager::builder(homes.main.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .or_isolation(Isolation::database("db_{id}"))
        .pool_options(options())
        .instance("web")
        .server("eu-1", eu)
        .catalog(FixedCatalog::new(records()));
    builder.build().expect("the configuration is sound")
}

/// Each tenant with the place of its sessions.
fn places(activity: &Activity) -> Vec<String> {
    let tenants = activity.tenants.iter();
    let place = |of: &'_ TenantActivity| {
        let [server, database] = [&of.server, &of.database].map(|of| of.as_deref().unwrap_or("-"));
        format!("{} {server}/{database}", of.tenant_id)
    };
    tenants.map(place).collect()
}

fn within(limit: Duration) -> ActivityOptions {
    ActivityOptions::default().server_timeout(limit).slow_after(Duration::ZERO)
}

#[tokio::test]
async fn sessions_and_statements_name_their_server_and_database() -> TestResult {
    let homes = Homes::new().await;
    let manager = named(&homes);
    let mut leases = Vec::new();
    for id in ["a", "b", "d", "f"] {
        leases.push(manager.tenant(id).await?.acquire().await?);
    }
    // A database on the same server that is none of the tenants', with a session that is named like theirs.
    let url = homes.eu.create_database("elsewhere").await?;
    let mut other = connect(&url).await;
    run(&mut other, "set application_name to 'tenantry/other/stranger'").await;
    let mut sleeper = leases.pop().expect("it is that of f");
    let pid = sleeper.backend_pid();
    let sleeping = tokio::spawn(async move {
        let slow = sqlx::query("select pg_sleep(5), 'of f'").execute(&mut *sleeper).await;
        drop(slow);
    });
    let mut seen = None;
    eventually("the statement runs", async || {
        let activity = manager.activity(within(Duration::from_secs(5))).await;
        let activity = activity.expect("the servers run");
        let is_slow = activity.slow.iter().any(|slow| slow.text.contains("'of f'"));
        seen = Some(activity);
        is_slow
    })
    .await;
    let activity = seen.expect("it has been read");
    assert_eq!(
        places(&activity),
        ["a main/-", "b eu-1/-", "d main/db_d", "f eu-1/db_f"],
        "{activity:?}"
    );
    let slow = activity.slow.iter().find(|slow| Some(slow.pid) == pid).expect("it is listed");
    assert_eq!((slow.server.as_deref(), slow.database.as_deref()), (Some("eu-1"), Some("db_f")));
    assert_eq!(slow.tenant_id.as_deref(), Some("f"));
    let names: Vec<_> = activity.servers.iter().map(|of| &*of.server).collect();
    assert_eq!(names, ["main", "eu-1"]);
    let readings: Vec<_> = activity.servers.iter().filter_map(|of| of.reading.as_ref()).collect();
    let [main, eu] = &readings[..] else { panic!("{activity:?}") };
    assert_eq!(main.sessions.total + eu.sessions.total, activity.sessions.total, "{activity:?}");
    assert_eq!(
        (&*activity.server_version, activity.connections),
        (&*main.server_version, main.connections)
    );
    assert!(eu.connections.used >= 3, "{eu:?}");
    let web = activity.applications.iter().find(|of| of.application == "tenantry/web");
    assert!(web.is_some_and(|web| web.sessions.total >= 4), "a process is one: {activity:?}");
    let text = activity.to_string();
    assert!(text.contains("\nmain    ") && text.contains("\neu-1    "), "{text}");
    let json = serde_json::to_value(&activity)?;
    assert_eq!(json["servers"][1]["server"], "eu-1");
    assert!(json["servers"][1]["reading"]["connections"]["used"].is_u64(), "{json}");
    let later = manager.activity(within(Duration::from_secs(5))).await?;
    let reading = later.servers[1].reading.as_ref().expect("it has been read");
    let rates = ActivityRates::of_server(eu, reading).expect("time has passed");
    assert!(rates.commits >= 0.0 && !rates.elapsed.is_zero(), "{rates:?}");
    sleeping.abort();
    drop(leases);
    manager.close_within(Duration::ZERO).await;
    Ok(())
}

#[tokio::test]
async fn a_server_that_hangs_spoils_nothing_of_the_others() -> TestResult {
    let homes = Homes::new().await;
    let manager = named(&homes);
    let limit = Duration::from_secs(2);
    let mut leases = Vec::new();
    for id in ["a", "b"] {
        leases.push(manager.tenant(id).await?.acquire().await?);
    }
    manager.activity(within(limit)).await?;
    for (server, away, there, tenant) in
        [(&homes.eu, 1, 0, "a"), (&homes.main, 0, 1, "b"), (&homes.eu, 1, 0, "a")]
    {
        let frozen = Frozen::freeze(server);
        let began = Instant::now();
        let activity = manager.activity(within(limit)).await;
        let took = began.elapsed();
        drop(frozen);
        let activity = activity?;
        assert!(took < limit * 2, "{took:?}");
        let [gone, here] = [away, there].map(|at| &activity.servers[at]);
        assert!(gone.reading.is_none() && here.error.is_none(), "{activity:?}");
        assert!(gone.error.as_deref().is_some_and(|why| !why.is_empty()), "{activity:?}");
        let named: Vec<_> = activity.tenants.iter().map(|of| of.tenant_id.as_str()).collect();
        assert_eq!(named, [tenant], "{activity:?}");
        let unseen = activity.unseen.iter().find(|of| of.server.as_ref() == Some(&gone.server));
        let what = unseen.map(|of| of.what.as_str());
        assert_eq!(what, Some("sessions and statements"), "{activity:?}");
        let text = activity.to_string();
        assert!(text.contains("not read") && text.contains("not seen: sessions and"), "{text}");
        assert_eq!(activity.server_version.is_empty(), away == 0, "{activity:?}");
        eventually("it is read again", async || {
            let activity = manager.activity(within(limit)).await;
            activity.is_ok_and(|of| of.servers.iter().all(|of| of.error.is_none()))
        })
        .await;
    }
    drop(leases);
    manager.close_within(Duration::ZERO).await;
    Ok(())
}

#[tokio::test]
async fn servers_that_are_killed_are_reported_and_without_any_there_is_an_error() -> TestResult {
    let homes = Homes::new().await;
    let manager = named(&homes);
    manager.activity(within(Duration::from_secs(3))).await?;
    homes.eu.stop_now().await?;
    let began = Instant::now();
    let activity = manager.activity(within(Duration::from_secs(3))).await?;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(activity.servers[0].reading.is_some(), "{activity:?}");
    assert!(activity.servers[1].error.is_some(), "{activity:?}");
    homes.main.stop_now().await?;
    let error = manager.activity(within(Duration::from_secs(3))).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout), "{error:?}");
    manager.close_within(Duration::ZERO).await;
    Ok(())
}

#[tokio::test]
async fn one_server_that_hangs_is_an_error_within_the_limit() -> TestResult {
    let server = crate::support::private_server(&["acme"]).await;
    let manager = TenantManager::builder(server.url()).build()?;
    let activity = manager.activity(ActivityOptions::default()).await?;
    assert!(activity.servers.is_empty() && !activity.server_version.is_empty(), "{activity:?}");
    let json = serde_json::to_value(&activity)?;
    assert!(json.get("servers").is_none(), "{json}");
    let frozen = Frozen::freeze(&server);
    let began = Instant::now();
    let error = manager.activity(within(Duration::from_secs(1))).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(frozen);
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    manager.close_within(Duration::ZERO).await;
    Ok(())
}

#[tokio::test]
async fn sizes_are_read_where_the_tenants_are() -> TestResult {
    let homes = Homes::new().await;
    for (id, rows) in [("a", 10), ("b", 20), ("c", 30), ("d", 40), ("e", 50), ("f", 60)] {
        let mut conn = connect(&homes.url_of(id)).await;
        if ["a", "b", "c"].contains(&id) {
            run(&mut conn, &format!("set search_path to tenant_{id}")).await;
        }
        let sql = format!("create table notes as select generate_series(1, {rows}) as id");
        run(&mut conn, &sql).await;
        run(&mut conn, "vacuum analyze notes").await;
    }
    let manager = named(&homes);
    for method in [SizeMethod::Estimate, SizeMethod::Exact] {
        let sizes = manager.tenant_sizes(method).await?;
        let mut tenants = sizes.tenants.clone();
        tenants.sort_by(|one, other| one.tenant_id.cmp(&other.tenant_id));
        let found: Vec<_> = tenants
            .iter()
            .map(|of| {
                let place = [&of.server, &of.database].map(|of| of.as_deref().unwrap_or("-"));
                (of.tenant_id.as_str(), place, of.rows, of.bytes.is_some_and(|bytes| bytes > 0))
            })
            .collect();
        let expected = [
            ("a", ["main", "-"], 10, true),
            ("b", ["eu-1", "-"], 20, true),
            ("c", ["eu-1", "-"], 30, true),
            ("d", ["main", "db_d"], 40, true),
            ("e", ["main", "db_e"], 50, true),
            ("f", ["eu-1", "db_f"], 60, true),
        ];
        assert_eq!(found, expected, "{sizes:?}");
        assert!(sizes.unseen.is_empty(), "{sizes:?}");
    }
    run(&mut connect(&homes.main.url()).await, "drop database db_e with (force)").await;
    let frozen = Frozen::freeze(&homes.eu);
    let began = Instant::now();
    let sizes = manager.tenant_sizes(SizeMethod::Estimate).await;
    let took = began.elapsed();
    drop(frozen);
    let sizes = sizes?;
    assert!(took < Duration::from_secs(12), "{took:?}");
    let known = sizes.tenants.iter().filter(|of| of.bytes.is_some());
    let mut known: Vec<_> = known.map(|of| of.tenant_id.as_str()).collect();
    known.sort_unstable();
    assert_eq!(known, ["a", "d"], "{sizes:?}");
    let json = serde_json::to_value(&sizes)?;
    for (of, size) in sizes.tenants.iter().zip(json["tenants"].as_array().into_iter().flatten()) {
        let is_known = of.bytes.is_some();
        assert_eq!((of.unread, size["unread"] == true), (!is_known, !is_known), "{size}");
        for figure in ["bytes", "rows", "tables", "neverAnalyzed"] {
            assert_eq!(size[figure].is_number(), is_known, "{size}");
            assert_eq!(size[figure].is_null(), !is_known, "{size}");
        }
    }
    let unseen: Vec<_> = sizes.unseen.iter().map(ToString::to_string).collect();
    let expected =
        ["the sizes of 3 tenants on server eu-1", "the sizes of 1 tenants on server main"];
    assert_eq!(unseen, expected, "{sizes:?}");
    manager.close_within(Duration::ZERO).await;
    Ok(())
}
