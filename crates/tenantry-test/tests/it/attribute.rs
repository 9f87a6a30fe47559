//! What the attribute makes of a function.

use tenantry_test::{TestTenant, TestTenants};

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn shop() -> TestTenants {
    TestTenants::from_dir("migrations/tenants").unwrap()
}

#[tenantry_test::test(migrations = "migrations/tenants")]
async fn a_tenant_has_the_migrations_and_the_name_of_the_test(t: TestTenant) -> TestResult {
    let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&t.db).await?;
    assert_eq!(users, 0);
    assert_eq!(t.id.as_str(), "a-tenant-has-the-migrations-and");
    assert_eq!(t.header(), ("x-tenant-id", t.id.as_str()));
    assert!(t.schema().starts_with("test_") && t.schema().ends_with(t.id.as_str()));
    Ok(())
}

#[tenantry_test::test(migrations = "migrations/tenants", fixtures("users", "fixtures/orders.sql"))]
async fn fixtures_run_in_order(t: TestTenant) -> TestResult {
    let orders: i64 = sqlx::query_scalar("select count(*) from orders").fetch_one(&t.db).await?;
    assert_eq!(orders, 2);
    let other = t.another().await?;
    let others: i64 =
        sqlx::query_scalar("select count(*) from orders").fetch_one(&other.db).await?;
    assert_eq!(others, 2);
    Ok(())
}

#[tenantry_test::test(tenants = shop)]
async fn the_manager_lists_the_tenants_of_the_test_alone(t: TestTenant) -> TestResult {
    let other = t.another().await?;
    assert_eq!(other.id.as_str(), format!("{}-2", t.id));
    sqlx::query("insert into users (name) values ('Ann')").execute(&t.db).await?;
    let seen: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&other.db).await?;
    assert_eq!(seen, 0);
    let mut listed: Vec<_> = t.manager.tenants().await?.into_iter().map(|t| t.id).collect();
    listed.sort();
    assert_eq!(listed, [t.id.clone(), other.id.clone()]);
    Ok(())
}

#[tenantry_test::test(
    migrations = "migrations/tenants",
    shared = "migrations/shared",
    alone,
    flavor = "multi_thread",
    worker_threads = 2
)]
async fn a_test_alone_may_change_the_shared_schema(t: TestTenant) -> TestResult {
    sqlx::query("insert into plans values ('gold')").execute(t.manager.shared()).await?;
    let plans = sqlx::query_scalar("select count(*) from plans");
    let plans: i64 = plans.fetch_one(t.manager.shared()).await?;
    assert_eq!(plans, 3);
    assert_eq!(t.schema(), "tenant_a-test-alone-may-change-the-shar");
    Ok(())
}

#[tenantry_test::test(migrations = "migrations/tenants")]
async fn a_test_needs_no_argument() {}

#[tenantry_test::test(migrations = "migrations/tenants")]
#[should_panic(expected = "as it should")]
async fn a_panic_is_the_tests_own(t: TestTenant) {
    let one: i32 = sqlx::query_scalar("select 1").fetch_one(&t.db).await.unwrap();
    assert_eq!(one, 2, "as it should");
}

#[tenantry_test::test(migrations = "nowhere")]
#[should_panic(expected = "reading the migrations of tests in")]
async fn a_folder_that_is_not_there_is_named(_t: TestTenant) {}

#[tenantry_test::test(migrations = "migrations/tenants")]
#[ignore = "it is here to be ignored"]
async fn other_attributes_stay() {
    panic!("it is ignored");
}
