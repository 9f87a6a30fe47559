use std::{fs, path::PathBuf};

use clap::Args;
use tenantry::schema::{LintFinding, LintOptions, Severity};

use crate::{
    command::Ended,
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{Annotation, Format, counted},
};

/// Arguments of `schema lint`.
#[derive(Debug, Args)]
pub(crate) struct LintSchema {
    /// The tenant
    tenant: String,
    /// JSON file with options: severities, tableNaming, columnNaming, timestamps, softDelete, ignoredTables
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl LintSchema {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let options = match &self.options {
            None => LintOptions::default(),
            Some(path) => {
                let what = |what| format!("{what} the options {}", path.display());
                let text = fs::read_to_string(path)
                    .map_err(|error| Failure::while_doing(what("reading"), &error))?;
                serde_json::from_str(&text)
                    .map_err(|error| Failure::while_doing(what("reading"), &error))?
            }
        };
        let drift = on.manager()?.drift();
        let model = on.interruptible("nothing was read", drift.introspect(&self.tenant)).await?;
        let found = model.lint(&options);
        match self.format {
            Format::Github => {
                on.output.annotate(&found.iter().map(annotation).collect::<Vec<_>>())?
            }
            Format::Text => on.output.report(&found, || text(&found))?,
        }
        let worst = found.iter().map(|finding| finding.severity).max();
        Ok(match worst {
            Some(Severity::Error) => Exit::Problems,
            Some(Severity::Warning) => Exit::Warnings,
            _ => Exit::Fine,
        })
    }
}

fn text(found: &[LintFinding]) -> String {
    let mut lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    let count = |severity| found.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    lines.push(format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")));
    lines.join("\n")
}

fn annotation(finding: &LintFinding) -> Annotation {
    let title = format!("{}: {}", finding.rule, finding.object);
    match finding.severity {
        Severity::Error => Annotation::error(title, finding.message.clone()),
        Severity::Warning => Annotation::warning(title, finding.message.clone()),
        _ => Annotation::notice(title, finding.message.clone()),
    }
}
