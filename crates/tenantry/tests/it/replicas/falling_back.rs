use futures_util::TryStreamExt;
use tenantry::{Event, ReplicaState};

use super::{builder, collector, is_on_replica, reads, warm};
use crate::{
    failover::Pair,
    support::{Heard, TestResult, connect, eventually, name_of, run},
};

#[tokio::test]
async fn a_read_that_the_replica_cancels_is_run_on_the_primary() -> TestResult {
    let pair = Pair::start().await?;
    let mut standby = connect(&pair.standby.url()).await;
    run(&mut standby, "alter system set max_standby_streaming_delay to '50ms'").await;
    run(&mut standby, "select pg_reload_conf()").await;
    let manager = builder(&pair).build()?;
    warm(&manager, "acme").await;
    let db = manager.tenant("acme").await?;
    let slow = "select count(*), pg_is_in_recovery(), pg_sleep(2)::text from added";
    for streams in [false, true] {
        // The replica may still be behind the last truncation.
        warm(&manager, "acme").await;
        let read = async {
            let read = db.read();
            let query = sqlx::query_as::<_, (i64, bool, String)>(slow);
            match streams {
                false => query.fetch_one(&read).await,
                true => Ok(query.fetch(&read).try_next().await?.expect("a row")),
            }
        };
        let conflict = async {
            is_asked(&pair, "pg_sleep(2)").await;
            let mut other = connect(&pair.primary.url()).await;
            run(&mut other, "truncate tenant_acme.added").await;
        };
        let (read, ()) = tokio::join!(read, conflict);
        let (count, is_replica, _) = read?;
        assert_eq!((count, is_replica), (0, false), "streams: {streams}");
    }
    assert_eq!(reads(&collector(&manager), "conflict"), 2);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn while_the_replica_is_away_the_primary_answers() -> TestResult {
    let pair = Pair::start().await?;
    let heard = Heard::default();
    let manager = builder(&pair).on_event(heard.hook()).build()?;
    warm(&manager, "acme").await;
    let db = manager.tenant("acme").await?;
    pair.standby.stop_now().await?;
    for _ in 0..30 {
        assert_eq!(name_of(&db.read()).await?, "acme");
    }
    assert!(!is_on_replica(&db.read()).await);
    assert!(reads(&collector(&manager), "away") > 0);
    let is_away =
        |event: &Event| matches!(event, Event::Replica(of) if of.state == ReplicaState::Away);
    // Hooks hear of it in the background.
    eventually("it is heard of", async || heard.all().iter().any(is_away)).await;
    pair.standby.start_again().await?;
    warm(&manager, "acme").await;

    // A connection that breaks in the middle of a read.
    let killed = async {
        let mut standby = connect(&pair.standby.url()).await;
        eventually("it runs", async || {
            let killed: i64 = sqlx::query_scalar(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like '%pg_sleep(5)%' \
                 and pid <> pg_backend_pid()",
            )
            .fetch_one(&mut standby)
            .await
            .expect("the standby is running");
            killed > 0
        })
        .await;
    };
    let read = db.read();
    let slow = sqlx::query_scalar(
        "select case when pg_is_in_recovery() then pg_sleep(5)::text else 'primary' end",
    );
    let (said, ()) = tokio::join!(slow.fetch_one(&read), killed);
    let said: String = said?;
    assert_eq!(said, "primary");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_is_not_replicated_yet_is_looked_for_on_the_primary() -> TestResult {
    let pair = Pair::start().await?;
    let manager = builder(&pair).build()?;
    warm(&manager, "acme").await;
    let db = manager.tenant("acme").await?;
    super::pause(&pair).await;
    // Another process migrates the tenant.
    run(
        &mut connect(&pair.primary.url()).await,
        "alter table tenant_acme.added add column later int",
    )
    .await;
    let later = sqlx::query_scalar("select count(later) from added");
    let count: i64 = later.fetch_one(&db.read()).await?;
    assert_eq!(count, 0);
    super::resume(&pair).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_doctor_names_a_replica_that_is_not_used() -> TestResult {
    let pair = Pair::start().await?;
    let other = crate::support::private_server(&[]).await;
    let manager = builder(&pair).replica("main", other.url()).build()?;
    let report = manager.doctor().only(["replication"]).run().await?;
    let text = format!("{report}");
    assert!(text.contains("main/replica-2 does not follow the server"), "{text}");
    assert!(!text.contains("main/replica-1"), "{text}");
    // Nothing is ever read from a server that is no copy.
    let db = manager.tenant("acme").await?;
    for _ in 0..20 {
        assert_eq!(name_of(&db.read()).await?, "acme");
    }
    pair.standby.stop_now().await?;
    let report = manager.doctor().only(["replication"]).run().await?;
    let text = format!("{report}");
    assert!(text.contains("main/replica-1 gives no connection"), "{text}");
    manager.close().await;
    Ok(())
}

/// Waits until the replica runs a query with this text.
async fn is_asked(pair: &Pair, text: &str) {
    let mut standby = connect(&pair.standby.url()).await;
    eventually("the replica runs the query", async || {
        let running = "select exists (select from pg_stat_activity where state = 'active' \
                       and pid <> pg_backend_pid() and strpos(query, $1) > 0)";
        let running: bool = sqlx::query_scalar(running)
            .bind(text)
            .fetch_one(&mut standby)
            .await
            .expect("the standby is running");
        running
    })
    .await;
}
