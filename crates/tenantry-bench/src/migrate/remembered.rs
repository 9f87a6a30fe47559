//! A deploy without pending files over very many tenants, which earlier runs have remembered.

use std::time::Instant;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use tenantry::migrate::Migrations;

use super::{checked, empty::Empty, options};
use crate::{
    failure::Failure,
    times::{self, Times},
    trusted::trusted,
};

const TABLE: &str = "create table orders (id bigint primary key)";

/// Each round has a new manager without connections or cache entries.
pub(super) async fn run(empty: &Empty, tenants: usize, rounds: u32) -> Result<Vec<Times>, Failure> {
    let manager = empty.manager()?;
    let began = Instant::now();
    let report = manager.migrator().tenants(files()?).migrate_all(options()).await?;
    eprintln!("remembered: the first file in {} tenants: {:.1?}", report.total, began.elapsed());
    drop(checked(report)?);
    manager.close().await;
    times::run("remembered", &["remembered", "verify"], rounds, async |contender, _| {
        let manager = empty.manager()?;
        let migrator = manager.migrator().tenants(files()?);
        let began = Instant::now();
        let report = checked(migrator.migrate_all(options().verify(contender == 1)).await?)?;
        let took = began.elapsed();
        manager.close().await;
        match report.up_to_date == tenants {
            true => Ok(took),
            false => Err("there was nothing to do, and something was done".into()),
        }
    })
    .await
}

fn files() -> Result<Migrations, Failure> {
    let text = trusted(TABLE.to_owned());
    let file = Migration::new(1, "orders".into(), MigrationType::Simple, text, false);
    Ok(Migrations::embedded(&Migrator::with_migrations(vec![file]))?)
}
