use std::{future::pending, time::Duration};

use serde_json::{Value, json};
use tenantry::doctor::{BoxFuture, Check, CheckStatus, Examined, Finding, Severity, Subject};

use crate::support::{TestResult, World, run};

/// A check of a service.
struct Own(&'static str, fn() -> BoxFuture<'static, Examined>);

impl Check for Own {
    fn name(&self) -> &str {
        self.0
    }

    fn title(&self) -> &str {
        "Our own"
    }

    fn run<'a>(&'a self, on: &'a Subject) -> BoxFuture<'a, Examined> {
        assert!(on.tenants().is_ok_and(|tenants| tenants.len() == 2));
        (self.1)()
    }
}

#[tokio::test]
async fn a_check_that_hangs_or_panics_leaves_the_others_alone() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.manager();
    let doctor = manager
        .doctor()
        .check(Own("hangs", || Box::pin(pending())))
        .check(Own("panics", || Box::pin(async { panic!("on purpose") })))
        .check(Own("panicsAtOnce", || panic!("even sooner")))
        .check(Own("works", || Box::pin(async { Examined::ok("all is well") })))
        .only(["hangs", "panics", "panicsAtOnce", "works", "tenants"])
        .check_timeout(Duration::from_millis(300));
    let report = doctor.run().await?;
    let told: Vec<_> = report.checks.iter().map(|of| (of.name.as_str(), of.status)).collect();
    assert_eq!(
        told,
        [
            ("tenants", CheckStatus::Ok),
            ("hangs", CheckStatus::Unknown),
            ("panics", CheckStatus::Unknown),
            ("panicsAtOnce", CheckStatus::Unknown),
            ("works", CheckStatus::Ok),
        ]
    );
    let message = |name| report.check(name).map(|check| check.message.as_str());
    assert_eq!(message("hangs"), Some("the check did not end within 300ms"));
    assert_eq!(message("panics"), Some("the check panicked: on purpose"));
    assert_eq!(message("panicsAtOnce"), Some("the check panicked: even sooner"));
    assert!(report.success, "what is not known is no error");
    Ok(())
}

#[tokio::test]
async fn names_select_checks_and_unknown_ones_are_refused() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.manager();
    let doctor = || manager.doctor();
    let names = async |doctor: tenantry::doctor::Doctor| {
        let report = doctor.run().await.expect("the names are known");
        report.checks.into_iter().map(|check| check.name).collect::<Vec<_>>()
    };
    assert_eq!(names(doctor().only(["tenants", "tls"]).skip(["tls"])).await, ["tenants"]);
    let all: Vec<_> = doctor().checks().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(
        all[..7],
        [
            "configuration",
            "database",
            "tenants",
            "migrations",
            "sharedMigrations",
            "isolation",
            "poolConfig"
        ]
    );
    assert_eq!(names(doctor().skip(&all[2..])).await, ["configuration", "database"]);
    for doctor in [
        doctor().only(["tenant"]),
        doctor().skip(["tenant"]),
        doctor().severity("tenant", Severity::Info),
        doctor().result("tenant", Examined::ok("")),
    ] {
        let error = doctor.run().await.expect_err("there is no such check");
        assert_eq!(
            (error.unknown.as_slice(), error.known.as_slice()),
            (&["tenant".into()][..], &*all)
        );
        assert!(
            error
                .to_string()
                .starts_with("no check is named tenant; the checks are configuration, ")
        );
    }
    Ok(())
}

fn found() -> BoxFuture<'static, Examined> {
    Box::pin(async {
        Examined::ok("looked")
            .finding(
                Finding::warning("a table is missing", "nobody knows")
                    .how("create it")
                    .sql("create table if not exists public.fixed (id int)")
                    .sql("create table if not exists public.fixed_too (id int)")
                    .harmless(),
            )
            .finding(
                Finding::error("another is too much", "nobody wants it")
                    .sql("drop table public.kept"),
            )
    })
}

#[tokio::test]
async fn only_what_is_harmless_is_fixed() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    run(&mut admin, "create table public.kept ()").await;
    let manager = world.manager();
    let broken = || -> BoxFuture<'static, Examined> {
        let finding = Finding::warning("x", "y").sql("select 1/0").sql("select 1").harmless();
        Box::pin(async { Examined::ok("").finding(finding) })
    };
    let doctor = manager.doctor().check(Own("broken", broken)).check(Own("own", found));
    let doctor = doctor.only(["broken", "own"]).severity("own", Severity::Warning);
    let report = doctor.run().await?;
    assert!(report.success, "the error counts as a warning");
    assert_eq!(report.recommendations, ["create it"]);
    let fixed = doctor.fix(&report).await;
    assert_eq!((fixed.done, fixed.failed, fixed.is_success()), (2, 2, false));
    let errors: Vec<_> = fixed.statements.iter().map(|of| of.error.as_deref()).collect();
    assert!(errors[0].is_some_and(|error| error.contains("division by zero")), "{errors:?}");
    assert_eq!(errors[1..], [Some("a statement before it has failed"), None, None]);
    run(&mut admin, "select from public.fixed, public.fixed_too, public.kept").await;
    Ok(())
}

#[tokio::test]
async fn the_json_has_the_names_of_the_guide() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.manager();
    let doctor = manager
        .doctor()
        .configuration(Examined::ok("tenantry.toml"))
        .tenants_problem("migrations/tenants: no such folder")
        .check(Own("own", found));
    let guide = [
        "configuration",
        "database",
        "tenants",
        "migrations",
        "sharedMigrations",
        "isolation",
        "poolConfig",
        "own",
    ];
    let report = doctor.only(guide).run().await?;
    let text = report.to_string();
    let mut json = serde_json::to_value(&report)?;
    let take = |value: &mut Value, name: &str| value.as_object_mut().and_then(|of| of.remove(name));
    assert_eq!(take(&mut json, "success"), Some(json!(false)));
    let checks = take(&mut json, "checks").unwrap_or_default();
    let names: Vec<_> =
        checks.as_array().into_iter().flatten().map(|of| of["name"].clone()).collect();
    assert_eq!(names, guide);
    for (at, status, message) in [
        (0, "ok", "tenantry.toml"),
        (2, "ok", "2 tenants found"),
        (3, "error", "migrations/tenants: no such folder"),
        (4, "skipped", "none configured"),
        (5, "ok", "schema-based"),
    ] {
        assert_eq!(
            (&checks[at]["status"], &checks[at]["message"]),
            (&json!(status), &json!(message))
        );
    }
    let message = checks[1]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("PostgreSQL 1"), "{message}");
    assert!(checks[1]["latencyMs"].as_f64().is_some_and(|latency| latency > 0.0));
    assert_eq!(checks[0].get("latencyMs"), None);
    let finding = &checks[7]["findings"][1];
    assert_eq!((&finding["severity"], &finding["harmless"]), (&json!("warning"), &json!(true)));
    assert_eq!(finding["sql"].as_array().map(Vec::len), Some(2));
    let health = take(&mut json, "health").unwrap_or_default();
    let keys: Vec<_> =
        health.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    assert_eq!(
        keys,
        ["degradedPools", "healthy", "sharedDbLatencyMs", "totalPools", "unhealthyPools"]
    );
    let rest: Vec<_> =
        json.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    assert_eq!(rest, ["durationMs", "recommendations", "timestamp", "versions"]);
    is_as_the_guide_shows(&text);
    Ok(())
}

/// The picture for people.
fn is_as_the_guide_shows(text: &str) {
    for line in [
        "✓ Configuration: tenantry.toml",
        "✓ Tenant discovery: Found 2 tenants",
        "✗ Migrations folder: migrations/tenants: no such folder",
        "- Shared migrations folder: none configured",
        "✓ Schema isolation: schema-based (tenant_{id}, shared schema public)",
        "✓ Pool configuration: max=20, perTenant=14, ttl=3600000ms, instances=1; ",
        "⚠ Recommendations:",
        "  1. ",
        "📊 Health Summary:",
        "  Pools: 0 active, 0 degraded, 0 unhealthy",
        "  Shared DB: OK (",
        "✗ [own] another is too much",
        "  Why: nobody wants it",
        "  How: create it",
        "  SQL: create table if not exists public.fixed (id int);",
    ] {
        assert!(text.lines().any(|of| of.starts_with(line)), "{line} is not in\n{text}");
    }
    assert!(
        text.starts_with("✓ Configuration: tenantry.toml\n✓ Database connection: OK (PostgreSQL 1")
    );
}
