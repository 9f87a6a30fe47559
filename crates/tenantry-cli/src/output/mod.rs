//! Output to standard output and standard error.

mod annotation;
mod confirm;
mod escape;
mod progress;
mod style;
mod table;

use std::{
    fmt,
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use serde::Serialize;
use tracing_subscriber::EnvFilter;

pub(crate) use annotation::{Annotation, Format};
pub(crate) use confirm::Confirm;
pub(crate) use escape::plain;
pub(crate) use progress::Progress;
pub(crate) use style::Style;
pub(crate) use table::Table;

use crate::{failure::Failure, global::Global, words::translated};

/// The output options of a command.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        let Global { json, quiet, .. } = *global;
        Self { json, quiet }
    }

    /// Prints a report: as JSON with `--json`, otherwise as this text, without control characters, since it contains
    /// names and errors of the database.
    pub(crate) fn report<R: Serialize>(
        &self,
        report: &R,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        self.styled_report(report, || plain(&text()))
    }

    /// Like [`report`](Self::report), for a colored text whose other parts are [`plain`].
    pub(crate) fn styled_report<R: Serialize>(
        &self,
        report: &R,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json {
            let json = serde_json::to_string_pretty(report)
                .map_err(|error| Failure::while_doing("writing the report as JSON", &error))?;
            return self.print(&json);
        }
        self.print(&translated(&text()))
    }

    /// Prints lines to standard output.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        written(writeln!(io::stdout().lock(), "{}", text.trim_end_matches('\n')))
    }

    /// Prints annotations for GitHub Actions.
    pub(crate) fn annotate(&self, annotations: &[Annotation]) -> Result<(), Failure> {
        if self.json {
            return Err(Failure::new("--json and --format github cannot be combined")
                .hint("remove one of them"));
        }
        annotations
            .iter()
            .try_for_each(|annotation| self.print(&translated(&annotation.to_string())))
    }

    /// Returns the colours of standard output.
    pub(crate) fn style(&self) -> Style {
        Style::of(&io::stdout())
    }

    /// Prints a note outside the report, unless `--quiet` is given.
    pub(crate) fn note(&self, note: impl fmt::Display) {
        if !self.quiet {
            tell(format_args!("note: {}\n", plain(&translated(&note.to_string()))));
        }
    }

    /// Prints a warning.
    pub(crate) fn warn(&self, warning: impl fmt::Display) {
        let style = Style::of(&io::stderr());
        tell(format_args!(
            "{}: {}\n",
            style.warning("warning"),
            plain(&translated(&warning.to_string()))
        ));
    }

    /// Shows the progress over many tenants, on a terminal.
    pub(crate) fn progress(&self, what: &'static str) -> Progress {
        Progress::new(what, !self.quiet)
    }
}

/// Returns a number with its noun, such as `1 tenant` or `2 tenants`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Ignores a closed pipe, such as that of `| head`.
pub(crate) fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            READER_GONE.store(true, Ordering::Relaxed);
            Ok(())
        }
        Err(error) => Err(Failure::while_doing("writing to standard output", &error)),
        Ok(()) => Ok(()),
    }
}

/// Whether the reader of standard output has closed its end.
static READER_GONE: AtomicBool = AtomicBool::new(false);

/// Returns `true` once the reader of standard output has closed its end: commands that print repeatedly then end.
pub(crate) fn reader_is_gone() -> bool {
    READER_GONE.load(Ordering::Relaxed)
}

/// Prints to standard error. A failure cannot be reported anywhere, and must not end the command as `eprintln!`
/// would.
pub(crate) fn tell(text: impl fmt::Display) {
    let mut stderr = io::stderr().lock();
    drop(write!(stderr, "{text}"));
    drop(stderr.flush());
}

/// Prints why a command could not run.
pub(crate) fn error(failure: &Failure) {
    let style = Style::of(&io::stderr());
    tell(format_args!("{}: {}\n", style.error("error"), plain(&translated(&failure.to_string()))));
}

/// Logs the library's events to standard error, if requested.
pub(crate) fn start_log(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => "warn,tenantry=info",
        2 => "info,tenantry=debug",
        _ => "debug,tenantry=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let format = tracing_subscriber::fmt().event_format(tenantry::PlainFormat::default());
    // A service may already have set up logging.
    drop(format.with_env_filter(filter).with_writer(io::stderr).try_init());
}
