//! Has the server evaluate check constraints on masks of made-up values, before anything is copied.

use sqlx::{PgConnection, Row, SqlStr};

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
        let tried = sqlx::raw_sql(trial_sql(trial, copy)).fetch_one(&mut *conn).await;
        let tried = tried.map_err(|error| failed_in_secret(violated(trial), error))?;
        if tried.try_get::<i64, _>(0)? > 0 {
            return Err(refused(format!("{}: use another mask", violated(trial))));
        }
    }
    Ok(())
}

/// Returns the query that counts the samples that violate the check.
fn trial_sql(trial: &Trial, copy: &Ident) -> SqlStr {
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
    sql.finish()
}

fn violated(Trial { table, column, data_type, check, .. }: &Trial) -> String {
    let what = match check {
        Some((name, _)) => format!("the check {name}"),
        None => format!("its type {data_type}"),
    };
    format!("anonymizing: the mask of {table}.{column} violates {what}")
}
