//! Readiness distinguishes an unreachable server from one failing tenant. Liveness ignores both.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tenantry_devdb::DevServer;

use super::{
    OpsSettings, ServesOps,
    stage::{Stage, assert_free_of, build},
};
use crate::world::{World, builder, create_tenants, eventually, offline};

/// Words in the messages of a database or driver in trouble.
const WORDS: [&str; 8] =
    ["127.0.0.1", "localhost", "postgres", "refused", "os error", "reset", "nobody", "shut"];

impl Stage {
    /// Checks that the instance is live and not ready, and that no answer reveals why.
    async fn assert_unready(&self) -> Value {
        let live = self.get("/livez").await;
        assert_eq!((live.status, live.body.as_str()), (200, "ok"));
        assert_eq!(live.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(live.header("cache-control"), Some("no-store"));

        let ready = self.get("/readyz").await;
        assert_eq!(ready.status, 503);
        assert_eq!(ready.header("content-type"), Some("application/json"));
        assert_eq!(ready.header("cache-control"), Some("no-store"));
        assert_eq!(ready.body, r#"{"status":"unhealthy"}"#);

        let health = self.get("/health").await;
        assert_eq!(health.status, 503);
        assert_free_of(&health, &WORDS);
        let report = health.json();
        assert_eq!((&report["healthy"], &report["status"]), (&false.into(), &"unhealthy".into()));
        report
    }

    async fn is_ready(&self) -> bool {
        let mut all = true;
        for path in ["/readyz", "/health", "/livez"] {
            all &= self.get(path).await.status == 200;
        }
        all
    }
}

/// Starts a separate server with the same tenants, to be stopped and started.
async fn private_server() -> DevServer {
    let server = DevServer::start().await.expect("a server can be started");
    let mut admin = PgConnection::connect(&server.url()).await.expect("the server is running");
    create_tenants(&mut admin).await.expect("the statements are valid");
    server
}

/// Readiness follows the server down and up again.
pub async fn a_restarted_server_is_ready_again<S: ServesOps>() {
    let server = private_server().await;
    let stage = Stage::with::<S>(build(builder(&server.url())), OpsSettings::verbose()).await;
    stage.use_tenants(&["acme", "globex"]).await;
    assert!(stage.is_ready().await);

    server.stop_now().await.expect("the server stops");
    let report = stage.assert_unready().await;
    assert_eq!(report["sharedDb"]["status"], "unhealthy");
    assert!(stage.metrics().await.contains("tenantry_health_status 0\n"));

    server.start_again().await.expect("the server starts");
    eventually("the server is found again", async || stage.is_ready().await).await;
    let metrics = stage.metrics().await;
    assert!(metrics.contains("tenantry_health_status 1\n"), "{metrics}");
    stage.end().await;
    server.close().await;
}

/// An instance whose server does not exist is live.
pub async fn a_missing_server_is_not_ready<S: ServesOps>() {
    let stage = Stage::new::<S>(offline(["acme"])).await;
    let report = stage.assert_unready().await;
    assert_eq!(report["totalPools"], 0);
    assert_eq!(report["sharedDb"]["status"], "unhealthy");
    stage.end().await;
}

/// The server accepts the connection and never answers.
pub async fn a_hanging_server_is_bounded_by_the_ping_timeout<S: ServesOps>() {
    let server = private_server().await;
    let timeout = Some(Duration::from_millis(300));
    let settings = OpsSettings { ping_timeout: timeout, ..OpsSettings::default() };
    let stage = Stage::with::<S>(build(builder(&server.url())), settings).await;
    let postmaster = server.pid().and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
    let postmaster = postmaster.expect("the server is running");

    kill_process(postmaster, Signal::STOP).expect("the server can be stopped");
    let asked = Instant::now();
    stage.assert_unready().await;
    let took = asked.elapsed();
    kill_process(postmaster, Signal::CONT).expect("the server can be continued");
    // Two answers of 300 ms each, on a machine that may be busy.
    assert!(took < Duration::from_secs(2), "{took:?}");

    eventually("the server is found again", async || stage.is_ready().await).await;
    stage.end().await;
    server.close().await;
}

/// A tenant without its schema is reported, and the instance stays ready.
pub async fn one_failing_tenant_leaves_the_instance_ready<S: ServesOps>() {
    let world = World::new().await;
    let stage = Stage::with::<S>(world.manager(), OpsSettings::verbose()).await;
    stage.use_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    let dropped = sqlx::raw_sql("drop schema tenant_globex cascade").execute(&mut admin).await;
    dropped.expect("the schema exists");

    assert!(stage.is_ready().await);
    let health = stage.answer_when_ok().await;
    let report = health.json();
    assert_eq!((&report["healthy"], &report["status"]), (&true.into(), &"ok".into()));
    assert_eq!((&report["totalPools"], &report["unhealthyPools"]), (&2.into(), &1.into()));
    let status = |index: usize| &report["pools"][index]["status"];
    assert_eq!((status(0), status(1)), (&"ok".into(), &"unhealthy".into()));
    assert!(report["pools"][1]["reason"].is_string(), "{report}");
    assert_free_of(&health, &["tenant_globex"]);
    stage.end().await;
}

/// A closed manager is not ready. Its metrics can still be scraped.
pub async fn a_closed_manager_is_not_ready<S: ServesOps>() {
    let world = World::new().await;
    let stage = Stage::new::<S>(world.manager()).await;
    assert!(stage.is_ready().await);
    stage.manager.close().await;
    stage.assert_unready().await;
    assert_eq!(stage.get("/metrics").await.status, 200);
}
