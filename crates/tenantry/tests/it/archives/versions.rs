//! Archives between the oldest and the newest version of PostgreSQL. Each version is used by a process of its own.

use std::{env, path::PathBuf, process::Command};

use tenantry::{
    TenantManager,
    archive::{ExportOptions, ImportOptions},
};
use tenantry_devdb::DevDatabase;

use super::Shelf;
use crate::{
    repository::root,
    support::{TestResult, connect, observe, run, server_version, skip},
};

/// What both versions know.
const PLAIN: &str = "\
    create type mood as enum ('sad', 'happy'); \
    create table users (id bigint generated always as identity primary key, email text not null unique, m mood not null, \
      low text generated always as (lower(email)) stored, check (email <> '')); \
    create table orders (id uuid primary key, user_id bigint not null references users, at timestamptz default now()) \
      partition by hash (id); \
    create table orders_0 partition of orders for values with (modulus 1, remainder 0); \
    create view totals as select user_id, count(*) from orders group by 1; \
    create function twice(int) returns int language sql immutable as 'select $1 * 2'; \
    insert into users (email, m) select 'U' || n, 'happy' from generate_series(1, 100) n; \
    insert into orders select md5(n::text)::uuid, n from generate_series(1, 100) n";

/// What only the newest version knows.
const NEWEST: &str = "create table newest (id int primary key, twice int generated always as (id * 2) virtual); \
    insert into newest (id) values (21)";

/// Returns the folder of a version's programs. `None`, and a word about it, if it cannot be downloaded.
fn programs(version: &str) -> Option<PathBuf> {
    let ran = Command::new(root().join(".ci/postgres")).arg(version).output();
    let path = ran.ok().filter(|ran| ran.status.success()).and_then(|ran| {
        let text = String::from_utf8(ran.stdout).ok()?;
        Some(PathBuf::from(text.trim()))
    });
    if path.is_none() {
        skip(&format!("archives on PostgreSQL {version}: it cannot be downloaded"));
    }
    path
}

/// Runs the other test of this file on a version.
fn on(version: &str, part: &str, shelf: &Shelf) -> Option<()> {
    let programs = programs(version)?;
    let test = env::current_exe().expect("a test is a program");
    let ran = Command::new(test)
        .args(["--ignored", "--exact", "archives::versions::one_part"])
        .env("TENANTRY_PG_BIN", programs)
        .env("ARCHIVE_PART", part)
        .env("ARCHIVE_SHELF", shelf.at(""))
        .env("ARCHIVE_VERSION", version)
        .output()
        .expect("the test runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{part} on {version}: {said}");
    Some(())
}

#[test]
fn an_archive_goes_to_another_version_or_says_why_not() {
    let shelf = Shelf::new();
    let all = [("14", "export"), ("18", "import"), ("18", "export"), ("14", "import")];
    for (version, part) in all {
        if on(version, part, &shelf).is_none() {
            return;
        }
    }
}

#[tokio::test]
#[ignore = "the test above runs it on each version"]
async fn one_part() -> TestResult {
    let of = |name: &str| env::var(name).expect("the test above sets it");
    let (part, shelf) = (of("ARCHIVE_PART"), PathBuf::from(of("ARCHIVE_SHELF")));
    let version: i32 = of("ARCHIVE_VERSION").parse()?;
    let database = DevDatabase::create().await?;
    let mut admin = connect(database.url()).await;
    assert_eq!(server_version(&mut admin).await, version);
    let manager = TenantManager::builder(database.url()).build()?;
    let archiver = manager.archiver();
    if part == "export" {
        run(
            &mut admin,
            &format!("create schema tenant_plain; set search_path to tenant_plain; {PLAIN}"),
        )
        .await;
        archiver
            .export("plain", shelf.join(format!("plain-{version}")), ExportOptions::default())
            .await?;
        if version >= 18 {
            run(
                &mut admin,
                &format!("create schema tenant_newest; set search_path to tenant_newest; {NEWEST}"),
            )
            .await;
            archiver.export("newest", shelf.join("newest"), ExportOptions::default()).await?;
        }
        return Ok(());
    }
    let from = if version == 14 { 18 } else { 14 };
    let imported = archiver
        .import(shelf.join(format!("plain-{from}")), "copy", ImportOptions::default())
        .await?;
    assert_eq!(imported.rows(), 200, "{imported}");
    for (sql, expected) in [
        ("select count(*)::text from tenant_copy.totals", "100"),
        ("select low from tenant_copy.users where id = 7", "u7"),
        ("insert into tenant_copy.users (email, m) values ('x', 'sad') returning id::text", "101"),
        ("select tenant_copy.twice(21)::text", "42"),
    ] {
        assert_eq!(observe(&mut admin, sql).await, format!("Some({expected:?})"), "{sql}");
    }
    if version == 14 {
        let error = archiver.import(shelf.join("newest"), "newer", ImportOptions::default()).await;
        let error = error.expect_err("it has a virtual column");
        let told = tenantry::ErrorReport::new(&error).to_string();
        assert!(told.contains("create table") && told.contains("newest"), "{told}");
        let left = "select count(*)::text from pg_namespace where nspname like '%newe%'";
        assert_eq!(observe(&mut admin, left).await, "Some(\"0\")");
    }
    manager.close().await;
    Ok(())
}
