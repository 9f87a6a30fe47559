//! One tenant: the overhead of the pool if nothing has to be rebound.

use std::sync::Arc;

use serde::Serialize;

use super::{CONNECTIONS, TASKS};
use crate::{
    contender::{Contender, OnePool, Ping, Tenantry},
    failure::Failure,
    load::Work,
    popularity::Popularity,
    race::{Course, Entrant, Series, race},
    world::{Tenant, World},
};

/// The throughput relative to sqlx's pool.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct OneTenant {
    pub(crate) vs_pgpool_default: f64,
    pub(crate) vs_pgpool_no_ping: f64,
}

pub(crate) async fn run(
    course: &Course,
    world: &World,
    tenants: Arc<[Tenant]>,
) -> Result<(OneTenant, Vec<Series>), Failure> {
    let work =
        Work { tasks: TASKS, tenants: Arc::clone(&tenants), popularity: Arc::new(Popularity::One) };
    let entrant =
        |name, contender| Entrant { name, contender: Arc::new(contender), work: work.clone() };
    let pool = |name, ping| {
        let pool = OnePool::new(world.options(name), CONNECTIONS, ping, &tenants[0]);
        entrant(name, Contender::OnePool(pool))
    };
    let tenantry = Tenantry::new(world.options("tenantry"), CONNECTIONS)?;
    let entrants = [
        entrant("tenantry", Contender::Tenantry(tenantry)),
        pool("pgpool_default", Ping::BeforeAcquire),
        pool("pgpool_no_ping", Ping::Never),
    ];
    let series = race(course, &entrants).await?;
    let figures = OneTenant {
        vs_pgpool_default: series[0].times(&series[1]),
        vs_pgpool_no_ping: series[0].times(&series[2]),
    };
    Ok((figures, series))
}
