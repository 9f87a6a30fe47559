//! A server with tenants' schemas.

use std::{fmt::Write, ops::Range, str::FromStr};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tenantry::TenantManager;
use tenantry_devdb::DevServer;

use crate::{failure::Failure, trusted};

pub(super) struct Fleet {
    server: DevServer,
    options: PgConnectOptions,
}

/// The number of schemas that are created per transaction: each object takes a lock.
const AT_ONCE: usize = 20;

impl Fleet {
    pub(super) async fn start() -> Result<Self, Failure> {
        let server = DevServer::builder()
            .setting("max_locks_per_transaction", "512")
            .setting("fsync", "off")
            .start()
            .await?;
        let options = PgConnectOptions::from_str(&server.create_database("fleet").await?)?;
        Ok(Self { server, options })
    }

    /// Creates the schemas of more tenants, with this many tables each.
    pub(super) async fn grow(&self, tenants: Range<usize>, tables: usize) -> Result<(), Failure> {
        let mut conn = self.connect().await?;
        let numbers: Vec<_> = tenants.collect();
        for chunk in numbers.chunks(AT_ONCE) {
            let mut sql = String::new();
            for tenant in chunk {
                write_schema(&mut sql, *tenant, tables)?;
            }
            trusted::run(&mut conn, sql).await?;
        }
        trusted::run(&mut conn, "vacuum analyze".to_owned()).await?;
        conn.close().await?;
        Ok(())
    }

    /// Changes one attribute in one tenant, or reverts the change.
    pub(super) async fn tamper(&self, is_tampered: bool) -> Result<(), Failure> {
        let mut conn = self.connect().await?;
        let precision = if is_tampered { 12 } else { 10 };
        let sql = format!(
            "alter table tenant_t00123.things1 alter column price type numeric({precision},2)"
        );
        trusted::run(&mut conn, sql).await?;
        conn.close().await?;
        Ok(())
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, Failure> {
        Ok(PgConnection::connect_with(&self.options).await?)
    }

    pub(super) fn manager(&self) -> Result<TenantManager, Failure> {
        Ok(TenantManager::builder_with(self.options.clone()).build()?)
    }

    pub(super) fn version(&self) -> String {
        self.server.version().to_string()
    }

    pub(super) async fn stop(self) {
        self.server.close().await;
    }
}

/// Each table has four columns, a primary key, a check, an index, and a foreign key to the previous table.
pub(crate) fn write_schema(sql: &mut String, tenant: usize, tables: usize) -> Result<(), Failure> {
    write!(sql, "create schema tenant_t{tenant:05}; set search_path = tenant_t{tenant:05}; ")?;
    for table in 1..=tables {
        let references = match table {
            1 => String::new(),
            _ => format!(" references things{} on delete cascade", table - 1),
        };
        write!(
            sql,
            "create table things{table} (id bigint primary key default 0, parent bigint default 0{references}, \
             name varchar(80) not null default 'none', price numeric(10,2) default 0 check (price >= 0)); \
             create index things{table}_name on things{table} (lower(name)) where name <> ''; "
        )?;
    }
    Ok(())
}
