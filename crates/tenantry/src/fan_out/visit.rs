//! Runs the statement on one tenant.

use std::{error::Error as StdError, ops::ControlFlow, sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use sqlx::{
    Column as _, Either, Executor, PgConnection, Row, SqlStr, TypeInfo, ValueRef,
    postgres::{PgColumn, PgDatabaseError, PgRow, PgTypeInfo},
    raw_sql,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    FanOutFailure, FanOutMode, FanOutOptions, FanOutOutcome,
    rows::{Batch, Column},
};
use crate::{
    error::{Error, own},
    pool::{Effect, Lease},
    sql::Sql,
};

/// The statement that runs on every tenant.
#[derive(Debug)]
pub(super) struct Statement {
    sql: SqlStr,
    /// The statements before it.
    begin: SqlStr,
    mode: FanOutMode,
    /// How long the server may be silent; it cancels the statement itself before that.
    patience: Duration,
}

/// How much longer than the server the library waits for a statement.
const GRACE: Duration = Duration::from_secs(10);

/// The recipient of a tenant's rows.
pub(super) trait Consumer {
    /// Delivers rows, and waits until there is room for more.
    async fn take(
        &self,
        columns: &Arc<[Column]>,
        rows: Vec<Vec<Option<String>>>,
    ) -> ControlFlow<()>;

    /// Returns `true` for the first caller, while no columns are known.
    fn wants_columns(&self) -> bool;

    /// Cancelled when the consumer has ended.
    fn ended(&self) -> &CancellationToken;
}

/// The reason why a statement did not complete.
enum Cut {
    Failed(sqlx::Error),
    /// The consumer has ended.
    Interrupted,
}

impl From<sqlx::Error> for Cut {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

/// Counts of what has arrived so far.
#[derive(Default)]
struct Counted {
    rows: u64,
    affected: u64,
}

impl Statement {
    pub(super) fn new(sql: SqlStr, options: &FanOutOptions) -> Self {
        let FanOutOptions { mode, statement_timeout, lock_timeout, .. } = options;
        Self {
            sql,
            begin: begin(*mode, *statement_timeout, *lock_timeout),
            mode: *mode,
            patience: statement_timeout.saturating_add(GRACE),
        }
    }

    /// Runs it on a session that is bound to the tenant.
    ///
    /// State that it leaves in the session, including an open transaction, is reset before the next
    /// use.
    ///
    /// # Cancel safety
    ///
    /// When dropped, it is cancelled in the background and rolled back, unless it was being
    /// committed.
    pub(super) async fn run(&self, mut lease: Lease, consumer: &impl Consumer) -> FanOutOutcome {
        let mut counted = Counted::default();
        let ran = self.run_on(lease.attempt(), consumer, &mut counted).await;
        let Counted { rows, affected } = counted;
        match ran {
            Ok(()) => {
                lease.finish(Effect::OnSession, &Ok(()));
                lease.succeed();
                FanOutOutcome::Done { rows, affected }
            }
            // It is still being sent: dropping the lease here reads it to its end or cancels it.
            Err(Cut::Interrupted) => FanOutOutcome::Interrupted { rows },
            Err(Cut::Failed(error)) => {
                let failed = Err::<(), _>(error);
                lease.finish(Effect::OnSession, &failed);
                let error = failed.map_or_else(|error| of_sqlx(&error), |()| silent());
                FanOutOutcome::Failed { error, rows }
            }
        }
    }

    async fn run_on(
        &self,
        conn: &mut PgConnection,
        consumer: &impl Consumer,
        counted: &mut Counted,
    ) -> Result<(), Cut> {
        self.in_time(conn.execute(raw_sql(self.begin.clone()))).await?;
        self.stream(conn, consumer, counted).await?;
        if self.mode == FanOutMode::Write {
            self.in_time(conn.execute(raw_sql("commit"))).await?;
        }
        if counted.rows == 0 && consumer.wants_columns() {
            // sqlx returns the columns of a text result only with its rows. A failure to describe
            // them is ignored: the statement has succeeded.
            let described = self.in_time(conn.prepare(self.sql.clone())).await;
            let columns = described.as_ref().map_or(&[][..], sqlx::Statement::columns);
            if !columns.is_empty() && consumer.take(&named(columns), Vec::new()).await.is_break() {
                return Err(Cut::Interrupted);
            }
        }
        Ok(())
    }

    /// Delivers the rows as they arrive.
    async fn stream(
        &self,
        conn: &mut PgConnection,
        consumer: &impl Consumer,
        counted: &mut Counted,
    ) -> Result<(), Cut> {
        let mut answers = conn.fetch_many(raw_sql(self.sql.clone()));
        let (mut columns, mut batch) = (None, Batch::default());
        loop {
            let answer = self.in_time(answers.try_next());
            let Some(answer) = consumer.ended().run_until_cancelled(answer).await else {
                return Err(Cut::Interrupted);
            };
            let answer = answer?;
            let is_end = match answer {
                Some(Either::Right(row)) => {
                    columns.get_or_insert_with(|| named(row.columns()));
                    batch.add(texts(&row)?);
                    false
                }
                Some(Either::Left(done)) => {
                    counted.affected += done.rows_affected();
                    false
                }
                None => true,
            };
            if (batch.is_full() || is_end)
                && let (Some(columns), Some(rows)) = (&columns, batch.take())
            {
                let more = rows.len() as u64;
                if consumer.take(columns, rows).await.is_break() {
                    return Err(Cut::Interrupted);
                }
                counted.rows += more;
            }
            if is_end {
                return Ok(());
            }
        }
    }

    /// Waits for the server, which has its own limit but may be gone.
    async fn in_time<T>(&self, answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        let late = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
        timeout(self.patience, answer).await.unwrap_or_else(late)
    }
}

/// Returns the statements to send before it, as one string.
///
/// Reading a constant takes the transaction's snapshot: from then on the server refuses to make it
/// [read-write](https://www.postgresql.org/docs/current/sql-set-transaction.html). The text is
/// parsed, and its result formatted, under the library's settings, as when it was checked, whatever
/// a tenant's settings are.
fn begin(mode: FanOutMode, statement_timeout: Duration, lock_timeout: Duration) -> SqlStr {
    let limits = (millis(statement_timeout), millis(lock_timeout));
    let mut sql = Sql::default();
    match mode {
        FanOutMode::ReadOnly => sql.text("begin read only; select null; "),
        FanOutMode::Write => sql.text("begin read write; "),
        FanOutMode::WriteOutsideTransaction => sql.text(""),
    };
    sql.text("set statement_timeout to ").number(limits.0);
    sql.text("; set lock_timeout to ").number(limits.1);
    sql.text("; set standard_conforming_strings to on; set client_encoding to 'UTF8'");
    sql.finish()
}

/// Formats a duration as a server setting, never zero, which would mean no limit.
fn millis(time: Duration) -> u64 {
    let most = u128::from(i32::MAX.unsigned_abs());
    let millis = time.as_nanos().div_ceil(1_000_000).clamp(1, most);
    u64::try_from(millis).unwrap_or(u64::MAX)
}

fn named(columns: &[PgColumn]) -> Arc<[Column]> {
    let column = |column: &PgColumn| Column {
        name: column.name().into(),
        type_name: type_name(column.type_info()),
    };
    columns.iter().map(column).collect()
}

/// Returns the name of a built-in type; for others, a text result contains only the number.
fn type_name(of: &PgTypeInfo) -> Option<Arc<str>> {
    let name = of.name();
    (name != "?").then(|| name.into())
}

/// Returns the values of a row, as formatted by the server.
fn texts(row: &PgRow) -> sqlx::Result<Vec<Option<String>>> {
    let text = |column| {
        let value = row.try_get_raw(column)?;
        if value.is_null() {
            return Ok(None);
        }
        let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
        Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
    };
    (0..row.len()).map(text).collect()
}

/// Describes why there was no session for the statement.
pub(super) fn no_session(error: &Error) -> FanOutFailure {
    let mut message = error.to_string();
    let mut source = StdError::source(error);
    while let Some(cause) = source {
        if let Some(of_server) = cause.downcast_ref::<sqlx::Error>()
            && own(of_server).is_none()
        {
            let failure = of_sqlx(of_server);
            return FanOutFailure { message: format!("{message}: {failure}"), ..failure };
        }
        let text = cause.to_string();
        if !message.ends_with(&text) {
            message = format!("{message}: {text}");
        }
        source = cause.source();
    }
    FanOutFailure { sqlstate: None, message, detail: None, hint: None }
}

fn of_sqlx(error: &sqlx::Error) -> FanOutFailure {
    let answer = error.as_database_error().and_then(|error| error.try_downcast_ref());
    match answer {
        Some(answer) => {
            let answer: &PgDatabaseError = answer;
            FanOutFailure {
                sqlstate: Some(answer.code().to_owned()),
                message: answer.message().to_owned(),
                detail: answer.detail().map(ToOwned::to_owned),
                hint: answer.hint().map(ToOwned::to_owned),
            }
        }
        None => {
            FanOutFailure { sqlstate: None, message: error.to_string(), detail: None, hint: None }
        }
    }
}

fn silent() -> FanOutFailure {
    let message = "the server did not answer".to_owned();
    FanOutFailure { sqlstate: None, message, detail: None, hint: None }
}
