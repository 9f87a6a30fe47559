//! The rows of two tenants, compared by their keys.

use tenantry::{
    ErrorKind,
    archive::{
        Compared, DiffOptions, ExportOptions, ImportOptions, MergeOptions, RowFound, TableDiff,
    },
};

use super::Shelf;
use crate::{
    clone::shop::Shop,
    support::{TestResult, World, run},
};

fn keys(table: &TableDiff, found: RowFound) -> Vec<String> {
    let rows = table.rows.iter().filter(|row| row.found == found);
    rows.map(|row| row.key.join("|")).collect()
}

#[tokio::test]
async fn a_copy_equals_its_source() -> TestResult {
    let (shop, shelf) = (Shop::new().await, Shelf::new());
    let manager = shop.manager();
    manager.archiver().export("shop", shelf.at("shop"), ExportOptions::default()).await?;
    manager.archiver().import(shelf.at("shop"), "copy", ImportOptions::default()).await?;
    manager.close().await;
    let manager = shop.world.manager();
    let diff = manager.archiver().diff("shop", "copy", DiffOptions::default()).await?;
    assert!(diff.is_equal(), "{diff}");
    let rows: u64 = diff.tables.iter().map(|table| table.first_rows).sum();
    assert_eq!(rows, 1 + 100 + 500 + 100 + 50 + 2 + 360 + 3 + 2 + 20);
    let of =
        |name: &str| diff.tables.iter().find(|table| table.table == name).expect("it is there");
    assert_eq!(of("orders").compared, Compared::Key, "names of objects are those of the tenant");
    assert_eq!((of("audit").compared, of("audit").first_rows), (Compared::Content, 100));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn every_kind_of_difference_is_found() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    for tenant in ["a", "b"] {
        run(
            &mut admin,
            &format!(
                "create schema tenant_{tenant}; set search_path to tenant_{tenant}; \
                 create table numbers (id bigint primary key, x text, y jsonb, z int generated always as (1) stored); \
                 create table words (lang text collate \"C\", word text, n numeric, primary key (lang, word)); \
                 create table ids (id uuid primary key, at timestamptz); \
                 create table bare (x int); \
                 insert into numbers select n, 'x' || n, '{{\"a\": 1}}' from generate_series(-5, 200) n; \
                 insert into words select l, w, 1 from unnest(array['de', 'en']) l, \
                   unnest(array['a', 'B', 'z', E'\\t', E'a\\tb', 'ä', 'Z', '', '\\N', E'\\\\', '日本', 'é', E'e\\u0301']) w; \
                 insert into ids select md5(n::text)::uuid, '2020-01-01 00:00Z'::timestamptz + n * interval '1 hour' \
                   from generate_series(1, 100) n; \
                 insert into bare values (1), (2)"
            ),
        )
        .await;
    }
    let manager = world.manager();
    let archiver = manager.archiver();
    let options = DiffOptions::default;
    // Sessions of a tenant may print times in any zone.
    let same = archiver.diff("a", "b", options()).await?;
    assert!(same.is_equal(), "{same}");
    run(
        &mut admin,
        "set search_path to tenant_b; delete from numbers where id in (-5, 100, 200); \
         insert into numbers values (1000, 'new', null), (-100, 'new', null); \
         update numbers set x = 'other' where id = 9; update numbers set x = null, y = '{}' where id = 10; \
         delete from words where word in (E'a\\tb', 'é'); insert into words values ('fr', 'ü', 2); \
         update words set n = 1.0 where word = '\\N'; \
         delete from ids where id = md5('7')::uuid; update ids set at = at + interval '1 us' where id = md5('8')::uuid; \
         update bare set x = 3 where x = 2; \
         create table more (id int primary key); alter table numbers add column extra int; \
         alter table ids add column extra int",
    )
    .await;
    let diff = archiver.diff("a", "b", options()).await?;
    let of =
        |name: &str| diff.tables.iter().find(|table| table.table == name).expect("it is there");
    let numbers = of("numbers");
    assert_eq!((numbers.first_rows, numbers.second_rows), (206, 205));
    assert_eq!((numbers.only_in_first, numbers.only_in_second, numbers.different), (3, 2, 2));
    assert_eq!(keys(numbers, RowFound::OnlyInFirst), ["-5", "100", "200"]);
    assert_eq!(keys(numbers, RowFound::OnlyInSecond), ["-100", "1000"]);
    let changed: Vec<_> =
        numbers.rows.iter().filter(|row| row.found == RowFound::Different).collect();
    assert_eq!(changed[0].columns, ["x"]);
    assert_eq!(
        (changed[1].key.join(""), changed[1].columns.join(" ")),
        ("10".into(), "x y".into())
    );
    assert_eq!(
        (numbers.columns_only_in_first.len(), &*numbers.columns_only_in_second),
        (0, &["extra".to_owned()][..])
    );
    let words = of("words");
    assert_eq!(keys(words, RowFound::OnlyInFirst), ["de|a\tb", "de|é", "en|a\tb", "en|é"]);
    assert_eq!(keys(words, RowFound::OnlyInSecond), ["fr|ü"]);
    assert_eq!(keys(words, RowFound::Different), ["de|\\N", "en|\\N"]);
    let ids = of("ids");
    assert_eq!((ids.only_in_first, ids.only_in_second, ids.different), (1, 0, 1));
    let bare = of("bare");
    assert_eq!(
        (bare.compared, bare.is_content_different, bare.first_rows),
        (Compared::Content, true, 2)
    );
    assert_eq!(diff.tables_only_in_second, ["more"]);
    assert!(!diff.is_equal());
    let told = diff.to_string();
    assert!(told.contains("numbers: 206 and 205 rows, 3 only in the first, 2 only in the second, 2 different; columns only in the second: extra"), "{told}");
    assert!(
        told.contains("bare: 2 and 2 rows, no key, other content")
            && told.contains("more: only in the second"),
        "{told}"
    );
    // The other way round, and in part.
    let back = archiver.diff("b", "a", options().tables(["numbers"]).keys(2)).await?;
    assert_eq!((back.tables.len(), back.tables[0].rows.len()), (1, 2));
    assert_eq!((back.tables[0].only_in_first, back.tables[0].only_in_second), (2, 3));
    let error = archiver.diff("a", "b", options().tables(["nubmers"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("\"nubmers\""), "{error}");
    let unknown = archiver.diff("a", "nemo", options()).await.unwrap_err();
    assert_eq!(
        (unknown.kind(), unknown.tenant().map(|id| id.as_str())),
        (ErrorKind::UnknownTenant, Some("nemo"))
    );
    let one = world.one_session();
    let error = one.archiver().diff("a", "b", options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    one.close().await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn tables_without_a_key_are_compared_by_the_columns_of_both() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    for (tenant, sql) in [
        (
            "a",
            "create table turned (a int, b text); create table wider (a int, former text, b text); \
             create table other_key (a int primary key, b text, c text); create table apart (x int); \
             insert into turned values (1, 'x'); insert into wider values (1, 'f', 'x'); \
             insert into other_key values (1, 'x', 'c'); insert into apart values (1)",
        ),
        (
            "b",
            "create table turned (b text, a int); create table wider (b text, newer text, a int); \
             create table other_key (b text primary key, a int, d text); create table apart (y int); \
             insert into turned values ('x', 1); insert into wider values ('x', 'n', 1); \
             insert into other_key values ('x', 1, 'd'); insert into apart values (2)",
        ),
    ] {
        run(
            &mut admin,
            &format!("create schema tenant_{tenant}; set search_path to tenant_{tenant}; {sql}"),
        )
        .await;
    }
    let manager = world.manager();
    let archiver = manager.archiver();
    let diff = archiver.diff("a", "b", DiffOptions::default()).await?;
    let of = |name: &str| diff.tables.iter().find(|it| it.table == name).expect("it is there");
    for name in ["turned", "wider", "other_key", "apart"] {
        let table = of(name);
        assert_eq!((table.compared, table.first_rows), (Compared::Content, 1), "{name}");
        assert!(!table.is_content_different, "{name}: {diff}");
    }
    assert_eq!(of("wider").columns_only_in_first, ["former"]);
    assert_eq!(of("wider").columns_only_in_second, ["newer"]);
    // A value that has gone from one column to the other is another one.
    run(
        &mut admin,
        "set search_path to tenant_b; update wider set b = 'y'; update turned set a = 2; \
         insert into apart values (3)",
    )
    .await;
    let diff = archiver.diff("a", "b", DiffOptions::default()).await?;
    let found = diff.tables.iter().filter(|it| it.is_content_different);
    let mut found: Vec<_> = found.map(|it| &*it.table).collect();
    found.sort_unstable();
    assert_eq!(found, ["apart", "turned", "wider"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_partitioned_table_stands_for_its_partitions() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    for tenant in ["a", "b"] {
        run(
            &mut admin,
            &format!(
                "create schema tenant_{tenant}; set search_path to tenant_{tenant}; \
                 create table events (id int, region text, primary key (id, region)) partition by list (region); \
                 create table events_eu partition of events for values in ('eu'); \
                 create table events_us partition of events for values in ('us') partition by range (id); \
                 create table events_us_1 partition of events_us for values from (0) to (100); \
                 create table users (id int primary key)"
            ),
        )
        .await;
    }
    run(
        &mut admin,
        "create table tenant_a.events_us_2 partition of tenant_a.events_us for values from (100) to (200); \
         create table tenant_b.events_de partition of tenant_b.events for values in ('de'); \
         create table tenant_b.more (id int) partition by list (id); \
         create table tenant_b.more_1 partition of tenant_b.more for values in (1); \
         create table tenant_a.logs (id int primary key) partition by list (id); \
         create table tenant_a.logs_1 partition of tenant_a.logs for values in (1); \
         create table tenant_b.logs_1 (id int primary key); \
         insert into tenant_a.events values (1, 'eu'), (1, 'us'); insert into tenant_a.logs values (1)",
    )
    .await;
    let manager = world.manager();
    let archiver = manager.archiver();
    for (name, both, only_in_first, only_in_second) in [
        ("events", &["events_eu", "events_us_1"][..], &["events_us_2"][..], &["events_de"][..]),
        ("events_us", &["events_us_1"], &["events_us_2"], &[]),
        ("events_eu", &["events_eu"], &[], &[]),
        ("more", &[], &[], &["more_1"]),
        ("logs", &["logs_1"], &[], &[]),
    ] {
        let diff = archiver.diff("a", "b", DiffOptions::default().tables([name])).await?;
        let mut names: Vec<_> = diff.tables.iter().map(|table| &*table.table).collect();
        names.sort_unstable();
        assert_eq!(names, both, "{name}");
        assert!(diff.tables.iter().all(|table| table.only_in_first == 1), "{name}: {diff}");
        assert_eq!(diff.tables_only_in_first, only_in_first, "{name}");
        assert_eq!(diff.tables_only_in_second, only_in_second, "{name}");
    }
    let merged = archiver.merge("a", "b", MergeOptions::default().tables(["logs"])).await?;
    assert_eq!((merged.tables.len(), merged.tables[0].inserted), (1, 1), "{merged}");
    let error = archiver.merge("a", "b", MergeOptions::default().tables(["more"])).await;
    let error = error.expect_err("the source has none");
    assert!(error.to_string().contains("the source has no table more"), "{error}");
    manager.close().await;
    Ok(())
}
