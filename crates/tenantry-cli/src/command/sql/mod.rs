mod format;
mod table;
mod text;

use std::{
    fs,
    io::{self, IsTerminal, Read, Write},
    ops::ControlFlow,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use clap::{Args, ValueEnum};
use tenantry::{
    fan_out::{FanOutEnd, FanOutMode, FanOutOptions, FanOutOutcome, FanOutReport, TenantRows},
    migrate::Schemas,
};

pub(super) use self::text::SqlReport;
use self::{
    format::Writer,
    table::TableWriter,
    text::{CsvWriter, JsonWriter, LinesWriter},
};
use super::Ended;
use crate::{
    context::Context, exit::Exit, failure::Failure, output, selection::Selection, settings,
};

/// Arguments of `sql`.
#[derive(Debug, Args)]
#[command(after_long_help = READ_ONLY)]
pub(crate) struct Sql {
    /// One statement, or `-` for standard input
    #[arg(required_unless_present = "file", allow_hyphen_values = false)]
    statement: Option<String>,
    /// Read the statement from a file
    #[arg(long, short, value_name = "FILE", conflicts_with = "statement")]
    file: Option<PathBuf>,
    #[command(flatten)]
    selection: Selection,
    /// Run it in the shared schema: alone, or before the selected tenants
    #[arg(long)]
    shared: bool,
    /// Allow the statement to change data, in one transaction per tenant
    #[arg(long)]
    write: bool,
    /// Run it outside a transaction, as vacuum and create index concurrently require
    #[arg(long, requires = "write")]
    outside_transaction: bool,
    /// How rows are printed [default: table; json with --json]
    #[arg(long, value_enum)]
    format: Option<As>,
    /// Number of tenants to run on concurrently
    #[arg(long, value_name = "TENANTS", default_value_t = 8)]
    concurrency: usize,
    /// Number of failed tenants after which no further one is started
    #[arg(long, value_name = "TENANTS")]
    max_failures: Option<usize>,
    /// How long the statement may take per tenant
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = settings::duration)]
    timeout: Duration,
    /// How long it may wait for a lock
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = settings::duration)]
    lock_timeout: Duration,
}

const READ_ONLY: &str = "\
Without --write, the statement runs in a read-only transaction that is rolled back. That protects against mistakes; it is \
not a security boundary. It does not prevent effects outside of tables: ending sessions (pg_terminate_backend), \
reloading the configuration, notify, locks, writing files (lo_export), and anything that functions in untrusted \
languages, dblink or foreign tables do. Limit those with the privileges of the database role.

Rows are printed as they arrive, in order within a tenant; with --concurrency 1, tenants are in order, too. The first \
column is the tenant, empty for the shared schema.";

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum As {
    /// Aligned columns
    Table,
    /// Comma-separated values with a header; null is empty, and an empty text is ""
    Csv,
    /// One object with the rows and the report
    Json,
    /// One object per line
    Ndjson,
}

impl Sql {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        let statement = self.statement()?;
        let schemas = self.schemas()?;
        if let (true, Some(As::Table | As::Csv)) = (on.output.json, self.format) {
            return Err(Failure::new("--json and --format cannot be combined")
                .hint("remove one of them, or use --format ndjson"));
        }
        let format = self.format.unwrap_or(if on.output.json { As::Json } else { As::Table });
        let manager = on.manager()?;
        let out = io::BufWriter::new(io::stdout());
        let writer: Box<dyn Writer + Send> = match format {
            As::Table => Box::new(TableWriter::new(out)),
            As::Csv => Box::new(CsvWriter::new(out)),
            As::Json => Box::new(JsonWriter::new(out)),
            As::Ndjson => Box::new(LinesWriter::new(out)),
        };
        let state = Arc::new(Mutex::new(Printing { writer, failed: None }));
        let print = {
            let state = Arc::clone(&state);
            move |rows: TenantRows| {
                let flow =
                    state.lock().map_or(ControlFlow::Break(()), |mut state| state.print(&rows));
                std::future::ready(flow)
            }
        };
        let report = manager.fan_out().run(schemas, &statement, self.options(on), print).await?;
        let mut state = state.lock().map_err(|_| Failure::new("printing failed"))?;
        if let Some(error) = state.failed.take() {
            return self.cut_off(on, error, &report);
        }
        output::written(state.writer.end(&report))?;
        tell(on, &report);
        let exit = match report.end {
            FanOutEnd::ConsumerEnded => Exit::Fine,
            FanOutEnd::Stopped if report.failed == 0 => Exit::Interrupted,
            _ => Exit::fine_if(report.is_success()),
        };
        Ok(exit)
    }

    /// Reports what was done if printing the rows failed midway.
    fn cut_off(&self, on: &Context, error: io::Error, report: &FanOutReport) -> Ended {
        if error.kind() == io::ErrorKind::BrokenPipe && !self.write {
            // The reader has closed the pipe.
            return Ok(Exit::Fine);
        }
        let why = match error.kind() {
            io::ErrorKind::BrokenPipe => "the reader of the rows has gone".to_owned(),
            // The columns of a tenant that fit no table.
            io::ErrorKind::Other => error.to_string(),
            _ => format!("writing to standard output: {error}"),
        };
        if !self.write {
            return Err(Failure::new(why));
        }
        tell(on, report);
        let done = report.tenants.iter().filter(|tenant| tenant.outcome.as_str() == "done");
        let done = done.map(|tenant| tenant.tenant_id.as_deref().unwrap_or("(shared)"));
        let done = done.collect::<Vec<_>>().join(", ");
        Err(Failure::new(match done.is_empty() {
            true => format!("{why}; nothing was committed"),
            false => format!("{why}; committed in {done}"),
        }))
    }

    fn statement(&self) -> Result<String, Failure> {
        if let Some(path) = &self.file {
            return fs::read_to_string(path).map_err(|error| {
                Failure::while_doing(
                    format_args!("reading the statement from {}", path.display()),
                    &error,
                )
            });
        }
        match self.statement.as_deref() {
            Some("-") => {
                if io::stdin().is_terminal() {
                    output::tell("reading the statement; Ctrl-D ends it\n");
                }
                let mut text = String::new();
                io::stdin()
                    .read_to_string(&mut text)
                    .map_err(|error| Failure::while_doing("reading the statement", &error))?;
                Ok(text)
            }
            given => Ok(given.unwrap_or_default().to_owned()),
        }
    }

    fn schemas(&self) -> Result<Schemas, Failure> {
        match (self.shared, self.selection.is_given()) {
            (true, false) => Ok(Schemas::Shared),
            // Reading is safe, so all tenants are the default.
            (false, false) if self.write => self.selection.schemas_to_change(),
            _ => self.selection.schemas(),
        }
    }

    fn options(&self, on: &Context) -> FanOutOptions {
        let mode = match (self.write, self.outside_transaction) {
            (true, true) => FanOutMode::WriteOutsideTransaction,
            (true, false) => FanOutMode::Write,
            _ => FanOutMode::ReadOnly,
        };
        let options = FanOutOptions::default()
            .mode(mode)
            .with_shared(self.shared && self.selection.is_given())
            .concurrency(self.concurrency)
            .statement_timeout(self.timeout)
            .lock_timeout(self.lock_timeout)
            .stop_when(on.interrupt.clone().wait());
        self.max_failures.into_iter().fold(options, FanOutOptions::max_failures)
    }
}

/// Rows on their way to standard output.
struct Printing {
    writer: Box<dyn Writer + Send>,
    failed: Option<io::Error>,
}

impl Printing {
    fn print(&mut self, rows: &TenantRows) -> ControlFlow<()> {
        match self.writer.rows(rows) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

/// Reports on standard error which tenants failed, and how many rows there were.
fn tell(on: &Context, report: &FanOutReport) {
    const TOLD: usize = 20;
    let mut errors = io::stderr().lock();
    let failed = report.tenants.iter().filter_map(|tenant| match &tenant.outcome {
        FanOutOutcome::Failed { error, .. } => {
            Some((tenant.tenant_id.as_deref().unwrap_or("(shared)"), error))
        }
        _ => None,
    });
    for (name, error) in failed.take(TOLD) {
        // Standard error may be closed.
        drop(writeln!(errors, "{name}: {}", output::plain(&error.to_string())));
    }
    let more = report.failed.saturating_sub(TOLD);
    if more > 0 {
        drop(writeln!(errors, "and {more} more have failed"));
    }
    drop(errors);
    if report.end != FanOutEnd::Completed || !on.output.quiet && io::stderr().is_terminal() {
        let text = report.to_string();
        output::tell(format_args!("{}\n", text.lines().next().unwrap_or_default()));
    }
}
