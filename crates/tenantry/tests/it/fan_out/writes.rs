use tenantry::{
    fan_out::{FanOutMode, FanOutOptions, FanOutOutcome},
    migrate::Schemas,
};

use super::{failure, outcome_of, run, scene};
use crate::support::{TestResult, observe, run as run_sql};

fn write() -> FanOutOptions {
    FanOutOptions::default().mode(FanOutMode::Write)
}

fn outside() -> FanOutOptions {
    FanOutOptions::default().mode(FanOutMode::WriteOutsideTransaction)
}

#[tokio::test]
async fn each_tenant_has_its_own_transaction() -> TestResult {
    let (world, manager) = scene().await;
    let mut admin = world.admin().await;
    run_sql(
        &mut admin,
        "insert into tenant_globex.users values (2, 'taken'); \
         alter table tenant_initech.users add constraint late unique (name) deferrable initially deferred",
    )
    .await;
    let insert = "insert into users values (2, 'initech') returning id";
    let (report, rows, _) = run(&manager, Schemas::AllTenants, insert, write()).await;
    assert_eq!((report.done, report.failed, report.skipped), (1, 2, 1), "{report}");
    assert!(!report.is_success());
    assert_eq!(report.tenants[0].outcome, FanOutOutcome::Done { rows: 1, affected: 1 });
    let of = |place: usize| failure(&report.tenants[place].outcome);
    assert_eq!(of(1).sqlstate.as_deref(), Some("23505"));
    assert_eq!(of(1).detail.as_deref(), Some("Key (id)=(2) already exists."));
    // It has returned a row, and fails when it is committed.
    assert_eq!(of(3).sqlstate.as_deref(), Some("23505"));
    assert_eq!(rows.len(), 2);
    let counts = "select (select count(*) from tenant_acme.users) || ' ' || \
                  (select count(*) from tenant_globex.users) || ' ' || \
                  (select count(*) from tenant_idle.users) || ' ' || (select count(*) from tenant_initech.users)";
    assert_eq!(observe(&mut admin, counts).await, "Some(\"2 2 1 1\")");
    let text = report.to_string();
    assert!(text.starts_with("1 of 4 done, 2 rows, 2 failed, 1 suspended in "), "{text}");
    assert!(text.contains("\nglobex   duplicate key value violates"), "{text}");
    let json = serde_json::to_value(&report)?;
    assert_eq!(json["end"], "completed");
    assert_eq!((&json["notStarted"], &json["rows"]), (&0.into(), &2.into()));
    assert_eq!(json["tenants"][0]["tenantId"], "acme");
    assert_eq!(json["tenants"][0]["outcome"], "done");
    assert_eq!(json["tenants"][1]["error"]["sqlstate"], "23505");
    assert!(json["tenants"][1]["durationMs"].is_f64());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_no_transaction_can_hold_runs_outside_of_one() -> TestResult {
    let (_world, manager) = scene().await;
    for sql in ["vacuum users", "create index concurrently by_name on users (name)"] {
        let outcome = outcome_of(&manager, "acme", sql, write()).await;
        assert_eq!(failure(&outcome).sqlstate.as_deref(), Some("25001"), "{sql}");
        let outcome = outcome_of(&manager, "acme", sql, outside()).await;
        assert!(matches!(outcome, FanOutOutcome::Done { rows: 0, .. }), "{sql}: {outcome:?}");
    }
    let commits = "do 'begin insert into users values (2, $$x$$); commit; perform 1/0; end'";
    let outcome = outcome_of(&manager, "acme", commits, outside()).await;
    assert_eq!(failure(&outcome).sqlstate.as_deref(), Some("22012"));
    let count: i64 = sqlx::query_scalar("select count(*) from users")
        .fetch_one(&manager.tenant("acme").await?)
        .await?;
    assert_eq!(count, 2, "what was committed in it lasts");
    manager.close().await;
    Ok(())
}
