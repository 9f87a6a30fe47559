//! A part of the rows: no foreign key leads nowhere.

use sqlx::PgConnection;
use tenantry::{ErrorKind, clone::CloneOptions};

use super::shop::Shop;
use crate::support::{observe, run};

async fn count(admin: &mut PgConnection, relation: &str) -> i64 {
    let sql = format!("select count(*)::text from {relation}");
    let counted = observe(admin, &sql).await;
    counted.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number")
}

async fn cloned(shop: &Shop, options: CloneOptions) {
    let manager = shop.manager();
    manager.provisioner().clone_tenant("shop", "part", options).await.expect("it is cloned");
    manager.close().await;
}

#[tokio::test]
async fn what_refers_to_what_is_left_out_is_left_out() {
    for connections in [1, 2] {
        let mut shop = Shop::new().await;
        let options = CloneOptions::default().data(true).connections(connections);
        cloned(&shop, options.filter("users", "id <= 10 -- the first")).await;
        assert_eq!(count(&mut shop.admin, "tenant_part.users").await, 10);
        assert_eq!(count(&mut shop.admin, "tenant_part.orders").await, 50);
        assert_eq!(count(&mut shop.admin, "tenant_part.spent").await, 10);
        assert_eq!(count(&mut shop.admin, "tenant_part.folders").await, 50);
    }
}

#[tokio::test]
async fn what_was_asked_for_brings_what_it_refers_to() {
    let mut shop = Shop::new().await;
    let options = CloneOptions::default()
        .data(true)
        .limit("users", 3)
        .filter("orders", "id in (41, 77)")
        .limit("folders", 0)
        .filter("events", "kind = 'x' and at < '2024-12-01'")
        .exclude_tables(["aud*"]);
    cloned(&shop, options).await;
    let users = "select string_agg(id::text, ' ' order by id) from tenant_part.users";
    assert_eq!(observe(&mut shop.admin, users).await, "Some(\"1 2 3 42 78\")");
    assert_eq!(count(&mut shop.admin, "tenant_part.orders").await, 2);
    assert_eq!(count(&mut shop.admin, "tenant_part.folders").await, 0);
    assert_eq!(count(&mut shop.admin, "tenant_part.audit").await, 0);
    let left = count(&mut shop.admin, "tenant_part.events").await;
    let right = "tenant_shop.events where kind = 'x' and at < '2024-12-01'";
    assert_eq!(left, count(&mut shop.admin, right).await);
}

#[tokio::test]
async fn trees_and_circles_are_closed() {
    let mut shop = Shop::new().await;
    run(
        &mut shop.admin,
        "begin; insert into tenant_shop.hens select i, i from generate_series(2, 20) i; \
         insert into tenant_shop.eggs select i, nullif(i - 1, 0) from generate_series(2, 20) i; commit",
    )
    .await;
    let options = CloneOptions::default().data(true);
    cloned(&shop, options.filter("folders", "id = 50").filter("hens", "id = 5")).await;
    let folders = "select string_agg(id::text, ' ' order by id) from tenant_part.folders";
    assert_eq!(observe(&mut shop.admin, folders).await, "Some(\"1 3 6 12 25 50\")");
    // The egg of each hen, and the hen of each egg.
    let hens = "select string_agg(id::text, ' ' order by id) from tenant_part.hens";
    assert_eq!(observe(&mut shop.admin, hens).await, "Some(\"1 2 3 4 5\")");
}

#[tokio::test]
async fn what_refers_to_a_table_that_is_excluded_goes_however_it_was_asked_for() {
    let mut shop = Shop::new().await;
    let options = CloneOptions::default().data(true).exclude_tables(["users"]);
    cloned(&shop, options.filter("orders", "id < 5")).await;
    assert_eq!(count(&mut shop.admin, "tenant_part.users").await, 0);
    assert_eq!(count(&mut shop.admin, "tenant_part.orders").await, 0);
}

#[tokio::test]
async fn what_is_not_there_is_refused_before_anything_is_copied() {
    let mut shop = Shop::new().await;
    let manager = shop.manager();
    for (options, words) in [
        (CloneOptions::default().exclude_tables(["odrers"]), "\"odrers\" matches none"),
        (CloneOptions::default().filter("Orders", "true"), "no table \"Orders\""),
        (CloneOptions::default().limit("events_9", 1), "no table \"events_9\""),
    ] {
        let refused = manager.provisioner().clone_tenant("shop", "part", options.data(true)).await;
        let error = refused.expect_err("there is no such table");
        assert_eq!(error.kind(), ErrorKind::Config);
        let why = std::error::Error::source(&error).expect("it says why").to_string();
        assert!(why.contains(words), "{why}");
    }
    // A condition is one, and no more.
    for condition in ["true); drop table orders; --", "no_such_column = 1", "sum(id) > 1"] {
        let options = CloneOptions::default().data(true).filter("orders", condition);
        let refused = manager.provisioner().clone_tenant("shop", "part", options).await;
        let error = refused.expect_err("it is no condition");
        assert!(error.to_string().contains("orders"), "{error}");
    }
    assert_eq!(count(&mut shop.admin, "tenant_shop.orders").await, 500);
    assert_eq!(count(&mut shop.admin, "pg_namespace where nspname = 'tenant_part'").await, 0);
    manager.close().await;
}
