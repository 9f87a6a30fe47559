use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use tenantry::{
    migrate::OnFailure,
    seed::{Seed as Step, SeedOptions, SeedReport},
};

use super::Ended;
use crate::{
    context::Context, exit::Exit, failure::Failure, output::Progress, selection::Selection,
    settings::key,
};

/// Arguments of `seed`.
#[derive(Debug, Args)]
pub(crate) struct Seed {
    /// Seeds by name, in this order [default: all, by name]
    names: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// The shared schema
    #[arg(long, conflicts_with_all = ["all", "tenant", "tenants"])]
    shared: bool,
    /// List the seeds
    #[arg(long, conflicts_with_all = ["all", "tenant", "tenants", "shared"])]
    list: bool,
    /// Tenants that are seeded at a time
    #[arg(long, value_name = "TENANTS", default_value_t = 8)]
    concurrency: usize,
    /// Begin no further tenant after the first failure
    #[arg(long)]
    fail_fast: bool,
}

/// The results of all seeds.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SeedReports")]
pub(crate) struct SeedReports {
    /// One for each seed, in the order in which they ran. After one that failed, none is begun.
    seeds: Vec<SeedReport>,
}

impl Seed {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        let known = on.seeds()?;
        if self.list {
            let names: Vec<_> = known.iter().map(Step::name).collect();
            on.output.report(&names, || names.join("\n"))?;
            return Ok(Exit::Fine);
        }
        let ids = match self.shared {
            true => None,
            false if self.selection.is_given() => self.selection.ids()?,
            false => {
                return Err(Failure::new("no tenant is named")
                    .hint("name one with --tenant ID, or all with --all"));
            }
        };
        let chosen = choose(on, known, &self.names)?;
        on.reach().await?;
        let seeder = on.manager()?.seeder();
        let mut reports = SeedReports { seeds: Vec::new() };
        for (index, seed) in chosen.iter().enumerate() {
            let progress = on.output.progress("seed");
            progress.say(seed.name());
            let options = self.options(progress);
            let not_done = format!(
                "{} of {} seeds had ended; {} has not in every tenant",
                index,
                chosen.len(),
                seed.name()
            );
            let report = on
                .interruptible(&not_done, async {
                    match &ids {
                        _ if self.shared => seeder.seed_shared(seed, options).await,
                        Some(ids) => seeder.seed(ids, seed, options).await,
                        None => seeder.seed_all(seed, options).await,
                    }
                })
                .await?;
            let success = report.is_success();
            reports.seeds.push(report);
            if !success {
                break;
            }
        }
        let text = || reports.seeds.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        on.output.report(&reports, text)?;
        Ok(Exit::fine_if(reports.seeds.iter().all(SeedReport::is_success)))
    }

    fn options(&self, progress: Progress) -> SeedOptions {
        let options = SeedOptions::default().concurrency(self.concurrency);
        let options = match self.fail_fast {
            true => options.on_failure(OnFailure::Abort),
            false => options,
        };
        options.on_progress(move |tenant| {
            progress.say(tenant.tenant_id.as_deref().unwrap_or("(shared)"))
        })
    }
}

/// Finds seeds by name; all if none is named.
pub(super) fn choose(
    on: &Context,
    known: Vec<Step>,
    names: &[String],
) -> Result<Vec<Step>, Failure> {
    if known.is_empty() {
        let folder = on.settings.text(&key::SEEDS).unwrap_or_default();
        return Err(Failure::new(format!(
            "there are no seeds: no .sql file in the folder {folder}"
        ))
        .hint("set seeds.folder to their folder"));
    }
    if names.is_empty() {
        return Ok(known);
    }
    let find = |name: &String| {
        known.iter().find(|seed| seed.name() == name).cloned().ok_or_else(|| {
            let all = known.iter().map(Step::name).collect::<Vec<_>>().join(", ");
            let nearest = key::nearest(name, known.iter().map(Step::name));
            let hint = nearest.map_or_else(
                || format!("the seeds are {all}"),
                |nearest| format!("did you mean {nearest}?"),
            );
            Failure::new(format!("there is no seed {name}")).hint(hint)
        })
    };
    names.iter().map(find).collect()
}
