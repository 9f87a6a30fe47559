use futures_util::FutureExt;

use crate::{
    doctor::{BuiltIn, Examined, Finding, Subject, text::counted},
    error::Error,
    tenant::{Ident, Isolation, NameTemplate},
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
    let isolation = lookup.isolations().by_default();
    let kind = isolation.kind();
    let around = isolation.template().and_then(NameTemplate::around_id);
    let name = match (isolation, around) {
        (Isolation::Row(rows), _) => format!("column {}", rows.key_column()),
        (_, None) => "named by a closure".to_owned(),
        (_, Some((before, after))) => format!("{before}{{id}}{after}"),
    };
    let dedicated = match on.tenants() {
        Ok(tenants) => tenants.iter().filter(|record| lookup.is_dedicated(record)).count(),
        Err(_) => 0,
    };
    let dedicated = match dedicated {
        0 => String::new(),
        count => format!(", {} with dedicated connections", counted(count, "tenant", "tenants")),
    };
    let text = format!("{kind}-based ({name}, shared schema {shared}{dedicated})");
    let no_shared = fleet.system().schemas_named([shared]).await?.is_empty();
    let bare = around == Some(("", "")) && lookup.finds_schemas();
    Ok(Examined::ok(format!("{kind}-based"))
        .in_words(text)
        .findings(no_shared.then(|| missing(shared)))
        .findings(bare.then(bare_template))
        .findings(one_role(on)))
}

fn missing(shared: &Ident) -> Finding {
    Finding::error(
        format!("there is no schema {shared}"),
        "it is configured as the shared schema: statements on the shared handle find no table",
    )
    .how("create the shared schema, or correct shared_schema")
}

fn bare_template() -> Finding {
    Finding::warning(
        "the name template is only {id}, and tenants are found by their schemas",
        "every schema whose name is a tenant id counts as a tenant, including those of other programs",
    )
    .how("give tenants' schemas a prefix, or use a table of tenants")
}

/// Reports if only the search path isolates tenants.
fn one_role(on: &Subject) -> Option<Finding> {
    let tenants = on.tenants().ok()?;
    let shared = tenants.iter().filter(|record| record.role.is_none()).count();
    let lookup = on.fleet().lookup();
    if shared < 2 || lookup.has_logins() {
        return None;
    }
    let what = format!("{} use the same role", counted(shared, "tenant", "tenants"));
    let why = "the search path separates them, but privileges do not: a statement that names another tenant's schema \
               reaches it";
    Some(Finding::info(what, why).how(
        "never build SQL from client input; if tenants run SQL themselves, give each a separate role or login",
    ))
}
