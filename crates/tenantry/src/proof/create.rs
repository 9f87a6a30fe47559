//! Creates the scratch schemas.

use sqlx::{Row, raw_sql};

use super::{
    mark::{Mark, note},
    row_tenants::SHARED,
    scratch::TENANTS,
};
use crate::{
    citus::{self, Sharding},
    error::Error,
    pool::Lease,
    sql::Sql,
    tenant::Ident,
};

/// Creates every scratch schema, and grants the manager's role the privileges to use it if the maintenance role is a
/// different one.
pub(super) async fn create_all(
    lease: &mut Lease,
    mark: &Mark,
    manager: Option<&Ident>,
) -> Result<(), Error> {
    for id in TENANTS.into_iter().chain([SHARED]) {
        create(lease, mark, id, id, manager).await?;
    }
    Ok(())
}

/// Creates one scratch schema, whose row contains `owner`.
pub(super) async fn create(
    lease: &mut Lease,
    mark: &Mark,
    id: &str,
    owner: &str,
    manager: Option<&Ident>,
) -> Result<(), Error> {
    let now = now(lease).await?;
    let mut plain = Sql::default();
    Sharding::Plain.set(&mut plain, citus::ask(lease).await?);
    plain.sql(&create_sql(&mark.name(id)?, id, owner, now, manager));
    raw_sql(plain.finish()).execute(&mut **lease).await?;
    Ok(())
}

/// Returns the server's time in seconds since 1970.
pub(super) async fn now(lease: &mut Lease) -> Result<i64, Error> {
    let sql = "select pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::pg_catalog.int8";
    let row = raw_sql(sql).fetch_one(&mut **lease).await?;
    Ok(row.try_get(0)?)
}

/// All objects of a schema, created atomically: one string is one transaction. Tables of the same name differ between
/// the tenants.
fn create_sql(schema: &Ident, id: &str, owner: &str, now: i64, manager: Option<&Ident>) -> Sql {
    let of = |sql: &mut Sql, text, name| {
        sql.text(text).ident(schema).text(name);
    };
    let mut sql = Sql::new("create schema ");
    sql.ident(schema).text("; comment on schema ").ident(schema);
    sql.text(" is ").literal(&note(now));
    of(&mut sql, "; create table ", ".marker (owner pg_catalog.text not null)");
    of(&mut sql, "; insert into ", ".marker values (");
    sql.literal(owner).text(")");
    of(&mut sql, "; create sequence ", ".counter");
    of(
        &mut sql,
        "; create function ",
        ".perform(command pg_catalog.text) returns pg_catalog.void volatile language plpgsql \
         as 'begin execute command; end'",
    );
    let (labels, label, columns, values) = match id {
        "acme" => (
            ".mood as enum ('calm', 'wild')",
            "wild",
            ".plans (id pg_catalog.int4, name pg_catalog.text)",
            ".plans values (1, ",
        ),
        _ => (
            ".mood as enum ('sad', 'wild', 'calm')",
            "sad",
            ".plans (name pg_catalog.text, id pg_catalog.int8, extra boolean)",
            ".plans (id, name) values (1, ",
        ),
    };
    of(&mut sql, "; create type ", labels);
    of(&mut sql, "; create table ", ".moods (m ");
    of(&mut sql, "", ".mood)");
    of(&mut sql, "; insert into ", ".moods values (");
    sql.literal(label).text(")");
    of(&mut sql, "; create table ", columns);
    of(&mut sql, "; insert into ", values);
    sql.literal(owner).text(")");
    if let Some(manager) = manager {
        for text in [
            "; grant usage on schema ",
            "; grant all on all tables in schema ",
            "; grant all on all sequences in schema ",
            "; grant all on all functions in schema ",
        ] {
            sql.text(text).ident(schema).text(" to ").ident(manager);
        }
    }
    sql
}
