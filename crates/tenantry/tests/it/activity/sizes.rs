use tenantry::{FixedCatalog, TenantRecord, activity::SizeMethod};

use crate::support::{TestResult, World, run};

#[tokio::test]
async fn sizes_are_those_of_the_tenants_own_tables() -> TestResult {
    let world = World::with_tenants(&["small", "large"]).await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "alter table tenant_large.users alter name set storage external; \
         insert into tenant_large.users select n, repeat('x', 10000) from generate_series(2, 101) n; \
         create materialized view tenant_large.copy as select * from tenant_large.users; \
         create table public.elsewhere as select repeat('x', 100) from generate_series(1, 100000)",
    )
    .await;
    run(&mut admin, "vacuum analyze tenant_large.users").await;
    run(&mut admin, "vacuum analyze tenant_large.copy").await;
    run(&mut admin, "vacuum analyze tenant_small.users").await;
    let records = ["small", "large", "nowhere"].map(|id| id.parse().map(TenantRecord::new));
    let records = records.into_iter().collect::<Result<Vec<_>, _>>()?;
    let manager = world.builder().catalog(FixedCatalog::new(records)).build()?;
    for method in [SizeMethod::Estimate, SizeMethod::Exact] {
        let sizes = manager.tenant_sizes(method).await?;
        let [large, small, nowhere] = &sizes.tenants[..] else { panic!("{sizes:?}") };
        assert_eq!(large.tenant_id.as_str(), "large");
        assert_eq!((large.rows, large.tables, large.never_analyzed), (202, 2, 0));
        assert_eq!((small.rows, small.tables), (1, 1));
        assert_eq!((nowhere.bytes, nowhere.tables), (None, 0));
        let bytes = large.bytes.unwrap_or_default();
        assert!((1_000_000..3_000_000).contains(&bytes), "{sizes:?}");
        let bytes = small.bytes.unwrap_or_default();
        assert!((16_384..100_000).contains(&bytes), "{sizes:?}");
        assert!(sizes.unseen.is_empty(), "{sizes:?}");
        assert_eq!(sizes.is_exact, method == SizeMethod::Exact);
        let json = serde_json::to_value(&sizes)?;
        assert_eq!(
            (&json["tenants"][0]["tenantId"], &json["tenants"][2]["bytes"]),
            (&"large".into(), &().into())
        );
        // It has no tables: that was read.
        assert_eq!((nowhere.unread, &json["tenants"][2]["tables"]), (false, &().into()));
    }
    // A table that is new and one that is locked.
    run(&mut admin, "create table tenant_small.new (id int)").await;
    run(&mut admin, "begin; lock table tenant_large.users").await;
    let sizes = manager.tenant_sizes(SizeMethod::Estimate).await?;
    assert_eq!((sizes.tenants[1].tables, sizes.tenants[1].never_analyzed), (2, 1), "{sizes:?}");
    assert_eq!(sizes.unseen[0].what, "the rows of 1 tables");
    let sizes = manager.tenant_sizes(SizeMethod::Exact).await?;
    assert!(sizes.unseen[0].what.starts_with("the sizes of 3 tenants"), "{sizes:?}");
    assert!(
        sizes.tenants.iter().all(|of| of.bytes.is_none()),
        "no estimate stands for it: {sizes:?}"
    );
    manager.close().await;
    Ok(())
}
