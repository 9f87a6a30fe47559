//! A tenant that acts as another one is cancelled, leaves its transaction open, or panics.

use std::panic::AssertUnwindSafe;

use fastrand::Rng;
use futures_util::FutureExt;
use sqlx::{Executor, raw_sql};

use super::super::{
    super::{
        finding::{Attacked, Finding, Stop},
        ground::Ground,
        row_tenants::{RowTenant, RowTenants},
    },
    cancelled::{Polls, polled},
};

/// How a tenant's work ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// A statement on its handle is cancelled.
    Statement,
    /// A transaction is cancelled while it begins, or later.
    Transaction,
    /// A lease is returned in the middle of a transaction.
    LeftOpen,
    /// The task panics in a transaction.
    Panic,
}

const ENDS: [End; 4] = [End::Statement, End::Transaction, End::LeftOpen, End::Panic];

const ACT: &str = "set {setting} to {key}; insert into people (email) values ('planted'); \
    select {column}::text from people";

/// Ends a tenant's work in every way at random points, and looks at the rows of both after each.
pub(in crate::proof) async fn run(ground: &Ground<'_>) -> Attacked {
    let rows = ground.rows()?;
    rows.furnish().await?;
    let (mut random, mut polls, mut dropped) = (ground.random(3), Polls::new(), 0);
    let before = [rows.standing(&rows.acme).await?, rows.standing(&rows.globex).await?];
    for round in 0..ground.options.rounds {
        for (attacker, victim) in rows.pairs() {
            let end = ENDS[random.usize(..ENDS.len())];
            dropped += u64::from(act(rows, end, attacker, victim, &mut polls, &mut random).await?);
            rows.check(ground, &format!("work that ended by {end:?}")).await?;
        }
        if round % 10 == 0 {
            let now = [rows.standing(&rows.acme).await?, rows.standing(&rows.globex).await?];
            if now != before {
                ground.leak(format!("the rows of both are {now:?} instead of {before:?}"));
                rows.furnish().await?;
            }
        }
    }
    let rounds = u64::from(ground.options.rounds);
    let seen = format!(
        "{} times a tenant took the key of the other and was interrupted, {dropped} of them at a random point; \
         afterwards each tenant had its own key and rows",
        2 * rounds
    );
    Ok(Finding { seen, rounds })
}

/// Acts as the other tenant in a transaction that never commits. Returns `true` if a future was dropped on its way.
async fn act(
    rows: &RowTenants,
    end: End,
    attacker: &RowTenant,
    victim: &RowTenant,
    polls: &mut Polls,
    random: &mut Rng,
) -> Result<bool, Stop> {
    let sql = || rows.fill(ACT, attacker, victim).finish();
    let most = polls.draw(random);
    let acting = async {
        let mut tx = attacker.db.begin().await?;
        tx.execute(raw_sql(sql())).await?;
        Ok::<_, Stop>(tx)
    };
    let ended = match end {
        End::Statement => {
            let take = rows.fill("select set_config({name}, {key}, false)", attacker, victim);
            let taking = raw_sql(take.finish()).fetch_all(&attacker.db);
            polled(most, taking).await.is_some()
        }
        End::Transaction => polled(most, acting).await.is_some(),
        End::LeftOpen => {
            let mut lease = attacker.db.acquire().await?;
            lease.execute(raw_sql("begin")).await?;
            lease.execute(raw_sql(sql())).await?;
            return Ok(false);
        }
        End::Panic => {
            panic_in(acting).await?;
            return Ok(false);
        }
    };
    polls.learn(most, ended);
    Ok(!ended)
}

/// Panics while the transaction is open, unless panics would end the process.
async fn panic_in<T>(acting: impl Future<Output = Result<T, Stop>>) -> Result<(), Stop> {
    let panics = async {
        let _open = acting.await?;
        if cfg!(panic = "unwind") {
            // Without the panic hook, which would write to the log.
            std::panic::resume_unwind(Box::new("the task of a tenant"));
        }
        Ok(())
    };
    AssertUnwindSafe(panics).catch_unwind().await.unwrap_or(Ok(()))
}
