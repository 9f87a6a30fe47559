//! Tenants that are refused because of their limits or their place, and limits beyond the budget.

use tenantry::{Isolation, Rows, TableCatalog, TenantLimits, TenantRecord, Tier};

use super::lines;
use crate::support::{TestResult, World, run};

#[tokio::test]
async fn what_cannot_be_used_is_named() -> TestResult {
    let world = World::with_tenants(&["sound", "wrong", "lost", "many", "plain", "tier"]).await;
    let tier = |record: &TenantRecord| match record.id.as_str() {
        "tier" => Tier::new().limits(TenantLimits::new().weight(0.0)),
        "many" => Tier::new().limits(TenantLimits::new().max_connections(50)),
        _ => Tier::new(),
    };
    let manager = world
        .builder()
        .or_isolation(Isolation::rows(Rows::new()))
        .catalog(TableCatalog::new())
        .tier(tier)
        .max_connections(10)
        .build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    run(
        &mut world.admin().await,
        "insert into tenants (id, server, attributes) values \
           ('sound', null, '{\"limits\": {\"max_connections\": 4}}'), \
           ('wrong', null, '{\"limits\": {\"weigth\": 4}}'), \
           ('lost', 'mars', '{}'), ('many', null, '{}'), ('plain', null, '{}'), ('tier', null, '{}')",
    )
    .await;
    let report = manager.doctor().only(["limits"]).run().await?;
    let [refused, beyond] = &*lines(&report) else { panic!("{:?}", lines(&report)) };
    assert!(refused.starts_with("limits error: 3 tenants are refused [lost: "), "{refused}");
    for words in [
        "the server \"mars\", which is not configured",
        "tier: invalid configuration (tenant tier): its limits cannot be used: weight must be",
        "wrong: invalid configuration (tenant wrong): its limits cannot be used: there is no limit \"weigth\"",
    ] {
        assert!(refused.contains(words), "{words} is not in {refused}");
    }
    assert_eq!(
        beyond,
        "limits warning: 1 tenant has a limit that cannot be reached [many: max_connections is 50, and the pool of the \
         server main has 8 for tenants]"
    );
    assert_eq!(report.checks[0].message, "2 tenants are limited");
    manager.close().await;
    Ok(())
}
