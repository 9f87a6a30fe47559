use std::time::Duration;

use sqlx::Connection;
use tenantry::{
    TenantManager,
    activity::{Activity, ActivityOptions, ActivityRates},
};

use crate::support::{TestResult, World, eventually, pool_options, run};

fn named(world: &World) -> TenantManager {
    let options = pool_options(|options| options.name_tenants = true);
    let builder = world.builder().pool_options(options).instance("web");
    builder.build().expect("the configuration is sound")
}

fn unseen(activity: &Activity) -> Vec<&str> {
    activity.unseen.iter().map(|unseen| unseen.what.as_str()).collect()
}

#[tokio::test]
async fn sessions_are_told_by_process_tenant_and_state() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = named(&world);
    let mut holder = manager.tenant("acme").await?.begin().await?;
    sqlx::query("lock table users").execute(&mut *holder).await?;
    let holder_pid = {
        let pid: i32 =
            sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *holder).await?;
        pid
    };
    let mut waiter = manager.tenant("acme").await?.acquire().await?;
    let waiter_pid = waiter.backend_pid();
    let waiting = tokio::spawn(async move {
        let select = "select 'personal' from users where name = 'a long text that is cut'";
        sqlx::query(select).fetch_all(&mut *waiter).await.map(drop)
    });
    let options = || ActivityOptions::default().slow_after(Duration::ZERO).text_length(17);
    let mut seen = None;
    eventually("one waits for the other", async || {
        let activity = manager.activity(options()).await.expect("the server runs");
        let blocked = !activity.blocked.is_empty();
        seen = Some(activity);
        blocked
    })
    .await;
    let activity = seen.expect("it has been read");

    let [blocked] = &activity.blocked[..] else { panic!("{activity:?}") };
    assert_eq!((Some(blocked.pid), &*blocked.lock), (waiter_pid, "relation"));
    assert_eq!((&*blocked.by, blocked.tenant_id.as_deref()), (&[holder_pid][..], Some("acme")));
    let slow =
        activity.slow.iter().find(|slow| Some(slow.pid) == waiter_pid).expect("it is listed");
    assert_eq!((&*slow.text, &*slow.application), ("select 'personal'", "tenantry/web"));
    assert_eq!(slow.wait.as_deref(), Some("Lock: relation"));
    let wait = activity.waits.iter().find(|wait| wait.event_type == "Lock").expect("it is listed");
    assert_eq!((&*wait.event, wait.sessions), ("relation", 1));
    let acme = activity.tenants.iter().find(|of| of.tenant_id == "acme").expect("it is listed");
    let counts = (acme.sessions.active, acme.sessions.waiting, acme.sessions.idle_in_transaction);
    assert_eq!((counts, acme.is_cut), ((1, 1, 1), false));
    assert!(acme.longest_transaction.is_some());
    let web = &activity.applications[0];
    assert_eq!((&*web.application, web.is_tenantry), ("tenantry/web", true));
    assert!(web.sessions.total >= 2 && activity.sessions.total >= web.sessions.total);
    let connections = activity.connections;
    assert!(connections.used >= 3 && connections.used <= connections.max, "{connections:?}");
    assert!(activity.statements.is_none());
    assert!(unseen(&activity).is_empty(), "{activity:?}");

    let json = serde_json::to_value(&activity)?;
    assert!(json["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{json}");
    assert!(json["durationMs"].is_f64() && json["database"]["commits"].is_i64(), "{json}");
    assert_eq!(json["tenants"][0]["sessions"]["idleInTransaction"], 1);
    assert!(json["applications"][0]["longestTransactionMs"].is_f64(), "{json}");
    let text = activity.to_string();
    assert!(text.contains(" connections, ") && text.contains("\ntenantry/web  "), "{text}");

    holder.commit().await?;
    waiting.await??;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn rates_come_of_two_snapshots() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let before = manager.activity(ActivityOptions::default()).await?;
    assert_eq!(unseen(&before), ["the tenants of sessions"]);
    let other = world.manager();
    for _ in 0..5 {
        sqlx::query("update users set name = name").execute(&other.tenant("acme").await?).await?;
    }
    // The server sums up what its sessions have done when these end, or have been idle for a while.
    other.close().await;
    let mut rates = None;
    eventually("the changes are counted", async || {
        let after = manager.activity(ActivityOptions::default()).await.expect("the server runs");
        rates = ActivityRates::between(&before, &after);
        let changed = |rates: ActivityRates| rates.rows_changed * rates.elapsed.as_secs_f64();
        rates.is_some_and(|rates| changed(rates) > 4.5)
    })
    .await;
    let rates = rates.expect("they have been read");
    assert!(rates.commits > 0.0 && rates.rollbacks >= 0.0, "{rates:?}");
    assert_eq!(ActivityRates::between(&before, &before), None);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_the_role_may_not_see_is_named() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    let role = format!("blind_{}", std::process::id());
    run(
        &mut admin,
        &format!(
            "create role {role} login password 'x'; grant usage on schema tenant_acme to {role}"
        ),
    )
    .await;
    let url = world.database.url();
    let options: sqlx::postgres::PgConnectOptions = url.parse()?;
    let options = options.username(&role).password("x");
    let manager = TenantManager::builder_with(options).build()?;
    let activity = manager.activity(ActivityOptions::default().top_statements(5)).await?;
    let unseen = unseen(&activity);
    assert!(
        unseen.iter().any(|what| what.starts_with("the activity of 1 sessions of other roles")),
        "{activity:?}"
    );
    assert!(unseen.contains(&"the statements with the highest total time"), "{activity:?}");
    assert_eq!(activity.sessions.unknown, 1, "the superuser's");
    assert!(activity.to_string().contains("grant pg_read_all_stats"), "{activity}");
    run(&mut admin, &format!("grant pg_read_all_stats to {role}")).await;
    let activity = manager.activity(ActivityOptions::default()).await?;
    assert_eq!(activity.sessions.unknown, 0, "{activity:?}");
    manager.close().await;
    run(&mut admin, &format!("drop owned by {role}; drop role {role}")).await;
    admin.close().await?;
    Ok(())
}
