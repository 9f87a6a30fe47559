//! Creating tenants.

use std::time::Instant;

use serde::Serialize;
use sqlx::Connection;
use tenantry::provision::{CreateOptions, DropOptions, Provisioner};

use super::{
    files::Files,
    one_file::{one_tenant, sqlx_migrator},
    schemas::Schemas,
};
use crate::{
    failure::Failure,
    rounds::{Round, interleave},
    stats::ratio,
    trusted,
};

/// Milliseconds for one tenant, in each round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Creating {
    /// Tenants that were created in each round, one after the other.
    pub(crate) tenants: usize,
    /// Tenantry, with nothing prepared.
    pub(crate) tenantry: Vec<f64>,
    /// Tenantry, with a spare for each.
    pub(crate) tenantry_spare: Vec<f64>,
    /// `create schema`, and sqlx's `Migrator` with all files.
    pub(crate) sqlx: Vec<f64>,
}

impl Creating {
    pub(super) fn speedup(&self) -> f64 {
        ratio(self.sqlx.iter().copied(), self.tenantry.iter().copied())
    }
}

/// Has everybody create some tenants, in turn. They are dropped in between.
pub(super) async fn run(
    schemas: &Schemas,
    rounds: u32,
    tenants: usize,
) -> Result<Creating, Failure> {
    let files = Files::thirty()?;
    let manager = schemas.manager()?;
    let provisioner = manager.provisioner().tenants(files.migrations()?);
    let contenders = ["tenantry", "tenantry_spare", "sqlx"];
    let runs = interleave("create", &contenders, rounds, async |index, round| {
        let ids: Vec<_> = (0..tenants).map(|number| format!("new{number}")).collect();
        let ids = if round == Round::WarmUp { &ids[..1] } else { &ids };
        if index == 1 {
            provisioner.fill_spares(ids.len()).await?;
        }
        let began = Instant::now();
        match index {
            0 | 1 => by_tenantry(&provisioner, ids).await?,
            _ => by_sqlx(schemas, &files, ids).await?,
        }
        let took = began.elapsed().as_secs_f64() * 1e3;
        for id in ids {
            let dropped = provisioner.drop_tenant(id.as_str(), id, DropOptions::default()).await?;
            if dropped.objects.len() != 11 {
                return Err(format!("a tenant has {:?}", dropped.objects).into());
            }
        }
        Ok(took / ids.len() as f64)
    });
    let [tenantry, tenantry_spare, sqlx] =
        <[Vec<f64>; 3]>::try_from(runs.await?).map_err(|_| "a contender is missing")?;
    manager.close().await;
    Ok(Creating { tenants, tenantry, tenantry_spare, sqlx })
}

async fn by_tenantry(provisioner: &Provisioner, ids: &[String]) -> Result<(), Failure> {
    for id in ids {
        provisioner.create(id.as_str(), CreateOptions::default()).await?;
    }
    Ok(())
}

async fn by_sqlx(schemas: &Schemas, files: &Files, ids: &[String]) -> Result<(), Failure> {
    let migrator = sqlx_migrator(files, true).await?;
    let mut conn = schemas.connect().await?;
    for id in ids {
        trusted::run(&mut conn, format!("create schema tenant_{id}")).await?;
        one_tenant(&migrator, &mut conn, id).await?;
    }
    conn.close().await?;
    Ok(())
}
