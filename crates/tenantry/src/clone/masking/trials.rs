//! Has the server evaluate check constraints on masks of made-up values, before anything is copied.

use sqlx::{PgConnection, Row};

use super::super::error::{failed_in_secret, refused};
use crate::{
    anonymize::Trial,
    error::Error,
    schema::fill,
    sql::{Sql, printed_by_server},
    tenant::Ident,
};

/// Runs all trials in the copy, whose tables already exist.
pub(super) async fn run(
    conn: &mut PgConnection,
    copy: &Ident,
    trials: &[Trial],
) -> Result<(), Error> {
    for trial in trials.iter().filter(|trial| !trial.samples.is_empty()) {
        let Trial { table, column, data_type, check, samples } = trial;
        let filled = |text: &str| printed_by_server(fill(text, copy.as_str(), None));
        let data_type = filled(data_type);
        let mut sql = Sql::new("select pg_catalog.count(*) filter (where not (");
        match check {
            Some((_, condition)) => {
                let condition = filled(condition);
                sql.vouched(&condition, 0..condition.as_str().len());
            }
            // Any condition casts the value, which evaluates the checks of its type.
            None => drop(sql.name(column).text(" is not null")),
        }
        sql.text(")) from (select v::").vouched(&data_type, 0..data_type.as_str().len());
        sql.text(" as ").name(column).text(" from pg_catalog.unnest(array[");
        for (index, sample) in samples.iter().enumerate() {
            sql.text(if index == 0 { "" } else { ", " }).literal(sample);
        }
        sql.text("]::pg_catalog.text[]) as v offset 0) as ").name(table);
        let what = || match check {
            Some((name, _)) => format!("the check {name}"),
            None => format!("its type {}", trial.data_type),
        };
        let attempted =
            || format!("anonymizing: the mask of {table}.{column} does not keep {}", what());
        let tried = sqlx::raw_sql(sql.finish()).fetch_one(&mut *conn).await;
        let tried = tried.map_err(|error| failed_in_secret(attempted(), error))?;
        if tried.try_get::<i64, _>(0)? > 0 {
            return Err(refused(format!("{}: use another mask", attempted())));
        }
    }
    Ok(())
}
