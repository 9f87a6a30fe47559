//! Everything that a request can do with a handle, to be dropped at any moment.

use futures_util::{StreamExt, future::BoxFuture};
use tenantry::TenantDb;

use crate::support::{name_of, run};

/// Something that a request does; it fails the test when it sees another tenant.
pub(crate) type Act = fn(TenantDb) -> BoxFuture<'static, sqlx::Result<()>>;

pub(crate) fn own(db: &TenantDb, name: &str) {
    assert_eq!(name, db.tenant().id().as_str());
}

pub(crate) const ACTS: &[(&str, Act)] = &[
    ("acquire", |db| {
        Box::pin(async move {
            let lease = db.acquire().await?;
            assert_eq!(lease.tenant(), Some(db.tenant().id()));
            Ok(())
        })
    }),
    ("fetch one", |db| {
        Box::pin(async move {
            own(&db, &name_of(&db).await?);
            Ok(())
        })
    }),
    ("fetch all", |db| {
        Box::pin(async move {
            let names: Vec<String> =
                sqlx::query_scalar("select name from users, generate_series(1, 500)")
                    .fetch_all(&db)
                    .await?;
            names.iter().for_each(|name| own(&db, name));
            Ok(())
        })
    }),
    ("execute", |db| {
        Box::pin(async move {
            sqlx::query("update users set name = name where id = 1").execute(&db).await?;
            Ok(())
        })
    }),
    ("setting", |db| {
        Box::pin(async move {
            sqlx::query(
                "select set_config('app.secret', $1, false), set_config('search_path', '', false)",
            )
            .bind(db.tenant().id().as_str())
            .execute(&db)
            .await?;
            Ok(())
        })
    }),
    ("stream", |db| {
        Box::pin(async move {
            let mut rows =
                sqlx::query_scalar::<_, String>("select name from users, generate_series(1, 5000)")
                    .fetch(&db);
            for _ in 0..1500 {
                match rows.next().await {
                    Some(name) => own(&db, &name?),
                    None => unreachable!("there are more rows"),
                }
            }
            Ok(())
        })
    }),
    ("lease", |db| {
        Box::pin(async move {
            let mut lease = db.acquire().await?;
            run(&mut *lease, "set app.secret = 'lease'; set search_path to public").await;
            run(&mut *lease, "begin; select 1").await;
            Ok(())
        })
    }),
    ("transaction", |db| {
        Box::pin(async move {
            let mut tx = db.begin().await?;
            own(&db, &name_of(&mut *tx).await?);
            let mut savepoint = tx.begin().await?;
            sqlx::query("update users set name = 'wrong'").execute(&mut *savepoint).await?;
            savepoint.rollback().await?;
            let mut savepoint = tx.begin().await?;
            own(&db, &name_of(&mut *savepoint).await?);
            savepoint.commit().await?;
            tx.commit().await
        })
    }),
    ("transaction as told", |db| {
        Box::pin(async move {
            let mut tx = db.begin_with("begin isolation level repeatable read").await?;
            own(&db, &name_of(&mut tx).await?);
            match sqlx::query("update users set name = name").execute(&mut tx).await {
                // Another request of the tenant updated the row in the meantime; at this level the
                // server has to refuse.
                Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("40001") => {
                    tx.rollback().await
                }
                Err(error) => Err(error),
                Ok(_) => tx.commit().await,
            }
        })
    }),
    ("lease as told", |db| {
        Box::pin(async move {
            let mut lease = db.acquire().await?;
            let mut tx = lease.begin_with("begin read only").await?;
            own(&db, &name_of(&mut *tx).await?);
            tx.commit().await
        })
    }),
    ("closure", |db| {
        Box::pin(async move {
            db.transaction(async |tx| {
                sqlx::query("update users set name = name").execute(&mut **tx).await?;
                own(&db, &name_of(&mut **tx).await?);
                Ok(())
            })
            .await
        })
    }),
    ("closure that fails", |db| {
        Box::pin(async move {
            let failed = db
                .transaction(async |tx| {
                    sqlx::query("update users set name = 'wrong'").execute(&mut **tx).await?;
                    Err::<(), _>(sqlx::Error::RowNotFound)
                })
                .await;
            match failed {
                Err(sqlx::Error::RowNotFound) => Ok(()),
                other => other,
            }
        })
    }),
    ("rollback", |db| {
        Box::pin(async move {
            let mut tx = db.begin().await?;
            sqlx::query("update users set name = 'wrong'").execute(&mut *tx).await?;
            tx.rollback().await
        })
    }),
    ("sqlx's transaction", |db| {
        Box::pin(async move {
            let mut lease = db.acquire().await?;
            let mut tx = lease.begin().await?;
            sqlx::query("update users set name = 'wrong'").execute(&mut *tx).await?;
            drop(tx);
            own(&db, &name_of(&mut *lease).await?);
            Ok(())
        })
    }),
    ("copy out", |db| {
        Box::pin(async move {
            let mut lease = db.acquire().await?;
            let mut rows = lease
                .copy_out_raw("copy (select name from users, generate_series(1, 3000)) to stdout")
                .await?;
            while let Some(chunk) = rows.next().await {
                own(
                    &db,
                    std::str::from_utf8(&chunk?).expect("text").lines().next().expect("a line"),
                );
            }
            Ok(())
        })
    }),
    ("copy in", |db| {
        Box::pin(async move {
            let mut lease = db.acquire().await?;
            let mut copy = lease.copy_in_raw("copy users from stdin").await?;
            copy.send(b"7\tseven\n".as_slice()).await?;
            copy.send(b"8\teight\n".as_slice()).await?;
            copy.abort("not wanted").await
        })
    }),
    ("error", |db| {
        Box::pin(async move {
            let error = sqlx::query("select 1 / (id - id) from users").execute(&db).await;
            error.expect_err("a division by zero");
            Ok(())
        })
    }),
];
