use std::fmt::Write;

use clap::Args;
use tenantry::archive::{DiffOptions, DiffReport, RowFound};

use super::Ended;
use crate::{context::Context, exit::Exit};

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "The exit code is 1 if the tenants differ. `merge --diff` takes the JSON of this command."
)]
pub(crate) struct Diff {
    /// The first tenant, such as one that was imported from an archive
    first: String,
    /// The second tenant, such as its present state
    second: String,
    /// Tables to compare [default: all]
    #[arg(long, value_name = "TABLE")]
    table: Vec<String>,
    /// How many rows of each table are listed with their keys
    #[arg(long, value_name = "ROWS", default_value_t = 20)]
    keys: usize,
}

impl Diff {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        let mut options = DiffOptions::default().keys(self.keys);
        if !self.table.is_empty() {
            options = options.tables(&self.table);
        }
        let archiver = on.manager()?.archiver();
        let progress = on.output.progress("diff");
        progress.say("reading and comparing rows");
        let diff = archiver.diff(&*self.first, &*self.second, options);
        let report = on.interruptible("the comparison did not finish", diff).await?;
        drop(progress);
        on.output.report(&report, || text(&report))?;
        Ok(Exit::fine_if(report.is_equal()))
    }
}

/// The report, and the keys that it has.
fn text(report: &DiffReport) -> String {
    let mut text = report.to_string();
    for table in &report.tables {
        for row in &table.rows {
            let key = row.key.join(", ");
            let found = match row.found {
                RowFound::OnlyInFirst => format!("only in {}", report.first),
                RowFound::OnlyInSecond => format!("only in {}", report.second),
                _ => format!("different: {}", row.columns.join(", ")),
            };
            let _infallible = write!(text, "\n  {} ({key}): {found}", table.table);
        }
    }
    text
}
