use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};

/// Side-by-side benchmarks of Tenantry.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compares the pool with sqlx's own, used in the ways people use it for many tenants.
    Pool(PoolArgs),
    /// Compares web services on Tenantry with the same ones on a bare pool. Needs `wrk`.
    Http(HttpArgs),
    /// Compares migrations of many tenants with sqlx's own `Migrator`.
    Migrate(MigrateArgs),
    /// Compares the schemas of many tenants, beside PostgreSQL's own functions over the same.
    Schema(SchemaArgs),
    /// Compares clones and templates of tenants with `pg_dump`, plain copies of rows and migration files.
    Clone(CloneArgs),
    /// Compares rows and databases with schemas, and with what they replace.
    Isolation(IsolationArgs),
    /// Measures processes that share a budget, and a tenant that moves between two servers.
    Scale(ScaleArgs),
    /// Starts tests with the test kit, beside creating a database and connecting to one.
    TestKit(TestKitArgs),
    /// Migrates all tenants, for the benchmark of migrations, in a process of its own.
    #[command(hide = true)]
    MigrateRunner { url: String },
    /// Serves, for the web benchmark, in a process of its own.
    #[command(hide = true)]
    Serve(ServeArgs),
    /// Prints the bytes that each of so many known tenants takes.
    ///
    /// The pool benchmark runs it in a process of its own, whose heap holds nothing else.
    #[command(hide = true)]
    IdleTenants { tenants: usize },
    /// Measures, for the benchmark of scale-out, in a process whose memory holds nothing else.
    #[command(hide = true)]
    ManyServers { tenants: usize, urls: Vec<String> },
}

/// What to run, and for how long.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PoolArgs {
    /// Writes all figures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// How long each contender runs in each round.
    #[arg(long, value_name = "N", default_value = "3", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// Rounds, in each of which every contender runs once; 3 or more.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(3..=1000))]
    pub(crate) rounds: u32,
    /// Runs these scenarios only.
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        value_delimiter = ',',
        default_values_t = Scenario::all().to_vec(),
        hide_default_value = true
    )]
    pub(crate) only: Vec<Scenario>,
    #[command(flatten)]
    pub(crate) sizes: Sizes,
}

/// Which web frameworks to run, and for how long.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct HttpArgs {
    /// Writes all figures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// How long each contender runs in each round.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// Rounds, in each of which every contender runs once; 3 or more.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(3..=1000))]
    pub(crate) rounds: u32,
    /// Runs these frameworks only.
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        value_delimiter = ',',
        default_values_t = Framework::value_variants().to_vec(),
        hide_default_value = true
    )]
    pub(crate) only: Vec<Framework>,
}

/// What to migrate, and how often.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct MigrateArgs {
    /// Writes all figures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Rounds, in each of which every contender runs once; 3 or more.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(3..=1000))]
    pub(crate) rounds: u32,
    /// Runs these scenarios only.
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        value_delimiter = ',',
        default_values_t = MigrateScenario::value_variants().to_vec(),
        hide_default_value = true
    )]
    pub(crate) only: Vec<MigrateScenario>,
    #[command(flatten)]
    pub(crate) sizes: MigrateSizes,
}

/// How many schemas to compare, and how often.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SchemaArgs {
    /// Writes all figures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Rounds, in each of which every contender runs once; 3 or more.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(3..=1000))]
    pub(crate) rounds: u32,
    /// Tenants; the figures are only comparable at the default.
    #[arg(long, hide = true, value_name = "N", default_value_t = 1_000)]
    pub(crate) tenants: usize,
}

/// What to clone, and how often.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CloneArgs {
    /// Writes all figures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Rounds, in each of which every contender runs once; 3 or more.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(3..=1000))]
    pub(crate) rounds: u32,
    /// Runs these scenarios only.
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        value_delimiter = ',',
        default_values_t = CloneScenario::value_variants().to_vec(),
        hide_default_value = true
    )]
    pub(crate) only: Vec<CloneScenario>,
    #[command(flatten)]
    pub(crate) sizes: CloneSizes,
}

/// Which kinds of isolation to compare, and for how long.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct IsolationArgs {
    /// Writes all figures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// How long each contender runs in each round.
    #[arg(long, value_name = "N", default_value = "2", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// Rounds, in each of which every contender runs once; 3 or more.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(3..=1000))]
    pub(crate) rounds: u32,
    /// Runs these scenarios only.
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        value_delimiter = ',',
        default_values_t = IsolationScenario::value_variants().to_vec(),
        hide_default_value = true
    )]
    pub(crate) only: Vec<IsolationScenario>,
    /// An earlier build of this program, for `schema_one_tenant_vs_before`.
    #[arg(long, value_name = "FILE")]
    pub(crate) before: Option<PathBuf>,
}

/// What to measure, and how much of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ScaleArgs {
    /// Writes all figures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// How long the processes that share a budget are watched.
    #[arg(long, value_name = "N", default_value = "20", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// How long the processes share a budget before they are watched. In its first 15 seconds, each beat also counts
    /// sessions of unknown processes.
    #[arg(long, hide = true, value_name = "N", default_value = "16", value_parser = seconds)]
    pub(crate) settle: Duration,
    /// Processes; the figures are only comparable at the default.
    #[arg(long, hide = true, value_name = "N", default_value_t = 20)]
    pub(crate) members: usize,
    /// Runs these scenarios only.
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        value_delimiter = ',',
        default_values_t = ScaleScenario::value_variants().to_vec(),
        hide_default_value = true
    )]
    pub(crate) only: Vec<ScaleScenario>,
    #[command(flatten)]
    pub(crate) sizes: MoveSizes,
    #[command(flatten)]
    pub(crate) pooler: PoolerSizes,
    #[command(flatten)]
    pub(crate) replicas: ReplicaSizes,
    #[command(flatten)]
    pub(crate) servers: ServersSizes,
}

/// How much moves. Smaller numbers are for testing the harness: the figures are only comparable at the defaults.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Sizes")]
pub(crate) struct MoveSizes {
    /// How often it moves.
    #[arg(long, hide = true, value_name = "N", default_value_t = 10)]
    pub(crate) moves: usize,
    /// Rows of each table of the tenant.
    #[arg(long, hide = true, value_name = "N", default_value_t = 50_000)]
    pub(crate) moved_rows: usize,
    /// How often a tenant leaves, or gets into, the tables of all tenants, with a fifth of these rows.
    #[arg(long, hide = true, value_name = "N", default_value_t = 8)]
    pub(crate) row_moves: usize,
}

/// How much goes through a pooler. Smaller numbers are for testing the harness: the figures are only comparable at the
/// defaults.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Sizes")]
pub(crate) struct PoolerSizes {
    /// Statements under load.
    #[arg(long, hide = true, value_name = "N", default_value_t = 100_000)]
    pub(crate) pooler_statements: usize,
    /// Time of a round of single statements.
    #[arg(long, hide = true, value_name = "MS", default_value_t = 2_000)]
    pub(crate) pooler_round_ms: u64,
}

/// How much is read on a replica. Smaller numbers are for testing the harness: the figures are only comparable at the
/// defaults.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Sizes")]
pub(crate) struct ReplicaSizes {
    /// Own writes that are read back.
    #[arg(long, hide = true, value_name = "N", default_value_t = 10_000)]
    pub(crate) replica_writes: usize,
}

/// How much one process knows. Smaller numbers are for testing the harness: the figures are only comparable at the
/// defaults.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Sizes")]
pub(crate) struct ServersSizes {
    /// Databases that stand for servers.
    #[arg(long, hide = true, value_name = "N", default_value_t = 100)]
    pub(crate) servers: usize,
    /// Tenants in the catalog.
    #[arg(long, hide = true, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) tenants: usize,
}

/// A part of the benchmark of scale-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum ScaleScenario {
    /// Processes that share a budget.
    SharedBudget,
    /// A tenant that moves between two servers.
    Moves,
    /// A tenant that leaves the tables of all tenants, and gets into them again.
    Rows,
    /// Statements through PgBouncer in transaction mode.
    Pooler,
    /// Own writes that are read back from a streaming standby.
    Replicas,
    /// A million tenants on a hundred servers.
    Servers,
}

/// A part of the benchmark of kinds of isolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum IsolationScenario {
    /// One connection that nearly every statement rebinds.
    RowRebind,
    /// 200 tenants, all equally busy.
    #[value(name = "row_uniform_200")]
    RowUniform200,
    /// 1,000 tenants, few of them busy.
    #[value(name = "row_zipf_1000")]
    RowZipf1000,
    /// A select by key under the policy.
    RowPolicy,
    /// A statement of a small tenant that a large one has planned.
    SkewedStatement,
    /// 100 databases, few of them busy.
    #[value(name = "database_zipf_100")]
    DatabaseZipf100,
    /// 100 databases, all equally busy.
    #[value(name = "database_uniform_100")]
    DatabaseUniform100,
    /// Quiet tenants next to one that floods the pool, in rows and in databases.
    FairnessOfKinds,
    /// One tenant in a schema, beside an earlier build.
    Before,
}

/// How often to start a test.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TestKitArgs {
    /// Writes all figures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Rounds, in each of which every kind of test is started once; 3 or more.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(3..=1000))]
    pub(crate) rounds: u32,
}

/// How much there is to clone. Smaller numbers are for testing the harness: the figures are only
/// comparable at the defaults.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Sizes")]
pub(crate) struct CloneSizes {
    /// Other schemas in the database of `structure`.
    #[arg(long, hide = true, value_name = "N", default_value_t = 1_000)]
    pub(crate) neighbors: usize,
    /// Tables of the tenant that is cloned.
    #[arg(long, hide = true, value_name = "N", default_value_t = 50)]
    pub(crate) tables: usize,
    /// Rows of each of the five large tables in `rows`.
    #[arg(long, hide = true, value_name = "N", default_value_t = 100_000)]
    pub(crate) large_rows: usize,
    /// Rows of the table in `anonymized`.
    #[arg(long, hide = true, value_name = "N", default_value_t = 200_000)]
    pub(crate) masked_rows: usize,
    /// Tenants that `template` creates in each round.
    #[arg(long, hide = true, value_name = "N", default_value_t = 50)]
    pub(crate) created_tenants: usize,
}

/// A part of the benchmark of clones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum CloneScenario {
    /// The structure alone.
    Structure,
    /// The structure and all rows.
    Rows,
    /// Rows that are masked.
    Anonymized,
    /// New tenants from a template.
    Template,
}

/// How many tenants there are. Smaller numbers are for trying the harness itself.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Sizes")]
pub(crate) struct MigrateSizes {
    /// Tenants of all scenarios but `one_file_fsync`.
    #[arg(long, hide = true, value_name = "N", default_value_t = 2_000)]
    pub(crate) tenants: usize,
    /// Tenants that `create` creates in each round.
    #[arg(long, hide = true, value_name = "N", default_value_t = 50)]
    pub(crate) created_tenants: usize,
    /// Tenants of `shared_touch`, each of which runs five files.
    #[arg(long, hide = true, value_name = "N", default_value_t = 96)]
    pub(crate) touching_tenants: usize,
    /// Tenants of `concurrent_index`.
    #[arg(long, hide = true, value_name = "N", default_value_t = 200)]
    pub(crate) indexed_tenants: usize,
    /// Tenants of `remembered`.
    #[arg(long, hide = true, value_name = "N", default_value_t = 50_000)]
    pub(crate) remembered_tenants: usize,
    /// Seconds for which somebody holds a snapshot in `concurrent_index`.
    #[arg(long, hide = true, value_name = "N", default_value_t = 10)]
    pub(crate) snapshot_seconds: u64,
    /// Tenants of `one_file_fsync`.
    #[arg(long, hide = true, value_name = "N", default_value_t = 300)]
    pub(crate) fsync_tenants: usize,
    /// Runs `one_file_fsync` also where it has nothing to wait for.
    #[arg(long, hide = true)]
    pub(crate) fsync_in_memory: bool,
}

/// A part of the benchmark of migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum MigrateScenario {
    /// Nothing to do.
    Noop,
    /// One new file.
    OneFile,
    /// New tenants.
    Create,
    /// Two runs at once.
    TwoRunners,
    /// What tenants that are migrated side by side do to something that all of them share.
    SharedTouch,
    /// An index that is built concurrently while somebody holds a snapshot.
    ConcurrentIndex,
    /// Nothing to do in very many tenants, which earlier runs have remembered.
    Remembered,
    /// A long file that is full of what must not be in it.
    LongFile,
    /// One new file where every commit waits for the disk.
    OneFileFsync,
}

impl MigrateScenario {
    /// Returns `true` if the scenario needs tenants with existing tables.
    pub(crate) fn needs_tables(self) -> bool {
        matches!(self, Self::Noop | Self::OneFile | Self::Create | Self::TwoRunners)
    }
}

/// What to serve.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServeArgs {
    pub(crate) framework: Framework,
    pub(crate) variant: Variant,
    /// What its sessions call themselves.
    pub(crate) name: String,
    pub(crate) url: String,
}

/// A web framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Framework {
    Axum,
    Actix,
}

impl Framework {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Axum => "axum",
            Self::Actix => "actix",
        }
    }
}

/// How much of everything. Smaller numbers are for trying the harness itself: the figures are only
/// comparable at the defaults.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Sizes")]
pub(crate) struct Sizes {
    /// Tenants of `uniform_200`.
    #[arg(long, hide = true, value_name = "N", default_value_t = 200)]
    pub(crate) uniform_tenants: usize,
    /// Tenants of `zipf_1000`.
    #[arg(long, hide = true, value_name = "N", default_value_t = 1_000)]
    pub(crate) zipf_tenants: usize,
    /// Tenants of `idle_tenant_bytes`.
    #[arg(long, hide = true, value_name = "N", default_value_t = 100_000)]
    pub(crate) idle_tenants: usize,
    /// Tenants of `backend_private_mb`.
    #[arg(long, hide = true, value_name = "N", default_value_t = 2_000)]
    pub(crate) memory_tenants: usize,
    /// How often `backend_private_mb` visits each tenant.
    #[arg(long, hide = true, value_name = "N", default_value_t = 8)]
    pub(crate) memory_visits: usize,
    /// Tenants of `metrics_text`.
    #[arg(long, hide = true, value_name = "N", default_value_t = 10_000)]
    pub(crate) metrics_tenants: usize,
    /// How many seconds the catalog hangs in `catalog_hang_share`.
    #[arg(long, hide = true, value_name = "N", default_value = "20", value_parser = seconds)]
    pub(crate) hang: Duration,
    /// Requests of each run of `layer_overhead_us`.
    #[arg(long, hide = true, value_name = "N", default_value_t = 200_000)]
    pub(crate) layer_requests: u32,
}

/// A part of the benchmark, named as in the JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Scenario {
    /// One tenant against sqlx's own pool.
    OneTenant,
    /// 200 tenants, all equally busy.
    #[value(name = "uniform_200")]
    Uniform200,
    /// 1,000 tenants, few of them busy.
    #[value(name = "zipf_1000")]
    Zipf1000,
    /// The memory that a known tenant takes.
    IdleTenantBytes,
    /// The time that the layer adds to a request.
    LayerOverheadUs,
    /// Quiet tenants beside one that floods.
    Fairness,
    /// Steady tenants beside a crowd of others.
    Steady,
    /// Equal tenants at saturation, against the order of arrival.
    Order,
    /// The memory of the server's backends.
    BackendPrivateMb,
    /// What it costs to be seen.
    Observability,
    /// A scrape when many tenants are known.
    MetricsText,
    /// How soon requests are served after the server was away.
    Recovery,
    /// Known tenants beside clients that guess ids.
    UnknownIdsShare,
    /// Known tenants while the catalog hangs.
    CatalogHangShare,
}

impl Scenario {
    pub(crate) fn all() -> &'static [Self] {
        Self::value_variants()
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    if duration < Duration::from_millis(10) {
        return Err("at least 0.01 is needed".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_fraction_of_a_second_is_a_time_and_nothing_is_not() {
        assert_eq!(seconds("0.2"), Ok(Duration::from_millis(200)));
        for text in ["0", "-1", "x", "NaN"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}

/// On what the handler works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Variant {
    /// A `PgPool` at its defaults, and SQL that names the schema.
    Bare,
    /// The same without a ping on every acquire.
    BareNoPing,
    /// A tenant manager.
    Tenantry,
}
