//! Two schemas of a database.

use std::process::ExitCode;

use sqlx::{Connection, PgConnection};
use tenantry::{
    Ident,
    schema::{SchemaModel, compare, introspect, repair, without_consequences},
};

use crate::say;

/// Says what is different in `actual`.
pub(crate) async fn drift(url: &str, expected: &str, actual: &str) -> anyhow::Result<ExitCode> {
    let (expected, actual) = read(url, expected, actual).await?;
    let differences = compare(&expected, &actual);
    for difference in without_consequences(&differences, &expected, &actual) {
        say(difference);
    }
    for remark in actual.beyond.iter().filter(|remark| !expected.beyond.contains(remark)) {
        eprintln!("beyond the dump: {remark}");
    }
    Ok(ExitCode::from(u8::from(!differences.is_empty())))
}

/// Prints the SQL that makes `actual` like `expected`, and runs none of it.
pub(crate) async fn show_repair(
    url: &str,
    expected: &str,
    actual: &str,
) -> anyhow::Result<ExitCode> {
    let (expected, actual) = read(url, expected, actual).await?;
    say(repair(&expected, &actual));
    Ok(ExitCode::SUCCESS)
}

async fn read(
    url: &str,
    expected: &str,
    actual: &str,
) -> anyhow::Result<(SchemaModel, SchemaModel)> {
    let mut conn = PgConnection::connect(url).await?;
    let expected = introspect(&mut conn, &Ident::parse(expected)?, None).await?;
    let actual = introspect(&mut conn, &Ident::parse(actual)?, None).await?;
    conn.close().await?;
    Ok((expected, actual))
}
