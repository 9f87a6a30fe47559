//! What is no drift is reported for every tenant all the same: what no dump shows, and references across tenants.

use sqlx::Executor;
use tenantry::{
    drift::{Matching, Reference},
    migrate::Schemas,
    schema::BeyondKind,
};

use super::clusters::fleet;
use crate::support::{TestResult, run};

#[tokio::test]
async fn what_no_dump_shows_is_reported_for_every_tenant_and_is_no_drift() -> TestResult {
    let world = fleet(5).await;
    let mut admin = world.admin().await;
    for tenant in 0..5 {
        run(
            &mut admin,
            &format!(
                "set search_path = tenant_t{tenant}; create type euro as (cents int); \
                 create function cents(euro) returns int language sql as 'select ($1).cents'; \
                 create cast (euro as int) with function cents(euro)"
            ),
        )
        .await;
    }
    for sql in [
        "create publication sales for table tenant_t1.orders, tenant_t3.orders",
        "begin; create index orders_total on tenant_t4.orders (total); set local allow_system_table_mods = on; \
         update pg_index set indisvalid = false where indexrelid = 'tenant_t4.orders_total'::regclass; commit",
    ] {
        admin.execute(sqlx::raw_sql(sql)).await?;
    }
    let manager = world.manager();
    let report = manager.drift().run().await?;
    assert!(report.is_clean() && report.clusters.is_empty(), "{report}");
    let kinds = |tenant: usize| -> Vec<BeyondKind> {
        report.details[tenant].beyond.iter().map(|beyond| beyond.what).collect()
    };
    assert_eq!(kinds(0), [BeyondKind::Cast]);
    assert_eq!(kinds(1), [BeyondKind::Cast, BeyondKind::Published]);
    assert_eq!(kinds(4), [BeyondKind::Cast, BeyondKind::InvalidIndex]);
    assert_eq!(report.details[2].beyond, report.details[0].beyond);
    assert_eq!(
        report.to_string(),
        "5 tenants compared with tenant t0: 5 equal, 0 drifted, 0 unreadable\n\n\
         outside the dump, so not counted as drift:\n  \
         1 tenant: index orders_total: the index is invalid\n  \
         5 tenants: composite type euro: there is a cast (euro as integer)\n  \
         2 tenants: table orders: it is published (sales)"
    );
    let json = serde_json::to_value(&report)?;
    assert_eq!(json["details"][3]["beyond"][1]["what"], "published");
    let report = manager.drift().ignore(Matching::named("orders*")).run().await?;
    assert_eq!(report.hidden[0].differences, 3, "{report}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn references_across_tenants_are_reported_and_not_clean() -> TestResult {
    let world = fleet(4).await;
    let mut admin = world.admin().await;
    for sql in [
        "create view tenant_t1.theirs as select email from tenant_t2.users",
        "create function tenant_t3.look() returns bigint language plpgsql as \
         'begin return (select count(*) from tenant_t2.orders); end'",
        "create view public.everything as select id from tenant_t0.orders",
        "create table public.plans (id int primary key)",
        // The shared schema is everybody's.
        "create view tenant_t0.plans as select id from public.plans",
    ] {
        admin.execute(sqlx::raw_sql(sql)).await?;
    }
    let manager = world.manager();
    let t1 = manager.drift().introspect("t1").await?;
    let of_t1 = Schemas::tenants(["t1", "t2"]);
    let report = manager
        .drift()
        .against(Reference::Model(t1.into()))
        .of(of_t1)
        .ignore(Matching::named("theirs"))
        .run()
        .await?;
    // What is hidden is counted: the view, its column, the reference.
    assert_eq!((report.references().count(), report.hidden[0].differences), (0, 3), "{report}");
    let report = manager.drift().run().await?;
    let found: Vec<_> = report.references().map(ToString::to_string).collect();
    let expected = [
        "view theirs of tenant_t1 reads tenant_t2.users",
        "function look() of tenant_t3 has a body that names tenant_t2.orders",
        "view everything of public reads tenant_t0.orders",
    ];
    assert_eq!(found, expected);
    assert!(!report.is_clean());
    assert_eq!(report.details[1].references.len(), 1);
    let text = report.to_string();
    let listed = format!("\n\n3 references across tenants:\n  {}", expected.join("\n  "));
    assert!(text.ends_with(&listed), "{text}");
    let json = serde_json::to_value(&report)?;
    assert_eq!(json["sharedReferences"][0]["to"], "orders");
    assert!(json["details"][0].get("references").is_none(), "{json}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_schema_that_is_locked_keeps_nobody_else_from_being_looked_at() -> TestResult {
    let world = fleet(4).await;
    let mut admin = world.admin().await;
    for tenant in [1, 2] {
        run(
            &mut admin,
            &format!(
                "create function tenant_t{tenant}.look() returns bigint language plpgsql as \
                 'begin return (select count(*) from tenant_t0.orders); end'; \
                 create view tenant_t{tenant}.v as select id, 'a.b' as x from tenant_t{tenant}.orders"
            ),
        )
        .await;
    }
    admin.execute("begin; lock table tenant_t1.orders").await?;
    let manager = world.manager();
    let report = manager.drift().run().await?;
    let errors: Vec<_> = report.details.iter().map(|tenant| tenant.error.is_some()).collect();
    assert_eq!(errors, [false, true, false, false], "{report}");
    assert_eq!(report.references().count(), 1, "{report}");
    admin.execute("rollback").await?;
    manager.close().await;
    Ok(())
}
