use tenantry_test::TestTenant;
use tested_service::orders_of_all_tenants;

use crate::TestResult;

/// The manager of a test lists the tenants of this test alone, so that their number is known.
#[tenantry_test::test(migrations = "migrations/tenants", fixtures("customers"))]
async fn the_orders_of_all_tenants_are_counted(t: TestTenant) -> TestResult {
    let another = t.another().await?;
    for (tenant, orders) in [(&t, 1), (&another, 2)] {
        for _ in 0..orders {
            sqlx::query("insert into orders (customer_id, item, quantity) values (1, 'tea', 1)")
                .execute(&tenant.db)
                .await?;
        }
    }
    assert_eq!(orders_of_all_tenants(&t.manager).await?, 3);
    Ok(())
}

/// Schemas that are no tenants, such as those that are kept ready for the next sign-up, are not in the report. A
/// separate database has the names that the service has in production.
#[tenantry_test::test(migrations = "migrations/tenants", alone)]
async fn what_is_no_tenant_is_not_counted(t: TestTenant) -> TestResult {
    let schemas = sqlx::query_scalar("select count(*) from pg_namespace where nspname ~ $1");
    let schemas: i64 = schemas.bind("^tenantry_spare_").fetch_one(t.manager.shared()).await?;
    assert!(schemas > 0, "there are schemas that no tenant has yet");
    assert_eq!(t.schema(), "tenant_what-is-no-tenant-is-not-counted");
    assert_eq!(orders_of_all_tenants(&t.manager).await?, 0);
    Ok(())
}
