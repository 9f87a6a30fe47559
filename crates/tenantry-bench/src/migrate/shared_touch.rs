//! Tenants that are migrated concurrently with files that touch a shared object.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use tenantry::migrate::{Lint, Migrations};

use super::{empty::Empty, options};
use crate::{failure::Failure, trusted::trusted};

/// Each changes a row of a system catalog that only one transaction can change at a time.
const STATEMENTS: [&str; 5] = [
    "create extension if not exists pg_trgm schema public",
    "create or replace function public.f() returns int language sql as 'select 1'",
    "grant select on public.plans to public",
    "grant usage on schema public to public",
    "create table if not exists public.x (id int)",
];

/// The initial content of the shared schema.
pub(super) const SHARED: &str = "create table public.plans (id int)";

/// The number of tenants that are migrated concurrently.
const CONCURRENCY: usize = 8;

/// The result of the scenario.
pub(super) struct Touched {
    pub(super) migrated: usize,
    pub(super) failed: usize,
}

/// Runs each statement in all tenants, one statement after the other.
pub(super) async fn run(empty: &Empty) -> Result<Touched, Failure> {
    let manager = empty.manager()?;
    let mut touched = Touched { migrated: 0, failed: 0 };
    for files in 1..=STATEMENTS.len() {
        let options = options().concurrency(CONCURRENCY);
        let report = manager.migrator().tenants(first(files)?).migrate_all(options).await?;
        touched.migrated += report.migrated;
        touched.failed += report.failed;
        if !report.is_success() {
            eprintln!("shared_touch: {report}");
        }
    }
    manager.close().await;
    Ok(touched)
}

fn first(files: usize) -> Result<Migrations, Failure> {
    let file = |(version, text): (i64, &&str)| {
        let description = format!("touch {version}");
        let text = trusted((*text).to_owned());
        Migration::new(version, description.into(), MigrationType::Simple, text, false)
    };
    let files = (1..).zip(&STATEMENTS[..files]).map(file).collect::<Vec<_>>();
    let migrations = Migrations::embedded(&Migrator::with_migrations(files))?;
    Ok(migrations.lint(Lint::default().allow_schema("public")))
}
