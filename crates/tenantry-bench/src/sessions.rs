use std::time::Duration;

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    task::JoinHandle,
    time::sleep,
};

use crate::failure::Failure;

/// The interval between two samples. One sample takes the server well under a millisecond.
const PAUSE: Duration = Duration::from_millis(40);

/// Counts a contender's sessions on the server in `pg_stat_activity` while it runs.
///
/// The contender is identified by its application name; the sampler's own connection has a different one.
pub(crate) struct SessionSampler {
    stop: oneshot::Sender<()>,
    most: JoinHandle<sqlx::Result<i64>>,
}

impl SessionSampler {
    pub(crate) async fn start(
        server: &PgConnectOptions,
        contender: &'static str,
    ) -> Result<Self, Failure> {
        let options = server.clone().application_name("sampler");
        let conn = PgConnection::connect_with(&options).await?;
        let (stop, stopped) = oneshot::channel();
        let most = tokio::spawn(sample(conn, contender, stopped));
        Ok(Self { stop, most })
    }

    /// Stops the sampling and returns the maximum number of concurrent sessions.
    pub(crate) async fn stop(self) -> Result<i64, Failure> {
        // The receiver is only gone after a failure, and then the error is in the task.
        let _ = self.stop.send(());
        Ok(self.most.await??)
    }
}

async fn sample(
    mut conn: PgConnection,
    contender: &'static str,
    mut stopped: oneshot::Receiver<()>,
) -> sqlx::Result<i64> {
    let mut most = 0;
    while stopped.try_recv() == Err(TryRecvError::Empty) {
        most = most.max(count(&mut conn, contender).await?);
        sleep(PAUSE).await;
    }
    most = most.max(count(&mut conn, contender).await?);
    conn.close().await?;
    Ok(most)
}

/// Returns how many sessions have begun on the server.
pub(crate) async fn begun(server: &PgConnectOptions) -> sqlx::Result<i64> {
    let options = server.clone().application_name("sampler");
    let mut conn = PgConnection::connect_with(&options).await?;
    let begun = "select sum(sessions)::bigint from pg_stat_database";
    let begun = sqlx::query_scalar(begun).fetch_one(&mut conn).await?;
    conn.close().await?;
    Ok(begun)
}

async fn count(conn: &mut PgConnection, contender: &str) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "select count(*) from pg_stat_activity \
         where application_name in ($1, 'tenantry/' || $1) and backend_type = 'client backend'",
    )
    .bind(contender)
    .fetch_one(conn)
    .await
}
