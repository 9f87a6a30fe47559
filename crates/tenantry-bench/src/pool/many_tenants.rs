//! Many tenants on few connections: the cost of rebinding, and what it saves.

use std::sync::Arc;

use serde::Serialize;

use super::{CONNECTIONS, TASKS};
use crate::{
    contender::{Contender, Ping, PoolPerTenant, SetEach, Tenantry},
    failure::Failure,
    load::Work,
    popularity::Popularity,
    race::{Course, Entrant, Series, race},
    world::{Tenant, World},
};

/// The throughput relative to the other contenders, and its price.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ManyTenants {
    pub(crate) vs_pool_per_tenant: f64,
    pub(crate) vs_set_each: f64,
    /// Relative to a manager that always served one tenant, in the same rounds.
    pub(crate) vs_one_tenant: f64,
    /// The maximum number of concurrent sessions of the manager.
    pub(crate) max_sessions: i64,
    /// The manager's requests that failed or were answered with another tenant's row.
    pub(crate) errors: u64,
    pub(crate) hit_ratio: f64,
}

pub(crate) async fn run(
    course: &Course,
    world: &World,
    tenants: Arc<[Tenant]>,
    popularity: Popularity,
) -> Result<(ManyTenants, Vec<Series>), Failure> {
    let series = race(course, &entrants(world, &tenants, &popularity)?).await?;
    Ok((figures(&series), series))
}

fn entrants(
    world: &World,
    tenants: &Arc<[Tenant]>,
    popularity: &Popularity,
) -> Result<[Entrant; 5], Failure> {
    let work = |popularity| Work {
        tasks: TASKS,
        tenants: Arc::clone(tenants),
        popularity: Arc::new(popularity),
    };
    let entrant = |name, contender| Entrant {
        name,
        contender: Arc::new(contender),
        work: work(popularity.clone()),
    };
    let set_each = |name, ping| {
        let pool = SetEach::new(world.options(name), CONNECTIONS, ping);
        entrant(name, Contender::SetEach(pool))
    };
    let tenantry = |name| -> Result<_, Failure> {
        let tenantry = Tenantry::new(world.options(name), CONNECTIONS)?;
        Ok(entrant(name, Contender::Tenantry(tenantry)))
    };
    let pool_per_tenant = Box::new(PoolPerTenant::new(world.options("pool_per_tenant")));
    Ok([
        tenantry("tenantry")?,
        Entrant { work: work(Popularity::One), ..tenantry("tenantry_one_tenant")? },
        entrant("pool_per_tenant", Contender::PoolPerTenant(pool_per_tenant)),
        set_each("set_each", Ping::BeforeAcquire),
        set_each("set_each_no_ping", Ping::Never),
    ])
}

fn figures(series: &[Series]) -> ManyTenants {
    let ours = &series[0];
    ManyTenants {
        vs_pool_per_tenant: ours.times(&series[2]),
        vs_set_each: ours.times(&series[3]),
        vs_one_tenant: ours.times(&series[1]),
        max_sessions: ours.max_sessions(),
        errors: ours.errors(),
        hit_ratio: ours.median_of(|run| run.hit_ratio.unwrap_or(f64::NAN)),
    }
}
