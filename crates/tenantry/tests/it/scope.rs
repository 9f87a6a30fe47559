//! The tenant in scope is that of the innermost scope of the task, and of no other.

use tenantry::{ErrorKind, context};
use tokio::task::JoinSet;

use crate::support::{TestResult, World, name_of};

fn in_scope() -> Option<String> {
    context::current().ok().map(|db| db.tenant().id().to_string())
}

#[tokio::test]
async fn scopes_nest_and_end() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.one_session();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    assert_eq!(context::current().expect_err("no scope").kind(), ErrorKind::NoTenant);
    context::scope(acme, async {
        assert_eq!(name_of(&context::current()?).await?, "acme");
        context::scope(globex, async {
            assert_eq!(name_of(&context::current()?).await?, "globex");
            assert_eq!(tokio::spawn(async { in_scope() }).await.ok().flatten(), None);
            Ok::<_, tenantry::Error>(())
        })
        .await?;
        assert_eq!(name_of(&context::current()?).await?, "acme");
        Ok::<_, tenantry::Error>(())
    })
    .await?;
    assert_eq!(in_scope(), None);
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_of_many_tasks_do_not_mix() -> TestResult {
    const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
    let world = World::with_tenants(&TENANTS).await;
    let manager = world.with_pool(|options| options.max_connections = 2);
    let mut tasks = JoinSet::new();
    for task in 0..30 {
        let db = manager.tenant(TENANTS[task % 3]).await?;
        tasks.spawn(context::scope(db, async move {
            for _ in 0..5 {
                assert_eq!(name_of(&context::current()?).await?, TENANTS[task % 3]);
                tokio::task::yield_now().await;
            }
            Ok::<_, tenantry::Error>(())
        }));
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    manager.close().await;
    Ok(())
}
