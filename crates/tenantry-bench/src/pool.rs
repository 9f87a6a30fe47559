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
        match scenario {
            Scenario::OneTenant => self.one_tenant(report).await,
            Scenario::Uniform200 => self.uniform(report).await,
            Scenario::Zipf1000 => self.zipf(report).await,
            Scenario::IdleTenantBytes => self.idle_tenant(report).await,
            Scenario::LayerOverheadUs => self.layer(report).await,
            Scenario::Fairness => self.fairness(report).await,
            Scenario::Steady => self.steady(report).await,
            Scenario::Order => self.order(report).await,
            Scenario::BackendPrivateMb => self.backend_memory(report).await,
            Scenario::Observability => self.observability(report).await,
            Scenario::MetricsText => self.metrics_text(report).await,
            Scenario::Recovery => self.recovery(report).await,
            Scenario::UnknownIdsShare => self.unknown_ids(report).await,
            Scenario::CatalogHangShare => self.catalog_hang(report).await,
        }
    }

    async fn one_tenant(&mut self, report: &mut Report) -> Result<(), Failure> {
        let tenants = self.world.tenants(1).await?;
        let (figures, raw) =
            one_tenant::run(&self.course("one_tenant"), &self.world, tenants).await?;
        report.one_tenant = Some(figures);
        report.raw.one_tenant = raw;
        Ok(())
    }

    async fn uniform(&mut self, report: &mut Report) -> Result<(), Failure> {
        let tenants = self.world.tenants(self.args.sizes.uniform_tenants).await?;
        let popularity = Popularity::Uniform(tenants.len());
        let course = self.course("uniform_200");
        let (figures, raw) = many_tenants::run(&course, &self.world, tenants, popularity).await?;
        report.uniform_200 = Some(figures);
        report.raw.uniform_200 = raw;
        Ok(())
    }

    async fn zipf(&mut self, report: &mut Report) -> Result<(), Failure> {
        let tenants = self.world.tenants(self.args.sizes.zipf_tenants).await?;
        let popularity = Popularity::Zipf(Zipf::new(tenants.len(), EXPONENT));
        let course = self.course("zipf_1000");
        let (figures, raw) = many_tenants::run(&course, &self.world, tenants, popularity).await?;
        report.zipf_1000 = Some(figures);
        report.raw.zipf_1000 = raw;
        Ok(())
    }

    async fn idle_tenant(&self, report: &mut Report) -> Result<(), Failure> {
        let raw = idle_tenant::run(self.args.sizes.idle_tenants, self.args.rounds).await?;
        report.idle_tenant_bytes = raw.bytes();
        report.raw.idle_tenant = Some(raw);
        Ok(())
    }

    async fn layer(&self, report: &mut Report) -> Result<(), Failure> {
        let raw = layer::run(self.args.sizes.layer_requests, self.args.rounds).await?;
        report.layer_overhead_us = Some(raw.overhead_us());
        report.raw.layer = Some(raw);
        Ok(())
    }

    async fn fairness(&mut self, report: &mut Report) -> Result<(), Failure> {
        let tenants = self.world.tenants(fairness::TENANTS).await?;
        let (figures, raw) = fairness::run(&self.course("fairness"), &self.world, tenants).await?;
        report.fairness = Some(figures);
        report.raw.fairness = raw;
        Ok(())
    }

    async fn steady(&mut self, report: &mut Report) -> Result<(), Failure> {
        let tenants = self.world.tenants(fairness::TENANTS_WITH_A_CROWD).await?;
        let course = self.course("steady");
        let (figures, raw) = fairness::run_with_a_crowd(&course, &self.world, tenants).await?;
        report.steady = Some(figures);
        report.raw.steady = raw;
        Ok(())
    }

    async fn order(&mut self, report: &mut Report) -> Result<(), Failure> {
        let tenants = self.world.tenants(self.args.sizes.uniform_tenants).await?;
        let (figures, raw) = order::run(&self.course("order"), &self.world, tenants).await?;
        report.order = Some(figures);
        report.raw.order = raw;
        Ok(())
    }

    async fn backend_memory(&self, report: &mut Report) -> Result<(), Failure> {
        let raw = backend_memory::run(&self.world, self.args.sizes).await?;
        report.backend_private_mb = Some(raw.figures());
        report.raw.backend_memory = Some(raw);
        Ok(())
    }

    async fn observability(&mut self, report: &mut Report) -> Result<(), Failure> {
        let tenants = self.world.tenants(1).await?;
        let course = self.course("observability");
        let (figures, raw) = observability::run(&course, &self.world, tenants).await?;
        report.observability = Some(figures);
        report.raw.observability = raw;
        Ok(())
    }

    async fn metrics_text(&self, report: &mut Report) -> Result<(), Failure> {
        let server = self.world.options("metrics_text");
        let tenants = self.args.sizes.metrics_tenants;
        report.metrics_text = Some(metrics_text::run(server, tenants, self.args.rounds).await?);
        Ok(())
    }

    async fn recovery(&self, report: &mut Report) -> Result<(), Failure> {
        report.recovery = Some(recovery::run(self.args.rounds).await?);
        Ok(())
    }

    async fn unknown_ids(&mut self, report: &mut Report) -> Result<(), Failure> {
        let tenants = self.world.tenants(unknown_ids::TENANTS).await?;
        let course = self.course("unknown_ids_share");
        let (share, raw) = unknown_ids::run(&course, &self.world, tenants).await?;
        report.unknown_ids_share = Some(share);
        report.raw.unknown_ids_share = raw;
        Ok(())
    }

    async fn catalog_hang(&mut self, report: &mut Report) -> Result<(), Failure> {
        let tenants = self.world.tenants(catalog_hang::TENANTS).await?;
        let (course, hang) = (self.course("catalog_hang_share"), self.args.sizes.hang);
        let (share, raw) = catalog_hang::run(&course, hang, &self.world, tenants).await?;
        report.catalog_hang_share = Some(share);
        report.raw.catalog_hang_share = raw;
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
