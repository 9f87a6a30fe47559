//! A tenant is repaired, and what the rules hide stays as it is.

use tenantry::{
    drift::Matching,
    schema::{Attribute, Hazard, Step},
};

use super::clusters::fleet;
use crate::support::{TestResult, observe, run};

#[tokio::test]
async fn what_is_ignored_stays_when_a_table_is_created_anew() -> TestResult {
    let world = fleet(2).await;
    let mut admin = world.admin().await;
    // The column comes back in the middle, which takes a new table.
    run(
        &mut admin,
        "set search_path = tenant_t1; alter table orders drop column user_id cascade, add column note text; \
         insert into orders (total, note) values (7, 'kept'); \
         comment on table orders is 'mine'; create role zq_drift_reader; grant select on orders to zq_drift_reader",
    )
    .await;
    let manager = world.manager();
    let drift = manager
        .drift()
        .against_tenant("t0")
        .ignore(Matching::attribute(Attribute::Comment))
        .ignore(Matching::attribute(Attribute::Grants))
        .ignore(Matching::named("orders.note"));
    let repair = drift.repair("t1").await?;
    assert_eq!(repair.reference, "tenant t0");
    assert!(repair.steps.iter().all(|step| !step.hazards.contains(&Hazard::LosesData)), "{repair}");
    let has_remark = repair.steps.iter().any(|step| step.remark.is_some());
    assert!(has_remark, "nothing says why: {repair}");
    run(&mut admin, &repair.to_string()).await;
    let report = drift.run().await?;
    assert!(report.is_clean(), "{report}");
    let told = observe(
        &mut admin,
        "select concat(obj_description('tenant_t1.orders'::regclass), ' ', total, ' ', note, ' ', \
         has_table_privilege('zq_drift_reader', 'tenant_t1.orders', 'select')) from tenant_t1.orders",
    )
    .await;
    assert_eq!(told, "Some(\"mine 7.00 kept t\")");
    run(&mut admin, "drop owned by zq_drift_reader; drop role zq_drift_reader").await;
    Ok(())
}

#[tokio::test]
async fn rights_granted_by_hand_are_not_revoked_silently() -> TestResult {
    let world = fleet(2).await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create role zq_drift_hand; grant select on tenant_t1.orders to zq_drift_hand; \
         alter default privileges in schema tenant_t1 grant select on tables to zq_drift_hand",
    )
    .await;
    let repair = world.manager().drift().against_tenant("t0").repair("t1").await?;
    let hand = |step: &&Step| step.sql.contains("zq_drift_hand");
    let revoking: Vec<_> = repair.steps.iter().filter(hand).collect();
    assert_eq!(revoking.len(), 2, "{repair}");
    assert!(revoking.iter().all(|step| step.hazards.contains(&Hazard::RevokesAccess)), "{repair}");
    assert!(repair.to_string().contains("REVOKES ACCESS"), "{repair}");
    run(&mut admin, "drop owned by zq_drift_hand; drop role zq_drift_hand").await;
    Ok(())
}

#[tokio::test]
async fn what_is_lost_is_said_also_where_rows_are_copied() -> TestResult {
    let world = fleet(2).await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "set search_path = tenant_t1; alter table orders drop column user_id cascade, add column note text; \
         insert into orders (total, note) values (7, 'lost')",
    )
    .await;
    let repair = world.manager().drift().against_tenant("t0").repair("t1").await?;
    let losses: Vec<_> =
        repair.steps.iter().filter(|step| step.hazards.contains(&Hazard::LosesData)).collect();
    assert!(matches!(losses[..], [step] if step.sql.starts_with("insert into ")), "{repair}");
    assert_eq!(repair.renames.len(), 0, "{repair}");
    Ok(())
}
