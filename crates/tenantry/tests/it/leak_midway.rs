//! What a tenant leaves half done on a session never reaches the next one.

use futures_util::StreamExt;
use sqlx::Executor;
use tenantry::{FixedCatalog, Ident, TenantDb, TenantRecord};

use crate::support::{
    TestResult, World, code_of, create_perform, eventually, name_of, observe, pid_of, run,
    state_of, try_run,
};

/// What becomes of the session.
#[derive(Clone, Copy)]
enum Session {
    /// It is reset and goes on; this is its process.
    Kept(i32),
    /// It may be closed: where sqlx loses count of the server's answers, nothing else is safe.
    Any,
}

/// Checks that both tenants are served as if nothing had been.
async fn both_are_served(
    acme: &TenantDb,
    globex: &TenantDb,
    session: Session,
    after: &str,
) -> TestResult {
    for (db, name) in [(globex, "globex"), (acme, "acme")] {
        let count: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(db).await?;
        assert_eq!((name_of(db).await?.as_str(), count), (name, 1), "{after}");
        if let Session::Kept(pid) = session {
            assert_eq!(pid_of(db).await?, pid, "{after}: another session");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_copy_or_a_stream_that_was_dropped_in_the_middle() -> TestResult {
    const ROWS: &str = "select name from users, generate_series(1, 20000)";
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.one_session();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    for round in 0..3 {
        let mut lease = acme.acquire().await?;
        let mut copy = lease.copy_in_raw("copy users from stdin").await?;
        copy.send(b"2\tsecret\n".as_slice()).await?;
        drop(copy);
        drop(lease);
        both_are_served(&acme, &globex, Session::Any, "copy in").await?;

        let mut lease = acme.acquire().await?;
        let copy = lease.copy_in_raw("copy users from stdin").await?;
        std::mem::forget(copy);
        drop(lease);
        both_are_served(&acme, &globex, Session::Any, "copy in whose end was forgotten").await?;

        let mut lease = acme.acquire().await?;
        let mut copy = lease.copy_in_raw("copy users from stdin").await?;
        copy.send(b"not a number\n".as_slice()).await?;
        drop(copy);
        drop(lease);
        both_are_served(&acme, &globex, Session::Any, "copy in with bad rows").await?;

        let mut lease = acme.acquire().await?;
        let mut rows = lease
            .copy_out_raw("copy (select name from users, generate_series(1, 20000)) to stdout")
            .await?;
        for _ in 0..round * 3 {
            rows.next().await.ok_or("there are more rows")??;
        }
        drop(rows);
        drop(lease);
        both_are_served(&acme, &globex, Session::Any, "copy out").await?;

        let pid = pid_of(&acme).await?;
        let mut lease = acme.acquire().await?;
        let mut rows = lease.fetch(ROWS);
        rows.next().await.ok_or("there are more rows")??;
        drop(rows);
        drop(lease);
        both_are_served(&acme, &globex, Session::Kept(pid), "stream on a lease").await?;

        let mut rows = sqlx::query(ROWS).fetch(&acme);
        rows.next().await.ok_or("there are more rows")??;
        drop(rows);
        both_are_served(&acme, &globex, Session::Kept(pid), "stream on a handle").await?;

        let mut tx = acme.begin().await?;
        let mut rows =
            sqlx::query("insert into users select 5, 'secret' returning id").fetch(&mut *tx);
        rows.next().await.ok_or("there is a row")??;
        drop(rows);
        let savepoint = tx.begin().await?;
        std::mem::forget(savepoint);
        drop(tx);
        both_are_served(&acme, &globex, Session::Kept(pid), "stream in a transaction").await?;

        let mut lease = acme.acquire().await?;
        let tx = lease.begin().await?;
        std::mem::forget(tx);
        run(&mut *lease, "insert into users values (3, 'secret')").await;
        drop(lease);
        both_are_served(&acme, &globex, Session::Kept(pid), "forgotten transaction").await?;
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_raw_begin_inside_a_transaction_of_sqlx() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.one_session();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let pid = pid_of(&acme).await?;
    for left_open in ["commit; begin", "rollback; begin; select 1/0", "begin", "commit", "abort"] {
        let mut tx = acme.begin().await?;
        drop(try_run(&mut *tx, left_open).await);
        drop(
            try_run(&mut *tx, "insert into users values (2, 'x'); delete from users where id = 2")
                .await,
        );
        drop(tx);
        both_are_served(&acme, &globex, Session::Kept(pid), left_open).await?;
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_timeout_too_short_for_a_reset() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    create_perform(&world).await;
    let manager = world.one_session();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    for round in 0..60 {
        if round % 2 == 0 {
            drop(try_run(&mut *acme.acquire().await?, "set statement_timeout to 1").await);
        } else {
            // Hidden in a plain query, so that the session goes to the next tenant as it is.
            drop(
                sqlx::query("select public.perform('set statement_timeout to 1')")
                    .execute(&acme)
                    .await,
            );
        }
        let name = name_of(&globex).await.map_err(|error| code_of(&error));
        assert_eq!(name, Ok("globex".to_owned()), "round {round}");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_session_that_ends_itself_when_idle() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    let manager = world.one_session();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let pid = pid_of(&acme).await?;
    // A function that is younger than the pool's look at the schema.
    run(
        &mut admin,
        "create function tenant_acme.doze() returns int language plpgsql as \
         'begin set idle_session_timeout to 1; return 1; end'",
    )
    .await;
    sqlx::query("select doze()").execute(&acme).await?;
    eventually("the session has ended", async || state_of(&mut admin, pid).await == "gone").await;
    assert_eq!(name_of(&globex).await?, "globex");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_seed_that_makes_chance_predictable() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    create_perform(&world).await;
    let manager = world.one_session();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let mut seen = Vec::new();
    for hidden in [false, true, false, true] {
        let seed = if hidden {
            "select public.perform('do ''begin perform setseed(0.5); end''')"
        } else {
            "select setseed(0.5)"
        };
        sqlx::query(seed).execute(&acme).await?;
        seen.push(observe(&globex, "select random()").await);
        run(&mut *acme.acquire().await?, "set seed to 0.5").await;
        seen.push(observe(&globex, "select random()").await);
    }
    let mut lease = acme.acquire().await?;
    run(&mut *lease, "set seed to 0.5").await;
    let predicted = observe(&mut *lease, "select random()").await;
    assert!(!seen.contains(&predicted), "{seen:?} could be told beforehand");
    drop(lease);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn an_encoding_that_turns_one_schema_into_another() -> TestResult {
    let world = World::with_tenants(&["acme", "é", "Ã©"]).await;
    create_perform(&world).await;
    let record = |id: &str, schema: &str| -> Result<TenantRecord, Box<dyn std::error::Error>> {
        Ok(TenantRecord::new(id.parse()?).container(Ident::parse(schema)?))
    };
    let catalog = FixedCatalog::new([
        record("acme", "tenant_acme")?,
        record("right", "tenant_é")?,
        record("wrong", "tenant_Ã©")?,
    ]);
    let manager = world.builder().catalog(catalog).max_connections(1).build()?;
    let (acme, right) = (manager.tenant("acme").await?, manager.tenant("right").await?);
    sqlx::query("select public.perform('set client_encoding to latin1')").execute(&acme).await?;
    assert_eq!(name_of(&right).await?, "é");
    run(&mut *acme.acquire().await?, "set client_encoding to latin1").await;
    assert_eq!(name_of(&right).await?, "é");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn connections_that_were_swapped_between_leases() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    run(
        &mut world.admin().await,
        "alter table tenant_acme.users add more int; alter table tenant_globex.users add other text",
    )
    .await;
    let manager = world.with_pool(|options| options.max_connections = 2);
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    for _ in 0..4 {
        let (mut a, mut b) = (acme.acquire().await?, globex.acquire().await?);
        sqlx::query("select * from users").fetch_all(&mut *a).await?;
        sqlx::query("select * from users").fetch_all(&mut *b).await?;
        std::mem::swap(&mut *a, &mut *b);
        drop((a, b));
        for (db, name) in [(&acme, "acme"), (&globex, "globex")] {
            let mut lease = db.acquire().await?;
            assert_eq!(name_of(&mut *lease).await?, name);
            sqlx::query("select * from users").fetch_all(&mut *lease).await?;
        }
    }
    manager.close().await;
    Ok(())
}
