mod partial;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;
use tenantry::{
    Ident, IsolationKind, Tenant, TenantId,
    rows::{ExportOptions, ExportReport},
};

use self::partial::{Partial, exists};
use super::{Ended, shell::parse};
use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    output::Progress,
    own_schema::own_schema,
    postgres::{Child, Connection, Program},
};

/// Arguments of `dump`.
#[derive(Debug, Args)]
#[command(
    after_help = "A dump is a consistent snapshot of the schema: tables, rows, migration records, owners and \
                        privileges. It does not contain the shared schema, extensions, or the tenant's catalog entry.\n\n\
                        If the tenant is isolated by row, its rows of all tables are written, without their structure, \
                        and pg_dump is not needed."
)]
pub(crate) struct Dump {
    /// The tenant; it may be suspended
    #[arg(value_name = "TENANT")]
    id: String,
    /// File to write [default: TENANT.dump, TENANT.sql or TENANT.rows]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// `custom` is compressed, for `restore`; `plain` is SQL; `rows` is that of tenants isolated by row, for `restore`
    /// [default: rows for these, otherwise custom]
    #[arg(long, value_enum)]
    format: Option<DumpFormat>,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Omit the owners of objects
    #[arg(long)]
    no_owner: bool,
    /// Omit privileges
    #[arg(long)]
    no_acl: bool,
}

/// How a dump is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum DumpFormat {
    /// Compressed, for `restore`
    Custom,
    /// SQL
    Plain,
    /// The rows of a tenant that is isolated by row, for `restore`
    Rows,
}

/// Result of a dump.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DumpReport {
    tenant_id: TenantId,
    /// The schema that was dumped, or that has the tables of all tenants.
    schema: String,
    file: String,
    format: DumpFormat,
    bytes: u64,
    /// How many tables had their rows dumped.
    tables: usize,
    /// The version of the server.
    server_version: String,
    /// How many rows were dumped, if the tenant is isolated by row.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    /// The version of `pg_dump`, unless the tenant is isolated by row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pg_dump_version: Option<String>,
    /// How long it took, in milliseconds.
    duration_ms: u64,
}

impl Dump {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        let id = parse(&self.id)?;
        if self.output.as_deref() == Some(Path::new("-")) {
            return Err(Failure::new(
                "--output - is not a file: a dump is not written to standard output",
            )
            .hint("name a file; without --output, it is TENANT.dump, TENANT.sql or TENANT.rows"));
        }
        let progress = on.output.progress("dump");
        progress.say("looking up the tenant");
        let dump = self.dump(on, &id, &progress);
        let report = on.interruptible("the dump was not made; no file is left", dump).await?;
        drop(progress);
        on.output.report(&report, || report.text())?;
        Ok(Exit::Fine)
    }

    async fn dump(
        &self,
        on: &Context,
        id: &TenantId,
        progress: &Progress,
    ) -> Result<DumpReport, Failure> {
        let began = Instant::now();
        let db = on.manager()?.tenant_to_authorize(id).await?;
        let format = self.format_of(db.tenant())?;
        let path = self.path(id, format);
        if !self.force && path.exists() {
            return Err(exists(&path));
        }
        let partial = Partial::create(&path)?;
        let report = match format {
            DumpFormat::Rows => {
                let report = export(on, id, partial.path(), progress).await?;
                DumpReport::of_rows(&report, &path)
            }
            DumpFormat::Custom | DumpFormat::Plain => {
                let schema = own_schema(db.tenant())?;
                self.dump_schema(on, id, schema, &partial, (format, &path), progress).await?
            }
        };
        let bytes = partial.finish(&path, self.force)?;
        Ok(DumpReport { bytes, duration_ms: millis(began), ..report })
    }

    /// Returns the format of the tenant's dump.
    fn format_of(&self, tenant: &Tenant) -> Result<DumpFormat, Failure> {
        let is_in_rows = tenant.placement().isolation() == IsolationKind::Row;
        match self.format {
            None if is_in_rows => Ok(DumpFormat::Rows),
            None => Ok(DumpFormat::Custom),
            Some(format) if is_in_rows == (format == DumpFormat::Rows) => Ok(format),
            Some(format) => {
                let kind = tenant.placement().isolation();
                let what = format!(
                    "tenant {} is isolated by {kind}, so its dump is not in the format {}",
                    tenant.id(),
                    format.word()
                );
                Err(Failure::new(what).hint("leave --format out"))
            }
        }
    }

    fn path(&self, id: &TenantId, format: DumpFormat) -> PathBuf {
        self.output.clone().unwrap_or_else(|| PathBuf::from(format!("{id}.{}", format.ending())))
    }

    async fn dump_schema(
        &self,
        on: &Context,
        id: &TenantId,
        schema: &Ident,
        partial: &Partial,
        (format, path): (DumpFormat, &Path),
        progress: &Progress,
    ) -> Result<DumpReport, Failure> {
        let connection = on.upkeep_connection()?;
        let server = on.manager()?.server_outline().await?;
        let pg_dump = Program::for_server("pg_dump", &server)?;
        let child = self.child(&pg_dump, &connection, schema, (format, partial.path()));
        let ran = child.run(|table| progress.say(table)).await?;
        Ok(DumpReport {
            tenant_id: id.clone(),
            schema: schema.to_string(),
            file: path.display().to_string(),
            format,
            bytes: 0,
            tables: ran.tables,
            server_version: server.version,
            rows: None,
            pg_dump_version: Some(pg_dump.version),
            duration_ms: 0,
        })
    }

    fn child(
        &self,
        pg_dump: &Program,
        connection: &Connection,
        schema: &Ident,
        (format, file): (DumpFormat, &Path),
    ) -> Child {
        let child = Child::new(pg_dump, connection)
            .arg("--verbose")
            .arg(format!("--format={}", format.word()))
            .arg(format!("--schema={}", pattern(schema)))
            .arg("--file")
            .arg(file);
        let flags = [(self.no_owner, "--no-owner"), (self.no_acl, "--no-acl")];
        let given = flags.into_iter().filter(|(is_given, _)| *is_given);
        given.fold(child, |child, (_, flag)| child.arg(flag))
    }
}

impl DumpFormat {
    fn word(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::Plain => "plain",
            Self::Rows => "rows",
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Custom => "dump",
            Self::Plain => "sql",
            Self::Rows => "rows",
        }
    }
}

impl DumpReport {
    fn of_rows(report: &ExportReport, path: &Path) -> Self {
        Self {
            tenant_id: report.tenant_id.clone(),
            schema: report.schema.to_string(),
            file: path.display().to_string(),
            format: DumpFormat::Rows,
            bytes: report.bytes,
            tables: report.tables.len(),
            server_version: report.server_version.clone(),
            rows: Some(report.rows()),
            pg_dump_version: None,
            duration_ms: 0,
        }
    }

    fn text(&self) -> String {
        let Self { tenant_id, schema, file, tables, bytes, .. } = self;
        let what = match (&self.rows, &self.pg_dump_version) {
            (Some(rows), _) => format!("{rows} rows in {tables} tables, {bytes} bytes"),
            (None, Some(version)) => {
                format!("{tables} tables, {bytes} bytes, by pg_dump {version}")
            }
            (None, None) => format!("{tables} tables, {bytes} bytes"),
        };
        format!("dumped tenant {tenant_id} (schema {schema}) to {file}: {what}")
    }
}

/// Writes the rows of a tenant that is isolated by row.
async fn export(
    on: &Context,
    id: &TenantId,
    path: &Path,
    progress: &Progress,
) -> Result<ExportReport, Failure> {
    let file = fs::File::options().write(true).open(path)?;
    let shown = progress.clone();
    let options = ExportOptions::default().on_progress(move |step| shown.say(&step.to_string()));
    let provisioner = on.manager()?.provisioner();
    Ok(provisioner.export_rows(id.clone(), tokio::fs::File::from_std(file), options).await?)
}

/// Returns a `pg_dump` pattern that matches only this schema: within quotes no character is special.
pub(super) fn pattern(schema: &Ident) -> String {
    schema.quoted().to_string()
}

pub(super) fn millis(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}
