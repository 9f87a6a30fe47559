//! All tenants of a server move to others.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tenantry::{
    ErrorKind, PlacementPolicy, ServerOptions, TableCatalog, TenantManager,
    each::{EachEnd, EachOutcome, EachReport},
    moves::{DrainOptions, MoveOptions, MoveReport},
};
use tokio_util::sync::CancellationToken;

use super::{Two, builder, built, value};
use crate::support::{TestResult, name_of, run};

/// The main server and two further ones, of which the last is empty. No policy places a tenant on the main one.
struct Three {
    two: Two,
    last: tenantry_devdb::DevServer,
}

impl Three {
    async fn with(tenants: &[&str]) -> Self {
        let two = Two::with(tenants).await;
        let last = tenantry_devdb::DevServer::start().await.expect("a server can be started");
        Self { two, last }
    }

    fn manager(&self) -> TenantManager {
        let policy = PlacementPolicy::least_loaded().except("main");
        let builder = self.two.builder().server("eu-2", ServerOptions::new(self.last.url()));
        built(builder.catalog(TableCatalog::new()).placement(policy))
    }
}

/// Each tenant with where it is, in the catalog.
async fn places(two: &Two) -> String {
    let places = "select string_agg(concat_ws(' ', id, state, coalesce(server, 'main')), ', ' order by id) from tenants";
    value(&mut two.at_main().await, places).await
}

fn outcomes(report: &EachReport<MoveReport>) -> Vec<String> {
    let outcome = |of: &tenantry::each::TenantEach<MoveReport>| match &of.outcome {
        EachOutcome::Done { value } => format!("{} to {}", of.tenant_id, value.to),
        other => format!("{} {}", of.tenant_id, other.as_str()),
    };
    report.tenants.iter().map(outcome).collect()
}

#[tokio::test]
async fn a_server_is_drained_by_the_policy_and_every_tenant_is_in_the_report() -> TestResult {
    let three = Three::with(&["a", "b", "c", "d", "e"]).await;
    let manager = three.manager();
    let mut main = three.two.at_main().await;
    run(&mut main, "update tenants set state = 'suspended' where id = 'c'").await;
    // Nothing can be created under the name of its schema.
    let mut eu = three.two.at_eu().await;
    for of in ["tenant_a", "tenant_b"] {
        run(&mut eu, &format!("create schema {of}; create table {of}.other ()")).await;
    }
    let before = places(&three.two).await;

    let plan = manager.mover().plan_drain("main", &DrainOptions::default()).await?;
    let planned: Vec<_> = plan
        .tenants
        .iter()
        .map(|of| match &of.outcome {
            EachOutcome::Done { value } => {
                format!("{} to {}: {}", of.tenant_id, value.to, value.obstacles.len())
            }
            other => format!("{} {}", of.tenant_id, other.as_str()),
        })
        .collect();
    // The last one is placed with the suspended one in mind, which moves another time.
    let expected = ["a to eu-1: 1", "b to eu-2: 0", "c skipped", "d to eu-2: 0", "e to eu-1: 0"];
    assert_eq!(planned, expected);
    assert_eq!(places(&three.two).await, before, "a plan changes nothing");

    let told = Arc::new(AtomicUsize::new(0));
    let moves = MoveOptions::default().on_progress({
        let told = Arc::clone(&told);
        move |progress| {
            assert_ne!(progress.tenant_id.as_str(), "c");
            told.fetch_add(1, Ordering::Relaxed);
        }
    });
    let report =
        manager.mover().drain("main", DrainOptions::default().at_once(2).moves(moves)).await?;
    assert_eq!(outcomes(&report), ["a failed", "b to eu-2", "c skipped", "d to eu-2", "e to eu-1"]);
    assert!(!report.is_success());
    assert!(told.load(Ordering::Relaxed) > 0);
    let now = "a active main, b active eu-2, c suspended main, d active eu-2, e active eu-1";
    assert_eq!(places(&three.two).await, now);
    for tenant in ["a", "b", "d", "e"] {
        assert_eq!(name_of(&manager.tenant(tenant).await?).await?, tenant);
    }

    // What was in the way is gone, and the suspended one is resumed: the next call moves what is left.
    run(&mut eu, "drop schema tenant_a cascade; drop schema tenant_b cascade").await;
    run(&mut main, "update tenants set state = 'active' where id = 'c'").await;
    let rest = DrainOptions::default().to(["eu-2"]);
    let report = manager.mover().drain("main", rest).await?;
    assert_eq!(outcomes(&report), ["a to eu-2", "c to eu-2"]);
    assert!(report.is_success());
    assert_eq!(name_of(&manager.tenant("c").await?).await?, "c");
    let again = manager.mover().drain("main", DrainOptions::default()).await?;
    assert_eq!((again.total, again.end), (0, EachEnd::Completed));
    Ok(())
}

#[tokio::test]
async fn a_drain_stops_after_so_many_failures_or_when_it_is_told_to() -> TestResult {
    let three = Three::with(&["a", "b", "c"]).await;
    let manager = three.manager();
    let mut eu = three.two.at_eu().await;
    run(&mut eu, "create schema tenant_a; create table tenant_a.other ()").await;
    let options = || DrainOptions::default().to(["eu-1"]);
    let report = manager.mover().drain("main", options().max_failures(1)).await?;
    assert_eq!(outcomes(&report), ["a failed", "b not_started", "c not_started"]);
    assert_eq!(report.end, EachEnd::MaxFailures);

    let stop = CancellationToken::new();
    let moves = MoveOptions::default().on_progress({
        let stop = stop.clone();
        move |progress| {
            if progress.tenant_id.as_str() == "b" {
                stop.cancel();
            }
        }
    });
    let stopping = options().moves(moves).stop_when(async move { stop.cancelled().await });
    let report = manager.mover().drain("main", stopping).await?;
    assert_eq!(outcomes(&report), ["a failed", "b to eu-1", "c not_started"]);
    assert_eq!(report.end, EachEnd::Stopped);
    assert_eq!(places(&three.two).await, "a active main, b active eu-1, c active main");
    Ok(())
}

#[tokio::test]
async fn a_server_that_still_gets_tenants_or_is_unknown_is_not_drained() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let manager = two.manager();
    let refused = async |server: &str, options: DrainOptions| {
        let error = manager.mover().drain(server, options).await.expect_err("it is refused");
        (error.kind(), error.to_string())
    };
    let (kind, text) = refused("main", DrainOptions::default()).await;
    assert_eq!(kind, ErrorKind::Placement);
    assert!(text.contains("it still gets new tenants; exclude it"), "{text}");
    let (kind, text) = refused("us-1", DrainOptions::default()).await;
    assert_eq!(kind, ErrorKind::Placement);
    assert!(text.contains("there is no server \"us-1\"; there are main, eu-1"), "{text}");
    let (kind, _) = refused("main", DrainOptions::default().at_once(0)).await;
    assert_eq!(kind, ErrorKind::Config);
    manager.close().await;

    let builder = builder(&two.main.url(), &two.eu.url()).catalog(TableCatalog::new());
    let manager =
        built(builder.placement(PlacementPolicy::by_weight().except("main").except("eu-1")));
    let refused = async |options: DrainOptions| {
        manager.mover().drain("main", options).await.expect_err("it is refused")
    };
    let error = refused(DrainOptions::default().to(["main"])).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("it is among the targets"), "{error}");
    let error = refused(DrainOptions::default().to(["eu-3"])).await;
    assert_eq!(error.kind(), ErrorKind::Placement);
    // No server is left by the policy: each tenant says so.
    let report = manager.mover().drain("main", DrainOptions::default()).await?;
    let why: Vec<_> = report.failures().map(|(tenant, why)| format!("{tenant}: {why}")).collect();
    assert_eq!(why.len(), 1);
    assert!(why[0].contains("no server gets new tenants"), "{why:?}");
    assert_eq!(places(&two).await, "acme active main");
    Ok(())
}

/// Two processes can drain a server to different targets: a tenant moves once.
#[tokio::test]
async fn a_tenant_that_has_left_meanwhile_is_not_moved_again() -> TestResult {
    let three = Three::with(&["a", "b"]).await;
    let manager = three.manager();
    // The move of the first tenant waits for this transaction.
    let mut tx = manager.tenant("a").await?.begin().await?;
    run(&mut *tx, "insert into users values (7, 'x')").await;
    let begun = Arc::new(tokio::sync::Notify::new());
    let moves = MoveOptions::default().fence_tries(20).on_progress({
        let begun = Arc::clone(&begun);
        move |_| begun.notify_one()
    });
    let options = DrainOptions::default().to(["eu-1"]).moves(moves);
    let other = three.manager();
    let meanwhile = async {
        begun.notified().await;
        let moved = other.mover().move_tenant("b", "eu-2", MoveOptions::default()).await;
        tx.commit().await.expect("it is committed");
        moved
    };
    let mover = manager.mover();
    let (report, moved) = tokio::join!(mover.drain("main", options), meanwhile);
    moved?;
    assert_eq!(outcomes(&report?), ["a to eu-1", "b skipped"]);
    assert_eq!(places(&three.two).await, "a active eu-1, b active eu-2");
    Ok(())
}
