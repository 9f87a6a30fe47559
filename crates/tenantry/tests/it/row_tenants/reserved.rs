//! The key of a dropped tenant: whatever was meant for that tenant never reaches the next one.

use std::time::{Duration, Instant};

use tenantry::{
    Error, ErrorKind, TenantDb, TenantManager,
    clone::CloneOptions,
    provision::{CreateOptions, Created, DropOptions},
};
use tokio::time::sleep;

use super::{Login, Scene};
use crate::support::{TestResult, kind_of, observe, run};

/// The number of users that a session sees.
const COUNT: &str = "select count(*)::text from users";

const BOTH: [Login; 2] = [Login::Superuser, Login::Owner];

impl Scene {
    /// Another process: it hears of nothing that the manager does.
    async fn other_process(&self) -> TenantManager {
        self.builder().build().expect("the configuration is sound")
    }

    async fn drop_acme(&self) {
        let dropped = self.provisioner().drop_tenant("acme", "acme", DropOptions::default()).await;
        dropped.unwrap_or_else(|error| panic!("{error:?}"));
    }

    async fn create_acme(&self) -> Result<Created, Error> {
        self.provisioner().create("acme", CreateOptions::default()).await
    }

    /// Creates the next tenant of the key as soon as that is free.
    async fn create_acme_when_free(&self) -> Duration {
        let began = Instant::now();
        loop {
            match self.create_acme().await {
                Ok(_) => return began.elapsed(),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NameInUse, "{error:?}");
                    let again = error.retry_after().expect("it says when to come again");
                    sleep(again.min(Duration::from_millis(200))).await;
                }
            }
            assert!(began.elapsed() < Duration::from_secs(30), "the key never becomes free");
        }
    }
}

/// The error of a creation whose key is reserved because something is open.
fn is_open(error: &Error) -> bool {
    error.kind() == ErrorKind::NameInUse
        && error
            .to_string()
            .contains("a transaction or lease that began before the tenant with the key \"acme\"")
}

async fn refusal(db: &TenantDb) -> ErrorKind {
    kind_of(sqlx::query(COUNT).execute(db).await.expect_err("the handle is refused"))
}

#[tokio::test]
async fn a_key_is_reserved_for_ten_seconds_and_the_error_says_so() -> TestResult {
    let scene = Scene::new(Login::Owner).await;
    scene.create(&["acme"]).await;
    scene.drop_acme().await;
    let early = scene.create_acme().await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::NameInUse, "{early:?}");
    assert!(
        early.is_transient() && early.retry_after() > Some(Duration::from_secs(8)),
        "{early:?}"
    );
    let says = "the tenant with the key \"acme\" in schema app was dropped less than 10s ago; try again in";
    assert!(early.to_string().contains(says), "{early}");
    assert!(early.to_string().ends_with("; or give the new tenant another key"), "{early}");
    // Another key is free at once; and this one is not free under another id.
    let by_key = |id: &'static str, key: &'static str| {
        let provisioner = scene.provisioner();
        async move { provisioner.create(id, CreateOptions::default().key(key)).await }
    };
    by_key("acme", "another").await?;
    let taken = by_key("globex", "acme").await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::NameInUse, "{taken:?}");
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_lease_that_has_only_read_keeps_the_key() -> TestResult {
    for login in BOTH {
        let mut scene = Scene::new(login).await;
        scene.create(&["acme", "globex"]).await;
        let other = scene.other_process().await;
        let mut lease = other.tenant("acme").await?.acquire().await?;
        assert_eq!(observe(&mut *lease, COUNT).await, "Some(\"3\")");
        scene.drop_acme().await;
        scene.free_keys().await;
        for _ in 0..3 {
            let error = scene.create_acme().await.unwrap_err();
            assert!(is_open(&error), "{login:?}: {error}");
            assert_eq!(observe(&mut *lease, COUNT).await, "Some(\"0\")");
        }
        drop(lease);
        scene.create_acme_when_free().await;
        scene.fill("acme").await;
        assert_eq!(scene.rows("users").await, "acme 3, globex 3");
        other.close().await;
        scene.manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_transaction_keeps_the_key_whatever_runs_in_it() -> TestResult {
    for login in BOTH {
        let mut scene = Scene::new(login).await;
        scene.create(&["acme"]).await;
        let other = scene.other_process().await;
        let mut tx = other.tenant("acme").await?.begin().await?;
        run(&mut *tx, "select pg_advisory_unlock_all()").await;
        scene.drop_acme().await;
        // The ten seconds are over, and the transaction began before.
        let over =
            "update app._tenantry_retired_keys set retired_at = retired_at - interval '10 s'";
        run(&mut scene.admin, over).await;
        for _ in 0..3 {
            let error = scene.create_acme().await.unwrap_err();
            assert!(is_open(&error), "{login:?}: {error}");
        }
        assert_eq!(observe(&mut *tx, COUNT).await, "Some(\"0\")");
        tx.rollback().await?;
        scene.create_acme_when_free().await;
        other.close().await;
        scene.manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_clone_gets_no_key_that_is_reserved() -> TestResult {
    let mut scene = Scene::new(Login::Owner).await;
    scene.create(&["acme", "globex"]).await;
    let other = scene.other_process().await;
    let lease = other.tenant("acme").await?.acquire().await?;
    scene.drop_acme().await;
    let clone = || {
        let provisioner = scene.provisioner();
        let options = CloneOptions::default().data(true);
        async move { provisioner.clone_tenant("globex", "acme", options).await }
    };
    let error = clone().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NameInUse, "{error:?}");
    run(
        &mut scene.world.admin().await,
        "update app._tenantry_retired_keys set retired_at = retired_at - interval '1 hour'",
    )
    .await;
    let error = clone().await.unwrap_err();
    assert!(is_open(&error), "{error}");
    assert!(error.to_string().contains(" is still open: process "), "{error}");
    drop(lease);
    let began = Instant::now();
    while let Err(error) = clone().await {
        assert_eq!(error.kind(), ErrorKind::NameInUse, "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(30), "the key never becomes free");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(scene.rows("users").await, "acme 3, globex 3");
    other.close().await;
    scene.manager.close().await;
    Ok(())
}

/// Neither the next tenant's rows are read, nor are rows added to them: not from a busy handle, which always finds a
/// session that is bound, nor from one that was not used meanwhile.
#[tokio::test]
async fn handles_of_another_process_never_reach_the_next_tenant_with_the_key() -> TestResult {
    let mut scene = Scene::new(Login::Owner).await;
    scene.create(&["acme", "globex"]).await;
    let other = scene.other_process().await;
    let (used, unused) = (other.tenant("acme").await?, other.tenant("acme").await?);
    let next_door = other.tenant("globex").await?;
    assert_eq!(observe(&used, COUNT).await, "Some(\"3\")");
    let busy = tokio::spawn({
        let db = used.clone();
        async move {
            let mut seen = Vec::new();
            loop {
                match sqlx::query_scalar::<_, String>(COUNT).fetch_one(&db).await {
                    Ok(count) if seen.last() != Some(&count) => seen.push(count),
                    Ok(_) => {}
                    Err(error) => return (seen, kind_of(error), Instant::now()),
                }
                sleep(Duration::from_millis(2)).await;
            }
        }
    });
    scene.drop_acme().await;
    let dropped = Instant::now();
    let took = scene.create_acme_when_free().await;
    assert!(took > Duration::from_secs(9) && took < Duration::from_secs(20), "{took:?}");
    scene.fill("acme").await;
    run(&scene.manager.tenant("acme").await?, "delete from notes; delete from users where id > 1")
        .await;
    let (seen, error, refused) = busy.await?;
    // It may see the drop going on, but one user, as the next tenant has, it never sees.
    assert_eq!((seen.first(), error), (Some(&"3".to_owned()), ErrorKind::StaleHandle), "{seen:?}");
    assert!(!seen.contains(&"1".to_owned()), "{seen:?}");
    assert!(refused - dropped < Duration::from_secs(6), "{:?}", refused - dropped);
    for db in [&used, &unused] {
        assert_eq!(refusal(db).await, ErrorKind::StaleHandle);
        assert_eq!(kind_of(db.begin().await.unwrap_err()), ErrorKind::StaleHandle);
        assert_eq!(kind_of(db.acquire().await.unwrap_err()), ErrorKind::StaleHandle);
        let insert =
            sqlx::query("insert into users (id, name) values (9, 'lost')").execute(db).await;
        assert_eq!(kind_of(insert.unwrap_err()), ErrorKind::StaleHandle);
    }
    assert_eq!(observe(&other.tenant("acme").await?, COUNT).await, "Some(\"1\")");
    assert_eq!(observe(&next_door, COUNT).await, "Some(\"3\")");
    assert_eq!(scene.rows("users").await, "acme 1, globex 3");
    other.close().await;
    scene.manager.close().await;
    Ok(())
}

/// A process that did nothing meanwhile: its first statement finds out.
#[tokio::test]
async fn a_process_that_slept_finds_out_before_its_first_statement() -> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme"]).await;
    let other = scene.other_process().await;
    let held = other.tenant("acme").await?;
    assert_eq!(observe(&held, COUNT).await, "Some(\"3\")");
    scene.drop_acme().await;
    scene.free_keys().await;
    scene.create_acme_when_free().await;
    scene.fill("acme").await;
    sleep(Duration::from_secs(6)).await;
    assert_eq!(refusal(&held).await, ErrorKind::StaleHandle);
    assert_eq!(observe(&other.tenant("acme").await?, COUNT).await, "Some(\"3\")");
    other.close().await;
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_role_that_cannot_write_reads_which_keys_were_given_up_and_cannot_change_that()
-> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme"]).await;
    let before =
        format!("alter default privileges in schema app grant all on tables to {}", scene.role);
    run(&mut scene.admin, &before).await;
    scene.drop_acme().await;
    let rights = format!(
        "select string_agg(right_, ' ' order by right_) from unnest(array['select', 'insert', 'update', 'delete', \
         'truncate']) right_ where has_table_privilege('{}', 'app._tenantry_retired_keys', right_)",
        scene.role
    );
    assert_eq!(observe(&mut scene.admin, &rights).await, "Some(\"select\")");
    let keys =
        "select count(*)::text from app._tenantry_retired_keys k where k::text like '%acme%'";
    assert_eq!(observe(&mut scene.admin, keys).await, "Some(\"0\")", "only digests are there");
    scene.manager.close().await;
    Ok(())
}

/// Without the right to read it, a process that does not notice serves nothing, and says what is missing.
#[tokio::test]
async fn a_process_that_may_not_read_which_keys_were_given_up_refuses_them_all() -> TestResult {
    let mut scene = Scene::new(Login::Owner).await;
    scene.create(&["acme", "globex"]).await;
    scene.drop_acme().await;
    let role = scene.role.clone();
    let owner = "alter table app._tenantry_retired_keys owner to current_user; \
                 revoke all on app._tenantry_retired_keys from public";
    run(
        &mut scene.admin,
        &format!("{owner}; revoke all on app._tenantry_retired_keys from {role}"),
    )
    .await;
    let other = scene.other_process().await;
    let globex = other.tenant("globex").await?;
    let error = globex.acquire().await.unwrap_err();
    let told = format!("{error:?}");
    assert_eq!(kind_of(error), ErrorKind::Config);
    assert!(told.contains("may not read the table _tenantry_retired_keys in schema app"), "{told}");
    run(&mut scene.admin, "grant select on app._tenantry_retired_keys to public").await;
    assert_eq!(observe(&globex, COUNT).await, "Some(\"3\")");
    // The table can go, too: then there is nothing to read.
    run(&mut scene.admin, "drop table app._tenantry_retired_keys").await;
    sleep(Duration::from_secs(6)).await;
    assert_eq!(observe(&globex, COUNT).await, "Some(\"3\")");
    other.close().await;
    scene.manager.close().await;
    Ok(())
}

/// Advisory locks are every login's: one that takes the pin of a key for itself stops no transaction of that tenant.
#[tokio::test]
async fn a_pin_that_a_stranger_holds_blocks_no_transaction() -> TestResult {
    let mut scene = Scene::new(Login::Owner).await;
    scene.create(&["acme"]).await;
    // Its transactions are pinned, too.
    let manager = scene.builder().tenants_see_shared(true).build()?;
    let acme = manager.tenant("acme").await?;
    let lease = acme.acquire().await?;
    let pin = "select (classid::bigint << 32 | objid::bigint)::text from pg_locks \
               where locktype = 'advisory' and classid = 2118778882 and objsubid = 1 \
                 and database = (select oid from pg_database where datname = current_database()) limit 1";
    let pin = observe(&mut scene.admin, pin).await;
    let pin = pin.trim_start_matches("Some(\"").trim_end_matches("\")").to_owned();
    drop(lease);
    run(&mut scene.admin, &format!("select pg_advisory_lock({pin})")).await;
    let mut tx = tokio::time::timeout(Duration::from_secs(3), acme.begin()).await??;
    assert_eq!(observe(&mut *tx, COUNT).await, "Some(\"3\")");
    tx.rollback().await?;
    manager.close().await;
    scene.manager.close().await;
    Ok(())
}
