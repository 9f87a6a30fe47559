use std::time::{Duration, SystemTime};

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use tenantry::{
    Ident, IsolationKind,
    citus::CitusNode,
    moves::{
        Destination, DrainOptions, MoveMethod, MoveOptions, MoveRecord, MoveReport, MoveStage,
        Mover, NodeMoveOptions,
    },
};

use crate::{
    command::{Ended, drain_server, tenant::TenantChanged},
    context::Context,
    exit::Exit,
    failure::{Failure, chain},
    output::{Progress, Table},
    settings,
};

/// Arguments of `move`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["tenant", "drain", "list", "take_over", "sweep"])))]
#[command(group(clap::ArgGroup::new("whom").args(["tenant", "drain"])))]
pub(crate) struct Move {
    /// The tenant
    tenant: Option<String>,
    /// Move all tenants of this server to others; it must be draining, or never get new tenants otherwise
    #[arg(long, value_name = "SERVER")]
    drain: Option<String>,
    /// The server that it moves to, by its name in the configuration [default: the one that it is on]; with --drain, several can be given, and without
    /// any, `tenants.placement` chooses
    #[arg(long, value_name = "SERVER", requires = "whom", conflicts_with_all = ["list", "take_over", "sweep"])]
    to: Vec<String>,
    /// How it is isolated there: `schema`, `row` or `database` [default: as it is now]
    #[arg(long, value_name = "KIND", requires = "tenant", conflicts_with_all = ["cancel", "node", "drain", "list", "take_over", "sweep"])]
    isolation: Option<IsolationKind>,
    /// The name of its database there [default: by the template, or as it is now]
    #[arg(long, value_name = "NAME", value_parser = |name: &str| Ident::parse(name), requires = "tenant", conflicts_with_all = ["cancel", "node", "drain", "list", "take_over", "sweep"])]
    database: Option<Ident>,
    /// How many tenants of the server move at the same time [default: 1]
    #[arg(long, value_name = "N", requires = "drain", conflicts_with_all = ["tenant", "list", "take_over", "sweep"])]
    at_once: Option<usize>,
    /// Begin no further move of the server's tenants after so many have failed [default: 3]
    #[arg(long, value_name = "N", requires = "drain", conflicts_with_all = ["tenant", "list", "take_over", "sweep"])]
    max_failures: Option<usize>,
    /// The node of its Citus cluster that it moves to, as pg_dist_node has it
    #[arg(long, value_name = "HOST:PORT", requires = "tenant", conflicts_with_all = ["to", "cancel"])]
    node: Option<CitusNode>,
    /// Check everything and estimate how long requests would wait; change nothing
    #[arg(long, requires = "whom", conflicts_with_all = ["cancel", "node", "list", "take_over", "sweep"])]
    dry_run: bool,
    /// How the rows get there: `replication`, `change_log` or `under_fence` [default: what makes requests wait the least]
    #[arg(long, value_name = "METHOD", value_parser = method, requires = "whom", conflicts_with_all = ["cancel", "node", "list", "take_over", "sweep"])]
    method: Option<MoveMethod>,
    /// How long requests may wait [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = settings::duration, requires = "whom", conflicts_with_all = ["cancel", "node", "list", "take_over", "sweep"])]
    max_pause: Option<Duration>,
    /// How long the old copy is kept [default: 7 days]
    #[arg(long, value_name = "TIME", value_parser = settings::duration, requires = "whom", conflicts_with_all = ["cancel", "node", "list", "take_over", "sweep"])]
    keep: Option<Duration>,
    /// Do not compare the content of the tables
    #[arg(long, requires = "whom", conflicts_with_all = ["cancel", "node", "list", "take_over", "sweep"])]
    no_verify: bool,
    /// Undo the move that the tenant is on
    #[arg(long, requires = "tenant", conflicts_with = "to")]
    cancel: bool,
    /// List all moves
    #[arg(long)]
    list: bool,
    /// Complete or undo the moves of processes that have died
    #[arg(long)]
    take_over: bool,
    /// Drop the old copies whose time is over
    #[arg(long)]
    sweep: bool,
}

/// A move that was taken over.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TakenOverView {
    /// The tenant.
    tenant_id: String,
    /// The report of a move that was completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<MoveReport>,
    /// Why a move was undone, or is still unfinished.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Parses a way of moving rows.
fn method(word: &str) -> Result<MoveMethod, String> {
    let all = [MoveMethod::Replication, MoveMethod::ChangeLog, MoveMethod::UnderFence];
    let known = all.into_iter().find(|method| method.as_str() == word);
    known.ok_or_else(|| format!("must be {}", all.map(MoveMethod::as_str).join(" or ")))
}

impl Move {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let mover = on.manager()?.mover();
        if let (Some(tenant), Some(node)) = (&self.tenant, &self.node) {
            return move_to_node(on, &mover, tenant, node).await;
        }
        if let Some(server) = &self.drain {
            let options = |moves| self.draining(on, moves);
            return match self.dry_run {
                true => drain_server::plan(on, &mover, server, options(self.options(on)?)).await,
                false => drain_server::drain(on, &mover, server, options, self.options(on)?).await,
            };
        }
        match (&self.tenant, self.to.as_slice()) {
            (Some(tenant), []) if self.cancel => cancel(on, &mover, tenant).await,
            (Some(tenant), []) if self.isolation.is_none() => {
                let missing = format!("where tenant {tenant} moves to is missing");
                let how =
                    "name a server with `--to`, a kind of isolation with `--isolation`, or both";
                Err(Failure::new(missing).hint(how))
            }
            (Some(tenant), [] | [_]) if self.dry_run => self.plan(on, &mover, tenant).await,
            (Some(tenant), [] | [_]) => self.move_it(on, &mover, tenant).await,
            (Some(_), _) => Err(Failure::new("a tenant moves to one server: give `--to` once")),
            (None, _) if self.list => list(on, &mover).await,
            (None, _) if self.sweep => sweep(on, &mover).await,
            (None, _) => take_over(on, &mover).await,
        }
    }

    fn draining(&self, on: &Context, moves: MoveOptions) -> DrainOptions {
        let options = DrainOptions::default().moves(moves).to(self.to.clone());
        let options = options.stop_when(on.interrupt.clone().wait());
        let options = self.at_once.into_iter().fold(options, DrainOptions::at_once);
        self.max_failures.into_iter().fold(options, DrainOptions::max_failures)
    }

    fn destination(&self) -> Destination {
        let to = self.to.first().map(Destination::from).unwrap_or_default();
        let to = self.isolation.into_iter().fold(to, Destination::isolated_by);
        self.database.iter().cloned().fold(to, Destination::database)
    }

    fn options(&self, on: &Context) -> Result<MoveOptions, Failure> {
        let mut options = MoveOptions::default().verify(!self.no_verify);
        if let Some(migrations) = on.tenant_migrations()? {
            options = options.tenants(migrations);
        }
        options = self.method.into_iter().fold(options, MoveOptions::method);
        if let Some(limit) = self.max_pause {
            options = options.max_pause(limit);
        }
        if let Some(time) = self.keep {
            options = options.keep(time);
        }
        Ok(options)
    }

    async fn plan(&self, on: &Context, mover: &Mover, tenant: &str) -> Ended {
        let options = self.options(on)?;
        let planning = mover.plan(tenant, self.destination(), &options);
        let plan = on.interruptible("nothing was changed", planning).await?;
        on.output.report(&plan, || plan.to_string())?;
        Ok(if plan.obstacles.is_empty() { Exit::Fine } else { Exit::Problems })
    }

    async fn move_it(&self, on: &Context, mover: &Mover, tenant: &str) -> Ended {
        let progress = on.output.progress("move");
        progress.say("examining");
        let options = telling(self.options(on)?, progress.clone());
        let moving = mover.move_tenant(tenant, self.destination(), options);
        let report = on.interruptible_move(
            "the move is undone, unless the tenant is there already; `tenantry move --list` shows which",
            moving,
        );
        let report = report.await?;
        drop(progress);
        on.output.report(&report, || report.to_string())?;
        let is_fine = report.left.is_none() && report.remarks.is_empty();
        Ok(if is_fine { Exit::Fine } else { Exit::Warnings })
    }
}

fn telling(options: MoveOptions, progress: Progress) -> MoveOptions {
    options.on_progress(move |step| progress.say(&step.to_string()))
}

async fn move_to_node(on: &Context, mover: &Mover, tenant: &str, node: &CitusNode) -> Ended {
    let progress = on.output.progress("move");
    let telling = progress.clone();
    let options =
        NodeMoveOptions::default().on_progress(move |step| telling.say(&step.to_string()));
    let moving = mover.move_to_node(tenant, node, options);
    let report =
        on.interruptible("the tenant is on either of the nodes as a whole", moving).await?;
    drop(progress);
    on.output.report(&report, || report.to_string())?;
    Ok(Exit::Fine)
}

async fn cancel(on: &Context, mover: &Mover, tenant: &str) -> Ended {
    on.interruptible("the move may or may not be cancelled", mover.cancel(tenant)).await?;
    let moves = on.interruptible("the move is cancelled", mover.list()).await?;
    let is_abandoned =
        moves.iter().find(|of| of.tenant_id.as_str() == tenant).is_some_and(|of| of.is_abandoned);
    let report = TenantChanged { tenant_id: tenant, done: "cancelled", from: None };
    on.output.report(&report, || match is_abandoned {
        false => format!("cancelled the move of tenant {tenant}: it is being undone"),
        true => format!(
            "cancelled the move of tenant {tenant}: its process has died; {TAKE_OVER}, which undoes it"
        ),
    })?;
    Ok(if is_abandoned { Exit::Warnings } else { Exit::Fine })
}

async fn list(on: &Context, mover: &Mover) -> Ended {
    let moves = on.interruptible("nothing was changed", mover.list()).await?;
    let text = || {
        let mut table =
            Table::new(["tenant", "stage", "from", "to", "method", "began", "took", "note"]);
        for of in &moves {
            let is_of_one_kind = of.from_isolation == of.to_isolation;
            let [from, to] =
                [(&of.from, of.from_isolation), (&of.to, of.to_isolation)].map(|(server, kind)| {
                    if is_of_one_kind { server.to_string() } else { format!("{server} ({kind})") }
                });
            table.row([
                of.tenant_id.to_string(),
                of.stage.to_string(),
                from,
                to,
                of.method.as_str().to_owned(),
                of.began_at.and_then(time).unwrap_or_default(),
                took(of),
                notes(of),
            ]);
        }
        if moves.is_empty() { "no moves".to_owned() } else { table.to_string() }
    };
    on.output.report(&moves, text)?;
    Ok(if moves.iter().any(|of| of.is_abandoned) { Exit::Warnings } else { Exit::Fine })
}

/// Returns how long a move that has ended took.
fn took(of: &MoveRecord) -> String {
    let took = of.began_at.zip(of.ended_at).and_then(|(from, to)| to.duration_since(from).ok());
    took.map(|took| format!("{took:.1?}")).unwrap_or_default()
}

/// Says what has to be known, or done, about a move.
fn notes(of: &MoveRecord) -> String {
    let keeps = of.stage == MoveStage::Done && of.swept_at.is_none();
    let until = of.keep_until.filter(|_| keeps).and_then(time);
    let kept = until.map(|until| format!("{} keeps {} until {until}", of.from, of.kept_as));
    let cancelled = of.is_cancelled.then(|| "cancelled".to_owned());
    let abandoned = of.is_abandoned.then(|| format!("abandoned: {TAKE_OVER}"));
    let trouble = of.trouble.as_deref().map(str::to_owned);
    [kept, cancelled, abandoned, trouble].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

const TAKE_OVER: &str = "take it over with `tenantry move --take-over`";

fn time(at: SystemTime) -> Option<String> {
    let at = jiff::Timestamp::try_from(at).ok()?;
    Some(at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

async fn sweep(on: &Context, mover: &Mover) -> Ended {
    let swept = on.interruptible("some copies may be dropped", mover.sweep()).await?;
    let text = || {
        let lines: Vec<_> = swept
            .iter()
            .map(|of| match &of.error {
                None => {
                    format!("dropped {} of tenant {} on {}", of.schema, of.tenant_id, of.server)
                }
                Some(error) => format!(
                    "kept {} of tenant {} on {}: {error}",
                    of.schema, of.tenant_id, of.server
                ),
            })
            .collect();
        if lines.is_empty() {
            "nothing to drop: `tenantry move --list` shows how long old copies are kept".to_owned()
        } else {
            lines.join("\n")
        }
    };
    on.output.report(&swept, text)?;
    Ok(if swept.iter().any(|of| of.error.is_some()) { Exit::Problems } else { Exit::Fine })
}

async fn take_over(on: &Context, mover: &Mover) -> Ended {
    let taken = on.interruptible_move("moves may be unfinished", mover.take_over()).await?;
    let views: Vec<_> = taken
        .into_iter()
        .map(|of| {
            let tenant_id = of.tenant_id.to_string();
            match of.result {
                Ok(report) => TakenOverView { tenant_id, report: Some(report), error: None },
                Err(error) => {
                    let error = chain(&error);
                    TakenOverView { tenant_id, report: None, error: Some(error) }
                }
            }
        })
        .collect();
    let text = || {
        let lines: Vec<_> = views
            .iter()
            .map(|of| match (&of.report, &of.error) {
                (Some(report), _) => report.to_string(),
                (None, error) => {
                    format!("tenant {}: {}", of.tenant_id, error.as_deref().unwrap_or_default())
                }
            })
            .collect();
        if lines.is_empty() { "no abandoned moves".to_owned() } else { lines.join("\n") }
    };
    on.output.report(&views, text)?;
    Ok(if views.iter().any(|of| of.error.is_some()) { Exit::Problems } else { Exit::Fine })
}
