//! [`sqlx::Executor`] for the handles: each statement runs on a separate lease.

use async_stream::try_stream;
use futures_util::{TryStreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{
    Describe, Either, Execute, Executor, Postgres, SqlStr,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use super::{
    Handle, SharedDb, TenantDb,
    handle::{in_time, late},
    patience::{Late, Patience},
    statement::Statement,
};
use crate::pool::{Effect, Holder, Session};

type Step = Either<PgQueryResult, PgRow>;

impl Handle {
    /// Streams the result of a statement. If the stream is dropped early, the session is cleaned up
    /// in the background.
    fn stream<'e, 'q: 'e>(
        &'e self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> BoxStream<'e, sqlx::Result<Step>> {
        let statement = Statement::take(query);
        Box::pin(try_stream! {
            let statement = statement?;
            let (effect, sql) = (statement.effect(), statement.text());
            let changes_schema = statement.changes_schema();
            let mut lease = self.acquire().await?;
            let mut again = statement.is_repeatable().then(|| statement.clone());
            let mut next = Some(statement);
            let mut patience = Patience::new(self.limit());
            let (mut rows, mut in_doubt) = (0_u64, false);
            // A reader that holds a row of the stream also holds the connection.
            let mut reader = None;
            let mut running = self.running(sql);
            let mut outcome = Ok(());
            while let Some(statement) = next.take() {
                let session = lease.start();
                let mut failure = Ok(());
                {
                    let mut steps = session.conn.fetch_many(statement);
                    loop {
                        running.must_go_on();
                        match patience.wait(steps.try_next()).await {
                            Ok(Ok(Some(step))) => {
                                // A row was delivered, so the statement cannot be run again.
                                again = None;
                                rows += u64::from(step.is_right());
                                running.may_end_with(rows);
                                let reader = *reader.get_or_insert_with(Holder::current);
                                let holding = self.notes_holders().then(|| session.held.by(reader));
                                yield step;
                                drop(holding);
                            }
                            Ok(Ok(None)) => break,
                            Ok(Err(error)) => {
                                failure = Err(error);
                                break;
                            }
                            Err(Late(limit)) => {
                                in_doubt = true;
                                failure = Err(late(limit));
                                break;
                            }
                        }
                    }
                }
                if let Err(error) = &failure
                    && session.is_stale_statement(error)
                {
                    match patience.wait(session.forget_statements()).await {
                        Ok(forgotten) => forgotten?,
                        Err(Late(limit)) => {
                            in_doubt = true;
                            again = None;
                            failure = Err(late(limit));
                        }
                    }
                    next = again.take();
                    if next.is_some() {
                        continue;
                    }
                }
                if changes_schema {
                    lease.doubt_alike();
                }
                match in_doubt {
                    true => lease.doubt(),
                    false => lease.finish(effect, &failure),
                }
                if let Err(error) = &failure
                    && lease.wants_primary(error)
                {
                    next = again.take();
                    if next.is_some() {
                        drop(lease);
                        match self.acquire().await {
                            Ok(another) => lease = another,
                            Err(error) => {
                                outcome = Err(error.into());
                                break;
                            }
                        }
                        continue;
                    }
                }
                outcome = failure;
            }
            running.end(outcome.as_ref().map(|()| rows));
            outcome?;
        })
    }

    async fn prepare(&self, sql: SqlStr, parameters: &[PgTypeInfo]) -> sqlx::Result<PgStatement> {
        let mut lease = self.acquire().await?;
        let prepare = async |on: &mut Session| on.conn.prepare_with(sql, parameters).await;
        in_time(&mut lease, &mut Patience::new(self.limit()), Effect::OnData, prepare).await
    }

    async fn describe(&self, sql: SqlStr) -> sqlx::Result<Describe<Postgres>> {
        let mut lease = self.acquire().await?;
        let describe = async |on: &mut Session| on.conn.describe(sql).await;
        in_time(&mut lease, &mut Patience::new(self.limit()), Effect::OnData, describe).await
    }
}

macro_rules! impl_executor {
    ($db:ty) => {
        impl<'c> Executor<'c> for &'c $db {
            type Database = Postgres;

            fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<PgQueryResult>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                let statement = Statement::take(query);
                Box::pin(async { self.handle.run(statement?, |conn, s| conn.execute(s)).await })
            }

            fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                self.handle.stream(query)
            }

            fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Vec<PgRow>>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                let statement = Statement::take(query);
                Box::pin(async { self.handle.run(statement?, |conn, s| conn.fetch_all(s)).await })
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                let statement = Statement::take(query);
                Box::pin(async {
                    self.handle.run(statement?, |conn, s| conn.fetch_optional(s)).await
                })
            }

            fn prepare_with<'e>(
                self,
                sql: SqlStr,
                parameters: &'e [PgTypeInfo],
            ) -> BoxFuture<'e, sqlx::Result<PgStatement>>
            where
                'c: 'e,
            {
                Box::pin(self.handle.prepare(sql, parameters))
            }

            #[doc(hidden)]
            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
            where
                'c: 'e,
            {
                Box::pin(self.handle.describe(sql))
            }
        }
    };
}

impl_executor!(TenantDb);
impl_executor!(SharedDb);
