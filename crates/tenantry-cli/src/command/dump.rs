use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Instant,
};

use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;
use tenantry::{Ident, TenantId};

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
                        privileges. It does not contain the shared schema, extensions, or the tenant's catalog entry."
)]
pub(crate) struct Dump {
    /// The tenant; it may be suspended
    #[arg(value_name = "TENANT")]
    id: String,
    /// File to write [default: TENANT.dump or TENANT.sql]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// `custom` is compressed, for `restore`; `plain` is SQL
    #[arg(long, value_enum, default_value_t = DumpFormat::Custom)]
    format: DumpFormat,
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
}

/// Result of a dump.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DumpReport {
    tenant_id: TenantId,
    /// The schema that was dumped.
    schema: String,
    file: String,
    format: DumpFormat,
    bytes: u64,
    /// How many tables had their rows dumped.
    tables: usize,
    /// The version of the server.
    server_version: String,
    /// The version of `pg_dump`.
    pg_dump_version: String,
    /// How long it took, in milliseconds.
    duration_ms: u64,
}

impl Dump {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        let id = parse(&self.id)?;
        let path = self.path(&id);
        if !self.force && path.exists() {
            return Err(exists(&path));
        }
        let connection = on.upkeep_connection()?;
        let progress = on.output.progress("dump");
        progress.say("looking up the tenant");
        let dump = self.dump(on, &id, &path, &connection, &progress);
        let report = on.interruptible("the dump was not made; no file is left", dump).await?;
        drop(progress);
        on.output.report(&report, || report.text())?;
        Ok(Exit::Fine)
    }

    fn path(&self, id: &TenantId) -> PathBuf {
        self.output.clone().unwrap_or_else(|| {
            let ending = if self.format == DumpFormat::Custom { "dump" } else { "sql" };
            PathBuf::from(format!("{id}.{ending}"))
        })
    }

    async fn dump(
        &self,
        on: &Context,
        id: &TenantId,
        path: &Path,
        connection: &Connection,
        progress: &Progress,
    ) -> Result<DumpReport, Failure> {
        let began = Instant::now();
        let manager = on.manager()?;
        let db = manager.tenant_to_authorize(id).await?;
        let schema = own_schema(db.tenant())?.clone();
        let server = manager.server_outline().await?;
        let pg_dump = Program::for_server("pg_dump", &server)?;
        let partial = Partial::create(path)?;
        let child = self.child(&pg_dump, connection, &schema, &partial.path);
        let ran = child.run(|table| progress.say(table)).await?;
        let bytes = partial.finish(path, self.force)?;
        Ok(DumpReport {
            tenant_id: id.clone(),
            schema: schema.to_string(),
            file: path.display().to_string(),
            format: self.format,
            bytes,
            tables: ran.tables,
            server_version: server.version,
            pg_dump_version: pg_dump.version,
            duration_ms: millis(began),
        })
    }

    fn child(
        &self,
        pg_dump: &Program,
        connection: &Connection,
        schema: &Ident,
        file: &Path,
    ) -> Child {
        let child = Child::new(pg_dump, connection)
            .arg("--verbose")
            .arg(format!("--format={}", self.format.word()))
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
        }
    }
}

impl DumpReport {
    fn text(&self) -> String {
        let Self { tenant_id, schema, file, tables, bytes, pg_dump_version, .. } = self;
        format!(
            "dumped tenant {tenant_id} (schema {schema}) to {file}: {tables} tables, {bytes} bytes, by pg_dump \
             {pg_dump_version}"
        )
    }
}

/// Returns a `pg_dump` pattern that matches only this schema: within quotes no character is special.
pub(super) fn pattern(schema: &Ident) -> String {
    schema.quoted().to_string()
}

pub(super) fn millis(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn exists(path: &Path) -> Failure {
    Failure::new(format!("{} already exists", path.display())).hint("use --force to replace it")
}

/// A temporary file that only this user can read. It is removed unless it is finished.
#[derive(Debug)]
struct Partial {
    path: PathBuf,
    is_finished: bool,
}

impl Partial {
    fn create(target: &Path) -> Result<Self, Failure> {
        let Some(name) = target.file_name() else {
            return Err(Failure::new(format!("{} is not a file name", target.display())));
        };
        let mut name = name.to_owned();
        name.push(format!(".{}.partial", std::process::id()));
        let path = target.with_file_name(name);
        let made = fs::File::options().write(true).create_new(true).mode(0o600).open(&path);
        made.map_err(|error| {
            Failure::while_doing(format_args!("writing {}", path.display()), &error)
        })?;
        Ok(Self { path, is_finished: false })
    }

    /// Renames it to the target, and returns its size.
    fn finish(mut self, target: &Path, replace: bool) -> Result<u64, Failure> {
        let named = match replace {
            true => fs::rename(&self.path, target),
            // A link fails if the target file exists by now.
            false => fs::hard_link(&self.path, target).and_then(|()| fs::remove_file(&self.path)),
        };
        let named = match named {
            // Some file systems do not support links.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !target.exists() => {
                fs::rename(&self.path, target)
            }
            other => other,
        };
        named.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists(target),
            _ => Failure::while_doing(format_args!("writing {}", target.display()), &error),
        })?;
        self.is_finished = true;
        Ok(fs::metadata(target)?.len())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_finished {
            drop(fs::remove_file(&self.path));
        }
    }
}
