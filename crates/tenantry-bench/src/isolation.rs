//! The benchmark of kinds of isolation: rows and databases beside schemas, and what they replace.

mod before;
mod databases;
mod policy;
mod rows;

use std::sync::Arc;

use serde::Serialize;

use crate::{
    args::{IsolationArgs, IsolationScenario},
    contender::{Contender, Tenantry},
    failure::Failure,
    load::Work,
    pool::{
        CONNECTIONS, TASKS,
        fairness::{self, FairnessOfKind, FairnessSeries},
    },
    popularity::{Popularity, Zipf},
    race::{Course, Entrant, Series, race},
    times::Times,
    world::{Tenant, World},
};

/// All figures, in the shape of the JSON file.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Time of a statement that rebinds the only connection, relative to schemas.
    pub(crate) row_rebind_vs_schema: Option<f64>,
    /// Throughput of 200 equally busy tenants, relative to schemas.
    pub(crate) row_uniform_200_vs_schema: Option<f64>,
    /// Throughput of 1,000 tenants, few of them busy, relative to schemas.
    pub(crate) row_zipf_1000_vs_schema: Option<f64>,
    /// Time of a prepared select by key under the policy, relative to an explicit condition without policies.
    pub(crate) row_policy_overhead: Option<f64>,
    /// Time of a small tenant's statement that a large one has planned, relative to one planned for the small one.
    pub(crate) skewed_kept_statement: Option<f64>,
    /// Throughput of 100 databases, few of them busy, relative to pools of one connection in an LRU.
    pub(crate) database_zipf_100_vs_pool_per_database: Option<f64>,
    /// The same with equally busy databases.
    pub(crate) database_uniform_100_vs_pool_per_database: Option<f64>,
    /// The maximum number of the manager's sessions over all databases.
    pub(crate) max_sessions: Option<i64>,
    /// Failed requests of the manager, over rows and databases.
    pub(crate) errors: u64,
    /// Quiet tenants in rows, next to one that floods the pool.
    pub(crate) row_fairness: Option<FairnessOfKind>,
    /// Quiet tenants in databases, next to one that floods the pool.
    pub(crate) database_fairness: Option<FairnessOfKind>,
    /// Throughput of one tenant in a schema, relative to an earlier build.
    pub(crate) schema_one_tenant_vs_before: Option<f64>,
    pub(crate) raw: Raw,
}

/// The measurements behind the figures.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Raw {
    pub(crate) rounds: u32,
    pub(crate) server: String,
    pub(crate) races: Vec<(&'static str, Vec<Series>)>,
    pub(crate) times: Vec<(&'static str, Vec<Times>)>,
    pub(crate) fairness: Vec<FairnessSeries>,
}

/// The skew of the busy tenants.
const EXPONENT: f64 = 1.1;

/// Number of databases.
const DATABASES: usize = 100;

/// Runs the scenarios that were asked for.
pub(crate) async fn run(args: &IsolationArgs) -> Result<Report, Failure> {
    let mut world = World::start().await?;
    let mut bench = Bench { args, world: &mut world, report: Report::default() };
    let done = bench.run().await;
    let mut report = bench.report;
    report.raw.rounds = args.rounds;
    report.raw.server = world.version();
    world.stop().await;
    done.map(|()| report)
}

struct Bench<'a> {
    args: &'a IsolationArgs,
    world: &'a mut World,
    report: Report,
}

impl Bench<'_> {
    async fn run(&mut self) -> Result<(), Failure> {
        for scenario in &self.args.only {
            match scenario {
                IsolationScenario::RowRebind => self.row_rebind().await?,
                IsolationScenario::RowUniform200 => {
                    let popularity = Popularity::Uniform(200);
                    let ratio = self.rows_race("row_uniform_200", 200, popularity).await?;
                    self.report.row_uniform_200_vs_schema = Some(ratio);
                }
                IsolationScenario::RowZipf1000 => {
                    let popularity = Popularity::Zipf(Zipf::new(1_000, EXPONENT));
                    let ratio = self.rows_race("row_zipf_1000", 1_000, popularity).await?;
                    self.report.row_zipf_1000_vs_schema = Some(ratio);
                }
                IsolationScenario::RowPolicy => {
                    let times = policy::overhead(self.world, self.args.rounds).await?;
                    self.report.row_policy_overhead =
                        Some(crate::times::ratio(&times, "policy", "condition"));
                    self.report.raw.times.push(("row_policy", times));
                }
                IsolationScenario::SkewedStatement => {
                    let times = policy::skewed(self.world, self.args.rounds).await?;
                    self.report.skewed_kept_statement =
                        Some(crate::times::ratio(&times, "kept", "fresh"));
                    self.report.raw.times.push(("skewed_statement", times));
                }
                IsolationScenario::DatabaseZipf100 => {
                    let popularity = Popularity::Zipf(Zipf::new(DATABASES, EXPONENT));
                    let ratio = self.databases_race("database_zipf_100", popularity).await?;
                    self.report.database_zipf_100_vs_pool_per_database = Some(ratio);
                }
                IsolationScenario::DatabaseUniform100 => {
                    let popularity = Popularity::Uniform(DATABASES);
                    let ratio = self.databases_race("database_uniform_100", popularity).await?;
                    self.report.database_uniform_100_vs_pool_per_database = Some(ratio);
                }
                IsolationScenario::FairnessOfKinds => self.fairness().await?,
                IsolationScenario::Before => {
                    let Some(before) = &self.args.before else { continue };
                    let ratio = before::one_tenant(before, self.args).await?;
                    self.report.schema_one_tenant_vs_before = Some(ratio);
                }
            }
        }
        Ok(())
    }

    /// One task on one connection: nearly every statement is another tenant's.
    async fn row_rebind(&mut self) -> Result<(), Failure> {
        let tenants = self.rows_tenants(200).await?;
        let popularity = Popularity::Uniform(200);
        let work = Work { tasks: 1, tenants, popularity: Arc::new(popularity) };
        let series = self.race_of_kinds("row_rebind", work, 1).await?;
        let [row, schema, ..] = &*series else { return Ok(()) };
        self.report.row_rebind_vs_schema = Some(schema.times(row));
        self.report.raw.races.push(("row_rebind", series));
        Ok(())
    }

    async fn rows_race(
        &mut self,
        scenario: &'static str,
        count: usize,
        popularity: Popularity,
    ) -> Result<f64, Failure> {
        let tenants = self.rows_tenants(count).await?;
        let work = Work { tasks: TASKS, tenants, popularity: Arc::new(popularity) };
        let series = self.race_of_kinds(scenario, work, CONNECTIONS).await?;
        let ratio = series[0].times(&series[1]);
        self.report.raw.races.push((scenario, series));
        Ok(ratio)
    }

    /// Returns tenants that have both schemas and rows.
    async fn rows_tenants(&mut self, count: usize) -> Result<Arc<[Tenant]>, Failure> {
        let tenants = self.world.tenants(count).await?;
        rows::fill(self.world, &tenants).await?;
        Ok(tenants)
    }

    /// Runs rows and schemas in turn.
    async fn race_of_kinds(
        &mut self,
        scenario: &'static str,
        work: Work,
        connections: u32,
    ) -> Result<Vec<Series>, Failure> {
        let row = rows::manager(self.world.options("row"), connections, &work.tenants)?;
        let schema = rows::beside(self.world.options("schema"), connections, &work.tenants)?;
        let entrants = [("row", row), ("schema", schema)].map(|(name, manager)| Entrant {
            name,
            contender: Arc::new(Contender::Tenantry(Tenantry::of(manager))),
            work: work.clone(),
        });
        let series = race(&self.course(scenario), &entrants).await?;
        self.report.errors += series[0].errors();
        Ok(series)
    }

    async fn databases_race(
        &mut self,
        scenario: &'static str,
        popularity: Popularity,
    ) -> Result<f64, Failure> {
        let tenants = databases::create(self.world, DATABASES).await?;
        let work = Work { tasks: TASKS, tenants, popularity: Arc::new(popularity) };
        let entrants = databases::entrants(self.world, &work, CONNECTIONS)?;
        let series = race(&self.course(scenario), &entrants).await?;
        let ratio = series[0].times(&series[1]);
        self.report.errors += series[0].errors();
        let most = series[0].max_sessions();
        self.report.max_sessions = self.report.max_sessions.max(Some(most));
        self.report.raw.races.push((scenario, series));
        Ok(ratio)
    }

    /// The quiet tenants' waits in rows and in databases.
    async fn fairness(&mut self) -> Result<(), Failure> {
        let count = fairness::TENANTS;
        self.rows_tenants(count).await?;
        let tenants = databases::create(self.world, count).await?;
        let connections = fairness::CONNECTIONS;
        let managers = [
            ("row", rows::manager(self.world.options("row"), connections, &tenants)?),
            ("databases", databases::manager(self.world, &tenants, connections)?),
        ];
        let course = self.course("fairness_of_kinds");
        let (figures, series) =
            fairness::run_of_kinds(&course, self.world, tenants, managers).await?;
        let [row, database] = figures;
        (self.report.row_fairness, self.report.database_fairness) = (Some(row), Some(database));
        for series in &series[..2] {
            self.report.errors += series.errors();
        }
        self.report.raw.fairness = series;
        Ok(())
    }

    fn course(&self, scenario: &'static str) -> Course {
        Course {
            scenario,
            server: self.world.options("bench"),
            duration: self.args.seconds,
            rounds: self.args.rounds,
        }
    }
}
