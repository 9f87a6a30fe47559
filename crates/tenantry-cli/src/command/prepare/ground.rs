use std::{fs, path::Path, time::Duration};

use tenantry::{
    SchemaDiscovery, TenantId, TenantManager, migrate::MigrateOptions, provision::CreateOptions,
};
use tenantry_devdb::{DevDatabase, DevServer};

use crate::{
    context::Context,
    failure::Failure,
    postgres::Connection,
    settings::{Source, key},
};

/// Connections to the new database.
const CONNECTIONS: usize = 3;

/// A new database, and its server if that is a throwaway one.
#[derive(Debug)]
pub(super) struct Ground {
    // Dropped before the server.
    database: DevDatabase,
    server: Option<DevServer>,
    connection: Connection,
}

/// The objects that were created in it.
#[derive(Debug)]
pub(super) struct Made {
    /// The connection to the tenant.
    pub(super) connection: Connection,
    pub(super) search_path: Vec<String>,
    pub(super) tenant_migrations: usize,
    pub(super) shared_migrations: usize,
}

impl Ground {
    /// Creates a database on the server of `--database-url`, or on a throwaway one.
    pub(super) async fn create(on: &Context) -> Result<Self, Failure> {
        let given = matches!(on.settings.get(&key::DATABASE_URL), Some((_, Source::Flag(_))));
        let server = if given { None } else { Some(DevServer::start().await?) };
        let connection = match &server {
            Some(server) => Connection::parse(&server.url())?,
            None => on.upkeep_connection()?,
        };
        let database = DevDatabase::create_at(&connection.url()).await.map_err(|error| {
            Failure::while_doing("creating a database", &error)
                .hint("the role needs the attribute CREATEDB")
        })?;
        let connection = connection.set("dbname", Some(database.name()));
        Ok(Self { database, server, connection })
    }

    /// Applies all migrations, and returns how to connect to the result.
    pub(super) async fn make(
        &self,
        on: &Context,
        id: &TenantId,
        setup: Option<&Path>,
    ) -> Result<Made, Failure> {
        let shared = on.settings.text(&key::SHARED_SCHEMA).unwrap_or("public").to_owned();
        let extensions = on.settings.list(&key::EXTENSION_SCHEMAS);
        self.database.create_schemas([&shared].into_iter().chain(extensions)).await?;
        if let Some(path) = setup {
            let what = format!("running {}", path.display());
            let sql =
                fs::read_to_string(path).map_err(|error| Failure::while_doing(&what, &error))?;
            let ran = self.database.run_script(&sql).await;
            ran.map_err(|error| Failure::while_doing(what, &error))?;
        }
        let builder = on.settings.builder_at(&self.connection.url())?;
        let builder = builder.max_connections(CONNECTIONS).catalog(SchemaDiscovery::default());
        let manager = builder.build()?;
        let made = migrate(on, &manager, id).await;
        manager.close_within(Duration::from_secs(1)).await;
        let (schema, tenant_migrations, shared_migrations) = made?;
        let mut search_path = vec![schema];
        for name in [&shared].into_iter().chain(extensions) {
            if !search_path.contains(name) {
                search_path.push(name.clone());
            }
        }
        let quoted: Vec<_> =
            search_path.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
        let connection =
            self.connection.clone().with_settings([("search_path", &*quoted.join(","))]);
        Ok(Made { connection, search_path, tenant_migrations, shared_migrations })
    }

    pub(super) async fn remove(self) -> Result<(), Failure> {
        let Self { database, server, .. } = self;
        let name = database.name().to_owned();
        let closed = database.close().await;
        match server {
            // The database goes with it.
            Some(server) => server.close().await,
            None => closed.map_err(|error| {
                Failure::while_doing(format_args!("the database {name} remains"), &error)
            })?,
        }
        Ok(())
    }
}

/// Migrates the shared schema and creates a tenant. Returns its schema, and the number of migrations of each.
async fn migrate(
    on: &Context,
    manager: &TenantManager,
    id: &TenantId,
) -> Result<(String, usize, usize), Failure> {
    let tenants = on.tenant_migrations()?;
    let shared = on.shared_migrations()?;
    let mut counts = (0, 0);
    if let Some(shared) = shared {
        counts.1 = shared.files().len();
        let migrator = manager.migrator().shared(shared);
        drop(migrator.migrate_shared(MigrateOptions::default()).await?.into_result()?);
    }
    let mut provisioner = manager.provisioner();
    if let Some(tenants) = tenants {
        counts.0 = tenants.files().len();
        provisioner = provisioner.tenants(tenants);
    }
    let created = provisioner.create(id.clone(), CreateOptions::default()).await?;
    Ok((created.schema.to_string(), counts.0, counts.1))
}
