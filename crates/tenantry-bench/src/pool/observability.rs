//! One tenant: observability overhead.

use std::sync::Arc;

use serde::Serialize;
use tenantry::Event;

use super::{CONNECTIONS, TASKS};
use crate::{
    contender::{Contender, Tenantry},
    failure::Failure,
    load::Work,
    popularity::Popularity,
    race::{Course, Entrant, Series, race},
    world::{Tenant, World},
};

/// The share of the throughput that is left.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Observability {
    /// With scraped metrics, and a subscriber at `INFO`.
    pub(crate) vs_silent: f64,
    /// With an additional hook that receives every statement.
    pub(crate) with_hook_vs_silent: f64,
}

pub(crate) async fn run(
    course: &Course,
    world: &World,
    tenants: Arc<[Tenant]>,
) -> Result<(Observability, Vec<Series>), Failure> {
    let work = Work { tasks: TASKS, tenants, popularity: Arc::new(Popularity::One) };
    let entrant = |name, tenantry| Entrant {
        name,
        contender: Arc::new(Contender::Tenantry(tenantry)),
        work: work.clone(),
    };
    let builder = |name| Tenantry::builder(world.options(name), CONNECTIONS);
    let hook = |event: Event| drop(std::hint::black_box(event));
    let entrants = [
        entrant("silent", Tenantry::of(builder("silent")?.build()?)),
        entrant("observed", Tenantry::observed(builder("observed")?.build()?)?),
        entrant("with_hook", Tenantry::observed(builder("with_hook")?.on_event(hook).build()?)?),
    ];
    let series = race(course, &entrants).await?;
    let figures = Observability {
        vs_silent: series[1].times(&series[0]),
        with_hook_vs_silent: series[2].times(&series[0]),
    };
    Ok((figures, series))
}
