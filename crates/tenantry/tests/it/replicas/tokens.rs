use std::time::{Duration, Instant};

use tenantry::ConsistencyToken;

use super::{builder, collector, is_on_replica, pause, reads, resume, warm};
use crate::{
    failover::Pair,
    support::{TestResult, connect, eventually, run},
};

const COUNT: &str = "select count(*), pg_is_in_recovery() from added";

#[tokio::test]
async fn a_token_carries_a_write_to_another_process() -> TestResult {
    let pair = Pair::start().await?;
    let (writing, reading) = (builder(&pair).build()?, builder(&pair).build()?);
    warm(&reading, "acme").await;
    let (writer, reader) = (writing.tenant("acme").await?, reading.tenant("acme").await?);
    for written in 1..=20 {
        sqlx::query("insert into added values (1)").execute(&writer).await?;
        let token = writer.consistency_token().await?.to_string();
        let read = reader.read().at_least(token.parse::<ConsistencyToken>()?);
        let (count, _): (i64, bool) = sqlx::query_as(COUNT).fetch_one(&read).await?;
        assert_eq!(count, written);
    }
    pause(&pair).await;
    sqlx::query("insert into added values (1)").execute(&writer).await?;
    let token = writer.consistency_token().await?;
    warm(&reading, "acme").await;
    let counted: (i64, bool) =
        sqlx::query_as(COUNT).fetch_one(&reader.read().at_least(token)).await?;
    assert_eq!(counted, (21, false));
    // Without the token, it is the replica's 20.
    let read = reader.read().at_least(token).at_least(None);
    eventually("the replica answers", async || {
        let counted: (i64, bool) =
            sqlx::query_as(COUNT).fetch_one(&read).await.expect("it is served");
        counted == (20, true)
    })
    .await;
    resume(&pair).await;
    writing.close().await;
    reading.close().await;
    Ok(())
}

#[tokio::test]
async fn a_hostile_token_makes_no_read_wait_or_fail() -> TestResult {
    let pair = Pair::start().await?;
    let manager = builder(&pair).build()?;
    warm(&manager, "acme").await;
    let db = manager.tenant("acme").await?;
    let own = db.consistency_token().await?.to_string();
    let parts: Vec<_> = own.split('.').collect();
    let [_, system, timeline, lsn] = parts[..] else { panic!("{own}") };
    let token = |system: &str, timeline: &str, lsn: &str| {
        let text = format!("v1.{system}.{timeline}.{lsn}");
        text.parse::<ConsistencyToken>().expect("a token")
    };
    let future = token(system, timeline, "ffffffffffffffff");
    // The replica does not get any further, however long one waits.
    pause(&pair).await;
    run(&mut connect(&pair.primary.url()).await, "insert into tenant_acme.added values (1)").await;
    let collector = collector(&manager);
    let waited = reads(&collector, "behind");
    let (mut on_replica, mut times) = (0, Vec::new());
    for _ in 0..50 {
        let began = Instant::now();
        on_replica += usize::from(is_on_replica(&db.read().at_least(future)).await);
        times.push(began.elapsed());
    }
    assert_eq!(reads(&collector, "behind"), waited, "none has waited for the position");
    times.sort();
    // One that waited for the position would take 20 ms, and be answered by the primary.
    assert!(on_replica > 0);
    assert!(times[25] < Duration::from_millis(18), "{times:?}");
    let ignored = || reads(&collector, "token") + reads(&collector, "no_primary");
    let before = ignored();
    for hostile in [token("1", timeline, lsn), token(system, "7", lsn), token(system, "7", "0")] {
        assert!(!is_on_replica(&db.read().at_least(hostile)).await);
    }
    assert_eq!(ignored() - before, 3, "each goes to the primary, if that answers in time");
    // Others are not affected.
    warm(&manager, "acme").await;
    resume(&pair).await;
    manager.close().await;
    Ok(())
}

/// A process that has not noticed the failover reads what another has written after it.
#[tokio::test]
async fn a_token_from_after_a_failover_leads_to_the_new_primary() -> TestResult {
    let pair = Pair::start().await?;
    let (writing, reading) = (builder(&pair).build()?, builder(&pair).build()?);
    warm(&reading, "acme").await;
    let reader = reading.tenant("acme").await?;
    run(&mut connect(&pair.standby.url()).await, "select pg_promote(true, 60)").await;
    let writer = writing.tenant("acme").await?;
    sqlx::query("insert into added values (1)").execute(&writer).await?;
    let token = writer.consistency_token().await?;
    let counted: (i64, bool) =
        sqlx::query_as(COUNT).fetch_one(&reader.read().at_least(token)).await?;
    assert_eq!(counted, (1, false));
    writing.close().await;
    reading.close().await;
    Ok(())
}
