//! Errors name the tenant's tables and constraints, and not their shards.

use tenantry::{Error, ErrorKind, migrate::MigrateOptions, provision::CreateOptions};

use super::Cluster;
use crate::{migrate::Files, support::TestResult};

const TABLES: &str = "
    create table teams (name text constraint teams_pkey primary key);
    create table members (
        email text not null constraint members_email_key unique,
        age int constraint members_age_check check (age > 0),
        team text constraint members_team_fkey references teams
    );
    alter table members add constraint grown_2024 check (age < 200);
    insert into members values ('a@b.c', 1)";

#[tokio::test]
async fn names_are_those_of_the_tenant() -> TestResult {
    let Some(cluster) = Cluster::new("names_are_those_of_the_tenant").await else {
        return Ok(());
    };
    let (manager, provisioner) = cluster.with_table(&Files::new(&[("0001_a.sql", TABLES)])).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    let db = manager.tenant("acme").await?;
    for (sql, kind, constraint, table, column) in [
        (
            "insert into members values ('a@b.c', 1)",
            ErrorKind::UniqueViolation,
            Some("members_email_key"),
            None,
            None,
        ),
        (
            "insert into members values ('x', -1)",
            ErrorKind::CheckViolation,
            Some("members_age_check"),
            Some("members"),
            None,
        ),
        (
            "insert into members values ('x', 201)",
            ErrorKind::CheckViolation,
            Some("grown_2024"),
            Some("members"),
            None,
        ),
        (
            "insert into members values ('x', 1, 'no')",
            ErrorKind::ForeignKeyViolation,
            Some("members_team_fkey"),
            Some("members"),
            None,
        ),
        (
            "insert into members values (null)",
            ErrorKind::NotNullViolation,
            None,
            Some("members"),
            Some("email"),
        ),
    ] {
        let refused = sqlx::raw_sql(sql).execute(&db).await;
        let error = Error::from(refused.expect_err("it breaks a rule"));
        assert_eq!(error.kind(), kind, "{error:?}");
        let names = (error.constraint(), error.table(), error.column());
        assert_eq!(names, (constraint, table, column), "{error:?}");
        let taken = kind == ErrorKind::UniqueViolation;
        assert_eq!(error.is_unique_violation_of("members_email_key"), taken);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_failed_migration_does_not_tell_of_shards() -> TestResult {
    let Some(cluster) = Cluster::new("a_failed_migration_does_not_tell_of_shards").await else {
        return Ok(());
    };
    let files = Files::new(&[("0001_a.sql", TABLES)]);
    let (manager, provisioner) = cluster.with_table(&files).await;
    for id in ["acme", "globex"] {
        provisioner.create(id, CreateOptions::default()).await?;
        let db = manager.tenant(id).await?;
        sqlx::query("insert into members values ('b@b.c', 1)").execute(&db).await?;
    }
    for (sql, says) in [
        ("create unique index members_age_2024 on members (age);", "\"members_age_2024\""),
        (
            "alter table members add constraint old check (age > 50);",
            "\"old\" of relation \"members\"",
        ),
        ("alter table members alter team set not null;", "\"team\" of relation \"members\""),
        ("insert into members values ('b@b.c', 1);", "\"members_email_key\""),
    ] {
        files.write("0002_b.sql", sql);
        let migrator = manager.migrator().tenants(files.read());
        let report = migrator.migrate_all(MigrateOptions::default()).await?;
        assert_eq!(report.failed, 2, "{report}");
        for tenant in &report.tenants {
            let failure = tenant.error().expect("it has failed").to_string();
            assert!(failure.contains(says), "{failure}");
        }
    }
    manager.close().await;
    Ok(())
}
