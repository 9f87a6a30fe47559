//! The web benchmark: the same handler on a plain pool and on Tenantry, with `wrk` as the HTTP client.

mod actix_app;
mod axum_app;
mod query;
mod serve;
mod server;
mod wrk;

use serde::Serialize;

pub(crate) use self::serve::serve;
use self::{server::Server, wrk::Wrk};
use crate::{
    args::{Framework, HttpArgs, Variant},
    failure::Failure,
    rounds::{Round, interleave},
    sessions::SessionSampler,
    stats::{median, ratio},
    world::World,
};

/// Connections to the database, for each contender.
pub(crate) const CONNECTIONS: u32 = 20;

/// The number of tenants in the scenarios with many.
const TENANTS: usize = 200;

/// All figures, in the shape of the JSON file.
#[derive(Debug, Default, Serialize)]
pub(crate) struct HttpReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) axum: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actix: Option<Figures>,
}

/// The figures of one framework.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    /// Requests per second with one tenant, relative to a `PgPool` with default settings.
    pub(crate) vs_bare_pgpool: f64,
    /// The same, relative to a `PgPool` without a ping on every acquire.
    pub(crate) vs_bare_pgpool_no_ping: f64,
    pub(crate) rps_bare_pgpool: f64,
    pub(crate) rps_one_tenant: f64,
    pub(crate) p99_ms_bare_pgpool: f64,
    pub(crate) p99_ms_one_tenant: f64,
    pub(crate) rps_200_tenants: f64,
    pub(crate) p99_ms_200_tenants: f64,
    /// The maximum number of concurrent sessions on the database, in the scenario with 200 tenants.
    pub(crate) max_sessions: i64,
    /// Responses other than 200 and requests without a response, over all of Tenantry's runs.
    pub(crate) errors: u64,
}

/// One contender, one round.
#[derive(Debug, Clone)]
struct Run {
    per_second: f64,
    p99_ms: f64,
    errors: u64,
    max_sessions: i64,
}

/// The comparison: the server, and the number of tenants that are requested.
const CONTENDERS: [(&str, Variant, usize); 4] = [
    ("bare", Variant::Bare, 1),
    ("bare_no_ping", Variant::BareNoPing, 1),
    ("one_tenant", Variant::Tenantry, 1),
    ("tenants_200", Variant::Tenantry, TENANTS),
];

/// Runs the benchmark of each framework that was asked for.
pub(crate) async fn run(args: &HttpArgs, world: &mut World) -> Result<HttpReport, Failure> {
    let wrk = Wrk::find().await?;
    world.tenants(TENANTS).await?;
    let mut report = HttpReport::default();
    for framework in &args.only {
        let figures = one_framework(args, world, &wrk, *framework).await?;
        match framework {
            Framework::Axum => report.axum = Some(figures),
            Framework::Actix => report.actix = Some(figures),
        }
    }
    Ok(report)
}

async fn one_framework(
    args: &HttpArgs,
    world: &World,
    wrk: &Wrk,
    framework: Framework,
) -> Result<Figures, Failure> {
    let mut servers = Vec::new();
    for (name, variant, _) in CONTENDERS {
        servers.push(Server::start(framework, variant, name, &world.url()).await?);
    }
    let names = CONTENDERS.map(|(name, _, _)| name);
    let runs = interleave(framework.name(), &names, args.rounds, async |index, round| {
        let (name, _, tenants) = CONTENDERS[index];
        let sessions = SessionSampler::start(&world.options("sampler"), name).await?;
        let seconds = if round == Round::WarmUp { args.seconds.min(1) } else { args.seconds };
        let answer = wrk.run(servers[index].port(), tenants, seconds).await?;
        let max_sessions = sessions.stop().await?;
        let (per_second, p99_ms) = (answer.per_second(), answer.p99_ms());
        Ok(Run { per_second, p99_ms, errors: answer.errors(), max_sessions })
    });
    let runs = runs.await?;
    for server in servers {
        server.stop().await?;
    }
    Ok(figures(&runs))
}

/// Compares the runs, which are in the order of [`CONTENDERS`].
fn figures(runs: &[Vec<Run>]) -> Figures {
    let rates = |index: usize| runs[index].iter().map(|run: &Run| run.per_second);
    let p99 = |index: usize| median(runs[index].iter().map(|run| run.p99_ms));
    let [bare, no_ping, one, many] = [0, 1, 2, 3];
    Figures {
        vs_bare_pgpool: ratio(rates(one), rates(bare)),
        vs_bare_pgpool_no_ping: ratio(rates(one), rates(no_ping)),
        rps_bare_pgpool: median(rates(bare)),
        rps_one_tenant: median(rates(one)),
        p99_ms_bare_pgpool: p99(bare),
        p99_ms_one_tenant: p99(one),
        rps_200_tenants: median(rates(many)),
        p99_ms_200_tenants: p99(many),
        max_sessions: runs[many].iter().map(|run| run.max_sessions).max().unwrap_or_default(),
        errors: runs[one].iter().chain(&runs[many]).map(|run| run.errors).sum(),
    }
}
