use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::Value;
use tenantry::archive::{DiffReport, MergeOptions};

use super::Ended;
use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{Confirm, Progress},
};

/// Arguments of `merge`.
#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// The tenant whose rows are read, such as one that was imported from an archive
    from: String,
    /// The tenant whose rows are changed
    into: String,
    /// Tables whose rows are merged where they differ
    #[arg(long, value_name = "TABLE")]
    table: Vec<String>,
    /// A row by its key: TABLE=VALUE, or TABLE=["VALUE", …] if the key has several columns
    #[arg(long, value_name = "TABLE=KEY")]
    row: Vec<String>,
    /// JSON of `diff`, whose rows are merged; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    diff: Option<PathBuf>,
    /// Merge the rows of all tables that have the same primary key in both
    #[arg(long)]
    everything: bool,
    /// Delete chosen rows that only the target has
    #[arg(long)]
    delete: bool,
    /// Merge rows although they have changed since `diff`
    #[arg(long, requires = "diff")]
    even_if_changed: bool,
    /// Do everything, and roll it back
    #[arg(long)]
    dry_run: bool,
    /// How many rows of each table are listed with their keys
    #[arg(long, value_name = "ROWS", default_value_t = 20)]
    keys: usize,
    #[command(flatten)]
    confirm: Confirm,
}

impl Merge {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        let options = self.options()?;
        let archiver = on.manager()?.archiver();
        if !self.dry_run {
            let what = format!("merging rows of tenant {} into tenant {}", self.from, self.into);
            self.confirm.typed(&what, &self.into)?;
        }
        let progress = on.output.progress("merge");
        progress.say("reading and comparing rows");
        let options = telling(options, progress.clone());
        let merge = archiver.merge(&*self.from, &*self.into, options);
        let report =
            on.interruptible("everything or nothing was merged: run `diff`", merge).await?;
        drop(progress);
        on.output.report(&report, || {
            let mut text = report.to_string();
            for table in &report.tables {
                for row in &table.rows {
                    let (key, done) = (row.key.join(", "), row.done);
                    let columns = match row.columns.is_empty() {
                        true => String::new(),
                        false => format!(": {}", row.columns.join(", ")),
                    };
                    text.push_str(&format!("\n  {} ({key}): {done}{columns}", table.table));
                }
            }
            text
        })?;
        let is_fine = report.tables.iter().all(|it| it.withheld + it.changed == 0);
        Ok(if is_fine { Exit::Fine } else { Exit::Warnings })
    }

    fn options(&self) -> Result<MergeOptions, Failure> {
        let is_chosen = self.everything || self.diff.is_some();
        if !is_chosen && self.table.is_empty() && self.row.is_empty() {
            return Err(Failure::new("no rows were chosen")
                .hint("name them with --row, --table or --diff, or use --everything"));
        }
        let mut options = MergeOptions::default()
            .tables(&self.table)
            .delete(self.delete)
            .overwrite_changed(self.even_if_changed)
            .dry_run(self.dry_run)
            .keys(self.keys);
        if self.everything {
            options = options.everything();
        }
        for row in &self.row {
            let (table, key) = row.split_once('=').ok_or_else(|| {
                Failure::new(format!("--row {row} has no ="))
                    .hint("write the table, then =, then the key")
            })?;
            options = options.rows(table, [key_of(key)]);
        }
        match &self.diff {
            Some(path) => Ok(options.listed_in(&read(path)?)),
            None => Ok(options),
        }
    }
}

fn telling(options: MergeOptions, progress: Progress) -> MergeOptions {
    options.on_progress(move |step| progress.say(&step.to_string()))
}

/// Returns the values of a key: those of a list in JSON, or the text itself.
fn key_of(text: &str) -> Vec<String> {
    let Ok(Value::Array(values)) = serde_json::from_str(text) else { return vec![text.to_owned()] };
    let value = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    values.into_iter().map(value).collect()
}

/// Reads the report of a comparison.
fn read(path: &Path) -> Result<DiffReport, Failure> {
    let what = || format!("reading the comparison {}", path.display());
    let text = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    let text = text.map_err(|error| Failure::while_doing(what(), &error))?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::while_doing(what(), &error).hint("`tenantry diff --json FROM INTO` writes one")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_text_or_a_list() {
        assert_eq!(key_of("17"), ["17"]);
        assert_eq!(key_of("[\"de\", 17, \"a=b\"]"), ["de", "17", "a=b"]);
        assert_eq!(key_of("[draft"), ["[draft"]);
        assert_eq!(key_of(""), [""]);
    }
}
