//! Creating tenants, one after the other.

use std::time::Instant;

use sqlx::{Connection, raw_sql};
use tenantry::{
    TenantManager,
    migrate::{TenantMigrator, TransactionPer},
};

use super::{
    checked,
    files::Files,
    manager, options,
    race::{self, Times},
    schemas::{Schemas, schema_of},
    sqlx_loop::one_tenant,
};
use crate::{
    failure::Failure,
    trusted::{self, trusted},
};

/// Tables of each tenant: those of the files, and the one that records them.
const TABLES: usize = 11;

/// Has everybody create so many tenants. They are dropped after each.
pub(super) async fn run(
    schemas: &Schemas,
    tenants: usize,
    rounds: u32,
) -> Result<Vec<Times>, Failure> {
    let tenants: Vec<_> = (0..tenants).map(|number| format!("new{number:04}")).collect();
    race::run("create", &["tenantry", "files"], rounds, async |contender, _| {
        let began = Instant::now();
        match contender {
            0 => by_tenantry(schemas, &tenants).await?,
            _ => by_files(schemas, &tenants).await?,
        }
        let took = began.elapsed();
        let tables = schemas.tables(&tenants).await?;
        if tables != tenants.len() * TABLES {
            return Err(format!("{} tenants have {tables} tables", tenants.len()).into());
        }
        schemas.drop_tenants(&tenants).await?;
        Ok(took)
    })
    .await
}

async fn by_tenantry(schemas: &Schemas, tenants: &[String]) -> Result<(), Failure> {
    let manager = manager(schemas)?;
    let migrator = manager.migrator().tenants(Files::Old.migrations()?);
    for tenant in tenants {
        create(&manager, &migrator, tenant).await?;
    }
    manager.close().await;
    Ok(())
}

/// To be filled with `migrator.provisioner().create(tenant, CreateOptions::default())`. Until then it is
/// the nearest that there is: the schema, and all files in one transaction.
async fn create(
    manager: &TenantManager,
    migrator: &TenantMigrator,
    tenant: &str,
) -> Result<(), Failure> {
    let sql = trusted(format!("create schema {}", schema_of(tenant)));
    raw_sql(sql).execute(manager.shared()).await?;
    let options = options().transaction(TransactionPer::Tenant);
    checked(migrator.migrate([tenant], options).await?).map(drop)
}

/// Runs all files by sqlx's `Migrator`.
async fn by_files(schemas: &Schemas, tenants: &[String]) -> Result<(), Failure> {
    let migrator = Files::Old.migrator();
    let mut conn = schemas.connect().await?;
    for tenant in tenants {
        trusted::run(&mut conn, format!("create schema {}", schema_of(tenant))).await?;
        one_tenant(&mut conn, tenant, &migrator).await?;
    }
    conn.close().await?;
    Ok(())
}
