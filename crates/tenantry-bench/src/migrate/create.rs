//! Sequential creation of tenants.

use std::time::Instant;

use sqlx::Connection;
use tenantry::provision::{CreateOptions, Provisioner};

use super::{
    files::Files,
    manager,
    schemas::{Schemas, schema_of},
    sqlx_loop::one_tenant,
};
use crate::{
    times::{self, Times},
    {failure::Failure, trusted},
};

/// The number of tables per tenant: those of the files, and the records table.
const TABLES: usize = 11;

/// Has each contender create this many tenants. They are dropped after each.
pub(super) async fn run(
    schemas: &Schemas,
    tenants: usize,
    rounds: u32,
) -> Result<Vec<Times>, Failure> {
    let tenants: Vec<_> = (0..tenants).map(|number| format!("new{number:04}")).collect();
    times::run("create", &["tenantry", "files", "tenantry_spares"], rounds, async |contender, _| {
        let manager = manager(schemas)?;
        let provisioner = manager.provisioner().tenants(Files::Old.migrations()?);
        if contender == 2 {
            provisioner.fill_spares(tenants.len()).await?;
        }
        let began = Instant::now();
        match contender {
            1 => by_files(schemas, &tenants).await?,
            _ => by_tenantry(&provisioner, &tenants).await?,
        }
        let took = began.elapsed();
        manager.close().await;
        let tables = schemas.tables(&tenants).await?;
        if tables != tenants.len() * TABLES {
            return Err(format!("{} tenants have {tables} tables", tenants.len()).into());
        }
        schemas.drop_tenants(&tenants).await?;
        Ok(took)
    })
    .await
}

async fn by_tenantry(provisioner: &Provisioner, tenants: &[String]) -> Result<(), Failure> {
    for tenant in tenants {
        provisioner.create(tenant.as_str(), CreateOptions::default()).await?;
    }
    Ok(())
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
