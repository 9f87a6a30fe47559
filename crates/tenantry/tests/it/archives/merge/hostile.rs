//! Names and values that need care.

use tenantry::archive::{DiffOptions, MergeOptions};

use super::{counts, in_tenant, now, of, twins};
use crate::support::TestResult;

#[tokio::test]
async fn names_are_only_names() -> TestResult {
    let world = twins(
        "create table \"a\"\";drop table x;--\" (\"tenantry_place\" int, \"tenantry_write\" text, \"k'\"\"\\\" text, \
           \"select\" text collate \"C\", \"tenantry_place_\" int, primary key (\"k'\"\"\\\", \"select\")); \
         create table \"S\" (\"T\" int primary key, \"s.t\" text); \
         insert into \"S\" values (1, 'x'); \
         insert into \"a\"\";drop table x;--\" select n, 'w', k, s, n from generate_series(1, 2) n, \
           unnest(array[E'\\'', E'a\\tb', '\\N', '', '\"', '\\', E'line\\nbreak', '日本', '$1', '{}', '(', 'NULL']) k, \
           unnest(array['x' || n]) s",
    )
    .await;
    let table = "a\";drop table x;--";
    let manager = world.manager();
    let archiver = manager.archiver();
    let all = archiver.diff("old", "new", DiffOptions::default()).await?;
    assert!(all.is_equal());
    in_tenant(
        &world,
        "new",
        "delete from \"a\"\";drop table x;--\"; update \"S\" set \"s.t\" = E'\\\\x''\"'",
    )
    .await;
    let diff = archiver.diff("old", "new", DiffOptions::default().keys(100)).await?;
    let keys: Vec<_> =
        diff.tables.iter().filter(|it| it.table == table).flat_map(|it| &it.rows).collect();
    assert_eq!(keys.len(), 24);
    // One by one, by what the comparison says.
    for row in &keys[..12] {
        let options = MergeOptions::default().rows(table, [&row.key]);
        let report = archiver.merge("old", "new", options).await?;
        assert_eq!(counts(&report, table), (1, 0, 0), "{:?}", row.key);
    }
    let report = archiver
        .merge("old", "new", MergeOptions::default().listed(table, keys).tables(["S"]))
        .await?;
    assert_eq!((counts(&report, table), counts(&report, "S")), ((12, 0, 0), (0, 1, 0)));
    assert!(archiver.diff("old", "new", DiffOptions::default()).await?.is_equal());
    manager.close().await;
    Ok(())
}

/// Keys that `copy` prints in other words than a cast to text does, or in another order than the type has.
#[tokio::test]
async fn keys_of_every_type_are_found() -> TestResult {
    let world = twins(
        "create type mood as enum ('z', 'a'); create domain short as char(6); \
         create table inets (k inet primary key); create table chars (k char(6) primary key); \
         create table flags (k bool, n short, primary key (k, n)); create table floats (k float8 primary key); \
         create table numbers (k numeric primary key); create table moods (k mood primary key, v mood[]); \
         create table times (k timestamptz primary key); create table bytes (k bytea primary key); \
         create table ranges (k int4range primary key); create table ids (k uuid primary key); \
         create table regs (k regclass primary key, j json, x xml, p point, v tsvector); \
         insert into inets values ('10.0.0.1'), ('10.0.0.1/24'), ('10.0.0.10'), ('10.0.0.1/8'), ('::1'); \
         insert into chars values ('a'), ('a b'), (E'a\\tb'), (E'a\\t'), (''), ('b'); \
         insert into flags values (true, 'a'), (false, 'a'), (false, E'a\\t'); \
         insert into floats values (0.1), (1e300), ('-inf'), ('nan'), (-2.5); \
         insert into numbers values (1), (1.50), (-3), (10), ('nan'); insert into moods values ('z', '{a,z}'), ('a', null); \
         insert into times values ('2020-01-01 00:00+02'), ('infinity'), ('0044-03-15 BC'); \
         insert into bytes values ('\\x00'), ('\\x5c'), (''); insert into ranges values ('[1,5)'), ('empty'), ('(,)'); \
         insert into ids select md5(n::text)::uuid from generate_series(1, 5) n; \
         insert into regs values ('inets', '{\"a\" : 1}', '<a/>', '(1,2)', 'a:1'), ('pg_class', '[]', null, null, null)",
    )
    .await;
    let manager = world.manager();
    let archiver = manager.archiver();
    let diff = archiver.diff("old", "new", DiffOptions::default()).await?;
    assert!(diff.is_equal(), "{diff}");
    // Rows between others are missing: two streams in another order than expected would not meet.
    for table in [
        "inets", "chars", "flags", "floats", "numbers", "moods", "times", "bytes", "ranges", "ids",
        "regs",
    ] {
        let half = format!(
            "delete from {table} where ctid in (select ctid from {table} limit 2 offset 1)"
        );
        in_tenant(&world, "new", &half).await;
    }
    let diff = archiver.diff("old", "new", DiffOptions::default()).await?;
    for table in &diff.tables {
        let expected = if table.first_rows > 2 { 2 } else { 1 };
        assert_eq!(
            (table.only_in_first, table.only_in_second, table.different),
            (expected, 0, 0),
            "{table}"
        );
        let keys: Vec<_> = table.rows.iter().map(|row| row.key.clone()).collect();
        let options = MergeOptions::default().rows(&table.table, keys);
        let report = archiver.merge("old", "new", options).await?;
        assert_eq!(counts(&report, &table.table), (expected, 0, 0), "{report}");
    }
    assert!(archiver.diff("old", "new", DiffOptions::default()).await?.is_equal());
    assert_eq!(
        now(
            &world,
            "select string_agg(k::text, ' ' order by k) from regs where k = 'inets'::regclass"
        )
        .await,
        "inets"
    );
    // Values without an equality are compared, too.
    in_tenant(
        &world,
        "new",
        "update regs set j = '{\"a\":1}', p = '(1,3)', x = '<b/>' where j is not null",
    )
    .await;
    let report = archiver.merge("old", "new", MergeOptions::default().tables(["regs"])).await?;
    assert_eq!(counts(&report, "regs"), (0, 2, 0));
    assert!(archiver.diff("old", "new", DiffOptions::default()).await?.is_equal());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn partitions_and_children_are_merged() -> TestResult {
    let world = twins(
        "create table events (id int, region text, what text, primary key (id, region)) partition by list (region); \
         create table events_eu partition of events for values in ('eu'); \
         create table events_us partition of events for values in ('us') partition by range (id); \
         create table events_us_1 partition of events_us for values from (0) to (100); \
         create table parent (id int primary key, x text); create table child (primary key (id)) inherits (parent); \
         insert into events select n, r, 'x' from generate_series(1, 10) n, unnest(array['eu', 'us']) r; \
         insert into parent values (1, 'p'); insert into child values (1, 'c'), (2, 'c')",
    )
    .await;
    in_tenant(&world, "new", "delete from events where id < 4; update events set what = 'y' where id = 5; update child set x = 'z'").await;
    let manager = world.manager();
    let archiver = manager.archiver();
    let by_key = MergeOptions::default().rows("events", [["1", "eu"], ["2", "us"], ["5", "us"]]);
    let report = archiver.merge("old", "new", by_key).await?;
    assert_eq!(
        (counts(&report, "events_eu"), counts(&report, "events_us_1")),
        ((1, 0, 0), (1, 1, 0))
    );
    let missing = MergeOptions::default().rows("events", [["1", "eu"], ["99", "us"]]);
    let error = archiver.merge("old", "new", missing).await.expect_err("there is no 99");
    assert!(
        error.to_string().contains("neither tenant has a row (99, us) in the table events"),
        "{error}"
    );
    let report =
        archiver.merge("old", "new", MergeOptions::default().tables(["events", "child"])).await?;
    assert_eq!((counts(&report, "events_eu"), counts(&report, "child")), ((2, 1, 0), (0, 2, 0)));
    assert_eq!(now(&world, "select x from only parent").await, "p");
    assert!(archiver.diff("old", "new", DiffOptions::default()).await?.is_equal());
    manager.close().await;
    Ok(())
}

const EVENTS: &str = "\
    create table events (id int, region text, what text, primary key (id, region)) partition by list (region); \
    create table events_eu partition of events for values in ('eu'); \
    create table events_us partition of events for values in ('us') partition by range (id); \
    create table events_us_1 partition of events_us for values from (0) to (100); \
    create table events_us_2 partition of events_us for values from (100) to (200); \
    insert into events select n, r, 'x' from generate_series(1, 10) n, unnest(array['eu', 'us']) r; \
    insert into events values (101, 'us', 'x')";

#[tokio::test]
async fn a_partitioned_table_and_its_partitions_can_be_chosen_together() -> TestResult {
    let world = twins(EVENTS).await;
    in_tenant(&world, "new", "delete from events").await;
    let manager = world.manager();
    let archiver = manager.archiver();
    let options = MergeOptions::default;
    // What a comparison has listed of a partition, and one more row by the name of all.
    let diff = archiver.diff("old", "new", DiffOptions::default().keys(1)).await?;
    let both = options().listed_in(&diff).rows("events", [["2", "eu"], ["3", "us"]]).dry_run(true);
    let report = archiver.merge("old", "new", both.clone()).await?;
    let found = ["events_eu", "events_us_1", "events_us_2"].map(|it| counts(&report, it).0);
    assert_eq!(found, [2, 2, 1], "{report}");
    // All rows, although a comparison has listed some.
    let all = both.clone().tables(["events"]);
    let report = archiver.merge("old", "new", all).await?;
    let found = ["events_eu", "events_us_1", "events_us_2"].map(|it| counts(&report, it).0);
    assert_eq!(found, [10, 10, 1], "{report}");
    // The same row, by every name that it has.
    let names = ["events", "events_us", "events_us_1"];
    let same = names.into_iter().fold(options(), |options, name| options.rows(name, [["5", "us"]]));
    let report = archiver.merge("old", "new", same.dry_run(true)).await?;
    assert_eq!(counts(&report, "events_us_1").0, 1, "{report}");
    // A row is sought where its name says.
    for (name, key) in [("events_eu", ["3", "us"]), ("events_us", ["2", "eu"])] {
        let error = archiver.merge("old", "new", both.clone().rows(name, [key])).await;
        let told = format!("neither tenant has a row ({}) in the table {name}", key.join(", "));
        let error = error.expect_err("it is in another partition");
        assert!(error.to_string().contains(&told), "{error}");
    }
    // A partitioned table in another one.
    let us = options().tables(["events_us"]).rows("events", [["7", "eu"]]);
    let report = archiver.merge("old", "new", us).await?;
    let found = ["events_eu", "events_us_1", "events_us_2"].map(|it| counts(&report, it).0);
    assert_eq!(found, [1, 10, 1], "{report}");
    // What was listed is checked, although the row was asked for by another name, too.
    in_tenant(&world, "old", "update events set what = 'y' where id = 1 and region = 'eu'").await;
    let asked = options().listed_in(&diff).rows("events", [["1", "eu"]]);
    let error = archiver.merge("old", "new", asked).await.expect_err("it has changed");
    assert!(error.to_string().contains("changed since they were compared: events_eu"), "{error}");
    manager.close().await;
    Ok(())
}

/// A listed row that is gone is told once, by the name of its table, although it was asked for by another name, too.
#[tokio::test]
async fn a_listed_row_of_a_partition_that_is_gone_is_told() -> TestResult {
    let world = twins(EVENTS).await;
    in_tenant(&world, "new", "delete from events where id = 1 and region = 'eu'").await;
    let manager = world.manager();
    let archiver = manager.archiver();
    let diff = archiver.diff("old", "new", DiffOptions::default()).await?;
    in_tenant(&world, "old", "delete from events where id = 1 and region = 'eu'").await;
    let listed = MergeOptions::default().listed_in(&diff);
    for options in [listed.clone(), listed.clone().tables(["events"])] {
        let error = archiver.merge("old", "new", options.clone()).await.expect_err("it is gone");
        let told = "have changed since they were compared: events_eu (1, eu):";
        assert!(error.to_string().contains(told), "{error}");
        let report = archiver.merge("old", "new", options.overwrite_changed(true)).await?;
        assert_eq!(of(&report, "events_eu").changed, 1, "{report}");
    }
    let error = archiver.merge("old", "new", listed.rows("events", [["1", "eu"]])).await;
    let told = "neither tenant has a row (1, eu) in the table events";
    assert!(error.expect_err("it is gone").to_string().contains(told));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn columns_of_one_tenant_alone_are_told() -> TestResult {
    let world = twins("create table t (id int primary key, x text, y int default 7); insert into t values (1, 'a'), (2, 'b')").await;
    in_tenant(&world, "old", "alter table t add column former text default 'f'").await;
    in_tenant(&world, "new", "alter table t add column newer text default 'n'; delete from t where id = 1; update t set x = 'c', newer = 'kept'").await;
    let manager = world.manager();
    let report =
        manager.archiver().merge("old", "new", MergeOptions::default().tables(["t"])).await?;
    assert_eq!(counts(&report, "t"), (1, 1, 0));
    assert!(report.to_string().contains("note: t: columns only in the source: former\nnote: t: columns only in the target: newer"), "{report}");
    assert_eq!(
        now(&world, "select string_agg(concat_ws(',', id, x, y, newer), ' ' order by id) from t")
            .await,
        "1,a,7,n 2,b,7,kept"
    );
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn equal_keys_in_other_words_are_refused() -> TestResult {
    let world =
        twins("create table n (k numeric primary key, x text); insert into n values (1.0, 'a')")
            .await;
    in_tenant(&world, "new", "update n set k = 1.00").await;
    let manager = world.manager();
    let archiver = manager.archiver();
    let error = archiver.merge("old", "new", MergeOptions::default().everything()).await;
    let error = error.expect_err("the server has that key");
    assert_eq!(error.kind(), tenantry::ErrorKind::UniqueViolation);
    assert_eq!(now(&world, "select k::text from n").await, "1.00");
    archiver.merge("old", "new", MergeOptions::default().everything().delete(true)).await?;
    assert_eq!(now(&world, "select k::text from n").await, "1.0");
    manager.close().await;
    Ok(())
}
