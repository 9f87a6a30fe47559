//! Builds the further servers that the settings name.

use tenantry::ServerOptions;

use super::{
    Key, Settings,
    key::{self, Kind},
    password::with_password,
    redact,
};
use crate::failure::{Failure, Unreachable};

impl Settings {
    /// Returns the servers, by their names.
    ///
    /// # Errors
    ///
    /// With the invalid key, and where it was set.
    pub(super) fn servers(&self) -> Result<Vec<(String, ServerOptions)>, Failure> {
        self.names(&key::SERVERS).into_iter().map(|name| self.server(name)).collect()
    }

    /// Returns the settings of a server that cannot be reached with their values and places, without passwords.
    pub(crate) fn where_configured(&self, what: &Unreachable) -> Option<String> {
        let url = match what.server.as_deref() {
            None | Some("main") => key::DATABASE_URL.clone(),
            Some(name) => key::SERVERS.key(name, &key::SERVER_URL),
        };
        let of_upkeep = [&key::UPKEEP_URL, &key::UPKEEP_USER].into_iter().cloned();
        let keys = std::iter::once(url).chain(of_upkeep.filter(|_| what.is_upkeep));
        let told = keys.filter_map(|key| {
            let value = self.text(&key)?;
            let shown = if key.kind == Kind::Url { redact::url(value) } else { value.into() };
            Some(format!("{} is {shown}", self.place(&key)))
        });
        let told: Vec<_> = told.collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    fn server(&self, name: String) -> Result<(String, ServerOptions), Failure> {
        let of = |key: &Key| key::SERVERS.key(&name, key);
        let url = of(&key::SERVER_URL);
        let password =
            self.password(&of(&key::SERVER_PASSWORD_FILE), &of(&key::SERVER_PASSWORD_COMMAND))?;
        let Some(without) = self.text(&url) else {
            return Err(Failure::new(format!("the server {name} has no URL")).hint(format!(
                "set {} or ${}",
                url.name,
                url.variable()
            )));
        };
        let mut pool = self.pool_options();
        if let Some(most) = self.count(&of(&key::SERVER_MAX_CONNECTIONS)) {
            pool.max_connections = most;
        }
        let per_tenant = self.count(&of(&key::SERVER_MAX_CONNECTIONS_PER_TENANT));
        pool.max_connections_per_tenant = per_tenant.or(pool.max_connections_per_tenant);
        let url = with_password(without, password);
        let server = ServerOptions::new(url).pool_options(pool);
        let replication = self.text(&of(&key::SERVER_REPLICATION_CONNECTION));
        let server = replication.into_iter().fold(server, ServerOptions::replication_connection);
        let weight = self.number(&of(&key::SERVER_WEIGHT));
        let server = weight.into_iter().fold(server, ServerOptions::weight);
        let draining = self.switch(&of(&key::SERVER_DRAINING));
        Ok((name, server.draining(draining)))
    }
}
