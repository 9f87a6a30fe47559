//! Foreign keys, unique indexes and triggers of the target.

use tenantry::{
    ErrorKind,
    archive::{DiffOptions, MergeOptions},
};

use super::{counts, in_tenant, now, of, twins};
use crate::support::TestResult;

fn everything() -> MergeOptions {
    MergeOptions::default().everything()
}

#[tokio::test]
async fn circles_of_foreign_keys_are_no_obstacle() -> TestResult {
    let world = twins(
        "create table teams (id int primary key, lead int not null); \
         create table people (id int primary key, team int not null references teams, boss int references people); \
         create table later (id int primary key, person int references people deferrable initially deferred); \
         insert into teams select n, n from generate_series(1, 50) n; \
         insert into people select n, n, nullif(n % 50 + 1, n) from generate_series(1, 50) n; \
         alter table teams add foreign key (lead) references people; \
         insert into later values (1, 50)",
    )
    .await;
    in_tenant(&world, "new", "truncate teams, people, later").await;
    let manager = world.manager();
    let archiver = manager.archiver();
    // A part of the circle alone would refer to what is not there.
    for options in [
        MergeOptions::default().tables(["people"]),
        MergeOptions::default().tables(["later"]),
        MergeOptions::default().rows("teams", [["1"]]).rows("people", [["1"]]).dry_run(true),
    ] {
        let error = archiver.merge("old", "new", options).await.expect_err("it is a part");
        assert_eq!(error.kind(), ErrorKind::ForeignKeyViolation, "{error:?}");
        assert!(error.to_string().contains("choose that row, too"), "{error}");
        assert!(error.constraint().is_some(), "{error:?}");
        assert_eq!(now(&world, "select count(*)::text from people").await, "0");
    }
    let report = archiver.merge("old", "new", everything()).await?;
    assert_eq!((counts(&report, "people"), counts(&report, "teams")), ((50, 0, 0), (50, 0, 0)));
    // And it can be taken away again.
    in_tenant(&world, "old", "truncate teams, people, later").await;
    let report = archiver.merge("old", "new", everything().delete(true)).await?;
    assert_eq!((counts(&report, "people"), counts(&report, "later")), ((0, 0, 50), (0, 0, 1)));
    assert!(report.tables.iter().all(|table| table.also_changed() == 0), "{report}");
    assert!(archiver.diff("old", "new", DiffOptions::default()).await?.is_equal());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_cascades_and_what_triggers_do_is_told() -> TestResult {
    let world = twins(
        "create table parents (id int primary key, name text, seen int not null default 0); \
         create table children (id int primary key, parent int references parents on delete cascade); \
         create table audit (at timestamptz default now(), what text, \"where\" text default current_setting('search_path')); \
         create function note() returns trigger language plpgsql as $$ begin \
           insert into audit (what) values (tg_op || ' ' || coalesce(new.name, old.name)); return null; end $$; \
         create trigger note after insert or update or delete on parents for each row execute function note(); \
         create function count_it() returns trigger language plpgsql as $$ begin \
           if new.name = 'unwanted' then return null; end if; new.seen := new.seen + 1; return new; end $$; \
         create trigger count_it before insert or update on parents for each row execute function count_it(); \
         alter table parents disable trigger user; \
         insert into parents values (1, 'one'), (2, 'two'), (3, 'unwanted'); insert into children values (1, 1); \
         alter table parents enable trigger user",
    )
    .await;
    in_tenant(
        &world,
        "new",
        "alter table parents disable trigger user; \
         update parents set name = 'uno' where id = 1; delete from parents where id > 1; \
         insert into parents values (4, 'four'), (5, 'five'); \
         insert into children values (2, 4), (3, 4), (4, 5); \
         alter table parents enable trigger user",
    )
    .await;
    let manager = world.manager();
    let archiver = manager.archiver();
    let options = MergeOptions::default().tables(["parents"]).delete(true);
    let planned = archiver.merge("old", "new", options.clone().dry_run(true)).await?;
    assert_eq!(now(&world, "select count(*)::text from children").await, "4");
    assert_eq!(now(&world, "select count(*)::text from audit").await, "0");
    let merged = archiver.merge("old", "new", options).await?;
    assert_eq!(merged.tables, planned.tables);
    assert_eq!(counts(&merged, "parents"), (1, 1, 2), "{merged}");
    assert_eq!((of(&merged, "parents").withheld, of(&merged, "children").also_deleted), (1, 3));
    assert_eq!((of(&merged, "audit").also_inserted, of(&merged, "audit").merged()), (4, 0));
    let told = merged.to_string();
    assert!(told.contains("note: parents: a trigger did not let 1 row through"), "{told}");
    assert!(
        told.contains("note: children: triggers and foreign keys deleted 3 rows more"),
        "{told}"
    );
    assert_eq!(
        now(&world, "select string_agg(id || name || seen, ' ' order by id) from parents").await,
        "1one1 2two1"
    );
    let path = "select string_agg(distinct \"where\", '|') from audit";
    assert!(now(&world, path).await.starts_with("tenant_new"), "the trigger is in the tenant");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn other_unique_indexes_are_respected() -> TestResult {
    let world = twins(
        "create table users (id int primary key, email text unique, nick text, unique (nick) deferrable); \
         insert into users select n, 'u' || n, 'n' || n from generate_series(1, 5) n",
    )
    .await;
    // One value has moved to a new row, and two have changed places where the index allows it.
    in_tenant(
        &world,
        "new",
        "update users set email = 'other' where id = 1; insert into users values (9, 'u1', 'n9'); \
         update users set nick = case id when 2 then 'n3' else 'n2' end where id in (2, 3)",
    )
    .await;
    let manager = world.manager();
    let archiver = manager.archiver();
    let users = MergeOptions::default().tables(["users"]);
    let error = archiver.merge("old", "new", users.clone()).await.expect_err("u1 is taken");
    assert_eq!(error.kind(), ErrorKind::UniqueViolation);
    assert_eq!(error.constraint(), Some("users_email_key"), "{error:?}");
    assert!(error.to_string().contains("choose or change that row, too"), "{error}");
    let swapped = MergeOptions::default().rows("users", [["2"], ["3"]]);
    assert_eq!(counts(&archiver.merge("old", "new", swapped).await?, "users"), (0, 2, 0));
    // Deleted rows make room before others are written.
    let report = archiver.merge("old", "new", users.delete(true)).await?;
    assert_eq!(counts(&report, "users"), (0, 1, 1));
    assert!(archiver.diff("old", "new", DiffOptions::default()).await?.is_equal());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn sequences_go_on_after_ids_that_came() -> TestResult {
    let world = twins(
        "create table always (id bigint generated always as identity primary key, x text); \
         create table by_default (id int generated by default as identity primary key, x text); \
         create table serials (id serial primary key, x text); \
         create table own (id int generated always as identity, k text primary key); \
         insert into own (k) values ('a'), ('b')",
    )
    .await;
    in_tenant(
        &world,
        "old",
        "insert into always (x) select 'x' from generate_series(1, 30); \
         insert into by_default (x) select 'x' from generate_series(1, 40); \
         insert into serials (id, x) values (20000, 'far')",
    )
    .await;
    let manager = world.manager();
    let archiver = manager.archiver();
    let planned = archiver.merge("old", "new", everything().dry_run(true)).await?;
    assert!(planned.sequences.is_empty());
    assert_eq!(now(&world, "select is_called::text from always_id_seq").await, "false");
    let merged = archiver.merge("old", "new", everything()).await?;
    assert_eq!(merged.sequences, ["always_id_seq", "by_default_id_seq", "serials_id_seq"]);
    for (table, next) in [("always", 31), ("by_default", 41), ("serials", 20001)] {
        let sql = format!("insert into {table} (x) values ('new') returning id::text");
        assert_eq!(now(&world, &sql).await, next.to_string());
    }
    // Back in time, they stay where they are.
    in_tenant(
        &world,
        "new",
        "delete from always where id = 7; select setval('always_id_seq', 500)",
    )
    .await;
    let merged =
        archiver.merge("old", "new", MergeOptions::default().rows("always", [["7"]])).await?;
    assert_eq!((counts(&merged, "always"), merged.sequences.len()), ((1, 0, 0), 0));
    assert_eq!(now(&world, "select nextval('always_id_seq')::text").await, "501");
    // An identity column that is not the key cannot be updated.
    in_tenant(&world, "new", "delete from own; insert into own (k) values ('a'), ('b')").await;
    let error = archiver.merge("old", "new", MergeOptions::default().tables(["own"])).await;
    let error = error.expect_err("its ids are other ones");
    assert_eq!(error.kind(), ErrorKind::Merge);
    assert!(
        error
            .to_string()
            .contains("the row (a) of the table own has another value in the column id"),
        "{error}"
    );
    manager.close().await;
    Ok(())
}

/// A sequence that was set and not drawn from since has no last value.
#[tokio::test]
async fn sequences_that_were_restarted_are_not_set_back() -> TestResult {
    let world = twins(
        "create table far (id bigint generated by default as identity primary key); \
         create table set_far (id serial primary key); \
         create table near (id bigint generated by default as identity primary key); \
         create table reached (id bigint generated by default as identity primary key); \
         create table before (id bigint generated by default as identity (start 1000) primary key); \
         create table tens (id bigint generated by default as identity (increment 10) primary key)",
    )
    .await;
    in_tenant(
        &world,
        "old",
        "insert into far values (30001); insert into set_far values (30001); insert into near values (5); \
         insert into reached values (40001); insert into before values (50); insert into tens values (44)",
    )
    .await;
    in_tenant(
        &world,
        "new",
        "alter table far alter id restart with 40001; select setval('set_far_id_seq', 40001, false); \
         alter table near alter id restart with 40001; alter table reached alter id restart with 40001; \
         alter table before alter id restart with 5; alter table tens alter id restart with 35",
    )
    .await;
    let manager = world.manager();
    let merged = manager.archiver().merge("old", "new", everything()).await?;
    let next = async |table: &str| {
        let sql = format!("insert into {table} default values returning id::text");
        (table.to_owned(), now(&world, &sql).await)
    };
    let mut found = Vec::new();
    for table in ["far", "set_far", "near", "reached", "before", "tens"] {
        found.push(next(table).await);
    }
    let expected = [
        ("far", "40001"),
        ("set_far", "40001"),
        ("near", "40001"),
        ("reached", "40002"),
        ("before", "51"),
        ("tens", "55"),
    ];
    assert_eq!(found, expected.map(|(table, next)| (table.to_owned(), next.to_owned())));
    let mut moved = merged.sequences;
    moved.sort();
    assert_eq!(moved, ["before_id_seq", "reached_id_seq", "tens_id_seq"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn sequences_that_count_down_go_on_after_ids_that_came() -> TestResult {
    let down = "generated by default as identity (increment -1) primary key";
    let world = twins(&format!(
        "create table near (id int {down}); create table far (id bigint {down}); create table ahead (id bigint {down}); \
         create table restarted (id bigint {down})"
    ))
    .await;
    in_tenant(
        &world,
        "old",
        "insert into near values (-7), (-3); insert into far values (-30001), (5); \
         insert into ahead values (-30001); insert into restarted values (-30001)",
    )
    .await;
    in_tenant(
        &world,
        "new",
        "select setval('ahead_id_seq', -50000); alter table restarted alter id restart with -40001",
    )
    .await;
    let manager = world.manager();
    let merged = manager.archiver().merge("old", "new", everything()).await?;
    for (table, next) in [("near", -8), ("far", -30002), ("ahead", -50001), ("restarted", -40001)] {
        let sql = format!("insert into {table} default values returning id::text");
        assert_eq!(now(&world, &sql).await, next.to_string(), "{table}");
    }
    let mut moved = merged.sequences;
    moved.sort();
    assert_eq!(moved, ["far_id_seq", "near_id_seq"]);
    manager.close().await;
    Ok(())
}
