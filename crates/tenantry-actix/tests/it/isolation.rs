//! Requests at the same time each see their own tenant, whichever worker has them.

use std::time::Duration;

use actix_web::{App, http::StatusCode, web};
use tenantry_actix::{CurrentTenant, Db, DbError, TenantMiddleware, Tx};
use tokio::task::JoinSet;

use crate::support::{TestResult, World, get, serve};

async fn by_statement(CurrentTenant(tenant): CurrentTenant, Db(db): Db) -> Result<String, DbError> {
    let name: String = sqlx::query_scalar("select name from users").fetch_one(&db).await?;
    Ok(format!("{}:{name}", tenant.id()))
}

async fn by_transaction(
    CurrentTenant(tenant): CurrentTenant,
    Tx(mut tx): Tx,
) -> Result<String, DbError> {
    let query = sqlx::query_scalar("select name from users, pg_sleep(0.002)");
    let name: String = query.fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(format!("{}:{name}", tenant.id()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_parallel_requests() -> TestResult {
    let world = World::new().await;
    let manager =
        world.builder().max_connections(3).acquire_timeout(Duration::from_secs(30)).build()?;
    let middleware = TenantMiddleware::new(manager.clone());
    let app = serve!(
        App::new()
            .wrap(middleware.clone())
            .route("/statement", web::get().to(by_statement))
            .route("/transaction", web::get().to(by_transaction)),
        |server| server.workers(3)
    );
    let app = std::sync::Arc::new(app);
    let mut requests = JoinSet::new();
    for n in 0..200 {
        let tenant = ["acme", "globex", "initech"][n % 3];
        let path = ["/statement", "/transaction"][n / 3 % 2];
        let app = std::sync::Arc::clone(&app);
        requests.spawn(async move { (tenant, get(&app, path, tenant).await) });
    }
    while let Some(request) = requests.join_next().await {
        let (tenant, answer) = request?;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.body, format!("{tenant}:{tenant}"));
    }
    assert!(manager.snapshot().total <= 3);
    manager.close().await;
    Ok(())
}
