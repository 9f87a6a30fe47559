//! A tenant that is removed, or loses its session, in the middle of an operation.

use sqlx::{Executor, raw_sql};

use super::super::{
    finding::{Attacked, Finding, Stop},
    ground::Ground,
};

const COUNT: &str = "select count(*) from marker";

const COPY: &str = "copy marker from stdin";

/// Leaves a `COPY` open: dropped, forgotten, with bad rows, and while reading.
pub(in crate::proof) async fn copy(ground: &Ground<'_>) -> Attacked {
    let ways = ["dropped while writing", "never ended", "given up while reading"];
    let mut rounds = 0;
    let before = ground.look(&ground.globex, COUNT).await?;
    let before_of_acme = ground.look(&ground.acme, COUNT).await?;
    for _ in 0..ground.options.plantings() {
        for way in ways {
            rounds += 1;
            let mut lease = ground.acme.acquire().await?;
            match way {
                "given up while reading" => {
                    let rows =
                        "copy (select repeat('x', 1000) from generate_series(1, 20000)) to stdout";
                    drop(lease.copy_out_raw(rows).await?);
                }
                _ => {
                    let mut copy = lease.copy_in_raw(COPY).await?;
                    copy.send(b"planted\n".as_slice()).await?;
                    if way == "never ended" {
                        std::mem::forget(copy);
                    }
                }
            }
            drop(lease);
            for (db, before) in [(&ground.globex, &before), (&ground.acme, &before_of_acme)] {
                let found = ground.look(db, COUNT).await?.differences(before);
                let id = db.tenant().id();
                ground.leak_all(found.into_iter().map(|of| format!("COPY {way}: {id} found {of}")));
            }
        }
    }
    let seen =
        format!("{rounds} copies left open, no row or answer of them reached another tenant");
    Ok(Finding { seen, rounds })
}

/// Terminates the server process of a session that is in use, inside a transaction and outside.
pub(in crate::proof) async fn lost_session(ground: &Ground<'_>) -> Attacked {
    let mut rounds = 0;
    let before = ground.look(&ground.globex, COUNT).await?;
    for _ in 0..ground.options.plantings() {
        for begin in ["select 1", "begin; insert into marker values ('planted')"] {
            rounds += 1;
            let mut lease = ground.acme.acquire().await?;
            lease.execute(raw_sql(begin)).await?;
            lease.execute(raw_sql("create temp table marker (owner text)")).await.ok();
            let ended = lease
                .execute(raw_sql(
                    "select pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())",
                ))
                .await;
            if ended.is_ok() {
                return Err(Stop::new("the server process did not end"));
            }
            drop(lease);
            let found = ground.look(&ground.globex, COUNT).await?.differences(&before);
            ground.leak_all(
                found.into_iter().map(|of| format!("after {begin:?}, globex found {of}")),
            );
        }
    }
    let seen =
        format!("{rounds} server processes ended, the next tenant had a new session each time");
    Ok(Finding { seen, rounds })
}
