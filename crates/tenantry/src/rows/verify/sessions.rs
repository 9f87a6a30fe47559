//! The roles and logins that sessions of tenants have, according to the catalog.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;

use crate::{
    error::Error,
    fleet::Fleet,
    tenant::{Ident, IsolationKind, MAIN},
};

/// What sessions of tenants have on one server, besides the configured role and the manager's login.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// Roles that records of tenants name.
    pub(super) roles: BTreeSet<Ident>,
    /// Logins of dedicated tenants.
    pub(super) logins: BTreeSet<Ident>,
}

/// Returns the servers that have a tenant in tables of all, with what sessions of these have. Lists the tenants only
/// if there can be any such role, login or server.
pub(super) async fn sessions_by_server(fleet: &Fleet) -> Result<BTreeMap<String, Sessions>, Error> {
    let lookup = fleet.lookup();
    let mut servers = BTreeMap::<String, Sessions>::new();
    let has_servers = fleet.servers().are_several();
    if !lookup.may_name_roles() && !lookup.has_logins() && !has_servers {
        return Ok(servers);
    }
    let mut tenants = fleet.stream();
    while let Some(record) = tenants.try_next().await? {
        if lookup.isolations().kind_of(&record) != IsolationKind::Row {
            continue;
        }
        let server = record.server.as_deref().unwrap_or(MAIN).to_owned();
        let sessions = servers.entry(server).or_default();
        sessions.roles.extend(record.role.clone());
        if let Some(login) = lookup.login_of(&record) {
            sessions.logins.extend(fleet.server().role_of(&login).await?);
        }
    }
    Ok(servers)
}
