//! A worker: takes one job after another, whichever tenant it is for.

use example_support::say;
use tenantry::{Error, TenantManager};

use crate::{
    orders,
    queue::{ATTEMPTS, Job, Queue},
};

/// Works until there is no job left. Nothing that is wrong with one job or one tenant ends it.
pub(crate) async fn work(
    number: usize,
    manager: TenantManager,
    queue: Queue,
) -> Result<(), sqlx::Error> {
    while let Some(job) = queue.claim().await? {
        let head = format!("  worker {number}: job {} of {}", job.id, job.tenant);
        match run(&manager, &job).await {
            Ok(total) => {
                queue.done(&job).await?;
                say(format!("{head} is done: an invoice over {total}"));
            }
            // The database was busy or away for a moment; the next attempt may go well.
            Err(error) if error.is_transient() && job.attempts < ATTEMPTS => {
                queue.again(&job, &error.to_string()).await?;
                say(format!("{head} is queued again: {error}"));
            }
            Err(error) => {
                queue.failed(&job, &error.to_string()).await?;
                say(format!("{head} has failed: {error}"));
            }
        }
    }
    Ok(())
}

/// Makes a handle of the tenant's id. A tenant that was suspended or removed since the job was queued
/// has none any more.
async fn run(manager: &TenantManager, job: &Job) -> Result<i64, Error> {
    let db = manager.tenant(job.tenant.as_str()).await?;
    orders::write_invoice(&db, job.id).await
}
