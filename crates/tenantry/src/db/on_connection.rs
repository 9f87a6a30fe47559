//! [`sqlx::Executor`] and [`sqlx::Acquire`] for types that hold a connection: they forward
//! everything to it.

use std::future::ready;

use futures_util::{future::BoxFuture, stream::BoxStream};
use sqlx::{
    Acquire, Describe, Either, Execute, Executor, PgConnection, Postgres, SqlStr, Transaction,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use super::TenantTransaction;
use crate::pool::Lease;

macro_rules! impl_on_connection {
    ($holder:ty) => {
        impl<'c> Executor<'c> for &'c mut $holder {
            type Database = Postgres;

            fn fetch_many<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                (&mut **self).fetch_many(query)
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                (&mut **self).fetch_optional(query)
            }

            fn prepare_with<'e>(
                self,
                sql: SqlStr,
                parameters: &'e [PgTypeInfo],
            ) -> BoxFuture<'e, sqlx::Result<PgStatement>>
            where
                'c: 'e,
            {
                (&mut **self).prepare_with(sql, parameters)
            }

            #[doc(hidden)]
            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
            where
                'c: 'e,
            {
                (&mut **self).describe(sql)
            }
        }

        impl<'c> Acquire<'c> for &'c mut $holder {
            type Database = Postgres;
            type Connection = &'c mut PgConnection;

            fn acquire(self) -> BoxFuture<'c, sqlx::Result<Self::Connection>> {
                Box::pin(ready(Ok(&mut **self)))
            }

            fn begin(self) -> BoxFuture<'c, sqlx::Result<Transaction<'c, Postgres>>> {
                Acquire::begin(&mut **self)
            }
        }
    };
}

impl_on_connection!(TenantTransaction);
impl_on_connection!(Lease);
