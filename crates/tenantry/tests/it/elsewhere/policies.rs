//! Which server a new tenant gets.

use std::collections::BTreeMap;

use serde_json::json;
use tenantry::{ErrorKind, PlacementPolicy, ServerOptions};

use super::{Host, built, of_servers, options, provisioner};
use crate::{migrate::Files, support::TestResult};

#[tokio::test]
async fn new_tenants_go_to_the_least_loaded_server() -> TestResult {
    let (main, eu) = (Host::new().await, Host::new().await);
    let policy = PlacementPolicy::least_loaded();
    let manager = built(of_servers(&main, &eu).placement(policy)).await;
    let provisioner = provisioner(&manager, &Files::notes());
    provisioner.create("first", options().server("main")).await?;
    let mut counts = BTreeMap::new();
    for n in 0..5 {
        let created = provisioner.create(format!("t{n}"), options()).await?;
        *counts.entry(created.server.as_deref().unwrap_or("main").to_owned()).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([("eu-1".into(), 3), ("main".into(), 2)]));
    for n in 0..5 {
        let db = manager.tenant(format!("t{n}")).await?;
        sqlx::query("select from notes").execute(&db).await?;
    }
    Ok(())
}

#[tokio::test]
async fn draining_and_unknown_servers_are_refused() -> TestResult {
    let (mut main, eu) = (Host::new().await, Host::new().await);
    let draining = || ServerOptions::new(eu.server.url()).draining(true);
    let policy = PlacementPolicy::by_weight().except("main");
    let builder = of_servers(&main, &eu).server("old", draining()).placement(policy);
    let manager = built(builder).await;
    let there = provisioner(&manager, &Files::notes());
    for n in 0..4 {
        let created = there.create(format!("t{n}"), options()).await?;
        assert_eq!(created.server.as_deref(), Some("eu-1"));
    }
    for (server, told) in [
        ("old", "server old is draining and gets no new tenants"),
        ("mars", "there is no server \"mars\"; there are main, eu-1, old"),
    ] {
        let error = there.create("acme", options().server(server)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
        assert!(error.to_string().contains(told), "{error}");
    }
    let builder = tenantry::TenantManager::builder(main.server.url())
        .catalog(tenantry::TableCatalog::new())
        .server("old", draining())
        .placement(PlacementPolicy::least_loaded().except("main"));
    let manager = built(builder).await;
    let error = provisioner(&manager, &Files::notes()).create("acme", options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
    assert!(error.to_string().contains("no server gets new tenants"), "{error}");
    assert!(!main.tenants().await.contains("acme"));
    Ok(())
}

#[tokio::test]
async fn a_closure_chooses_by_attributes() -> TestResult {
    let (main, eu) = (Host::new().await, Host::new().await);
    let policy = PlacementPolicy::with(|record, servers| {
        assert!(!servers.is_empty());
        record.attributes["server"].as_str().unwrap_or("main").to_owned()
    });
    let manager = built(of_servers(&main, &eu).placement(policy)).await;
    let provisioner = provisioner(&manager, &Files::notes());
    let of = |server: &str| options().attributes(json!({ "server": server }));
    assert_eq!(provisioner.create("a", of("eu-1")).await?.server.as_deref(), Some("eu-1"));
    assert_eq!(provisioner.create("b", of("main")).await?.server, None);
    let error = provisioner.create("c", of("mars")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
    assert!(error.to_string().contains("has chosen the server \"mars\""), "{error}");
    Ok(())
}

#[test]
fn what_cannot_be_is_refused_when_the_manager_is_built() {
    let builder = || tenantry::TenantManager::builder("postgres://app@localhost/saas");
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let server = ServerOptions::new("postgres://app@db-eu/saas").weight(weight);
        let error = builder().server("eu-1", server).build().unwrap_err();
        assert!(
            error.to_string().contains("server eu-1: its weight must be a positive"),
            "{error}"
        );
    }
    let policy = PlacementPolicy::least_loaded().except("mian");
    let error = builder().placement(policy).build().unwrap_err();
    assert!(error.to_string().contains("there is no server \"mian\" to exclude"), "{error}");
}
