use std::path::PathBuf;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use tenantry::{ErrorKind, archive::Manifest};

use crate::{
    command::Ended,
    context::Context,
    exit::Exit,
    failure::{Failure, chain},
};

/// Arguments of `archive verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The folder of the archive
    folder: PathBuf,
}

/// Arguments of `archive show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The folder of the archive
    folder: PathBuf,
}

/// The result of a check.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ArchiveCheck {
    path: String,
    /// What the archive contains, if it is as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<Manifest>,
    /// What is missing or damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Verify {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let progress = on.output.progress("verify");
        progress.say("reading the files");
        let path = self.folder.display().to_string();
        let archiver = on.manager()?.archiver();
        let verified = tokio::select! {
            verified = archiver.verify(&self.folder) => verified,
            () = on.interrupt.clone().wait() => {
                return Err(Failure::new("interrupted: the archive was not checked completely"));
            }
        };
        drop(progress);
        let check = match verified {
            Ok(manifest) => ArchiveCheck { path, manifest: Some(manifest), error: None },
            Err(error) if error.kind() == ErrorKind::Archive => {
                ArchiveCheck { path, manifest: None, error: Some(chain(&error)) }
            }
            Err(error) => return Err(error.into()),
        };
        on.output.report(&check, || match (&check.manifest, &check.error) {
            (Some(manifest), _) => {
                let (rows, bytes) = (manifest.rows(), manifest.bytes());
                format!("{} is whole: {rows} rows, {bytes} bytes", check.path)
            }
            (None, error) => {
                format!("{} is not whole: {}", check.path, error.as_deref().unwrap_or_default())
            }
        })?;
        Ok(Exit::fine_if(check.error.is_none()))
    }
}

impl Show {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let read = on.manager()?.archiver().read(&self.folder).await;
        let manifest = read.map_err(Failure::from)?;
        on.output.report(&manifest, || text(&manifest))?;
        Ok(Exit::Fine)
    }
}

fn text(manifest: &Manifest) -> String {
    let Manifest { tenant_id, server, schema, tables, server_version, tenantry_version, .. } =
        manifest;
    // The time as the file has it.
    let json = serde_json::to_value(manifest).unwrap_or_default();
    let at = json["exportedAt"].as_str().unwrap_or_default();
    let (rows, bytes) = (manifest.rows(), manifest.bytes());
    let mut text = format!(
        "tenant {tenant_id} as of {at}: schema {schema} on server {server}\n\
         {rows} rows in {} tables, {bytes} bytes; PostgreSQL {server_version}, Tenantry {tenantry_version}",
        tables.len()
    );
    for table in tables {
        text.push_str(&format!("\n  {}: {} rows", table.name, table.rows));
    }
    for remark in &manifest.remarks {
        text.push_str(&format!("\nnote: {remark}"));
    }
    text
}
