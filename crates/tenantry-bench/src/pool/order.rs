//! Many equal tenants at saturation: whether they are served in the order of their requests.

use std::sync::Arc;

use serde::Serialize;

use super::TASKS;
use crate::{
    contender::{Contender, InOrder, Ping, SetEach, Tenantry},
    failure::Failure,
    load::Work,
    popularity::Popularity,
    race::{Course, Entrant, Run, Series, race},
    stats::ratio,
    world::{Tenant, World},
};

/// Connections of each contender: fewer than there are tasks.
const CONNECTIONS: u32 = 10;

/// The connections available to tenants; one is the library's own.
const FOR_TENANTS: usize = 9;

/// How long requests take, relative to the same manager with requests admitted one by one.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Order {
    pub(crate) uniform_p50_vs_fifo: f64,
    pub(crate) uniform_p99_vs_fifo: f64,
    /// Relative to an sqlx pool with a `SET search_path`, which differs in more than the order.
    pub(crate) p50_vs_set_each: f64,
    pub(crate) p99_vs_set_each: f64,
}

pub(crate) async fn run(
    course: &Course,
    world: &World,
    tenants: Arc<[Tenant]>,
) -> Result<(Order, Vec<Series>), Failure> {
    let popularity = Arc::new(Popularity::Uniform(tenants.len()));
    let entrant = |name, contender| Entrant {
        name,
        contender: Arc::new(contender),
        work: Work {
            tasks: TASKS,
            tenants: Arc::clone(&tenants),
            popularity: Arc::clone(&popularity),
        },
    };
    let tenantry = |name| Tenantry::new(world.options(name), CONNECTIONS);
    let in_order = InOrder::new(tenantry("tenantry_in_order")?, FOR_TENANTS);
    let set_each = SetEach::new(world.options("set_each"), CONNECTIONS, Ping::BeforeAcquire);
    let entrants = [
        entrant("tenantry", Contender::Tenantry(tenantry("tenantry")?)),
        entrant("tenantry_in_order", Contender::InOrder(in_order)),
        entrant("set_each", Contender::SetEach(set_each)),
    ];
    let series = race(course, &entrants).await?;
    Ok((figures(&series), series))
}

fn figures(series: &[Series]) -> Order {
    let times = |other: &Series, figure: fn(&Run) -> f64| {
        ratio(series[0].rounds.iter().map(figure), other.rounds.iter().map(figure))
    };
    Order {
        uniform_p50_vs_fifo: times(&series[1], |run| run.p50_ms),
        uniform_p99_vs_fifo: times(&series[1], |run| run.p99_ms),
        p50_vs_set_each: times(&series[2], |run| run.p50_ms),
        p99_vs_set_each: times(&series[2], |run| run.p99_ms),
    }
}
