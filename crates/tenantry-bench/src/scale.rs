//! The benchmark of scale-out: processes that share a budget, a tenant that moves between servers, statements
//! through a pooler in transaction mode, reads on a replica, and many tenants on many servers.

mod beat;
mod dump;
mod moves;
mod pgbouncer;
mod pooler;
mod replicas;
mod rows;
mod servers;
mod tenant;
mod writers;

use serde::Serialize;

pub(crate) use self::servers::measure as measure_servers;
use crate::{
    args::{ScaleArgs, ScaleScenario},
    failure::Failure,
    stats::{median, percentile, ratio},
};

/// All figures, in the shape of the JSON file. A scenario that was not run is omitted.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Median time of a beat: the messages with which a process asks for its part of a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) beat_us: Option<f64>,
    /// The maximum number of sessions of all processes together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_sessions: Option<i64>,
    /// The budget that they share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) budget: Option<i64>,
    /// The longest time for which requests waited in a move, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) move_gate_ms_max: Option<f64>,
    /// The median of these times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) move_gate_ms_median: Option<f64>,
    /// Writes that returned an error, during all moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) move_refused: Option<u64>,
    /// Acknowledged writes that were not found after a move.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) move_lost: Option<u64>,
    /// `move_gate_ms_median` divided by `dump_restore_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) move_vs_dump_restore: Option<f64>,
    /// Median time for which a lock keeps writers out while `pg_dump | psql` copies the same schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dump_restore_ms: Option<f64>,
    /// The longest time for which requests waited while rows left, or got into, the tables of all tenants with a log of
    /// changes, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rows_gate_ms_max: Option<f64>,
    /// The median of these times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rows_gate_ms_median: Option<f64>,
    /// `rows_gate_ms_median` divided by the median of moves that copy the same rows while requests wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rows_gate_vs_under_fence: Option<f64>,
    /// Writes that returned an error, during all of these moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rows_refused: Option<u64>,
    /// Acknowledged writes that were not found after one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rows_lost: Option<u64>,
    /// Time of a single select of a tenant through a pooler in transaction mode, relative to that of a transaction of
    /// one statement that is bound to no tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pooler_select_vs_unbound: Option<f64>,
    /// Selects through the pooler that returned another row, under load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pooler_wrong: Option<usize>,
    /// Those that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pooler_failed: Option<usize>,
    /// Reads after an own write that did not see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replica_reads_stale: Option<usize>,
    /// The part of these reads that the replica answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replica_reads_share: Option<f64>,
    /// The 99th percentile of the time for which such a read waited until it was known that the replica has what it
    /// needs, in milliseconds: it asks the primary, then the replica. The upper bound of a bucket of the histogram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replica_wait_p99_ms: Option<f64>,
    /// Memory of a process for each tenant that it knows, with a million of them on a hundred servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) servers_bytes_per_tenant: Option<f64>,
    /// Time of all first look-ups of these tenants, divided by their number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) servers_lookup_us: Option<f64>,
    /// Time of the snapshots of all pools and of a scrape of all metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) servers_status_ms: Option<f64>,
    /// Time of a creation on the least loaded server that first counts all tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) servers_placement_ms: Option<f64>,
    pub(crate) raw: Raw,
}

/// The measurements behind the figures.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Raw {
    /// Version of the server.
    pub(crate) server: String,
    /// Number of processes that share the budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) members: Option<usize>,
    /// Time of each beat that was seen, in microseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) beats_us: Vec<f64>,
    /// Bytes of the tables and indexes of the tenant that moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) moved_bytes: Option<i64>,
    /// Each move.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) moves: Vec<moves::Move>,
    /// Each move of rows with a log of changes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) row_moves: Vec<moves::Move>,
    /// Each move of the same rows while requests wait.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) row_moves_under_fence: Vec<moves::Move>,
    /// Each run of `pg_dump | psql`, in milliseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dumps_ms: Vec<f64>,
    /// Selects through the pooler, under load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pooler_asked: Option<usize>,
    /// Median time of a bound select in each round, in microseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pooler_bound_us: Vec<f64>,
    /// Median time of an unbound transaction in each round, in microseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pooler_unbound_us: Vec<f64>,
    /// Own writes that were read back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replica_writes: Option<usize>,
    /// The median and the 99th percentile of the time of these reads, with their query, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replica_reads_ms: Option<[f64; 2]>,
    /// Rows written by other sessions at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replica_load: Option<u64>,
    /// What one process measured with many servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) servers: Option<servers::Measured>,
}

/// Runs the requested scenarios.
pub(crate) async fn run(args: &ScaleArgs) -> Result<Report, Failure> {
    let mut report = Report::default();
    for scenario in &args.only {
        match scenario {
            ScaleScenario::SharedBudget => shared_budget(args, &mut report).await?,
            ScaleScenario::Moves => moves(args, &mut report).await?,
            ScaleScenario::Rows => rows(args, &mut report).await?,
            ScaleScenario::Pooler => pooler(args, &mut report).await?,
            ScaleScenario::Replicas => replicas(args, &mut report).await?,
            ScaleScenario::Servers => many_servers(args, &mut report).await?,
        }
    }
    Ok(report)
}

async fn shared_budget(args: &ScaleArgs, report: &mut Report) -> Result<(), Failure> {
    let seen = beat::run(args).await?;
    report.beat_us = Some(median(seen.beats_us.iter().copied()));
    (report.max_sessions, report.budget) = (Some(seen.max_sessions), Some(seen.budget));
    let raw = &mut report.raw;
    (raw.server, raw.members, raw.beats_us) = (seen.server, Some(args.members), seen.beats_us);
    Ok(())
}

async fn pooler(args: &ScaleArgs, report: &mut Report) -> Result<(), Failure> {
    let done = pooler::run(&args.pooler).await?;
    let [bound, unbound] = [&done.bound_us, &done.unbound_us].map(|times| times.iter().copied());
    report.pooler_select_vs_unbound = Some(ratio(bound, unbound));
    (report.pooler_wrong, report.pooler_failed) = (Some(done.wrong), Some(done.failed));
    let raw = &mut report.raw;
    (raw.server, raw.pooler_asked) = (done.server, Some(done.asked));
    (raw.pooler_bound_us, raw.pooler_unbound_us) = (done.bound_us, done.unbound_us);
    Ok(())
}

async fn replicas(args: &ScaleArgs, report: &mut Report) -> Result<(), Failure> {
    let done = replicas::run(&args.replicas).await?;
    report.replica_reads_stale = Some(done.stale);
    report.replica_reads_share = Some(done.on_replica as f64 / done.reads as f64);
    report.replica_wait_p99_ms = Some(done.wait_p99_ms);
    let raw = &mut report.raw;
    (raw.server, raw.replica_writes) = (done.server, Some(done.reads));
    let reads = || done.reads_ms.iter().copied();
    raw.replica_reads_ms = Some([median(reads()), percentile(reads(), 0.99)]);
    raw.replica_load = Some(done.load);
    Ok(())
}

async fn many_servers(args: &ScaleArgs, report: &mut Report) -> Result<(), Failure> {
    let done = servers::run(args.servers).await?;
    report.servers_bytes_per_tenant = Some(done.bytes_per_tenant);
    report.servers_lookup_us = Some(done.lookup_us);
    report.servers_status_ms = Some(done.status_ms);
    report.servers_placement_ms = Some(done.first_placement_ms);
    report.raw.server.clone_from(&done.version);
    report.raw.servers = Some(done);
    Ok(())
}

async fn moves(args: &ScaleArgs, report: &mut Report) -> Result<(), Failure> {
    let done = moves::run(&args.sizes).await?;
    let gates = || done.moves.iter().map(|of| of.gate_ms);
    let (gate, dump) = (median(gates()), median(done.dumps_ms.iter().copied()));
    report.move_gate_ms_max = gates().reduce(f64::max);
    report.move_gate_ms_median = Some(gate);
    report.move_refused = Some(done.moves.iter().map(|of| of.refused).sum());
    report.move_lost = done.moves.iter().map(|of| of.lost).max();
    report.move_vs_dump_restore = Some(gate / dump);
    report.dump_restore_ms = Some(dump);
    let raw = &mut report.raw;
    raw.server = done.server;
    raw.moved_bytes = Some(done.bytes);
    (raw.moves, raw.dumps_ms) = (done.moves, done.dumps_ms);
    Ok(())
}

async fn rows(args: &ScaleArgs, report: &mut Report) -> Result<(), Failure> {
    let done = rows::run(&args.sizes).await?;
    let gates = || done.logged.iter().map(|of| of.gate_ms);
    report.rows_gate_ms_max = gates().reduce(f64::max);
    report.rows_gate_ms_median = Some(median(gates()));
    let fenced = median(done.under_fence.iter().map(|of| of.gate_ms));
    report.rows_gate_vs_under_fence = Some(median(gates()) / fenced);
    let all = || done.logged.iter().chain(&done.under_fence);
    report.rows_refused = Some(all().map(|of| of.refused).sum());
    report.rows_lost = all().map(|of| of.lost).max();
    let raw = &mut report.raw;
    (raw.server, raw.row_moves, raw.row_moves_under_fence) =
        (done.server, done.logged, done.under_fence);
    Ok(())
}
