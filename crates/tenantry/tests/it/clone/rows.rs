//! A clone with data has the source's rows, and goes on where the source is.

use std::sync::{Arc, Mutex};

use tenantry::{
    Ident,
    clone::{CloneOptions, CloneStage},
};

use super::shop::{self, Shop};
use crate::support::{World, observe, run};

#[tokio::test]
async fn everything_is_as_in_the_source() {
    for connections in [1, 3] {
        let mut shop = Shop::new().await;
        let manager = shop.manager();
        let options = CloneOptions::default().data(true).connections(connections);
        let report = manager
            .provisioner()
            .clone_tenant("shop", "copy", options)
            .await
            .expect("it is cloned");
        assert_eq!(report.rows(), 1 + 100 + 500 + 100 + 50 + 2 + 360 + 3 + 2 + 20, "{report}");
        assert!(report.remarks.is_empty(), "{report}");
        shop.expect_complete_copy().await;
        manager.close().await;
    }
}

#[tokio::test]
async fn the_structure_alone_has_its_records() {
    let mut shop = Shop::new().await;
    let manager = shop.manager();
    let provisioner = manager.provisioner();
    let report = provisioner
        .clone_tenant("shop", "empty", CloneOptions::default())
        .await
        .expect("it is cloned");
    assert!(report.tables.is_empty(), "{report}");
    for (sql, expected) in [
        ("select count(*)::text from tenant_empty._sqlx_migrations", "1"),
        ("select count(*)::text from tenant_empty.users", "0"),
        ("select nextval('tenant_empty.loose')::text", "100"),
        (
            "insert into tenant_empty.users (email, name) values ('a@b', 'x') returning id::text",
            "1",
        ),
    ] {
        assert_eq!(observe(&mut shop.admin, sql).await, format!("Some({expected:?})"), "{sql}");
    }
    manager.close().await;
}

#[tokio::test]
async fn any_name_will_do() {
    let long = "x23456789x23456789x23456789x23456789x23456789x23456789x23456789";
    for (from, to) in [
        ("users", "a"),
        ("public_x", "select"),
        ("N\u{f6}rd-1 A", "b"),
        (long, "we\"ird"),
        ("mood", "sch{ema"),
    ] {
        for connections in [1, 2] {
            let mut shop = Shop::called(from).await;
            let manager = shop.manager();
            let to = Ident::parse(to).expect("an identifier");
            let options = CloneOptions::default().data(true).connections(connections);
            let options = options.container(to.clone());
            let report = manager.provisioner().clone_tenant("shop", "copy", options).await;
            let report = report.unwrap_or_else(|error| panic!("{from} as {to}: {error:?}"));
            assert!(report.remarks.is_empty(), "{from} as {to}: {report}");
            shop.expect_equal_rows(to.as_str()).await;
            manager.close().await;
        }
    }
}

#[tokio::test]
async fn a_constant_that_is_spelled_like_a_view_is_no_circle() {
    let mut shop = Shop::new().await;
    let sql = "create table tenant_shop.books (kind text default 'shelf' check (kind <> 'shelf()'), n int); \
               create view tenant_shop.shelf as select n from tenant_shop.books; \
               create table tenant_shop.drawers (id int default nextval('tenant_shop.drawer'::regclass))";
    run(&mut shop.admin, &format!("create sequence tenant_shop.drawer; {sql}")).await;
    let manager = shop.manager();
    let options = CloneOptions::default().data(true);
    let report = manager.provisioner().clone_tenant("shop", "copy", options).await;
    let report = report.expect("it is cloned");
    assert!(report.remarks.is_empty(), "{report}");
    manager.close().await;
}

#[tokio::test]
async fn another_server_gets_the_same() {
    let mut shop = Shop::new().await;
    let other = World::new().await;
    let (source, target) = (shop.manager(), shop::manager(other.database.url(), "elsewhere"));
    let options = CloneOptions::default().data(true);
    let (from, into) = (source.provisioner(), target.provisioner());
    let cloned = into.clone_tenant_from(&from, "shop", "copy", options);
    let report = cloned.await.expect("it is cloned");
    assert!(report.remarks.is_empty(), "{report}");
    // The rows of both, in one database.
    for relation in ["users", "orders", "events", "spent", "folders"] {
        let sql = |schema| {
            format!(
                "select md5(string_agg(replace(t::text, 'tenant_shop', 'tenant_copy'), '' order by t::text)) \
                 from {schema}.{relation} t"
            )
        };
        let left = observe(&mut shop.admin, &sql("tenant_shop")).await;
        let right = observe(&mut other.admin().await, &sql("tenant_copy")).await;
        assert_eq!(left, right, "{relation}");
    }
    let next = "insert into tenant_copy.orders (user_id) values (1) returning id::text";
    assert_eq!(observe(&mut other.admin().await, next).await, "Some(\"501\")");
    source.close().await;
    target.close().await;
}

#[tokio::test]
async fn progress_is_told_and_its_panics_are_nobodys() {
    let shop = Shop::new().await;
    let manager = shop.manager();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let options = CloneOptions::default().data(true).on_progress(move |progress| {
        told.lock().expect("nobody has it").push((progress.stage, progress.rows, progress.tables));
        assert!(progress.rows < 300, "this is a bad closure");
    });
    let report =
        manager.provisioner().clone_tenant("shop", "copy", options).await.expect("it is cloned");
    let seen = seen.lock().expect("nobody has it").clone();
    let stages: Vec<_> = seen.iter().map(|(stage, ..)| *stage).collect();
    assert!(stages.is_sorted_by_key(|stage| match stage {
        CloneStage::Structure => 0,
        CloneStage::Rows => 1,
        CloneStage::Indexes => 2,
        CloneStage::Views => 3,
        CloneStage::Check => 4,
        other => panic!("{other}"),
    }));
    assert!(report.rows() > 300 && seen.iter().any(|(_, rows, _)| *rows > 0), "{seen:?}");
    manager.close().await;
}
