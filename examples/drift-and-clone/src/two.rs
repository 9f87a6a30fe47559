//! Two schemas of a database: compared, repaired, copied.

use std::process::ExitCode;

use example_support::say;
use sqlx::{Connection, PgConnection};
use tenantry::{
    FixedCatalog, Ident, Isolation, TenantId, TenantManager, TenantRecord,
    clone::CloneOptions,
    schema::{SchemaModel, compare, introspect, repair, without_consequences},
};

/// Prints the differences of `actual`.
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

/// Prints the SQL that makes `actual` like `expected`, without running it.
pub(crate) async fn show_repair(
    url: &str,
    expected: &str,
    actual: &str,
) -> anyhow::Result<ExitCode> {
    let (expected, actual) = read(url, expected, actual).await?;
    say(repair(&expected, &actual));
    Ok(ExitCode::SUCCESS)
}

/// Copies a schema to a new name.
pub(crate) async fn clone(
    url: &str,
    from: &str,
    to: &str,
    options: CloneOptions,
) -> anyhow::Result<ExitCode> {
    let source = TenantRecord::new(TenantId::parse("source")?).container(Ident::parse(from)?);
    let manager = TenantManager::builder(url)
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(FixedCatalog::new([source]))
        .max_connections(4)
        .build()?;
    let options = options.container(Ident::parse(to)?);
    let cloned = manager.provisioner().clone_tenant("source", "copy", options).await;
    manager.close().await;
    say(cloned?);
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
