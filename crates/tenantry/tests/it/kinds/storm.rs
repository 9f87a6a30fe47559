//! Random requests of all tenants while sessions, servers and requests end at any moment.

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use fastrand::Rng;
use futures_util::{FutureExt, future::join_all};
use sqlx::{Connection, PgConnection};
use tenantry::{TenantDb, TenantManager};
use tokio::time::{sleep, timeout};

use super::ground::{BUDGETS, Ground};
use crate::faults::Frozen;
use crate::support::{TestResult, at_rest, eventually_within, try_run};

const MS: Duration = Duration::from_millis(1);

/// How long it lasts: a moment, or as many seconds as the environment says.
fn storm() -> Duration {
    let seconds = std::env::var("TENANTRY_STORM_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(5))
}

/// What the requests of one task came to.
#[derive(Default)]
struct Tally {
    read: HashMap<&'static str, usize>,
    /// Names whose insert was acknowledged.
    acknowledged: HashMap<&'static str, Vec<String>>,
    failed: usize,
}

impl Tally {
    /// Checks that a tenant sees its own names only.
    fn see(&mut self, tenant: &'static str, names: &[String]) {
        let own = format!("{tenant}:");
        for name in names {
            assert!(name.starts_with(&own), "{tenant} has seen {name}");
        }
        *self.read.entry(tenant).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        for (tenant, count) in other.read {
            *self.read.entry(tenant).or_default() += count;
        }
        for (tenant, names) in other.acknowledged {
            self.acknowledged.entry(tenant).or_default().extend(names);
        }
        self.failed += other.failed;
    }
}

const SELECT: &str = "select name from users order by random() limit 20";
const INSERT: &str = "insert into users (name) values ($1)";

/// Inserts a name, in a transaction that reads before and after.
async fn in_transaction(db: &TenantDb, name: &str) -> sqlx::Result<Vec<String>> {
    let mut tx = db.begin().await?;
    let mut names: Vec<String> = sqlx::query_scalar(SELECT).fetch_all(&mut *tx).await?;
    sqlx::query(INSERT).bind(name).execute(&mut *tx).await?;
    names.extend(sqlx::query_scalar::<_, String>(SELECT).fetch_all(&mut *tx).await?);
    tx.commit().await?;
    Ok(names)
}

/// Leaves a session in a state that the next tenant must not find.
async fn leave_behind(db: &TenantDb, random: &mut Rng) -> sqlx::Result<()> {
    let mut lease = db.acquire().await?;
    let left = [
        "set search_path to tenant_schema1, tenant_schema3, public",
        "set tenantry.tenant to 'row1'",
        "begin; insert into users (name) values ('nobody')",
        "create temp table users as select 'nobody:' as name",
        "set session characteristics as transaction read only",
        "reset role; reset all",
    ];
    // An error may be just what is left behind.
    drop(try_run(&mut *lease, left[random.usize(..left.len())]).await);
    Ok(())
}

async fn request(
    manager: &TenantManager,
    tenant: &'static str,
    random: &mut Rng,
    tally: &mut Tally,
) -> Result<(), tenantry::Error> {
    let db = manager.tenant(tenant).await?;
    let name = format!("{tenant}:{}", random.u128(..));
    match random.u8(..16) {
        0..6 => tally.see(tenant, &sqlx::query_scalar(SELECT).fetch_all(&db).await?),
        6..9 => {
            sqlx::query(INSERT).bind(&name).execute(&db).await?;
            tally.acknowledged.entry(tenant).or_default().push(name);
        }
        9..12 => {
            tally.see(tenant, &in_transaction(&db, &name).await?);
            tally.acknowledged.entry(tenant).or_default().push(name);
        }
        12 => leave_behind(&db, random).await?,
        13 => {
            // Whether it was inserted is unknown.
            drop(timeout(MS * random.u32(..4), in_transaction(&db, &name)).await);
        }
        14 => {
            let panics = async {
                let mut lease = db.acquire().await.ok()?;
                let mut tx = lease.begin().await.ok()?;
                sqlx::query(INSERT).bind("nobody").execute(&mut *tx).await.ok()?;
                std::panic::resume_unwind(Box::new("on purpose"))
            };
            let _: Result<Option<()>, _> = AssertUnwindSafe(panics).catch_unwind().await;
        }
        _ => {
            // As much as anybody does, so that connections are scarce.
            sqlx::query("select pg_sleep(0.005)").execute(&db).await?;
        }
    }
    Ok(())
}

async fn requests(manager: TenantManager, mut random: Rng, until: Instant) -> Tally {
    let tenants: Vec<_> = Ground::tenants().collect();
    let mut tally = Tally::default();
    while Instant::now() < until {
        let tenant = tenants[random.usize(..tenants.len())];
        if request(&manager, tenant, &mut random, &mut tally).await.is_err() {
            tally.failed += 1;
            sleep(MS * 5).await;
        }
    }
    tally
}

/// Ends a session of the manager, or cancels what it runs, in whichever database.
async fn hit_a_session(url: &str, random: &mut Rng) -> sqlx::Result<()> {
    let sql = match random.bool() {
        true => {
            "select pg_terminate_backend(pid) from pg_stat_activity \
                 where application_name like 'tenantry/%' order by random() limit 1"
        }
        false => {
            "select pg_cancel_backend(pid) from pg_stat_activity \
                  where application_name like 'tenantry/%' order by random() limit 1"
        }
    };
    let mut admin = PgConnection::connect(url).await?;
    sqlx::query(sql).execute(&mut admin).await?;
    admin.close().await
}

/// Injects faults, and at last leaves both servers as they should be.
async fn faults(ground: &Ground, mut random: Rng, until: Instant, is_counted: &AtomicBool) {
    while Instant::now() < until {
        let server = &ground.servers[random.usize(..2)];
        match random.u8(..20) {
            0 => {
                is_counted.store(false, Ordering::SeqCst);
                let frozen = Frozen::freeze(server);
                sleep(MS * random.u32(50..1_500)).await;
                drop(frozen);
                // What was given up meanwhile ends now.
                sleep(MS * 500).await;
                is_counted.store(true, Ordering::SeqCst);
            }
            1 => {
                server.stop_now().await.expect("the server can be stopped");
                sleep(MS * random.u32(..300)).await;
                server.start_again().await.expect("the server can be started");
            }
            _ => drop(hit_a_session(&server.url(), &mut random).await),
        }
        sleep(MS * random.u32(10..80)).await;
    }
}

/// Returns how long the manager had more sessions than its budget at a stretch. A process that was
/// told to end is a session until it has ended.
async fn over_budget(url: &str, budget: i64, until: Instant, is_counted: &AtomicBool) -> Duration {
    let (mut longest, mut since) = (Duration::ZERO, None);
    let mut admin = None;
    while Instant::now() < until {
        let sessions = match &mut admin {
            Some(admin) => sessions(admin).await,
            None => Err(sqlx::Error::PoolClosed),
        };
        match sessions {
            Ok(sessions) if sessions > budget && is_counted.load(Ordering::SeqCst) => {
                longest = longest.max(since.get_or_insert_with(Instant::now).elapsed());
            }
            Ok(_) => since = None,
            Err(_) => {
                since = None;
                admin = PgConnection::connect(url).await.ok();
            }
        }
        sleep(MS * 2).await;
    }
    longest
}

/// Returns the number of the manager's sessions, in all databases.
async fn sessions(admin: &mut PgConnection) -> sqlx::Result<i64> {
    let sql = "select count(*) from pg_stat_activity where application_name like 'tenantry/%'";
    sqlx::query_scalar(sql).fetch_one(admin).await
}

/// Checks that what was acknowledged is there, and nothing that is another tenant's.
async fn check(ground: &Ground, tally: &Tally) {
    for tenant in Ground::tenants() {
        let names: HashSet<_> = ground.names_of(tenant).await.into_iter().collect();
        let own = format!("{tenant}:");
        assert!(names.iter().all(|name| name.starts_with(&own)), "rows of others are in {tenant}");
        for name in tally.acknowledged.get(tenant).into_iter().flatten() {
            assert!(names.contains(name), "{name} was acknowledged and is lost");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_crosses_between_kinds_and_servers_under_faults() -> TestResult {
    let ground = Ground::new().await;
    let manager = ground.manager();
    let seed = fastrand::u64(..);
    let until = Instant::now() + storm();
    let is_counted = AtomicBool::new(true);
    let work = (0..16).map(|task: u64| {
        tokio::spawn(requests(manager.clone(), Rng::with_seed(seed ^ task), until))
    });
    let urls = ground.servers.each_ref().map(tenantry_devdb::DevServer::url);
    let (tallies, (), at_main, at_eu) = tokio::join!(
        join_all(work),
        faults(&ground, Rng::with_seed(seed), until, &is_counted),
        over_budget(&urls[0], BUDGETS[0], until, &is_counted),
        over_budget(&urls[1], BUDGETS[1], until, &is_counted),
    );
    let mut tally = Tally::default();
    for task in tallies {
        tally.add(task.unwrap_or_else(|error| panic!("seed {seed}: {error}")));
    }
    for tenant in Ground::tenants() {
        let mut names = Vec::new();
        eventually_within(Duration::from_secs(20), "every tenant is served", async || {
            let Ok(db) = manager.tenant(tenant).await else { return false };
            let found = sqlx::query_scalar("select name from users").fetch_all(&db).await;
            found.map(|found| names = found).is_ok()
        })
        .await;
        tally.see(tenant, &names);
    }
    at_rest(&manager).await;
    manager.close().await;
    check(&ground, &tally).await;
    let over = at_main.max(at_eu);
    assert!(over < MS * 150, "seed {seed}: over the budget for {over:?}");
    let acknowledged: usize = tally.acknowledged.values().map(Vec::len).sum();
    assert!(acknowledged > 50, "seed {seed}: hardly anything was written, {} failed", tally.failed);
    Ok(())
}
