//! A long file full of forbidden statements.

use std::time::{Duration, Instant};

use sqlx::migrate::{Migration, MigrationType, Migrator};
use tenantry::migrate::Migrations;

use crate::{failure::Failure, trusted::trusted};

/// Bytes of the file.
const SIZE: usize = 2_000_000;

/// Places in it that name another schema.
const FINDINGS: usize = 20_000;

/// Lints it once.
pub(super) fn run() -> Result<Duration, Failure> {
    let line = "select 'x'::public.state;";
    let padding = SIZE / FINDINGS - line.len() - 1;
    let line = format!("{line}{}\n", " ".repeat(padding));
    let text = trusted(line.repeat(FINDINGS));
    let file = Migration::new(1, "long".into(), MigrationType::Simple, text, false);
    let files = Migrations::embedded(&Migrator::with_migrations(vec![file]))?;
    let began = Instant::now();
    let found = files.check();
    let took = began.elapsed();
    if found.is_success() {
        return Err("nothing was found in the long file".into());
    }
    Ok(took)
}
