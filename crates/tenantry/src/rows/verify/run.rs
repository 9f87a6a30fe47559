//! Reads the catalogs of each server, and asks the server as a tenant's session would.

use std::sync::Arc;

use sqlx::{postgres::types::Oid, types::Json};

use super::{
    RowsFinding, RowsReport, RowsRule,
    facts::{Facts, Table},
    judge::{Case, judge},
    query::{FACTS, UNFILTERED},
    sessions::{Sessions, sessions_by_server},
};
use crate::{
    db::{Handle, SharedDb},
    error::Error,
    finding::Finding,
    fleet::Fleet,
    pool::{Class, Occupant, OccupantId, RetiredTable, Server},
    tenant::{Binding, Ident, MAIN, Rows},
};

/// Verifies the tables of the configured schema, on the main server and on those that have a tenant in such tables.
pub(crate) async fn verify(fleet: &Fleet) -> Result<RowsReport, Error> {
    let sessions = sessions_by_server(fleet).await?;
    let none = Sessions::default();
    let main = sessions.get(MAIN).unwrap_or(&none);
    let mut report = verify_on(fleet, fleet.server(), main).await?;
    for (name, server) in fleet.servers().all().filter(|(name, _)| *name != MAIN) {
        if let Some(sessions) = sessions.get(name) {
            match verify_on(fleet, server, sessions).await {
                Ok(further) => report.add(name, further),
                Err(error) => report.findings.insert(0, unverified(name, &error)),
            }
        }
    }
    Ok(report)
}

/// Reports a further server that could not be asked: what is known of the others is reported all the same.
fn unverified(server: &str, error: &Error) -> RowsFinding {
    let what = format!("the tables could not be verified: {error}");
    let why = "nothing is known about the policies there";
    let how = "verify again when the server answers";
    let finding = Finding::error(what, why).how(how);
    RowsFinding {
        is_unverified_server: true,
        ..RowsFinding::new(RowsRule::Configuration, server, finding).on(server)
    }
}

async fn verify_on(
    fleet: &Fleet,
    server: &Arc<Server>,
    sessions: &Sessions,
) -> Result<RowsReport, Error> {
    let rows = fleet.lookup().isolations().rows();
    let schema = rows.tables_schema().unwrap_or_else(|| fleet.shared().schema());
    let lookup = fleet.lookup();
    // The list of tenants is on the main server.
    let is_beside_list = server.name() == MAIN && schema == fleet.shared().schema();
    let list = lookup.table_in_shared_schema().filter(|_| is_beside_list);
    let shared = rows.shared_names().iter().chain(list);
    let mut facts = read(server, rows, schema, shared, sessions).await?;
    facts.functions.retain(|function| {
        // Functions in the schemas of other tenants are no concern of these tables.
        function.schema == *schema.as_str()
            || !Ident::parse(&function.schema).is_ok_and(|name| lookup.may_be_a_tenants(&name))
    });
    let role = rows.sessions_role();
    let unfiltered = match role.is_none_or(|role| facts.can_become(role.as_str())) {
        true => unfiltered(server, role, &facts.tables).await?,
        false => Vec::new(),
    };
    let upkeep = server.user_of_upkeep().await?;
    let (asker, key) = (as_role(server, None), rows.key_column());
    let retired_keys = RetiredTable::read(&asker, schema, key, upkeep.as_deref()).await?;
    let case =
        Case { rows, schema, facts: &facts, unfiltered: &unfiltered, retired_keys: &retired_keys };
    Ok(RowsReport {
        schema: schema.clone(),
        tables: facts.tables.iter().filter(|table| table.column.is_some()).count(),
        role: role.map_or(&*facts.login, Ident::as_str).to_owned(),
        findings: judge(case),
        unfiltered,
    })
}

async fn read(
    server: &Arc<Server>,
    rows: &Rows,
    schema: &Ident,
    mut shared: impl Iterator<Item = &Ident> + Send,
    sessions: &Sessions,
) -> Result<Facts, Error> {
    let mut roles: Vec<_> = rows.sessions_role().into_iter().chain(&sessions.roles).collect();
    roles.sort_unstable();
    roles.dedup();
    let names = |idents: &mut dyn Iterator<Item = &Ident>| -> Vec<String> {
        idents.map(|ident| ident.as_str().to_owned()).collect()
    };
    let asked = sqlx::query_scalar(FACTS)
        .bind(schema.as_str())
        .bind(rows.key_column().as_str())
        .bind(names(&mut roles.into_iter()))
        .bind(rows.sessions_role().is_none())
        .bind(names(&mut shared))
        .bind(names(&mut sessions.logins.iter()))
        .persistent(false);
    let Json(facts) = asked.fetch_one(&as_role(server, None)).await?;
    Ok(facts)
}

/// Asks the server, as the role of tenants' sessions, which tables it does not filter.
async fn unfiltered(
    server: &Arc<Server>,
    role: Option<&Ident>,
    tables: &[Table],
) -> Result<Vec<String>, Error> {
    let asked =
        || tables.iter().filter(|table| table.column.is_some() && !table.is_ungranted_partition());
    let oids: Vec<_> = asked().map(|table| Oid(table.oid)).collect();
    let names: Vec<_> = asked().map(|table| &*table.name).collect();
    let query = sqlx::query_scalar(UNFILTERED).bind(oids).bind(names).persistent(false);
    Ok(query.fetch_all(&as_role(server, role)).await?)
}

/// Returns the library's session on a server, with a role.
fn as_role(server: &Arc<Server>, role: Option<&Ident>) -> SharedDb {
    let binding = Binding::library().with_role(role);
    let occupant = Occupant::new(OccupantId::System, Class::System, binding);
    SharedDb::new(Handle::new(Arc::clone(server), Arc::new(occupant)))
}
