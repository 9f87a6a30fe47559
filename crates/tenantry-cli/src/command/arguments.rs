//! The command line, as parsed by clap.

use clap::{
    Parser,
    builder::styling::{AnsiColor, Styles},
};

use super::Command;
use crate::global::Global;

/// Multi-tenant PostgreSQL from the command line: migrate, inspect and repair all tenants of a server.
#[derive(Debug, Parser)]
#[command(
    name = "tenantry",
    version,
    styles = STYLES,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 success (or warnings, without --strict), 1 problems found, 2 could not run.\n\
                  Guide: docs/cli.md in the repository."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use std::collections::BTreeMap;

    use super::*;

    /// A workflow of GitHub Actions, as far as it matters here.
    #[derive(Deserialize)]
    struct Workflow {
        jobs: BTreeMap<String, Job>,
    }

    #[derive(Deserialize)]
    struct Job {
        steps: Vec<Step>,
    }

    #[derive(Deserialize)]
    struct Step {
        run: Option<String>,
        uses: Option<String>,
    }

    #[test]
    fn the_example_of_a_pipeline_has_commands_that_exist() {
        let text = include_str!("../../../../docs/ci/tenantry.yml");
        let workflow: Workflow = serde_saphyr::from_str(text).unwrap();
        let steps: Vec<_> = workflow.jobs.into_values().flat_map(|job| job.steps).collect();
        assert!(steps.iter().all(|step| step.run.is_some() != step.uses.is_some()));
        let lines = steps.iter().filter_map(|step| step.run.as_deref()).flat_map(str::lines);
        let calls = lines.filter(|line| line.starts_with("tenantry "));
        let mut names = Vec::new();
        for call in calls {
            let words =
                call.split_whitespace().take_while(|word| ![">", "||", "&&"].contains(word));
            let parsed = Arguments::try_parse_from(words);
            let parsed = parsed.unwrap_or_else(|error| panic!("{call}: {error}"));
            names.push(format!("{:?}", parsed.command).split('(').next().unwrap().to_owned());
        }
        names.sort();
        names.dedup();
        assert_eq!(names, ["Doctor", "Drift", "Migrate", "Prepare"]);
    }

    #[test]
    fn the_parser_is_sound() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }
}
