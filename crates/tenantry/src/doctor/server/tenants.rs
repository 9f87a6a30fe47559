use std::collections::BTreeMap;

use futures_util::FutureExt;

use crate::{
    doctor::{BuiltIn, Examined, Finding, Subject, error_in_words, text::counted},
    error::Error,
    plain::plain,
    tenant::{MAIN, TenantRecord},
};

/// How many tenants the catalog lists, by state.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "tenants",
    title: "Tenant discovery",
    reads: "the tenants",
    look: |on| look(on).boxed(),
};

async fn look(on: &Subject) -> Result<Examined, Error> {
    let tenants = match on.tenants() {
        Ok(tenants) => tenants,
        Err(error) => {
            let finding =
                Finding::error("the catalog cannot list the tenants", error_in_words(error))
                    .how("check the catalog: its table, and the rights of the role");
            return Ok(Examined::error("the tenants cannot be listed").finding(finding));
        }
    };
    let active = tenants.iter().filter(|record| record.state.is_served()).count();
    let others = tenants.len() - active;
    let total = counted(tenants.len(), "tenant", "tenants");
    let states = match others {
        0 => String::new(),
        others => format!(" ({active} active, {others} suspended)"),
    };
    let places = places(on, tenants);
    let examined = Examined::ok(format!("{total} found{states}{places}"))
        .in_words(format!("Found {total}{states}{places}"));
    if !tenants.is_empty() {
        return Ok(examined);
    }
    let finding = Finding::warning("the catalog lists no tenant", "no request can be served")
        .how("create a tenant, or correct the catalog and the name template of the configuration");
    Ok(examined.finding(finding))
}

/// Counts the tenants of each isolation and server, unless all are alike.
fn places(on: &Subject, tenants: &[TenantRecord]) -> String {
    let isolations = on.fleet().lookup().isolations();
    let mut counts = BTreeMap::<_, usize>::new();
    for record in tenants {
        let server = record.server.as_deref().unwrap_or(MAIN);
        *counts.entry((server, isolations.kind_of(record))).or_default() += 1;
    }
    if counts.len() < 2 {
        return String::new();
    }
    let told = counts.iter().map(|((server, kind), count)| match *server {
        MAIN => format!("{count} by {kind}"),
        server => format!("{count} by {kind} on {}", plain(server)),
    });
    format!(": {}", told.collect::<Vec<_>>().join(", "))
}
