//! A throwaway server with defects, to demonstrate the doctor's findings.

use std::{fs, path::PathBuf, time::Duration};

use sqlx::{Connection, PgConnection};
use tenantry::{
    Credentials, PoolOptions, TenantManager,
    doctor::{Doctor, Examined},
    migrate::{MigrateOptions, Migrations},
    provision::CreateOptions,
};
use tenantry_devdb::DevServer;

use crate::failure::Failure;

/// A throwaway server with twelve tenants, three of which have defects.
pub(super) struct Demo {
    server: DevServer,
    manager: TenantManager,
    folder: PathBuf,
}

/// The migration of the demo's shared schema.
const SHARED: (&str, &str) =
    ("0001_plans.sql", "create table plans (id int primary key, name text not null);");

/// The migrations of the demo's tenants.
const FILES: [(&str, &str); 3] = [
    (
        "0001_users.sql",
        "create table users (id bigserial primary key, email text not null unique);",
    ),
    (
        "0002_orders.sql",
        "create table orders (id serial primary key, user_id bigint not null references users, total numeric(10, 2) not null);\n\
         create index orders_user_id on orders (user_id);",
    ),
    ("0003_notes.sql", "create table notes (id bigserial primary key, body text not null);"),
];

/// The defects of the demo, each of a kind that the doctor finds.
const DEFECTS: [&str; 3] = [
    // A tenant whose rows reference another tenant's schema.
    "alter table tenant_globex.orders drop constraint orders_user_id_fkey, \
     add constraint orders_user_id_fkey foreign key (user_id) references tenant_acme.users (id)",
    // A tenant with a sequence that will soon run out of numbers.
    "select setval('tenant_initech.orders_id_seq', 2040109465)",
    // A tenant with a table that lost its key.
    "alter table tenant_umbrella.notes drop constraint notes_pkey",
];

const TENANTS: [&str; 12] = [
    "acme",
    "globex",
    "initech",
    "umbrella",
    "hooli",
    "wonka",
    "stark",
    "wayne",
    "tyrell",
    "cyberdyne",
    "soylent",
    "aperture",
];

/// Starts a server with a production-like configuration, except for its size, with a role that serves and one that
/// owns.
async fn server() -> Result<DevServer, Failure> {
    let settings = [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("wal_level", "replica"),
        ("max_wal_senders", "2"),
        ("max_connections", "60"),
    ];
    let server = settings
        .iter()
        .fold(DevServer::builder(), |server, (name, value)| server.setting(*name, *value));
    let server = server.start().await?;
    let mut conn = PgConnection::connect(&server.url()).await?;
    sqlx::raw_sql("create role owner login; create role app login in role pg_read_all_stats")
        .execute(&mut conn)
        .await?;
    sqlx::raw_sql("create database saas owner owner").execute(&mut conn).await?;
    conn.close().await?;
    Ok(server)
}

/// The URL of the demo's database for a role.
fn url(server: &DevServer, role: &str) -> String {
    server.database_url("saas").replacen("postgres@", &format!("{role}@"), 1)
}

impl Demo {
    pub(super) async fn start() -> Result<Self, Failure> {
        let server = server().await?;
        let folder = std::env::temp_dir().join(format!("tenantry-demo-{}", std::process::id()));
        for (kind, files) in [("tenants", &FILES[..]), ("shared", &[SHARED])] {
            fs::create_dir_all(folder.join(kind))?;
            for (name, sql) in files {
                fs::write(folder.join(kind).join(name), sql)?;
            }
        }
        let mut options = PoolOptions::default();
        options.statement_timeout = Some(Duration::from_secs(30));
        let manager = TenantManager::builder(url(&server, "app"))
            .upkeep_credentials(Credentials::new("owner"))
            .pool_options(options)
            .build()?;
        let demo = Self { server, manager, folder };
        if let Err(failure) = demo.fill().await {
            demo.close().await;
            return Err(failure);
        }
        Ok(demo)
    }

    async fn fill(&self) -> Result<(), Failure> {
        let migrations = Migrations::from_dir(self.folder.join("tenants"))?;
        let shared = Migrations::from_dir(self.folder.join("shared"))?;
        let provisioner = self.manager.provisioner().tenants(migrations.clone());
        for tenant in TENANTS {
            provisioner.create(tenant, CreateOptions::default()).await?;
        }
        let mut conn = PgConnection::connect(&url(&self.server, "postgres")).await?;
        for defect in DEFECTS {
            sqlx::raw_sql(defect).execute(&mut conn).await?;
        }
        conn.close().await?;
        // Ensures that nothing is pending except the planted defects.
        let migrator = self.manager.migrator().tenants(migrations).shared(shared);
        drop(migrator.migrate_all(MigrateOptions::default()).await?);
        Ok(())
    }

    pub(super) fn examination(&self) -> Result<Doctor, Failure> {
        let configuration =
            Examined::ok("tenantry.toml (demo)").heading("Configuration file found");
        Ok(self
            .manager
            .doctor()
            .configuration(configuration)
            .tenants(Migrations::from_dir(self.folder.join("tenants"))?)
            .shared(Migrations::from_dir(self.folder.join("shared"))?))
    }

    pub(super) async fn close(self) {
        self.manager.close().await;
        self.server.close().await;
        // It is a temporary folder: any remains are cleaned up with other temporary files.
        drop(fs::remove_dir_all(&self.folder));
    }
}
