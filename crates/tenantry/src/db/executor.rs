//! [`sqlx::Executor`] for the handles: each statement runs on a separate lease.

use futures_util::{future::BoxFuture, stream::BoxStream};
use sqlx::{
    Describe, Execute, Executor, Postgres, SqlStr,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use super::{
    Handle, ReadDb, SharedDb, TenantDb, handle::in_time, patience::Patience, statement::Statement,
    stream::Step,
};
use crate::pool::{Effect, Session};

macro_rules! impl_executor {
    ($db:ty, $through:ident) => {
        impl<'c> Executor<'c> for &'c $db {
            type Database = Postgres;

            fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<PgQueryResult>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                let statement = Statement::take(query);
                Box::pin(async { self.$through.run(statement?, |conn, s| conn.execute(s)).await })
            }

            fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                self.$through.stream(query)
            }

            fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Vec<PgRow>>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                let statement = Statement::take(query);
                Box::pin(async { self.$through.run(statement?, |conn, s| conn.fetch_all(s)).await })
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
                    self.$through.run(statement?, |conn, s| conn.fetch_optional(s)).await
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
                Box::pin(self.$through.prepare(sql, parameters))
            }

            #[doc(hidden)]
            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
            where
                'c: 'e,
            {
                Box::pin(self.$through.describe(sql))
            }
        }
    };
}

impl_executor!(TenantDb, handle);
impl_executor!(SharedDb, handle);
impl_executor!(ReadDb, reader);

impl Handle {
    pub(super) async fn prepare(
        &self,
        sql: SqlStr,
        parameters: &[PgTypeInfo],
    ) -> sqlx::Result<PgStatement> {
        let mut lease = self.acquire().await?;
        let prepare = async |on: &mut Session| on.conn.prepare_with(sql, parameters).await;
        in_time(&mut lease, &mut Patience::new(self.limit()), Effect::OnData, prepare).await
    }

    pub(super) async fn describe(&self, sql: SqlStr) -> sqlx::Result<Describe<Postgres>> {
        let mut lease = self.acquire().await?;
        let describe = async |on: &mut Session| on.conn.describe(sql).await;
        in_time(&mut lease, &mut Patience::new(self.limit()), Effect::OnData, describe).await
    }
}
