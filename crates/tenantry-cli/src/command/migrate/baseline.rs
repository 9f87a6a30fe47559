use std::{fs, io::Write, path::Path};

use clap::Args;
use tenantry::{
    baseline::{Baseline as Options, BaselineReport, BaselineScript},
    migrate::End,
};

use super::{migrator_of, new, revert::word, watched};
use crate::{
    command::Ended,
    context::Context,
    exit::Exit,
    failure::{Failure, chain},
    output::Confirm,
    selection::Selection,
    settings::key,
};

/// Arguments of `migrate baseline`.
#[derive(Debug, Args)]
pub(crate) struct Baseline {
    #[command(flatten)]
    selection: Selection,
    /// Last version to record [default: the one that a tenant's tables match]
    #[arg(long, value_name = "VERSION")]
    to: Option<i64>,
    /// Record without comparing the schemas with the migrations
    #[arg(long, alias = "force", requires = "to")]
    unchecked: bool,
    /// Show what would be recorded, and record nothing
    #[arg(long)]
    dry_run: bool,
    /// Write a first migration file that creates the objects of this schema, and record nothing
    #[arg(long, value_name = "SCHEMA", conflicts_with_all = ["all", "tenant", "tenants", "to", "dry_run"])]
    from_schema: Option<String>,
    /// Name of that file
    #[arg(long, requires = "from_schema", default_value = "baseline")]
    name: String,
    /// Version of that file [default: 0001]
    #[arg(long, requires = "from_schema", value_name = "DIGITS")]
    version: Option<String>,
    #[command(flatten)]
    confirm: Confirm,
}

impl Baseline {
    pub(super) async fn run(self, on: &Context) -> Ended {
        match &self.from_schema {
            Some(schema) => self.write(on, schema).await,
            None => self.record(on).await,
        }
    }

    async fn record(self, on: &Context) -> Ended {
        let schemas = match self.dry_run {
            true => self.selection.schemas()?,
            false => self.selection.schemas_to_change()?,
        };
        let migrator = migrator_of(on, &schemas).await?;
        if self.unchecked && !self.dry_run {
            self.confirm.typed("recording migrations without comparing", word(&schemas))?;
        }
        let baseline = self.to.map_or_else(Options::detected, Options::to);
        let baseline = baseline.unchecked(self.unchecked).dry_run(self.dry_run);
        let options = watched(on, "baseline", on.settings.migrate_options());
        let report = migrator.baseline(schemas, baseline, options).await?;
        ended(on, &report)
    }

    async fn write(&self, on: &Context, schema: &str) -> Ended {
        let Some(folder) = on.settings.path(&key::TENANT_MIGRATIONS) else {
            return Err(Failure::new(format!("{} is not set", key::TENANT_MIGRATIONS.name)));
        };
        let version = self.version.as_deref().unwrap_or("0001");
        if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Failure::new(format!("--version {version:?} is not a version"))
                .hint("a version consists of digits, such as 0001 or 20260131120000"));
        }
        refuse_beside_others(on, &folder)?;
        let path = folder.join(format!("{version}_{}.sql", new::snake(&self.name)));
        let migrator = on.manager()?.migrator();
        let script =
            on.interruptible("nothing was written", migrator.baseline_script(schema)).await?;
        create(&folder, &path, &script.sql).map_err(|error| {
            Failure::while_doing(format_args!("writing {}", path.display()), &error)
        })?;
        on.output.print(&path.display().to_string())?;
        Ok(told(on, &script))
    }
}

/// Refuses a folder that has migrations: the new one would come before them, or after tables that they create.
fn refuse_beside_others(on: &Context, folder: &Path) -> Result<(), Failure> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let is_sql = |path: &Path| path.extension().is_some_and(|ending| ending == "sql");
    let found = entries.map(|entry| entry.path()).find(|path| is_sql(path));
    match found {
        None => Ok(()),
        Some(found) => Err(Failure::new(format!(
            "{} has migrations, such as {}",
            folder.display(),
            found.file_name().unwrap_or_default().display()
        ))
        .hint(format!(
            "a baseline is the first of them: name an empty folder with --set {}=…, or record which of these the \
             tenants have with `{} migrate baseline --all`",
            key::TENANT_MIGRATIONS.name,
            on.program()
        ))),
    }
}

fn create(folder: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = fs::File::options().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// Reports what the file does not create.
fn told(on: &Context, script: &BaselineScript) -> Exit {
    for left_out in &script.left_out {
        on.output.note(format_args!("omitted: {left_out}"));
    }
    for difference in &script.differences {
        on.output.warn(format!("the file creates something different: {difference}"));
    }
    Exit::fine_if(script.differences.is_empty())
}

fn ended(on: &Context, report: &BaselineReport) -> Ended {
    on.output.report(report, || report.to_string())?;
    if let Some(failure) = &report.broken {
        on.output.note(format_args!(
            "--to VERSION --unchecked records without running the files: {}",
            chain(failure)
        ));
    }
    Ok(match report.is_success() {
        true => Exit::Fine,
        false if report.end == End::Stopped && report.failed == 0 => Exit::Interrupted,
        false => Exit::Problems,
    })
}
