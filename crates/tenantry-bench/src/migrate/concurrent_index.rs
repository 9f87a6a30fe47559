//! An index that is built concurrently in every tenant, while another session holds a snapshot.

use std::time::Duration;

use sqlx::{
    Connection,
    migrate::{Migration, MigrationType, Migrator},
};
use tenantry::migrate::{Migrations, Schemas};
use tokio::time::sleep;

use super::{empty::Empty, options};
use crate::{
    failure::Failure,
    trusted::{self, trusted},
};

/// Nothing is shared.
pub(super) const SHARED: &str = "select 1";

const TABLE: &str = "create table orders (id bigint primary key, state text not null); \
                     insert into orders select n, 'open' from generate_series(1, 100) n;";
const INDEX: &str =
    "-- no-transaction\ncreate index concurrently if not exists orders_state on orders (state);";

/// Returns the number of tenants in which the file is recorded and its index is valid afterwards.
pub(super) async fn run(empty: &Empty, snapshot: Duration) -> Result<usize, Failure> {
    let manager = empty.manager()?;
    let report = manager.migrator().tenants(files(1)?).migrate_all(options()).await?;
    drop(super::checked(report)?);

    let mut holder = empty.connect().await?;
    trusted::run(&mut holder, "begin isolation level repeatable read; select 1".to_owned()).await?;
    let hold = async {
        sleep(snapshot).await;
        trusted::run(&mut holder, "commit".to_owned()).await
    };
    let migrator = manager.migrator().tenants(files(2)?);
    let (report, held) = tokio::join!(migrator.migrate_all(options()), hold);
    held?;
    let report = report?;
    if !report.is_success() {
        eprintln!("concurrent_index: {report}");
    }
    let plan = migrator.plan(Schemas::AllTenants, &options()).await?;
    let invalid: i64 = sqlx::query_scalar("select count(*) from pg_index where not indisvalid")
        .fetch_one(&mut holder)
        .await?;
    holder.close().await?;
    manager.close().await;
    Ok(plan.up_to_date.min(plan.total - usize::try_from(invalid)?))
}

fn files(number: usize) -> Result<Migrations, Failure> {
    let all = [(1, "orders", TABLE, false), (2, "orders by state", INDEX, true)];
    let file = |(version, description, text, no_transaction): (i64, &'static str, &str, bool)| {
        let text = trusted(text.to_owned());
        Migration::new(version, description.into(), MigrationType::Simple, text, no_transaction)
    };
    let files = all.into_iter().take(number).map(file).collect::<Vec<_>>();
    Ok(Migrations::embedded(&Migrator::with_migrations(files))?)
}
