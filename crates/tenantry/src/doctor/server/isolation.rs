use futures_util::FutureExt;

use crate::{
    doctor::{BuiltIn, Examined, Finding, Subject, text::counted},
    error::Error,
    tenant::Isolation,
};

/// How tenants are isolated.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "isolation",
    title: "Schema isolation",
    reads: "the schemas",
    look: |on| look(on).boxed(),
};

async fn look(on: &Subject) -> Result<Examined, Error> {
    let fleet = on.fleet();
    let (lookup, shared) = (fleet.lookup(), fleet.shared().schema());
    let Isolation::Schema(template) = lookup.isolation();
    let around = template.around_id();
    let name = around.map_or_else(
        || "named by a closure".to_owned(),
        |(before, after)| format!("{before}{{id}}{after}"),
    );
    let dedicated = match on.tenants() {
        Ok(tenants) => tenants.iter().filter(|record| lookup.is_dedicated(record)).count(),
        Err(_) => 0,
    };
    let mut text = format!("schema-based ({name}, shared schema {shared}");
    if dedicated > 0 {
        let tenants = counted(dedicated, "tenant", "tenants");
        text.push_str(&format!(", {tenants} with dedicated connections"));
    }
    text.push(')');
    let mut examined = Examined::ok("schema-based").in_words(text);
    if fleet.system().schemas_named([shared]).await?.is_empty() {
        let finding = Finding::error(
            format!("there is no schema {shared}"),
            "it is configured as the shared schema: statements on the shared handle find no table",
        );
        examined =
            examined.finding(finding.how("create the shared schema, or correct shared_schema"));
    }
    if around == Some(("", "")) && lookup.finds_schemas() {
        let finding = Finding::warning(
            "the name template is {id} alone, and tenants are found by their schemas",
            "every schema whose name is a tenant id counts as a tenant, those of other programs too",
        );
        examined = examined
            .finding(finding.how("give tenants' schemas a prefix, or use a table of tenants"));
    }
    Ok(examined.findings(one_role(on)))
}

/// Reports if only the search path isolates tenants.
fn one_role(on: &Subject) -> Option<Finding> {
    let tenants = on.tenants().ok()?;
    let shared = tenants.iter().filter(|record| record.role.is_none()).count();
    let lookup = on.fleet().lookup();
    if shared < 2 || lookup.has_logins() {
        return None;
    }
    let what = format!("{} work with one role", counted(shared, "tenant", "tenants"));
    let why = "the search path separates them, privileges do not: a statement that names another tenant's schema reaches it";
    Some(Finding::info(what, why).how(
        "never build SQL from client input; where tenants run SQL themselves, give each its role or login",
    ))
}
