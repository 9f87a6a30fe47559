use std::{env, fs, path::PathBuf};

use clap::Args;
use tenantry::{anonymize::Anonymize, clone::CloneOptions};

use super::{attributes, create::ident};
use crate::{command::Ended, context::Context, exit::Exit, failure::Failure, output::Progress};

/// Arguments of `tenant clone`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("rows").args(["data", "anonymize"]).multiple(true)))]
pub(crate) struct Clone {
    /// The tenant to copy
    from: String,
    /// The id of the copy
    to: String,
    /// Copy the rows, too
    #[arg(long)]
    data: bool,
    /// TOML file with masks for personal data; implies --data
    #[arg(long, value_name = "FILE")]
    anonymize: Option<PathBuf>,
    /// Tables whose rows are not copied; `*` matches anything
    #[arg(long, value_name = "TABLE", requires = "rows")]
    exclude: Vec<String>,
    /// Copy only the rows of a table that match: TABLE=CONDITION in SQL
    #[arg(long, value_name = "TABLE=CONDITION", requires = "rows")]
    filter: Vec<String>,
    /// Maximum number of rows to copy from a table: TABLE=ROWS
    #[arg(long, value_name = "TABLE=ROWS", requires = "rows")]
    limit: Vec<String>,
    /// Number of connections that copy rows concurrently
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Attributes to store in the catalog: `name=value`, or a JSON object
    #[arg(long, value_name = "ATTRIBUTES")]
    attributes: Vec<String>,
    /// Name of its schema [default: from the template]
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
    /// Its key, if the tenant is isolated by row [default: its id]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Role of its sessions
    #[arg(long)]
    role: Option<String>,
}

impl Clone {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let progress = on.output.progress("clone");
        progress.say("structure");
        let options = self.options(on, progress.clone())?;
        let provisioner = on.provisioner()?;
        let clone = provisioner.clone_tenant(&*self.from, &*self.to, options);
        let report = on.interruptible("the tenant was not cloned", clone).await?;
        drop(progress);
        on.output.report(&report, || report.to_string())?;
        Ok(if report.remarks.is_empty() { Exit::Fine } else { Exit::Warnings })
    }

    fn options(&self, on: &Context, progress: Progress) -> Result<CloneOptions, Failure> {
        let mut options = CloneOptions::default()
            .data(self.data)
            .attributes(attributes::read(on, &self.attributes)?)
            .connections(self.connections)
            .exclude_tables(&self.exclude)
            .on_progress(move |step| progress.say(&step.to_string()));
        options = self.some_rows(options)?;
        if let Some(schema) = &self.schema {
            options = options.container(ident("--schema", schema)?);
        }
        if let Some(key) = &self.key {
            options = options.key(key.as_str());
        }
        if let Some(role) = &self.role {
            options = options.role(ident("--role", role)?);
        }
        match &self.anonymize {
            Some(path) => Ok(options.anonymize(rules(path)?)),
            None => Ok(options),
        }
    }

    /// Sets which rows of a table to copy.
    fn some_rows(&self, mut options: CloneOptions) -> Result<CloneOptions, Failure> {
        for (table, condition) in pairs("--filter", &self.filter)? {
            options = options.filter(table, condition);
        }
        for (table, rows) in pairs("--limit", &self.limit)? {
            let rows = rows.trim().parse().map_err(|_| {
                Failure::new(format!(
                    "--limit {table}={rows}: the number of rows is not a whole number"
                ))
            })?;
            options = options.limit(table, rows);
        }
        Ok(options)
    }
}

fn rules(path: &std::path::Path) -> Result<Anonymize, Failure> {
    let what = || format!("reading the masks {}", path.display());
    let text = fs::read_to_string(path).map_err(|error| Failure::while_doing(what(), &error))?;
    let rules =
        Anonymize::from_toml(&text).map_err(|error| Failure::while_doing(what(), &error))?;
    rules.read_key(|name| env::var(name).ok()).map_err(|error| Failure::while_doing(what(), &error))
}

fn pairs<'a>(flag: &str, given: &'a [String]) -> Result<Vec<(&'a str, &'a str)>, Failure> {
    let split = |text: &'a String| {
        text.split_once('=').ok_or_else(|| {
            Failure::new(format!("{flag} {text} has no ="))
                .hint("write the table, then =, then the value")
        })
    };
    given.iter().map(split).collect()
}
