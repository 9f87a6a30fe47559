use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use tenantry::migrate::{FileFinding, LintReport, Rule};

use crate::{
    command::Ended,
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{Annotation, Format, Table, counted},
};

/// Arguments of `migrate lint`.
#[derive(Debug, Args)]
pub(crate) struct LintFiles {
    /// List the rules
    #[arg(long)]
    rules: bool,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What was found in the files.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MigrationLintReport")]
pub(crate) struct LintReports {
    /// In those of tenants; null without any.
    tenants: Option<LintReport>,
    /// In those of the shared schema; null without any.
    shared: Option<LintReport>,
}

/// A rule, for JSON.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MigrationRule")]
pub(crate) struct RuleView {
    rule: &'static str,
    /// `error` keeps files from being run, `warning` does not.
    severity: &'static str,
}

impl LintFiles {
    pub(super) fn run(self, on: &Context) -> Ended {
        if self.rules {
            return rules(on);
        }
        let reports = LintReports {
            tenants: on.tenant_migrations()?.map(|migrations| migrations.check()),
            shared: on.shared_migrations()?.map(|migrations| migrations.check_shared()),
        };
        if reports.all().next().is_none() {
            return Err(Failure::new("there are no migrations")
                .hint("set migrations.tenants to their folder"));
        }
        match self.format {
            Format::Github => {
                on.output.annotate(&reports.all().flat_map(annotations).collect::<Vec<_>>())?;
            }
            Format::Text => on.output.report(&reports, || reports.text())?,
        }
        Ok(reports.exit())
    }
}

impl LintReports {
    fn all(&self) -> impl Iterator<Item = &LintReport> {
        self.tenants.iter().chain(&self.shared)
    }

    fn exit(&self) -> Exit {
        match (self.all().all(LintReport::is_success), self.all().all(LintReport::is_empty)) {
            (false, _) => Exit::Problems,
            (true, false) => Exit::Warnings,
            (true, true) => Exit::Fine,
        }
    }

    fn text(&self) -> String {
        let found = self.all().filter(|report| !report.is_empty()).map(ToString::to_string);
        let found = found.collect::<Vec<_>>().join("\n");
        let count = |list: fn(&LintReport) -> &Vec<FileFinding>| {
            self.all().map(|report| list(report).len()).sum::<usize>()
        };
        let errors = count(|report| &report.errors);
        let warnings = count(|report| &report.warnings);
        let summary = format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
        if found.is_empty() { summary } else { format!("{found}\n\n{summary}") }
    }
}

/// Returns the findings as annotations for a pull request.
pub(super) fn annotations(report: &LintReport) -> Vec<Annotation> {
    let place = |annotation: Annotation, found: &FileFinding| {
        annotation.at(found.file.to_string(), found.finding.line)
    };
    let errors = report.errors.iter().map(|found| {
        place(
            Annotation::error(
                found.finding.rule.as_str().to_owned(),
                found.finding.message.to_string(),
            ),
            found,
        )
    });
    let warnings = report.warnings.iter().map(|found| {
        place(
            Annotation::warning(
                found.finding.rule.as_str().to_owned(),
                found.finding.message.to_string(),
            ),
            found,
        )
    });
    errors.chain(warnings).collect()
}

fn rules(on: &Context) -> Ended {
    let severity = |rule: Rule| if rule.is_warning() { "warning" } else { "error" };
    let all: Vec<_> = Rule::ALL
        .iter()
        .map(|rule| RuleView { rule: rule.as_str(), severity: severity(*rule) })
        .collect();
    on.output.report(&all, || {
        let mut table = Table::new(["rule", "severity"]);
        for RuleView { rule, severity } in &all {
            table.row([(*rule).to_owned(), (*severity).to_owned()]);
        }
        table.to_string()
    })?;
    Ok(Exit::Fine)
}
