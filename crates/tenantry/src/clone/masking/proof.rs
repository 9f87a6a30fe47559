//! Looks for source values in the whole copy.

use std::collections::{BTreeMap, HashMap};

use futures_util::TryStreamExt;
use sqlx::{PgConnection, Row};
use tokio::time::Instant;

use super::super::{Leak, Proof, error::failed, rows::qualified};
use crate::{
    anonymize::{Collector, Dictionary, Finder, MaskPlan, Select, TablePlan},
    error::Error,
    schema::{ObjectKind, SchemaModel},
    sql::Sql,
    tenant::Ident,
};

/// Where to look.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Places<'a> {
    pub(in super::super) source: &'a Ident,
    pub(in super::super) copy: &'a Ident,
    pub(in super::super) model: &'a SchemaModel,
    /// Both are in the database that the copy's connection sees.
    pub(in super::super) is_within: bool,
}

/// Looks for the values that were collected.
pub(super) async fn run(
    source: &mut PgConnection,
    copy: &mut PgConnection,
    places: &Places<'_>,
    plan: &MaskPlan,
    collector: Collector,
) -> Result<Proof, Error> {
    let began = Instant::now();
    let share = collector.share();
    let mut finder = collector.into_finder();
    let mut bytes = 0;
    for table in plan.tables() {
        let kept =
            table.columns().iter().filter(|column| column.rule().is_some() && !column.is_masked());
        let kept: Vec<_> = kept.map(|column| column.name().to_owned()).collect();
        if !kept.is_empty() {
            feed(source, places.source, table.name(), &kept, &mut finder, &mut 0).await?;
        }
    }
    finder.excuse_found();
    // Where nothing is invented, no word can be in the copy for that reason.
    let dictionary = plan.invents().then(Dictionary::new);
    if let Some(dictionary) = dictionary {
        finder.excuse_if(|value| {
            std::str::from_utf8(value).is_ok_and(|value| dictionary.holds(value))
        });
    }

    let mut leaks = BTreeMap::new();
    let mut before = HashMap::new();
    for kind in [ObjectKind::Table, ObjectKind::MaterializedView] {
        for (relation, object) in places.model.of_kind(kind) {
            if object.get(crate::schema::Attribute::PartitionKey).is_some()
                || is_empty_view(places.model, relation)
            {
                continue;
            }
            for column in columns_of(places.model, &relation.name, kind) {
                feed(
                    copy,
                    places.copy,
                    &relation.name,
                    std::slice::from_ref(&column),
                    &mut finder,
                    &mut bytes,
                )
                .await?;
                finder.end_of_text();
                let found: HashMap<u32, u64> = finder
                    .found()
                    .into_iter()
                    .map(|(origin, found)| (origin, found.found))
                    .collect();
                for (origin, count) in &found {
                    let new = count - before.get(origin).copied().unwrap_or_default();
                    if new > 0 {
                        let place = format!("{}.{column}", relation.name);
                        *leaks.entry((*origin, place)).or_insert(0) += new;
                    }
                }
                before = found;
            }
        }
    }
    let sums = finder.found();
    let found = leaks.into_iter().map(|((origin, found_in), values)| {
        let from = plan.origin(origin).map(|(table, column)| format!("{table}.{column}"));
        Leak { from: from.unwrap_or_default(), found_in, values }
    });
    let mut not_provable = not_provable(plan);
    let excused = sums.iter().filter(|(_, found)| found.excused > 0);
    let mut excused: Vec<_> = excused.map(|(origin, found)| (*origin, *found)).collect();
    excused.sort_unstable_by_key(|(origin, _)| *origin);
    not_provable.extend(excused.into_iter().filter_map(|(origin, found)| {
        let (table, column) = plan.origin(origin)?;
        let all = found.found + found.absent + found.excused;
        Some(format!(
            "{table}.{column}: {} of {all} values are in kept columns, too, or are words of fakes",
            found.excused
        ))
    }));
    Ok(Proof {
        searched: sums.values().map(|found| found.found + found.absent + found.excused).sum(),
        excused: sums.values().map(|found| found.excused).sum(),
        found: found.collect(),
        share,
        bytes,
        not_provable,
        duration: began.elapsed(),
    })
}

fn columns_of(model: &SchemaModel, relation: &str, kind: ObjectKind) -> Vec<String> {
    match kind {
        // A materialized view is looked at as a whole: its columns are not part of the model.
        ObjectKind::MaterializedView => vec![String::new()],
        _ => model.columns(relation).into_iter().map(|(key, _)| key.name.clone()).collect(),
    }
}

fn is_empty_view(model: &SchemaModel, relation: &crate::schema::ObjectKey) -> bool {
    let mut facts = model.beyond.iter();
    facts.any(|fact| {
        fact.object == *relation && fact.what == crate::schema::BeyondKind::NotPopulated
    })
}

/// Hands columns of a relation to a search, as text; an empty name stands for all of them.
async fn feed(
    conn: &mut PgConnection,
    schema: &Ident,
    relation: &str,
    columns: &[String],
    finder: &mut Finder,
    bytes: &mut u64,
) -> Result<(), Error> {
    let mut sql = Sql::new("copy (select ");
    for (index, column) in columns.iter().enumerate() {
        sql.text(if index == 0 { "s." } else { ", s." });
        match column.is_empty() {
            true => sql.text("*"),
            false => sql.name(column),
        };
    }
    sql.text(" from only ");
    qualified(&mut sql, schema, relation);
    sql.text(" as s) to stdout");
    let sql = sql.finish();
    let reading = || format!("searching the table {relation}");
    let mut rows =
        conn.copy_out_raw(sql.as_str()).await.map_err(|error| failed(reading(), error))?;
    while let Some(row) = rows.try_next().await.map_err(|error| failed(reading(), error))? {
        *bytes += row.len() as u64;
        finder.feed_rows(&row);
    }
    Ok(())
}

/// Counts the rows that have kept the value of a column that the server has masked.
pub(super) async fn unchanged(
    conn: &mut PgConnection,
    places: &Places<'_>,
    plan: &MaskPlan,
) -> Result<BTreeMap<(String, String), u64>, Error> {
    let mut unchanged = BTreeMap::new();
    if !places.is_within {
        return Ok(unchanged);
    }
    for table in plan.tables().filter(|table| can_be_joined(table)) {
        let of_server = table.columns().iter().filter(|column| *column.select() != Select::Column);
        for column in of_server {
            let mut sql = Sql::new("select pg_catalog.count(*) from only ");
            qualified(&mut sql, places.source, table.name());
            sql.text(" as s join only ");
            qualified(&mut sql, places.copy, table.name());
            sql.text(" as c on s.")
                .name(column.name())
                .text("::pg_catalog.text operator(pg_catalog.=) c.");
            sql.name(column.name()).text("::pg_catalog.text");
            for key in table.primary_key() {
                sql.text(" and s.").name(key).text("::pg_catalog.text operator(pg_catalog.=) c.");
                sql.name(key).text("::pg_catalog.text");
            }
            let counted = sqlx::raw_sql(sql.finish()).fetch_one(&mut *conn).await;
            let counted =
                counted.map_err(|e| failed(format!("comparing the table {}", table.name()), e))?;
            let count = u64::try_from(counted.try_get::<i64, _>(0)?).unwrap_or_default();
            unchanged.insert((table.name().to_owned(), column.name().to_owned()), count);
        }
    }
    Ok(unchanged)
}

/// Returns `true` if a row of the source and of the copy can be told to be the same.
fn can_be_joined(table: &TablePlan) -> bool {
    let mut key = table.primary_key().iter();
    !table.primary_key().is_empty()
        && key.all(|name| table.column(name).is_some_and(|column| !column.is_masked()))
}

fn not_provable(plan: &MaskPlan) -> Vec<String> {
    let mut told = Vec::new();
    for table in plan.tables() {
        for column in
            table.columns().iter().filter(|column| column.is_masked() && !column.is_provable())
        {
            let why = match column.select() {
                Select::Sql(_) => "an expression of the server masks it",
                Select::Shuffle => "the values of other rows are in it",
                Select::Column => "its masks may be values of other rows",
            };
            told.push(format!("{}.{}: {why}", table.name(), column.name()));
        }
    }
    told
}
