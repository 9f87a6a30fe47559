//! The same without the attribute.

use std::time::Duration;

use tenantry::{ErrorKind, TenantManager, migrate::Migrations, seed::Seed};
use tenantry_test::{TestTenant, TestTenants};
use tokio::runtime::Builder;

type TestResult = Result<(), Box<dyn std::error::Error>>;

pub(crate) fn shop() -> TestTenants {
    TestTenants::from_dir("migrations/tenants").unwrap()
}

#[tokio::test]
async fn a_tenant_in_any_runtime() -> TestResult {
    let tenants = shop()
        .seed(Seed::sql("users", "insert into users (name) values ('Ann')"))
        .header("x-shop")
        .max_connections(2);
    let t = tenants.tenant("any runtime").await?;
    let name: String = sqlx::query_scalar("select name from users").fetch_one(&t.db).await?;
    assert_eq!(name, "Ann");
    assert_eq!(t.header(), ("x-shop", "any-runtime"));
    assert_eq!(t.manager.snapshot().max, 2);
    t.end().await;
    Ok(())
}

/// Equal migrations, and managers that differ: each has a database of its own, at the same time.
#[tokio::test]
async fn two_configurations_in_one_process() -> TestResult {
    let hurried = shop().manager(|manager| manager.acquire_timeout(Duration::from_secs(3)));
    let plain = shop();
    let (of_hurried, of_plain) =
        tokio::try_join!(hurried.tenant("a test"), plain.tenant("a test"))?;
    let mut databases = Vec::new();
    for t in [&of_hurried, &of_plain] {
        sqlx::query("insert into users (name) values ('Ann')").execute(&t.db).await?;
        let sql = "select current_database()::text, (select count(*) from users)";
        let (database, users): (String, i64) = sqlx::query_as(sql).fetch_one(&t.db).await?;
        assert_eq!(users, 1);
        databases.push(database);
    }
    assert_ne!(databases[0], databases[1]);
    of_hurried.end().await;
    of_plain.end().await;
    Ok(())
}

#[actix_web::test]
async fn a_tenant_in_the_runtime_of_actix() -> TestResult {
    let t = shop().tenant("actix").await?;
    sqlx::query("insert into users (name) values ('Ann')").execute(&t.db).await?;
    Ok(())
}

#[tokio::test]
async fn what_a_migration_fails_with_is_said() -> TestResult {
    let folder = std::env::temp_dir().join(format!("tenantry-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("0001_broken.sql"), "create table t (id nonsense)")?;
    let tenants = TestTenants::new(Migrations::from_dir(&folder)?);
    let error = tenants.tenant("broken").await.unwrap_err();
    std::fs::remove_dir_all(&folder)?;
    let text = format!("{error:?}");
    assert!(text.contains("0001_broken.sql") && text.contains("nonsense"), "{text}");
    Ok(())
}

/// What happens to a manager in a `static` that several tests share.
#[test]
fn a_manager_of_a_runtime_that_has_ended_says_so() -> TestResult {
    async fn tenant() -> (TestTenant, TenantManager) {
        let t = shop().tenant("runtimes").await.unwrap();
        let manager = t.manager.clone();
        (t, manager)
    }
    let first = Builder::new_current_thread().enable_all().build()?;
    let (t, manager) = first.block_on(tenant());
    drop(first);
    let second = Builder::new_current_thread().enable_all().build()?;
    second.block_on(async {
        let mut error = None;
        for _ in 0..10 {
            let asked = manager.tenant(t.id.as_str()).await;
            let asked = match asked {
                Ok(db) => db.acquire().await.map(drop).map_err(tenantry::Error::from),
                Err(error) => Err(error),
            };
            error = asked.err().or(error);
        }
        let error = error.expect("no connection is left");
        assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}");
        assert!(error.to_string().contains("runtime"), "{error}");
    });
    Ok(())
}
