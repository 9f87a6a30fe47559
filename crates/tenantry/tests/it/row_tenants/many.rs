use std::{collections::BTreeMap, ops::ControlFlow};

use tenantry::{
    IsolationKind,
    each::EachOptions,
    fan_out::{FanOutMode, FanOutOptions},
    migrate::Schemas,
    provision::CreateOptions,
};

use super::{Login, Scene};
use crate::support::{TestResult, observe, run};

/// Fifty tenants with as many users as their number says, and three with schemas of their own.
async fn fifty() -> Scene {
    let mut scene = Scene::new(Login::Superuser).await;
    run(
        &mut scene.admin,
        "insert into tenants (id) select 't' || n from generate_series(1, 50) n; \
         insert into app.users (tenant_id, id, name) select 't' || n, u, 'a' \
         from generate_series(1, 50) n, generate_series(1, n) u",
    )
    .await;
    for tenant in ["s1", "s2", "s3"] {
        let in_schema = CreateOptions::default().isolation(IsolationKind::Schema);
        scene.provisioner().create(tenant, in_schema).await.expect("it is new");
        let sql = format!(
            "grant usage on schema tenant_{tenant} to {}; \
             alter table tenant_{tenant}.users disable row level security; \
             insert into tenant_{tenant}.users (tenant_id, id, name) select 'x', u, 'a' from generate_series(1, 100) u",
            scene.role
        );
        run(&mut scene.admin, &sql).await;
    }
    scene
}

fn expected() -> BTreeMap<String, i64> {
    let rows = (1..=50).map(|n| (format!("t{n}"), n));
    rows.chain((1..=3).map(|n| (format!("s{n}"), 100))).collect()
}

#[tokio::test]
async fn a_survey_counts_the_rows_of_each_tenant() -> TestResult {
    let scene = fifty().await;
    let report = scene.manager.survey::<i64>("select count(*) from users").await?;
    assert!(report.is_success(), "{report}");
    let counts: BTreeMap<_, _> =
        report.into_values().map(|(tenant, count)| (tenant.to_string(), count)).collect();
    assert_eq!(counts, expected());
    // What one tenant's query fails of is told of this one.
    let odd = "select 1 / (case when count(*) = 7 then 0 else 1 end)::bigint from users";
    let report = scene.manager.survey::<i64>(odd).await?;
    let failed: Vec<_> = report.failures().map(|(tenant, _)| tenant.to_owned()).collect();
    assert_eq!(failed, ["t7"]);
    Ok(())
}

#[tokio::test]
async fn the_application_s_work_over_all_tenants_reaches_the_rows_of_each() -> TestResult {
    let mut scene = fifty().await;
    let report = scene
        .manager
        .for_each_tenant(EachOptions::default(), |db| async move {
            sqlx::query("delete from users where id > 1").execute(&db).await?;
            sqlx::query_scalar::<_, i64>("select count(*) from users").fetch_one(&db).await
        })
        .await?;
    assert!(report.is_success(), "{report}");
    assert!(report.values().all(|(_, count)| *count == 1), "{report}");
    let left = observe(&mut scene.admin, "select count(*)::text from app.users").await;
    assert_eq!(left, "Some(\"50\")");
    Ok(())
}

#[tokio::test]
async fn a_statement_of_an_operator_changes_the_rows_of_the_named_tenants() -> TestResult {
    let mut scene = fifty().await;
    let write = FanOutOptions::default().mode(FanOutMode::Write);
    let report = scene
        .manager
        .fan_out()
        .run(Schemas::tenants(["t2", "t5", "s1"]), "delete from users", write, |_| async {
            ControlFlow::Continue(())
        })
        .await?;
    assert!(report.is_success(), "{report}");
    let left = "select count(*)::text || ' ' || count(*) filter (where tenant_id in ('t2', 't5')) from app.users";
    assert_eq!(observe(&mut scene.admin, left).await, format!("Some(\"{} 0\")", 51 * 25 - 7));
    Ok(())
}

#[tokio::test]
async fn drift_compares_the_tables_of_all_once_with_their_policies() -> TestResult {
    let mut scene = fifty().await;
    run(&mut scene.admin, "alter table tenant_s1.users enable row level security; \
        alter table tenant_s2.users enable row level security; alter table tenant_s3.users enable row level security").await;
    let report = scene.manager.drift().against_tenant("s1").run().await?;
    assert!(report.is_clean() && report.total == 4, "{report}");
    let rows = report.rows.expect("there are such tenants");
    assert_eq!((rows.row_tenants, rows.row_tables_compared), (50, true));
    assert!(
        report.to_string().contains("(rows) is the schema of 50 tenants isolated by row"),
        "{report}"
    );
    run(
        &mut scene.admin,
        "drop policy tenantry_tenant on app.users; alter table app.notes no force row level security",
    )
    .await;
    let drift = scene.manager.drift().against_tenant("s1");
    let report = drift.run().await?;
    assert_eq!(
        (report.with_drift, &*report.clusters[0].tenants),
        (1, &["(rows)".into()][..]),
        "{report}"
    );
    let told = report.to_string();
    assert!(told.contains("tenantry_tenant") && told.contains("notes"), "{told}");
    // A repair is only for the tables by their own name.
    let error = drift.repair("t1").await.unwrap_err();
    assert!(error.to_string().contains("name (rows) for the tables"), "{error}");
    let script = format!("{}", drift.repair("(rows)").await?);
    assert!(
        script.contains("create policy") && script.contains("force row level security"),
        "{script}"
    );
    Ok(())
}
