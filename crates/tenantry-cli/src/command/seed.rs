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
    /// Seeds to run, in this order [default: all, by name]
    names: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// The shared schema
    #[arg(long, conflicts_with_all = ["all", "tenant", "tenants"])]
    shared: bool,
    /// List the seeds
    #[arg(long, conflicts_with_all = ["all", "tenant", "tenants", "shared"])]
    list: bool,
    /// Number of tenants to seed concurrently
    #[arg(long, value_name = "TENANTS", default_value_t = 8)]
    concurrency: usize,
    /// Start no further tenant after the first failure
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

/// Where seeds run.
enum Target {
    Shared,
    Tenants(Vec<String>),
    AllTenants,
}

impl Seed {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        let known = on.seeds()?;
        if self.list {
            let names: Vec<_> = known.iter().map(Step::name).collect();
            on.output.report(&names, || names.join("\n"))?;
            return Ok(Exit::Fine);
        }
        let target = self.target()?;
        let chosen = choose(on, known, &self.names)?;
        on.reach().await?;
        let seeds = self.run_all(on, &chosen, &target).await?;
        let reports = SeedReports { seeds };
        let text = || reports.seeds.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        on.output.report(&reports, text)?;
        Ok(Exit::fine_if(reports.seeds.iter().all(SeedReport::is_success)))
    }

    fn target(&self) -> Result<Target, Failure> {
        if self.shared {
            return Ok(Target::Shared);
        }
        if !self.selection.is_given() {
            return Err(Failure::new("no tenant is selected")
                .hint("select one with --tenant ID, or all with --all"));
        }
        Ok(self.selection.ids()?.map_or(Target::AllTenants, Target::Tenants))
    }

    /// Runs the seeds one after the other. After one that failed, none is started.
    async fn run_all(
        &self,
        on: &Context,
        seeds: &[Step],
        target: &Target,
    ) -> Result<Vec<SeedReport>, Failure> {
        let mut reports = Vec::new();
        for (index, seed) in seeds.iter().enumerate() {
            let not_done = format!(
                "{index} of {} seeds were complete; {} is incomplete in some tenants",
                seeds.len(),
                seed.name()
            );
            let report = on.interruptible(&not_done, self.run_one(on, seed, target)).await?;
            let success = report.is_success();
            reports.push(report);
            if !success {
                break;
            }
        }
        Ok(reports)
    }

    async fn run_one(
        &self,
        on: &Context,
        seed: &Step,
        target: &Target,
    ) -> Result<SeedReport, Failure> {
        let progress = on.output.progress("seed");
        progress.say(seed.name());
        let options = self.options(progress);
        let seeder = on.manager()?.seeder();
        let report = match target {
            Target::Shared => seeder.seed_shared(seed, options).await,
            Target::Tenants(ids) => seeder.seed(ids, seed, options).await,
            Target::AllTenants => seeder.seed_all(seed, options).await,
        };
        Ok(report?)
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
    names.iter().map(|name| find(&known, name)).collect()
}

fn find(known: &[Step], name: &str) -> Result<Step, Failure> {
    known.iter().find(|seed| seed.name() == name).cloned().ok_or_else(|| {
        let all = known.iter().map(Step::name).collect::<Vec<_>>().join(", ");
        let nearest = key::nearest(name, known.iter().map(Step::name));
        let hint = nearest.map_or_else(
            || format!("the seeds are {all}"),
            |nearest| format!("did you mean {nearest}?"),
        );
        Failure::new(format!("there is no seed {name}")).hint(hint)
    })
}
