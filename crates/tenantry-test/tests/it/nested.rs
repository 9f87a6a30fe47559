//! A test that would be a deadlock under load fails, and says why.

use tenantry::{Error, ErrorKind};
use tenantry_test::{TestTenant, TestTenants};

type TestResult = Result<(), Box<dyn std::error::Error>>;

async fn count(db: &tenantry::TenantDb) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from users").fetch_one(db).await
}

#[tenantry_test::test(migrations = "migrations/tenants")]
async fn a_statement_beside_an_open_transaction_is_refused(t: TestTenant) -> TestResult {
    let mut tx = t.db.begin().await?;
    sqlx::query("insert into users (name) values ('Ann')").execute(&mut *tx).await?;
    let refused = Error::from(count(&t.db).await.expect_err("the test has a transaction in hand"));
    assert_eq!(refused.kind(), ErrorKind::NestedAcquire);
    let told = refused.to_string();
    let whose = format!("this task has held a connection of tenant {} for", t.id);
    assert!(told.contains(&whose) && told.contains("run the statement on it"), "{told}");
    tx.commit().await?;
    assert_eq!(count(&t.db).await?, 1);
    Ok(())
}

fn lenient() -> TestTenants {
    let tenants = TestTenants::from_dir("migrations/tenants").unwrap();
    tenants.manager(|builder| builder.refuse_nested_acquires(false))
}

#[tenantry_test::test(tenants = lenient)]
async fn a_test_may_have_it_otherwise(t: TestTenant) -> TestResult {
    let tx = t.db.begin().await?;
    assert_eq!(count(&t.db).await?, 0);
    tx.rollback().await?;
    Ok(())
}
