use futures_util::FutureExt;

use crate::{
    doctor::{BuiltIn, Examined, Finding, Subject, error_in_words, text::counted},
    error::Error,
    tenant::TenantState,
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
    let active = tenants.iter().filter(|record| record.state == TenantState::Active).count();
    let others = tenants.len() - active;
    let total = counted(tenants.len(), "tenant", "tenants");
    let states = match others {
        0 => String::new(),
        others => format!(" ({active} active, {others} suspended)"),
    };
    let examined =
        Examined::ok(format!("{total} found{states}")).in_words(format!("Found {total}{states}"));
    if !tenants.is_empty() {
        return Ok(examined);
    }
    let finding = Finding::warning("the catalog lists no tenant", "no request can be served")
        .how("create a tenant, or correct the catalog and the name template of the configuration");
    Ok(examined.finding(finding))
}
