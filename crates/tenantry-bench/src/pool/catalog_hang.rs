//! Known tenants while the catalog hangs.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection, PgConnection};
use tenantry::{CatalogOptions, TableCatalog};
use tokio::time::timeout;

use super::{
    CONNECTIONS, TASKS,
    unknown_ids::{run_of, series},
};
use crate::{
    contender::{Contender, Tenantry},
    failure::Failure,
    load::{self, Work},
    popularity::Popularity,
    race::{Course, Series},
    trusted,
    world::{Tenant, World},
};

/// Known tenants.
pub(crate) const TENANTS: usize = 20;

/// How long a tenant is cached: all entries must be renewed many times while the catalog hangs.
const TTL: Duration = Duration::from_secs(2);

/// Returns the throughput while the table of tenants cannot be read, relative to the throughput before.
pub(crate) async fn run(
    course: &Course,
    hang: Duration,
    world: &World,
    tenants: Arc<[Tenant]>,
) -> Result<(f64, Vec<Series>), Failure> {
    let mut options = CatalogOptions::default();
    options.ttl = TTL;
    let manager = Tenantry::builder(world.options("catalog_hang"), CONNECTIONS)?
        .catalog(TableCatalog::new())
        .catalog_options(options)
        .build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    let mut admin = PgConnection::connect_with(&world.options("setup")).await?;
    for tenant in &*tenants {
        let insert = format!("insert into tenants (id) values ('{}')", tenant.id());
        trusted::run(&mut admin, format!("{insert} on conflict do nothing")).await?;
    }
    let popularity = Arc::new(Popularity::Uniform(tenants.len()));
    let work = Work { tasks: TASKS, tenants, popularity };
    let contender = Arc::new(Contender::Tenantry(Tenantry::of(manager.clone())));
    load::closed_loop(&contender, &work, course.duration, 0).await?;
    let (mut before, mut during) = (Vec::new(), Vec::new());
    for round in 0..course.rounds {
        eprintln!("{}: round {} of {}", course.scenario, round + 1, course.rounds);
        let seed = u64::from(round) + 1;
        before.push(run_of(&load::closed_loop(&contender, &work, course.duration, seed).await?));
        let mut locked = admin.begin().await?;
        trusted::run(&mut locked, "lock table tenants in access exclusive mode".to_owned()).await?;
        during.push(run_of(&load::closed_loop(&contender, &work, hang, seed).await?));
        locked.rollback().await?;
        // An unknown tenant always causes a catalog lookup: it shows that the catalog responds again.
        let id = format!("nobody-{round}");
        timeout(Duration::from_secs(10), manager.tenant(id.as_str())).await?.err();
    }
    manager.close().await;
    trusted::run(&mut admin, "drop table tenants".to_owned()).await?;
    admin.close().await?;
    let all = [series("before", before), series("during", during)];
    Ok((all[1].times(&all[0]), all.into()))
}
