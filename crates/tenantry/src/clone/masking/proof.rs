//! Searches the whole copy for source values.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use sqlx::{PgConnection, Row, SqlStr};
use tokio::time::Instant;

use super::super::{
    Leak, Proof,
    error::{failed, failed_in_secret},
    rows::qualified,
    shared::Shared,
};
use crate::{
    anonymize::{Collector, Dictionary, Finder, MaskPlan, Select, TablePlan},
    error::Error,
    schema::{AroundRows, Attribute, BeyondKind, ObjectKey, ObjectKind, SchemaModel},
    sql::Sql,
    tenant::Ident,
};

/// Where to look.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Places<'a> {
    pub(in super::super) source: &'a Ident,
    pub(in super::super) copy: &'a Ident,
    pub(in super::super) model: &'a SchemaModel,
    /// The statements that created the copy.
    pub(in super::super) statements: &'a AroundRows,
    /// Whether both are in the database of the copy's connection.
    pub(in super::super) is_within: bool,
    /// The tables that all tenants share, if the rows are collected from there.
    pub(in super::super) shared: Option<&'a Shared>,
}

/// Searches for the collected values.
pub(super) async fn run(
    source: &mut PgConnection,
    copy: &mut PgConnection,
    places: &Places<'_>,
    plan: &MaskPlan,
    mut collector: Collector,
) -> Result<Proof, Error> {
    let began = Instant::now();
    collect_computed(source, places.source, plan, &mut collector).await?;
    let share = collector.share();
    let mut finder = collector.into_finder();
    excuse(source, places, plan, &mut finder).await?;
    let (found, bytes) = search_copy(copy, places, plan, &mut finder).await?;
    let mut not_provable = not_provable(plan);
    not_provable.extend(in_definitions(places, plan, &mut finder));
    let sums = finder.found();
    let mut excused: Vec<_> = sums.iter().filter(|(_, found)| found.excused > 0).collect();
    excused.sort_unstable_by_key(|(origin, _)| **origin);
    not_provable.extend(excused.into_iter().filter_map(|(origin, found)| {
        let all = found.found + found.absent + found.excused;
        Some(format!(
            "{}: {} of {all} values are in kept columns, too, or are words of fakes",
            name_of(plan, *origin)?,
            found.excused
        ))
    }));
    Ok(Proof {
        searched: sums.values().map(|found| found.found + found.absent + found.excused).sum(),
        excused: sums.values().map(|found| found.excused).sum(),
        found,
        share,
        bytes,
        not_provable,
        duration: began.elapsed(),
    })
}

/// Excuses values that prove nothing: those that kept columns contain, too, and words of fakes.
async fn excuse(
    source: &mut PgConnection,
    places: &Places<'_>,
    plan: &MaskPlan,
    finder: &mut Finder,
) -> Result<(), Error> {
    // The clone has another key.
    let is_key = |name: &str| places.shared.is_some_and(|shared| name == shared.key.as_str());
    for table in plan.tables() {
        let kept = table.columns().iter().filter(|column| {
            column.rule().is_some() && !column.is_masked() && !is_key(column.name())
        });
        let kept: Vec<_> = kept.map(|column| Searched::named(column.name())).collect();
        if !kept.is_empty() {
            search(source, places.source, table.name(), &kept, finder).await?;
        }
    }
    finder.excuse_found();
    // If nothing is invented, no word can be in the copy for that reason.
    if plan.invents() {
        let dictionary = Dictionary::new();
        finder.excuse_if(|value| {
            std::str::from_utf8(value).is_ok_and(|value| dictionary.holds(value))
        });
    }
    Ok(())
}

/// Searches the rows of the copy. Returns the leaks, and how many bytes were searched.
async fn search_copy(
    copy: &mut PgConnection,
    places: &Places<'_>,
    plan: &MaskPlan,
    finder: &mut Finder,
) -> Result<(Vec<Leak>, u64), Error> {
    let (mut leaks, mut bytes) = (BTreeMap::new(), 0);
    for kind in [ObjectKind::Table, ObjectKind::MaterializedView] {
        for (relation, object) in places.model.of_kind(kind) {
            if object.get(Attribute::PartitionKey).is_some()
                || is_empty_view(places.model, relation)
            {
                continue;
            }
            let mut columns = columns_of(places.model, &relation.name, kind);
            if let Some(shared) = places.shared {
                // The clone has another key.
                columns.retain(|column| column.name != shared.key.as_str());
            }
            let found = search(copy, places.copy, &relation.name, &columns, finder).await?;
            bytes += found.bytes;
            for (place, origin) in found.places {
                let place = match columns.get(place) {
                    None => relation.name.clone(),
                    Some(column) => format!("{}.{}", relation.name, column.name),
                };
                *leaks.entry((origin, place)).or_insert(0) += 1;
            }
        }
    }
    let leaks = leaks.into_iter().map(|((origin, found_in), values)| {
        let from = name_of(plan, origin).unwrap_or_default();
        Leak { from, found_in, values }
    });
    Ok((leaks.collect(), bytes))
}

fn name_of(plan: &MaskPlan, origin: u32) -> Option<String> {
    plan.origin(origin).map(|(table, column)| format!("{table}.{column}"))
}

/// Collects the source values of columns that the server masks, since they did not pass through this process.
async fn collect_computed(
    source: &mut PgConnection,
    schema: &Ident,
    plan: &MaskPlan,
    collector: &mut Collector,
) -> Result<(), Error> {
    for table in plan.tables() {
        let computed =
            table.columns().iter().filter(|column| matches!(column.select(), Select::Sql { .. }));
        for column in computed {
            let mut sql = Sql::new("select s.");
            sql.name(column.name()).text("::pg_catalog.text from only ");
            qualified(&mut sql, schema, table.name());
            sql.text(" as s where s.").name(column.name()).text(" is not null");
            let mut rows = sqlx::raw_sql(sql.finish()).fetch(&mut *source);
            while let Some(row) = rows.try_next().await? {
                collector.add(column.origin(), row.try_get::<&str, _>(0)?.as_bytes());
            }
        }
    }
    Ok(())
}

/// Searches the definitions of the copy: comments, defaults and partition bounds can contain values, too. They are
/// reported, and do not fail the copy: a default is often a value of its column.
fn in_definitions(places: &Places<'_>, plan: &MaskPlan, finder: &mut Finder) -> Vec<String> {
    let mut told = Vec::new();
    let statements = places.statements.before.iter().chain(&places.statements.after);
    for statement in statements {
        finder.feed(statement.as_bytes());
        finder.end_of_text();
        let mut counts = BTreeMap::new();
        for origin in finder.take_fresh() {
            *counts.entry(origin).or_insert(0_u64) += 1;
        }
        let beginning: String =
            statement.split('\'').next().unwrap_or_default().chars().take(60).collect();
        told.extend(counts.into_iter().filter_map(|(origin, count)| {
            let column = name_of(plan, origin)?;
            Some(format!("{column}: {count} of its values appear in `{}…`", beginning.trim()))
        }));
    }
    told
}

/// A column that is searched.
struct Searched {
    name: String,
    is_bytes: bool,
}

impl Searched {
    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), is_bytes: false }
    }
}

fn columns_of(model: &SchemaModel, relation: &str, kind: ObjectKind) -> Vec<Searched> {
    let columns = model.columns(relation).into_iter().map(|(key, column)| Searched {
        name: key.name.clone(),
        is_bytes: column.text(Attribute::Type) == Some("bytea"),
    });
    match kind {
        // The columns of a materialized view are not part of the model.
        ObjectKind::MaterializedView => Vec::new(),
        _ => columns.collect(),
    }
}

fn is_empty_view(model: &SchemaModel, relation: &ObjectKey) -> bool {
    let mut facts = model.beyond.iter();
    facts.any(|fact| fact.object == *relation && fact.what == BeyondKind::NotPopulated)
}

/// Matches in a relation.
#[derive(Default)]
struct InRelation {
    /// The index of the column, and the column that the value comes from.
    places: Vec<(usize, u32)>,
    bytes: u64,
}

/// Searches columns of a relation, as text; all of them if none are named.
async fn search(
    conn: &mut PgConnection,
    schema: &Ident,
    relation: &str,
    columns: &[Searched],
    finder: &mut Finder,
) -> Result<InRelation, Error> {
    let sql = search_sql(schema, relation, columns);
    let reading = |error| failed(format!("searching the table {relation}"), error);
    let mut found = InRelation::default();
    let mut rows = conn.copy_out_raw(sql.as_str()).await.map_err(reading)?;
    while let Some(row) = rows.try_next().await.map_err(reading)? {
        found.bytes += row.len() as u64;
        let row = row.strip_suffix(b"\n").unwrap_or(&row);
        for (place, field) in row.split(|byte| *byte == b'\t').enumerate() {
            finder.feed_rows(field);
            if columns.get(place).is_some_and(|column| column.is_bytes)
                && let Some(bytes) = bytes_of(field)
            {
                finder.feed(&bytes);
                finder.end_of_text();
            }
            found.places.extend(finder.take_fresh().into_iter().map(|origin| (place, origin)));
        }
    }
    Ok(found)
}

fn search_sql(schema: &Ident, relation: &str, columns: &[Searched]) -> SqlStr {
    let mut sql = Sql::new("copy (select ");
    if columns.is_empty() {
        sql.text("s.*");
    }
    for (index, column) in columns.iter().enumerate() {
        sql.text(if index == 0 { "s." } else { ", s." }).name(&column.name);
    }
    sql.text(" from only ");
    qualified(&mut sql, schema, relation);
    sql.text(" as s) to stdout");
    sql.finish()
}

/// Returns the bytes of a field that COPY has written as hexadecimal digits.
fn bytes_of(field: &[u8]) -> Option<Vec<u8>> {
    let digits = field.strip_prefix(b"\\\\x")?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    digits
        .chunks(2)
        .map(|pair| Some((digit(pair[0])? * 16 + digit(*pair.get(1)?)?) as u8))
        .collect()
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
            let sql = unchanged_sql(places, table, column.name());
            let counted = sqlx::raw_sql(sql).fetch_one(&mut *conn).await;
            let attempted = || format!("comparing the table {}", table.name());
            let counted = counted.map_err(|error| failed_in_secret(attempted(), error))?;
            let count = u64::try_from(counted.try_get::<i64, _>(0)?).unwrap_or_default();
            unchanged.insert((table.name().to_owned(), column.name().to_owned()), count);
        }
    }
    Ok(unchanged)
}

/// Returns the query that counts the rows of the copy with the same primary key and value as in the source.
fn unchanged_sql(places: &Places<'_>, table: &TablePlan, column: &str) -> SqlStr {
    let mut sql = Sql::new("select pg_catalog.count(*) from ");
    match places.shared {
        Some(shared) => shared.rows_sql(&mut sql, table.name()),
        None => qualified(sql.text("only "), places.source, table.name()),
    }
    sql.text(" as s join only ");
    qualified(&mut sql, places.copy, table.name());
    sql.text(" as c on s.").name(column).text("::pg_catalog.text operator(pg_catalog.=) c.");
    sql.name(column).text("::pg_catalog.text");
    for key in table.primary_key() {
        sql.text(" and s.").name(key).text("::pg_catalog.text operator(pg_catalog.=) c.");
        sql.name(key).text("::pg_catalog.text");
    }
    sql.finish()
}

/// Returns `true` if rows of the source can be matched with rows of the copy.
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
                // They are read for the proof.
                Select::Sql { .. } => continue,
                Select::Shuffle => "it contains values of other rows",
                Select::Column => "its masks can equal values of other rows",
            };
            told.push(format!("{}.{}: {why}", table.name(), column.name()));
        }
    }
    told
}
