//! Builds the manager that the settings describe.

use tenantry::{
    ConfigError, Credentials, Isolation, ManagerBuilder, PlacementPolicy, PoolOptions,
    TenantManager,
};

use super::{Settings, key};
use crate::failure::{Failure, chain};

impl Settings {
    /// Builds the manager. Does no I/O, except for passwords in files or from commands.
    ///
    /// # Errors
    ///
    /// With the invalid key, and where it was set.
    pub(crate) fn manager(&self) -> Result<TenantManager, Failure> {
        let url = self.database_url()?;
        let mut builder = self.builder_at(&url)?;
        if let Some(parameters) = self.text(&key::REPLICATION_CONNECTION) {
            builder = builder.replication_connection(parameters);
        }
        for (name, server) in self.servers()? {
            builder = builder.server(name, server);
        }
        builder = builder.placement(match self.text(&key::PLACEMENT) {
            Some("least_loaded") => PlacementPolicy::least_loaded(),
            Some("by_weight") => PlacementPolicy::by_weight(),
            _ => PlacementPolicy::main(),
        });
        if let Some(tiers) = self.tiers()? {
            builder = builder.tier(move |record| tiers.of(record));
        }
        builder = match self.table_catalog()? {
            Some(catalog) => builder.catalog(catalog),
            None => builder.catalog(self.schema_catalog()?),
        };
        if let Some(url) = self.upkeep_url()? {
            builder = builder.upkeep_url(url);
        } else if let Some(user) = self.text(&key::UPKEEP_USER) {
            let credentials = Credentials::new(user);
            let password = self.upkeep_password()?;
            builder = builder
                .upkeep_credentials(password.into_iter().fold(credentials, Credentials::password));
        }
        builder.build().map_err(|error| self.unusable(&url, &error))
    }

    /// Returns the error of a manager that cannot be built, with the place of its cause.
    fn unusable(&self, url: &str, error: &ConfigError) -> Failure {
        match error {
            ConfigError::ServerUrl { name, error } => {
                self.wrong(&key::SERVERS.key(name, &key::SERVER_URL), error)
            }
            ConfigError::ServerName { name } | ConfigError::ServerTwice { name } => {
                self.wrong(&key::SERVERS.key(name, &key::SERVER_URL), error)
            }
            ConfigError::ReplicationConnection { name } => {
                let key = match name.as_str() {
                    "main" => key::REPLICATION_CONNECTION.clone(),
                    name => key::SERVERS.key(name, &key::SERVER_REPLICATION_CONNECTION),
                };
                self.wrong(&key, error)
            }
            // With only the URL, the URL is the only possible cause of a failure.
            _ => match TenantManager::builder(url).build() {
                Err(error) => self.wrong(&key::DATABASE_URL, &error),
                Ok(_) => {
                    Failure::new(format!("the configuration cannot be used: {}", chain(error)))
                }
            },
        }
    }

    /// Starts building a manager for another database, with the configured pool and names.
    ///
    /// # Errors
    ///
    /// With the invalid key, and where it was set.
    pub(crate) fn builder_at(&self, url: &str) -> Result<ManagerBuilder, Failure> {
        let builder = TenantManager::builder(url)
            .pool_options(self.pool_options())
            .instance(self.instance())
            .tenants_see_shared(self.switch(&key::SEE_SHARED))
            .extension_schemas(self.list(&key::EXTENSION_SCHEMAS));
        let builder = self.isolated(builder)?;
        Ok(match self.text(&key::SHARED_SCHEMA) {
            Some(schema) => builder.shared_schema(schema),
            None => builder,
        })
    }

    /// Sets how tenants are kept apart.
    fn isolated(&self, builder: ManagerBuilder) -> Result<ManagerBuilder, Failure> {
        let schemas = Isolation::schema(self.text(&key::SCHEMA).unwrap_or_default());
        let databases = Isolation::database(self.text(&key::DATABASE).unwrap_or_default());
        let (mut builder, rows) = (builder, Isolation::rows(self.rows()?));
        if self.has_rows() {
            builder = builder.or_isolation(rows.clone());
        }
        Ok(match self.text(&key::ISOLATION) {
            Some("row") => builder.isolation(rows).or_isolation(schemas).or_isolation(databases),
            Some("database") => builder.isolation(databases).or_isolation(schemas),
            _ => builder.isolation(schemas).or_isolation(databases),
        })
    }

    fn instance(&self) -> String {
        let named = self.text(&key::INSTANCE).map(str::to_owned);
        named.unwrap_or_else(|| format!("cli.{}", std::process::id()))
    }

    pub(super) fn pool_options(&self) -> PoolOptions {
        let mut options = PoolOptions::default();
        let defaults = PoolOptions::default();
        options.max_connections =
            self.count(&key::MAX_CONNECTIONS).unwrap_or(defaults.max_connections);
        options.max_connections_per_tenant = self.count(&key::MAX_CONNECTIONS_PER_TENANT);
        options.acquire_timeout =
            self.duration(&key::ACQUIRE_TIMEOUT).unwrap_or(defaults.acquire_timeout);
        options.connect_timeout =
            self.duration(&key::CONNECT_TIMEOUT).unwrap_or(defaults.connect_timeout);
        options.statement_timeout = self.duration(&key::STATEMENT_TIMEOUT);
        options.name_tenants = self.switch(&key::NAME_TENANTS);
        options.idle_in_transaction_timeout = self.duration(&key::IDLE_IN_TRANSACTION_TIMEOUT);
        options
    }
}
