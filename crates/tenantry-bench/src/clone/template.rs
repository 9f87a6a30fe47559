//! New tenants as copies of a template, compared with running their files.

use std::time::Instant;

use tenantry::provision::{CreateOptions, HowMade, Provisioner};

use super::{history, server::Server};
use crate::{
    failure::Failure,
    times::{self, Times},
};

/// Creates tenants one after the other, from a template and from 30 files.
///
/// The template exists before the first round. Each run has a new manager that creates one tenant
/// outside the measured time, so neither pays for its connections or for reading files and template. The
/// tenants are dropped after each run.
pub(super) async fn run(
    server: &Server,
    rounds: u32,
    tenants: usize,
) -> Result<Vec<Times>, Failure> {
    let database = server.database("template").await?;
    let ids: Vec<_> = (0..=tenants).map(|number| format!("new{number:04}")).collect();
    let schemas: Vec<_> = ids.iter().map(|id| format!("tenant_{id}")).collect();
    times::run("template", &["template", "files"], rounds, async |contender, _| {
        let manager = database.manager()?;
        let provisioner = manager.provisioner().tenants(history::migrations()?);
        let options = CreateOptions::default().use_spare(false);
        let (options, how) = match contender {
            0 => (options.from_template(), HowMade::Template),
            _ => (options, HowMade::AtOnce),
        };
        let (first, measured) = ids.split_at(1);
        create(&provisioner, first, &options, how).await?;
        let began = Instant::now();
        create(&provisioner, measured, &options, how).await?;
        let took = began.elapsed();
        manager.close().await;
        let tables = "select count(*) from pg_tables where schemaname like 'tenant\\_new%'";
        let (found, expected) =
            (database.number(tables.to_owned()).await?, ids.len() * (history::TABLES + 1));
        if usize::try_from(found)? != expected {
            return Err(format!("the tenants have {found} tables of {expected}").into());
        }
        database.drop_schemas(&schemas).await?;
        Ok(took)
    })
    .await
}

async fn create(
    provisioner: &Provisioner,
    ids: &[String],
    options: &CreateOptions,
    how: HowMade,
) -> Result<(), Failure> {
    for id in ids {
        let created = Box::pin(provisioner.create(id.as_str(), options.clone())).await?;
        if created.how != how {
            return Err(created.to_string().into());
        }
    }
    Ok(())
}
