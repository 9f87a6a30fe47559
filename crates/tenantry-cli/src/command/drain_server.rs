//! `move --drain`: all tenants of a server.

use tenantry::{
    each::{EachEnd, EachOutcome, EachReport},
    moves::{DrainOptions, MoveOptions, MovePlan, MoveReport, Mover},
};

use crate::{
    command::Ended,
    context::Context,
    exit::Exit,
    output::{Table, counted},
};

pub(super) async fn plan(
    on: &Context,
    mover: &Mover,
    server: &str,
    options: DrainOptions,
) -> Ended {
    let planning = mover.plan_drain(server, &options);
    let report = on.interruptible("nothing was changed", planning).await?;
    let row = |plan: &MovePlan| {
        let obstacles: Vec<_> = plan.obstacles.iter().map(ToString::to_string).collect();
        let result = match obstacles.is_empty() {
            true => format!("requests would wait for about {:.1?}", plan.pause),
            false => obstacles.join("; "),
        };
        (plan.to.to_string(), result)
    };
    let movable = report.values().filter(|(_, plan)| plan.obstacles.is_empty()).count();
    on.output.report(&report, || text(&report, row, (movable, "would move")))?;
    let is_free = report.values().all(|(_, plan)| plan.obstacles.is_empty());
    Ok(if is_free { exit(&report) } else { Exit::Problems })
}

pub(super) async fn drain(
    on: &Context,
    mover: &Mover,
    server: &str,
    options: impl FnOnce(MoveOptions) -> DrainOptions,
    moves: MoveOptions,
) -> Ended {
    let progress = on.output.progress("move");
    progress.say("listing");
    let moves = moves.on_progress({
        let progress = progress.clone();
        move |step| progress.say(&format!("{}: {step}", step.tenant_id))
    });
    let report = mover.drain(server, options(moves)).await?;
    drop(progress);
    let row = |moved: &MoveReport| {
        let waited = moved.pause.map(|pause| format!("requests waited for {pause:.1?}"));
        let notes = moved.left.iter().chain(&moved.remarks).cloned();
        let result: Vec<_> = waited.into_iter().chain(notes).collect();
        (moved.to.to_string(), result.join("; "))
    };
    on.output.report(&report, || text(&report, row, (report.done, "moved")))?;
    let is_fine =
        report.values().all(|(_, moved)| moved.left.is_none() && moved.remarks.is_empty());
    match exit(&report) {
        Exit::Fine if !is_fine => Ok(Exit::Warnings),
        exit => Ok(exit),
    }
}

/// A tenant that stays is a problem, and one that was skipped a warning.
fn exit<T>(report: &EachReport<T>) -> Exit {
    match report {
        _ if report.end == EachEnd::Stopped => Exit::Interrupted,
        _ if !report.is_success() => Exit::Problems,
        EachReport { skipped: 0, .. } => Exit::Fine,
        _ => Exit::Warnings,
    }
}

const SKIPPED: &str =
    "suspended, or moved by another process meanwhile: a suspended tenant moves once it is resumed";

/// Renders each tenant with its target and result, and how many were done.
fn text<T>(
    report: &EachReport<T>,
    row: impl Fn(&T) -> (String, String),
    (count, done): (usize, &str),
) -> String {
    let mut table = Table::new(["tenant", "to", "result"]);
    for of in &report.tenants {
        let (to, result) = match &of.outcome {
            EachOutcome::Done { value } => row(value),
            EachOutcome::Failed { error } => (String::new(), error.to_string()),
            EachOutcome::Skipped => (String::new(), SKIPPED.to_owned()),
            EachOutcome::NotStarted => (String::new(), "not started".to_owned()),
            _ => (String::new(), of.outcome.as_str().to_owned()),
        };
        table.row([of.tenant_id.to_string(), to, result]);
    }
    let tenants = counted(report.total, "tenant");
    let summary = format!("{count} of {tenants} {done}");
    if table.is_empty() { summary } else { format!("{table}\n\n{summary}") }
}
