//! An error of a refused statement says which constraint, table and column it was.

use tenantry::{Error, ErrorKind};

use crate::support::{TestResult, World};

const TABLES: &str = "
    create table teams (name text constraint teams_pkey primary key);
    create table members (
        email text not null constraint members_email_key unique,
        age int constraint members_age_check check (age > 0),
        team text constraint members_team_fkey references teams
    );
    insert into members values ('a@b.c', 1)";

#[tokio::test]
async fn name_the_constraint() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let db = manager.tenant("acme").await?;
    sqlx::raw_sql(TABLES).execute(&db).await?;
    for (sql, kind, constraint, column) in [
        (
            "insert into members values ('a@b.c', 1)",
            ErrorKind::UniqueViolation,
            Some("members_email_key"),
            None,
        ),
        (
            "insert into members values ('x', -1)",
            ErrorKind::CheckViolation,
            Some("members_age_check"),
            None,
        ),
        (
            "insert into members values ('x', 1, 'no')",
            ErrorKind::ForeignKeyViolation,
            Some("members_team_fkey"),
            None,
        ),
        ("insert into members values (null)", ErrorKind::NotNullViolation, None, Some("email")),
    ] {
        let refused = sqlx::raw_sql(sql).execute(&db).await;
        let error = Error::from(refused.expect_err("it breaks a rule"));
        assert_eq!(error.kind(), kind);
        assert_eq!((error.constraint(), error.column()), (constraint, column));
        assert_eq!(error.table(), Some("members"));
        assert_eq!(error.is_unique_violation(), kind == ErrorKind::UniqueViolation);
        assert_eq!(error.is_check_violation(), kind == ErrorKind::CheckViolation);
        assert_eq!(error.is_foreign_key_violation(), kind == ErrorKind::ForeignKeyViolation);
        assert!(!error.is_unique_violation_of("members_pkey"));
        let taken = kind == ErrorKind::UniqueViolation;
        assert_eq!(error.is_unique_violation_of("members_email_key"), taken);
    }
    let none = sqlx::query("select from members where false").fetch_one(&db).await;
    let error = Error::from(none.expect_err("there is none"));
    assert!(error.is_row_not_found() && error.constraint().is_none());
    manager.close().await;
    Ok(())
}

/// Values that a client can send, and that are refused for themselves.
#[tokio::test]
async fn a_value_that_does_not_fit_is_of_its_own_kind() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let db = manager.tenant("acme").await?;
    let table = "create table notes (title varchar(3), number smallint, day date, id uuid)";
    sqlx::raw_sql(table).execute(&db).await?;
    for (insert, value) in [
        ("insert into notes (title) values ($1)", "four"),
        ("insert into notes (title) values ($1)", "a\0b"),
        ("insert into notes (number) values ($1::text::smallint)", "40000"),
        ("insert into notes (number) values ($1::text::smallint)", "x"),
        ("insert into notes (day) values ($1::text::date)", "2026-02-30"),
        ("insert into notes (day) values ($1::text::date)", "yesterday, perhaps"),
        ("insert into notes (id) values ($1::text::uuid)", "1"),
    ] {
        let refused = sqlx::query(insert).bind(value).execute(&db).await;
        let error = Error::from(refused.expect_err("it does not fit"));
        assert_eq!(error.kind(), ErrorKind::InvalidValue, "{insert} {value:?}: {error:?}");
    }
    manager.close().await;
    Ok(())
}
