//! The pool benchmark, with one file per scenario.

pub(crate) mod backend_memory;
pub(crate) mod catalog_hang;
pub(crate) mod fairness;
pub(crate) mod idle_tenant;
pub(crate) mod layer;
pub(crate) mod many_tenants;
pub(crate) mod metrics_text;
pub(crate) mod observability;
pub(crate) mod one_tenant;
pub(crate) mod order;
pub(crate) mod recovery;
mod report;
pub(crate) mod unknown_ids;

use report::Raw;
pub(crate) use report::Report;

use crate::{
    args::{PoolArgs, Scenario},
    failure::Failure,
    popularity::{Popularity, Zipf},
    race::Course,
    world::World,
};

/// Tasks that send requests in the closed-loop scenarios.
pub(crate) const TASKS: u64 = 32;

/// The budget in these scenarios: the connections of each contender except the pool per tenant, which has many more.
pub(crate) const CONNECTIONS: u32 = 20;

/// The skew of the tenants of `zipf_1000`.
const EXPONENT: f64 = 1.1;

/// The benchmark with the server that it runs on.
pub(crate) struct Bench<'a> {
    args: &'a PoolArgs,
    world: World,
}

impl<'a> Bench<'a> {
    pub(crate) async fn start(args: &'a PoolArgs) -> Result<Self, Failure> {
        let world = World::start().await?;
        Ok(Self { args, world })
    }

    pub(crate) async fn stop(self) {
        self.world.stop().await;
    }

    /// Runs the scenarios that were asked for, in the order of the report.
    pub(crate) async fn run(&mut self) -> Result<Report, Failure> {
        let raw = Raw {
            seconds: self.args.seconds.as_secs_f64(),
            rounds: self.args.rounds,
            server: self.world.version(),
            ..Raw::default()
        };
        let mut report = Report { raw, ..Report::default() };
        for scenario in Scenario::all() {
            if self.args.only.contains(scenario) {
                self.run_one(*scenario, &mut report).await?;
            }
        }
        Ok(report)
    }

    async fn run_one(&mut self, scenario: Scenario, report: &mut Report) -> Result<(), Failure> {
        let sizes = self.args.sizes;
        match scenario {
            Scenario::OneTenant => {
                let tenants = self.world.tenants(1).await?;
                let (figures, raw) =
                    one_tenant::run(&self.course("one_tenant"), &self.world, tenants).await?;
                report.one_tenant = Some(figures);
                report.raw.one_tenant = raw;
            }
            Scenario::Uniform200 => {
                let tenants = self.world.tenants(sizes.uniform_tenants).await?;
                let popularity = Popularity::Uniform(tenants.len());
                let course = self.course("uniform_200");
                let (figures, raw) =
                    many_tenants::run(&course, &self.world, tenants, popularity).await?;
                report.uniform_200 = Some(figures);
                report.raw.uniform_200 = raw;
            }
            Scenario::Zipf1000 => {
                let tenants = self.world.tenants(sizes.zipf_tenants).await?;
                let popularity = Popularity::Zipf(Zipf::new(tenants.len(), EXPONENT));
                let course = self.course("zipf_1000");
                let (figures, raw) =
                    many_tenants::run(&course, &self.world, tenants, popularity).await?;
                report.zipf_1000 = Some(figures);
                report.raw.zipf_1000 = raw;
            }
            Scenario::IdleTenantBytes => {
                let raw = idle_tenant::run(sizes.idle_tenants, self.args.rounds).await?;
                report.idle_tenant_bytes = raw.bytes();
                report.raw.idle_tenant = Some(raw);
            }
            Scenario::LayerOverheadUs => {
                let raw = layer::run(sizes.layer_requests, self.args.rounds).await?;
                report.layer_overhead_us = Some(raw.overhead_us());
                report.raw.layer = Some(raw);
            }
            Scenario::Fairness => {
                let tenants = self.world.tenants(fairness::TENANTS).await?;
                let course = self.course("fairness");
                let (figures, raw) = fairness::run(&course, &self.world, tenants).await?;
                report.fairness = Some(figures);
                report.raw.fairness = raw;
            }
            Scenario::Steady => {
                let tenants = self.world.tenants(fairness::TENANTS_WITH_A_CROWD).await?;
                let course = self.course("steady");
                let (figures, raw) =
                    fairness::run_with_a_crowd(&course, &self.world, tenants).await?;
                report.steady = Some(figures);
                report.raw.steady = raw;
            }
            Scenario::Order => {
                let tenants = self.world.tenants(sizes.uniform_tenants).await?;
                let course = self.course("order");
                let (figures, raw) = order::run(&course, &self.world, tenants).await?;
                report.order = Some(figures);
                report.raw.order = raw;
            }
            Scenario::BackendPrivateMb => {
                let raw = backend_memory::run(&self.world, sizes).await?;
                report.backend_private_mb = Some(raw.figures());
                report.raw.backend_memory = Some(raw);
            }
            Scenario::Observability => {
                let tenants = self.world.tenants(1).await?;
                let course = self.course("observability");
                let (figures, raw) = observability::run(&course, &self.world, tenants).await?;
                report.observability = Some(figures);
                report.raw.observability = raw;
            }
            Scenario::MetricsText => {
                let server = self.world.options("metrics_text");
                let rounds = self.args.rounds;
                let figures = metrics_text::run(server, sizes.metrics_tenants, rounds).await?;
                report.metrics_text = Some(figures);
            }
            Scenario::Recovery => {
                report.recovery = Some(recovery::run(self.args.rounds).await?);
            }
            Scenario::UnknownIdsShare => {
                let tenants = self.world.tenants(unknown_ids::TENANTS).await?;
                let course = self.course("unknown_ids_share");
                let (share, raw) = unknown_ids::run(&course, &self.world, tenants).await?;
                report.unknown_ids_share = Some(share);
                report.raw.unknown_ids_share = raw;
            }
            Scenario::CatalogHangShare => {
                let tenants = self.world.tenants(catalog_hang::TENANTS).await?;
                let (course, hang) = (self.course("catalog_hang_share"), sizes.hang);
                let (share, raw) = catalog_hang::run(&course, hang, &self.world, tenants).await?;
                report.catalog_hang_share = Some(share);
                report.raw.catalog_hang_share = raw;
            }
        }
        Ok(())
    }

    fn course(&self, scenario: &'static str) -> Course {
        Course {
            scenario,
            server: self.world.options("sampler"),
            duration: self.args.seconds,
            rounds: self.args.rounds,
        }
    }
}
