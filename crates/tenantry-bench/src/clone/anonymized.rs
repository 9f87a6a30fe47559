//! A tenant, cloned with masked rows.

use std::fmt::Write;

use tenantry::{
    anonymize::{Anonymize, HashMask},
    clone::{CloneOptions, CloneReport},
};

use super::{
    server::Server,
    source::{SCHEMA, SCHEMA_OF_COPY, clone_tenant},
};
use crate::{
    args::CloneSizes,
    failure::Failure,
    rounds::Round,
    stats::median,
    times::{self, Times},
};

/// The text columns, all of which are hashed. Five more columns are not.
const HASHED: [&str; 10] = [
    "first_name",
    "last_name",
    "email",
    "phone",
    "street",
    "city",
    "iban",
    "company",
    "username",
    "notes",
];

pub(super) struct Anonymized {
    /// `anonymized` is without the proof.
    pub(super) times: Vec<Times>,
    /// The median of the time for the proof.
    pub(super) proof_ms: f64,
}

/// Clones a table of 15 columns with its rows, with `clone_tenant` on a new manager: unchanged, and with ten columns
/// hashed.
///
/// A plain copy stays within the server. Masked rows go through the client, over two connections. The proof that no
/// source value is left is not part of `anonymized`.
pub(super) async fn run(
    server: &Server,
    rounds: u32,
    sizes: &CloneSizes,
) -> Result<Anonymized, Failure> {
    let database = server.database("anonymized").await?;
    eprintln!("anonymized: filling a table");
    database.run(create(sizes.masked_rows)?).await?;
    database.run("vacuum analyze".to_owned()).await?;
    database.run("checkpoint".to_owned()).await?;
    let mut proofs = Vec::new();
    let contenders = ["plain", "anonymized"];
    let times = times::run("anonymized", &contenders, rounds, async |contender, round| {
        let options = match contender {
            0 => CloneOptions::default().data(true),
            _ => CloneOptions::default().anonymize(rules()),
        };
        let (mut took, report) = clone_tenant(&database, options).await?;
        check(&report, sizes.masked_rows)?;
        if let Some(anonymized) = &report.anonymized {
            took = took.saturating_sub(anonymized.proof.duration);
            if round != Round::WarmUp {
                proofs.push(anonymized.proof.duration.as_secs_f64() * 1e3);
            }
        }
        database.drop_schemas(&[SCHEMA_OF_COPY.to_owned()]).await?;
        Ok(took)
    });
    let times = times.await?;
    Ok(Anonymized { times, proof_ms: median(proofs) })
}

/// Checks that all rows were copied and, if the clone was anonymized, all columns masked.
fn check(report: &CloneReport, rows: usize) -> Result<(), Failure> {
    if let Some(anonymized) = &report.anonymized
        && (anonymized.columns.len() != HASHED.len() || !anonymized.proof.is_complete())
    {
        return Err(anonymized.to_string().into());
    }
    let copied = report.rows();
    if usize::try_from(copied)? != rows {
        return Err(format!("{copied} of {rows} rows were copied").into());
    }
    Ok(())
}

fn rules() -> Anonymize {
    let rule =
        |rules: Anonymize, column| rules.rule(format!("people.{column}"), HashMask::default());
    HASHED.into_iter().fold(Anonymize::new(), rule)
}

/// Text values are 12 to 32 characters long, and differ in each row except for cities.
fn create(rows: usize) -> Result<String, Failure> {
    let columns: Vec<_> = HASHED.iter().map(|column| format!("{column} text not null")).collect();
    let mut sql = format!(
        "create schema {SCHEMA}; \
         create table {SCHEMA}.people (id bigint primary key, {}, visits integer not null, \
           balance numeric(12,2) not null, is_active boolean not null, created_at timestamptz not null); ",
        columns.join(", ")
    );
    write!(
        sql,
        "insert into {SCHEMA}.people \
         select n, 'First-' || h, 'Last-' || h, 'user' || n || '@' || left(h, 8) || '.test', \
           '+49 30 ' || lpad(n::text, 8, '0'), left(h, 12) || ' street ' || n, \
           'City of ' || left(md5((n % 1000)::text), 8), 'DE' || lpad(n::text, 20, '0'), \
           left(h, 10) || ' Ltd', 'user-' || h, h, n % 100, n % 1000, n % 3 > 0, \
           '2024-01-01'::timestamptz + n * interval '1 minute' \
         from (select n, md5(n::text) as h from generate_series(1, {rows}) n) s"
    )?;
    Ok(sql)
}
