//! What roles may do, and what the error says if that is not enough.

use tenantry::{Credentials, ErrorKind, TenantManager, provision::DropOptions};

use super::{Host, built, of_servers, options, plain, provisioner};
use crate::{
    migrate::Files,
    support::{TestResult, observe, run},
};

/// Lets a role of the test's own create the catalog.
async fn with_role(host: &mut Host, role: &str) {
    run(
        &mut host.admin,
        &format!("create role {role} login; grant create on schema public to {role}"),
    )
    .await;
}

#[tokio::test]
async fn a_role_without_createdb_is_refused_before_anything_is_done() -> TestResult {
    let mut host = Host::new().await;
    with_role(&mut host, "\"App\"").await;
    let url = host.server.url();
    let builder = TenantManager::builder(url.replace("postgres@", "App@"))
        .isolation(tenantry::Isolation::database("db_{id}"))
        .catalog(tenantry::TableCatalog::new());
    let manager = built(builder).await;
    let provisioner = provisioner(&manager, &Files::notes());
    let error = provisioner.create("acme", options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
    assert!(
        error.to_string().contains("have a superuser run `alter role \"App\" createdb`"),
        "{error}"
    );
    assert_eq!((host.databases().await, host.tenants().await), (String::new(), String::new()));
    run(&mut host.admin, "alter role \"App\" createdb").await;
    provisioner.create("acme", options()).await?;
    let db = manager.tenant("acme").await?;
    assert_eq!(plain(observe(&db, "select text from notes").await), "inside");
    provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
    assert_eq!((host.databases().await, host.tenants().await), (String::new(), String::new()));
    Ok(())
}

#[tokio::test]
async fn the_login_of_the_service_gets_what_it_needs_and_no_more() -> TestResult {
    let mut host = Host::new().await;
    with_role(&mut host, "owner_of_all").await;
    run(&mut host.admin, "alter role owner_of_all createdb; create role service login").await;
    let url = host.server.url().replace("postgres@", "service@");
    let builder = TenantManager::builder(&url)
        .isolation(tenantry::Isolation::database("db_{id}"))
        .catalog(tenantry::TableCatalog::new())
        .upkeep_credentials(Credentials::new("owner_of_all"));
    let manager = built(builder).await;
    let provisioner = provisioner(&manager, &Files::notes());
    provisioner.create("acme", options()).await?;
    let db = manager.tenant("acme").await?;
    assert_eq!(plain(observe(&db, "select current_user::text").await), "service");
    assert_eq!(plain(observe(&db, "update notes set author = 'a' returning text").await), "inside");
    assert_eq!(observe(&db, "create table mine (id int)").await, "error 42501");
    let error = provisioner.drop_tenant("acme", "acme", DropOptions::default()).await;
    // Its own sessions were closed before, unless the server has not noticed yet.
    if let Err(error) = error {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
        let told = tenantry::ErrorReport::new(&error).to_string();
        assert!(told.contains("pg_signal_backend"), "{told}");
        assert_eq!(host.tenants().await, "acme suspended tenantry: droppin");
        run(&mut host.admin, "grant pg_signal_backend to owner_of_all").await;
        provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
    }
    assert_eq!((host.databases().await, host.tenants().await), (String::new(), String::new()));
    Ok(())
}

#[tokio::test]
async fn a_role_that_may_not_create_schemas_on_the_server_is_refused_first() -> TestResult {
    let (mut main, mut eu) = (Host::new().await, Host::new().await);
    with_role(&mut eu, "app").await;
    let url = eu.server.url().replace("postgres@", "app@");
    let manager = built(of_servers(&main, &eu).server("restricted", url)).await;
    let provisioner = provisioner(&manager, &Files::notes());
    let error = provisioner.create("acme", options().server("restricted")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
    assert!(error.to_string().contains("`grant create on database postgres to app`"), "{error}");
    assert_eq!((main.tenants().await, eu.schemas().await), (String::new(), String::new()));
    run(&mut eu.admin, "grant create on database postgres to app").await;
    provisioner.create("acme", options().server("restricted")).await?;
    assert_eq!(eu.schemas().await, "tenant_acme");
    Ok(())
}
