use std::sync::Arc;

use futures_util::FutureExt;

use crate::{
    doctor::{
        BuiltIn, Examined, Finding, Subject,
        homes::{Homes, away},
        text::counted,
    },
    error::Error,
    rows::verify,
    tenant::{Ident, IsolationKind},
};

/// Ways around the policies of the tables that hold the rows of all tenants.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "rows",
    title: "Isolation by row",
    reads: "the tables that hold the rows of all tenants",
    look: |on| look(on).boxed(),
};

async fn look(on: &Subject) -> Result<Examined, Error> {
    if !is_used(on) {
        return Ok(Examined::ok("no tenant is isolated by row"));
    }
    let mut report = verify(on.fleet()).await?;
    let homes = on.homes().await;
    let is_away = |server: &Option<Arc<str>>| {
        server.as_deref().is_some_and(|server| homes.away.contains_key(server))
    };
    // What was found out about a server that answered in between stays.
    report
        .findings
        .retain(|found| !(on.tells_away && found.is_unverified_server() && is_away(&found.server)));
    let tables = counted(report.tables, "table", "tables");
    let message = match &report.findings[..] {
        [] => format!("{tables} in {}, without a way around the policies", report.schema),
        [first, ..] => format!(
            "{}, such as {}",
            counted(report.findings.len(), "finding", "findings"),
            first.finding
        ),
    };
    let examined =
        Examined::ok(message).findings(report.findings.into_iter().map(|found| found.finding));
    let examined = examined.findings((report.tables == 0).then(|| no_table(&report.schema)));
    Ok(away_with_rows(on, homes)
        .fold(examined, |examined, (server, tenants)| examined.away(&server, Some(tenants))))
}

/// Returns the servers that are away, with the number of their tenants that are isolated by row, if there are some.
fn away_with_rows(on: &Subject, homes: &Homes) -> impl Iterator<Item = (String, usize)> {
    let fleet = on.fleet();
    let in_rows = on.tenants().unwrap_or_default().iter().filter(|record| fleet.is_in_rows(record));
    let placed: Vec<_> = in_rows.filter_map(|record| fleet.home_of(record).ok()).collect();
    away(homes, placed.iter()).into_iter().filter(|(_, tenants)| *tenants > 0)
}

/// Returns `true` if a tenant is isolated by row, as far as it is known.
fn is_used(on: &Subject) -> bool {
    let isolations = on.fleet().lookup().isolations();
    let by_row = |kind| kind == IsolationKind::Row;
    by_row(isolations.by_default().kind())
        || on.tenants().is_ok_and(|all| all.iter().any(|record| by_row(isolations.kind_of(record))))
}

fn no_table(schema: &Ident) -> Finding {
    Finding::info(
        format!("no table of {schema} has the tenant column"),
        "tenants that are isolated by row have no tables yet",
    )
    .how("run the migrations, or correct the schema and the column of Rows")
}
