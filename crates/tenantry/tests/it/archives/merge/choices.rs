//! Which rows are merged.

use tenantry::{
    ErrorKind,
    archive::{DiffOptions, MergeOptions, RowFound, RowMerge},
};

use super::{counts, in_tenant, now, of, twins};
use crate::support::{TestResult, World};

const SHOP: &str = "\
    create table customers (id bigint primary key, name text, extra jsonb); \
    create table orders (id bigint generated always as identity primary key, \
      customer_id bigint not null references customers, total numeric(10, 2), \
      double numeric generated always as (total * 2) stored); \
    create table notes (text text); \
    create table _sqlx_migrations (version bigint primary key, description text); \
    insert into customers select n, 'c' || n, '{\"a\": 1}' from generate_series(1, 20) n; \
    insert into orders (customer_id, total) select n, n from generate_series(1, 20) n; \
    insert into _sqlx_migrations values (1, 'one')";

/// What has happened since.
const TODAY: &str = "\
    delete from orders where id in (3, 4, 5); delete from customers where id = 5; \
    update orders set total = 99 where id in (7, 8); update customers set name = 'other' where id = 9; \
    insert into customers values (30, 'new', null); insert into orders (customer_id, total) values (30, 1); \
    insert into _sqlx_migrations values (2, 'two')";

async fn world() -> World {
    let world = twins(SHOP).await;
    in_tenant(&world, "new", TODAY).await;
    world
}

const ORDERS: &str =
    "select string_agg(id || '=' || total, ' ' order by id) from orders where id < 10";

#[tokio::test]
async fn rows_come_back_by_their_keys() -> TestResult {
    let world = world().await;
    let manager = world.manager();
    let archiver = manager.archiver();
    let options = MergeOptions::default().rows("orders", [["3"], ["07"], ["10"]]);
    let before = now(&world, ORDERS).await;
    let planned = archiver.merge("old", "new", options.clone().dry_run(true)).await?;
    assert_eq!(counts(&planned, "orders"), (1, 1, 0), "{planned}");
    assert!(
        planned.to_string().starts_with("dry run: would merge 2 rows of tenant old"),
        "{planned}"
    );
    assert_eq!(now(&world, ORDERS).await, before);
    let merged = archiver.merge("old", "new", options.clone()).await?;
    assert_eq!(merged.tables, planned.tables);
    let orders = of(&merged, "orders");
    assert_eq!((orders.same, orders.left, orders.also_changed()), (1, 0, 0));
    let done: Vec<_> = orders.rows.iter().map(|row| (row.key.join(""), row.done)).collect();
    assert_eq!(done, [("3".into(), RowMerge::Inserted), ("7".into(), RowMerge::Updated)]);
    assert_eq!((orders.rows[1].columns.join(" "), merged.sequences.len()), ("total".into(), 0));
    let after = "1=1.00 2=2.00 3=3.00 6=6.00 7=7.00 8=99.00 9=9.00";
    assert_eq!(now(&world, ORDERS).await, after);
    assert_eq!(now(&world, "select double::text from orders where id = 7").await, "14.00");
    let again = archiver.merge("old", "new", options).await?;
    assert!(again.is_empty() && of(&again, "orders").same == 3, "{again}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn everything_comes_back_but_what_is_new_stays_unless_asked() -> TestResult {
    let world = world().await;
    let manager = world.manager();
    let archiver = manager.archiver();
    let report = archiver.merge("old", "new", MergeOptions::default().everything()).await?;
    assert_eq!(counts(&report, "orders"), (3, 2, 0));
    assert_eq!(counts(&report, "customers"), (1, 1, 0));
    assert_eq!((of(&report, "orders").left, of(&report, "customers").left), (1, 1));
    assert_eq!(report.without_key, ["notes"]);
    assert!(report.tables.iter().all(|table| table.table != "_sqlx_migrations"));
    let told = report.to_string();
    assert!(told.contains("\norders     3         2        0        15    1"), "{told}");
    assert!(told.contains("\nnote: notes: left out, because it has no primary key"), "{told}");
    let options = MergeOptions::default().everything().delete(true);
    let report = archiver.merge("old", "new", options).await?;
    assert_eq!((counts(&report, "orders"), counts(&report, "customers")), ((0, 0, 1), (0, 0, 1)));
    let diff = archiver.diff("old", "new", DiffOptions::default()).await?;
    let records = |name: &str| name == "_sqlx_migrations";
    assert!(diff.tables.iter().all(|it| it.is_equal() || records(&it.table)), "{diff}");
    assert_eq!(now(&world, "select count(*)::text from _sqlx_migrations").await, "2");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_a_comparison_listed_is_merged_unless_it_has_changed_since() -> TestResult {
    let world = world().await;
    let manager = world.manager();
    let archiver = manager.archiver();
    let diff = archiver.diff("old", "new", DiffOptions::default()).await?;
    // As a file would bring it back.
    let mut diff: tenantry::archive::DiffReport =
        serde_json::from_str(&serde_json::to_string(&diff)?)?;
    for table in &mut diff.tables {
        table.rows.retain(|row| row.found != RowFound::OnlyInSecond && table.table == "orders");
    }
    in_tenant(&world, "new", "update orders set total = 100 where id = 7").await;
    in_tenant(&world, "old", "delete from orders where id = 3").await;
    in_tenant(&world, "new", "update orders set total = 8 where id = 8").await;
    in_tenant(&world, "new", "insert into customers values (5, 'c5', '{\"a\": 1}')").await;
    let listed = MergeOptions::default().listed_in(&diff);
    let before = now(&world, ORDERS).await;
    let error = archiver.merge("old", "new", listed.clone()).await.expect_err("two have changed");
    assert_eq!((error.kind(), error.tenant().is_none()), (ErrorKind::Merge, true), "{error}");
    assert!(error.to_string().contains("compared: orders (7), (3):"), "{error}");
    assert_eq!(now(&world, ORDERS).await, before);
    let planned = archiver.merge("old", "new", listed.clone().dry_run(true)).await?;
    let merged = archiver.merge("old", "new", listed.clone().overwrite_changed(true)).await?;
    assert_eq!(planned.tables, merged.tables);
    let orders = of(&merged, "orders");
    assert_eq!((orders.changed, orders.changed_keys.concat().concat()), (2, "73".into()));
    assert_eq!((orders.inserted, orders.updated, orders.same), (2, 1, 1), "{merged}");
    assert!(
        merged
            .to_string()
            .contains("note: orders: 2 rows changed since they were compared: (7), (3)")
    );
    // The other way round it would be another merge.
    let error = archiver.merge("new", "old", listed).await.expect_err("it is of other tenants");
    assert!(error.to_string().contains("from a comparison of old with new"), "{error}");
    // A comparison that has found nothing has nothing to merge.
    let equal = archiver.diff("old", "new", DiffOptions::default().tables(["notes"])).await?;
    assert!(
        archiver.merge("old", "new", MergeOptions::default().listed_in(&equal)).await?.is_empty()
    );
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_chosen_is_named() -> TestResult {
    let world = world().await;
    in_tenant(&world, "old", "create table gone (id int primary key)").await;
    in_tenant(&world, "new", "create table more (id int primary key)").await;
    let manager = world.manager();
    let archiver = manager.archiver();
    let options = MergeOptions::default;
    for (options, words) in [
        (options(), "no rows were chosen"),
        (options().tables(["nubmers"]), "neither tenant has a table nubmers"),
        (options().tables(["gone"]), "the target has no table gone"),
        (options().tables(["more"]), "the source has no table more"),
        (
            options().tables(["notes"]),
            "the table notes has no primary key that is the same in both",
        ),
        (options().tables(["_sqlx_migrations"]), "the table _sqlx_migrations is one which records"),
        (options().rows("orders", [["3", "4"]]), "has the columns id, and 2 values were given"),
        (options().rows("orders", [["3x"]]), "\"3x\" is not a number"),
        (
            options().rows("orders", [["3"], ["77"]]),
            "neither tenant has a row (77) in the table orders",
        ),
    ] {
        let error = archiver.merge("old", "new", options).await.expect_err(words);
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = archiver.merge("new", "new", options().everything()).await.expect_err("it is one");
    assert!(error.to_string().contains("cannot be merged into itself"), "{error}");
    let error = archiver.merge("old", "nemo", options().everything()).await.expect_err("none");
    assert_eq!(error.kind(), ErrorKind::UnknownTenant);
    assert_eq!(now(&world, "select count(*)::text from orders").await, "18");
    manager.close().await;
    Ok(())
}
