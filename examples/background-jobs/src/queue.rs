//! The queue: a table in the schema that all tenants share. A job carries its tenant's id, for a handle
//! cannot be written down.

use sqlx::FromRow;
use tenantry::{SharedDb, TenantManager};

/// How often a job is begun before it counts as failed.
pub(crate) const ATTEMPTS: i32 = 3;

#[derive(Debug, Clone)]
pub(crate) struct Queue {
    shared: SharedDb,
}

/// A job that one worker has, and no other.
#[derive(Debug, FromRow)]
pub(crate) struct Job {
    pub(crate) id: i64,
    pub(crate) tenant: String,
    pub(crate) attempts: i32,
}

impl Queue {
    pub(crate) fn new(manager: &TenantManager) -> Self {
        Self { shared: manager.shared().clone() }
    }

    pub(crate) async fn push(&self, tenant: &str) -> Result<(), sqlx::Error> {
        sqlx::query("insert into jobs (tenant) values ($1)")
            .bind(tenant)
            .execute(&self.shared)
            .await?;
        Ok(())
    }

    /// Takes the oldest job that nobody has. Rows that another worker is about to take are passed over
    /// instead of waited for.
    ///
    /// The job is marked, not locked: a lock would keep a connection for as long as the job takes, while
    /// the job itself needs one. A job whose worker has vanished is taken again a minute later.
    pub(crate) async fn claim(&self) -> Result<Option<Job>, sqlx::Error> {
        sqlx::query_as(
            "update jobs
             set state = 'running', attempts = attempts + 1, claimed_at = now()
             where id = (
                 select id
                 from jobs
                 where state = 'queued'
                     or (state = 'running' and claimed_at < now() - interval '1 minute')
                 order by id
                 limit 1
                 for update skip locked
             )
             returning id, tenant, attempts",
        )
        .fetch_optional(&self.shared)
        .await
    }

    pub(crate) async fn done(&self, job: &Job) -> Result<(), sqlx::Error> {
        self.set(job, "done", None).await
    }

    pub(crate) async fn failed(&self, job: &Job, why: &str) -> Result<(), sqlx::Error> {
        self.set(job, "failed", Some(why)).await
    }

    pub(crate) async fn again(&self, job: &Job, why: &str) -> Result<(), sqlx::Error> {
        self.set(job, "queued", Some(why)).await
    }

    async fn set(&self, job: &Job, state: &str, error: Option<&str>) -> Result<(), sqlx::Error> {
        sqlx::query("update jobs set state = $2, error = $3 where id = $1 and attempts = $4")
            .bind(job.id)
            .bind(state)
            .bind(error)
            // Not if it was taken again in the meantime: then it is somebody else's.
            .bind(job.attempts)
            .execute(&self.shared)
            .await?;
        Ok(())
    }
}
