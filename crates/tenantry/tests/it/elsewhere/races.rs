//! Several processes create or drop the same tenant at once.

use futures_util::future::join_all;
use tenantry::{ErrorKind, Isolation, IsolationKind, TenantManager, provision::DropOptions};

use super::{Host, built, of_servers, options, plain, provisioner};
use crate::{
    migrate::Files,
    support::{TestResult, observe},
};

/// Three processes with this many connections each create the same tenant, and then drop it.
async fn race(connections: usize, kind: IsolationKind) -> TestResult {
    let (mut main, mut eu) = (Host::new().await, Host::new().await);
    let files = Files::notes();
    let mut managers = Vec::new();
    for _ in 0..3 {
        let builder = of_servers(&main, &eu).or_isolation(Isolation::database("db_{id}"));
        managers.push(built(builder.max_connections(connections)).await);
    }
    let create = |manager: &TenantManager| {
        let (provisioner, options) = (provisioner(manager, &files), options().server("eu-1"));
        async move { provisioner.create("acme", options.isolation(kind)).await }
    };
    let ended = join_all(managers.iter().map(&create)).await;
    if connections > 2 {
        let created = ended.iter().filter(|ended| ended.is_ok()).count();
        assert_eq!(created, 1, "{ended:?}");
        let exists = |error: &tenantry::Error| error.kind() == ErrorKind::TenantExists;
        assert!(ended.iter().filter_map(|ended| ended.as_ref().err()).all(exists), "{ended:?}");
    } else if let Err(error) = create(&managers[0]).await {
        // Without the lock that says that a creation is under way, one may have undone another.
        assert_eq!(error.kind(), ErrorKind::TenantExists, "{error:?}");
    }
    let db = managers[0].tenant("acme").await?;
    assert_eq!(plain(observe(&db, "select string_agg(text, ' ') from notes").await), "inside");
    assert_eq!(main.tenants().await, "acme active");

    let provisioners: Vec<_> = managers.iter().map(TenantManager::provisioner).collect();
    let drops = provisioners
        .iter()
        .map(|provisioner| provisioner.drop_tenant("acme", "acme", DropOptions::default()));
    join_all(drops).await;
    match provisioners[0].drop_tenant("acme", "acme", DropOptions::default()).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::UnknownTenant, "{error:?}"),
    }
    assert_eq!(main.tenants().await, "");
    assert_eq!((eu.databases().await, eu.schemas().await), (String::new(), String::new()));
    Ok(())
}

#[tokio::test]
async fn of_several_creations_one_succeeds() -> TestResult {
    race(4, IsolationKind::Database).await?;
    race(4, IsolationKind::Schema).await
}

#[tokio::test]
async fn without_a_connection_for_the_lock_the_tenant_is_whole_in_the_end() -> TestResult {
    race(2, IsolationKind::Database).await?;
    race(2, IsolationKind::Schema).await
}

#[tokio::test]
async fn tenants_are_created_beside_each_other() -> TestResult {
    let (mut main, mut eu) = (Host::new().await, Host::new().await);
    let files = Files::notes();
    let builder = || of_servers(&main, &eu).or_isolation(Isolation::database("db_{id}"));
    let managers = [built(builder()).await, built(builder()).await, built(builder()).await];
    let creations = managers.iter().enumerate().map(|(n, manager)| {
        let provisioner = provisioner(manager, &files);
        async move {
            let options = || options().server("eu-1").isolation(IsolationKind::Database);
            provisioner.create(format!("a{n}"), options()).await?;
            provisioner.create(format!("b{n}"), options()).await
        }
    });
    for created in join_all(creations).await {
        created?;
    }
    assert_eq!(eu.databases().await, "db_a0 db_a1 db_a2 db_b0 db_b1 db_b2");
    assert!(!main.tenants().await.contains("suspended"));
    Ok(())
}
