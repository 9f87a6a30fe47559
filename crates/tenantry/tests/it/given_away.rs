//! A name that is given away: whatever was meant for the tenant that had it does not reach the next one.

use std::time::{Duration, Instant};

use tenantry::{
    Error, ErrorKind, FixedCatalog, TableCatalog, TenantDb, TenantId, TenantManager, TenantRecord,
    provision::{CreateOptions, DropOptions, Provisioner},
};
use tokio::time::sleep;

use crate::support::{
    TestResult, World, at_rest, connect, create_tenant, eventually, free_names, kind_of, name_of,
    observe, run, try_run,
};

/// Creates a tenant as soon as its name is free, and says how long that took and how often it was not.
async fn create_when_free(provisioner: &Provisioner, id: &str) -> Result<Duration, Error> {
    let began = Instant::now();
    loop {
        match provisioner.create(id, CreateOptions::default()).await {
            Ok(_) => return Ok(began.elapsed()),
            Err(error) if error.kind() == ErrorKind::NameInUse => {
                let retry_after = error.retry_after().expect("it says when to come again");
                sleep(retry_after.min(Duration::from_millis(200))).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn furnish(world: &World, schema: &str, name: &str) {
    let sql = format!(
        "create table {schema}.users (id int primary key, name text not null); \
         insert into {schema}.users values (1, '{name}')"
    );
    run(&mut world.admin().await, &sql).await;
}

/// The kind of the error with which a handle is refused.
async fn refusal(db: &TenantDb) -> ErrorKind {
    kind_of(name_of(db).await.expect_err("the handle is refused"))
}

/// Two processes, as far as the library can tell: neither hears of the other's changes.
async fn two_processes(world: &World) -> (TenantManager, TenantManager) {
    (world.manager(), world.manager())
}

#[tokio::test]
async fn handles_transactions_and_leases_do_not_reach_the_next_tenant_of_the_name() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let (here, there) = two_processes(&world).await;
    let provisioner = here.provisioner();
    let handles = [here.tenant("acme").await?, there.tenant("acme").await?];
    for db in &handles {
        assert_eq!(name_of(db).await?, "acme");
    }
    let never_used = there.tenant("acme").await?;
    let transaction = there.tenant("acme").await?.begin().await?;
    let mut lease = there.tenant("acme").await?.acquire().await?;
    let mut inside = there.tenant("acme").await?.acquire().await?;
    let mut on_lease = inside.begin().await?;
    sqlx::query("select 1").execute(&mut *on_lease).await?;

    provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
    let early = provisioner.create("acme", CreateOptions::default()).await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::NameInUse);
    assert!(early.retry_after() > Some(Duration::from_secs(8)), "{early:?}");
    assert_eq!(refusal(&handles[0]).await, ErrorKind::StaleHandle);

    // While somebody is in a transaction of that time, or holds a lease, the name is not free.
    free_names(&mut world.admin().await).await;
    let gone = "insert into users values (2, 'lost')";
    for _ in 0..3 {
        let busy = provisioner.create("acme", CreateOptions::default()).await.unwrap_err();
        assert_eq!(busy.kind(), ErrorKind::NameInUse);
        let says = busy.to_string();
        assert!(
            says.contains(" is still open: process ")
                && says.contains(" of role postgres (tenantry/"),
            "{says}"
        );
        assert!(says.contains(", in a transaction for 0s; "), "{says}");
        assert!(try_run(&mut *lease, gone).await.is_err(), "its tables are gone");
    }
    transaction.rollback().await?;
    on_lease.rollback().await?;
    drop(inside);
    let busy = provisioner.create("acme", CreateOptions::default()).await.unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::NameInUse, "there is a lease yet");
    let says = busy.to_string();
    assert!(says.contains(", idle for ") && !says.contains("in a transaction"), "{says}");
    drop(lease);
    let took = create_when_free(&provisioner, "acme").await?;
    assert!(took < Duration::from_secs(5), "{took:?}");

    furnish(&world, "tenant_acme", "another").await;
    for db in handles.iter().chain([&never_used]) {
        for _ in 0..2 {
            // A hit on a session that was bound a moment ago finds what is there now only where the
            // name was freed too soon, as this test has done.
            sleep(Duration::from_secs(3)).await;
            assert_eq!(refusal(db).await, ErrorKind::StaleHandle);
            assert!(db.begin().await.is_err_and(|error| kind_of(error) == ErrorKind::StaleHandle));
            assert!(
                db.acquire().await.is_err_and(|error| kind_of(error) == ErrorKind::StaleHandle)
            );
        }
    }
    for manager in [&here, &there] {
        assert_eq!(name_of(&manager.tenant("acme").await?).await?, "another");
        manager.close().await;
    }
    assert_eq!(
        observe(&mut world.admin().await, "select count(*) from tenant_acme.users").await,
        "Some(\"1\")"
    );
    Ok(())
}

#[tokio::test]
async fn what_a_lease_has_held_is_kept_for_the_next_one_and_not_for_long() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.manager();
    let acme = manager.tenant("acme").await?;
    let mut admin = world.admin().await;
    let pins = "select count(*) from pg_locks where locktype = 'advisory' and database = \
                (select oid from pg_database where datname = current_database())";
    for evict in [false, true] {
        let pid = acme.acquire().await?.backend_pid();
        at_rest(&manager).await;
        assert_eq!(observe(&mut admin, pins).await, "Some(\"1\")", "for the next lease");
        assert_eq!(name_of(&acme).await?, "acme");
        assert_eq!(acme.acquire().await?.backend_pid(), pid);
        if evict {
            at_rest(&manager).await;
            assert!(manager.evict(acme.tenant().id()));
        }
        eventually("nobody holds the pin", async || {
            observe(&mut admin, pins).await == "Some(\"0\")"
        })
        .await;
        // The server has taken the pin off before we hear of it.
        at_rest(&manager).await;
        assert_eq!(name_of(&acme).await?, "acme");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_name_is_free_by_itself_after_ten_seconds() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let (here, there) = two_processes(&world).await;
    let provisioner = here.provisioner();
    let db = there.tenant("acme").await?;
    assert_eq!(name_of(&db).await?, "acme");
    // As busy as can be: there is always a hit, and statements never look away from the session.
    let busy = tokio::spawn({
        let db = db.clone();
        async move {
            let mut seen = Vec::new();
            loop {
                match name_of(&db).await {
                    Ok(name) if seen.last() != Some(&name) => seen.push(name),
                    Ok(_) => {}
                    Err(error) => {
                        if kind_of(error) == ErrorKind::StaleHandle {
                            return seen;
                        }
                    }
                }
                sleep(Duration::from_millis(2)).await;
            }
        }
    });
    provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
    let took = create_when_free(&provisioner, "acme").await?;
    assert!(took > Duration::from_secs(9) && took < Duration::from_secs(15), "{took:?}");
    furnish(&world, "tenant_acme", "another").await;
    assert_eq!(busy.await?, ["acme"]);
    assert_eq!(name_of(&there.tenant("acme").await?).await?, "another");
    Ok(())
}

#[tokio::test]
async fn a_schema_that_was_made_anew_behind_the_librarys_back_is_another_tenant() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let fixed =
        ["acme", "globex"].map(|id| TenantRecord::new(TenantId::parse(id).expect("it is one")));
    let by_list = world.builder().catalog(FixedCatalog::new(fixed)).build()?;
    let mut admin = world.admin().await;
    for manager in [world.manager(), by_list] {
        let used = manager.tenant("acme").await?;
        let unused = manager.tenant("acme").await?;
        name_of(&used).await?;
        // Until it was last seen too long ago.
        sleep(Duration::from_secs(5)).await;
        run(&mut admin, "drop schema tenant_acme cascade").await;
        create_tenant(&mut admin, "acme").await;
        for db in [&used, &unused] {
            assert_eq!(refusal(db).await, ErrorKind::StaleHandle);
        }
        assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
        assert_eq!(name_of(&manager.tenant("globex").await?).await?, "globex");
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_tenant_whose_schema_is_not_there_has_none() -> TestResult {
    let world = World::with_tenants(&["globex"]).await;
    let fixed =
        ["acme", "globex"].map(|id| TenantRecord::new(TenantId::parse(id).expect("it is one")));
    run(&mut world.admin().await, "create table public.users (id int, name text)").await;
    run(&mut world.admin().await, "insert into public.users values (1, 'shared')").await;
    for see in [false, true] {
        let catalog = FixedCatalog::new(fixed.clone());
        let manager = world.builder().catalog(catalog).tenants_see_shared(see).build()?;
        // What is listed elsewhere is looked up without a server, so only one that has answered is asked.
        name_of(&manager.tenant("globex").await?).await?;
        let early = manager.tenant("acme").await?;
        let (none, some) = match see {
            false => (ErrorKind::Database, ErrorKind::StaleHandle),
            true => (ErrorKind::Placement, ErrorKind::Placement),
        };
        assert_eq!(refusal(&early).await, none);
        create_tenant(&mut world.admin().await, "acme").await;
        assert_eq!(refusal(&early).await, some, "it was made for none");
        assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
        run(&mut world.admin().await, "drop schema tenant_acme cascade").await;
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_handle_that_was_made_before_the_server_answered_learns_whose_it_is() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let fixed = [TenantRecord::new(TenantId::parse("acme")?)];
    let catalog = FixedCatalog::new(fixed);
    let manager = world.builder().catalog(catalog).build()?;
    let (first, second) = (manager.tenant("acme").await?, manager.tenant("acme").await?);
    let mut lease = first.acquire().await?;
    assert_eq!(name_of(&mut *lease).await?, "acme");
    let mut admin = world.admin().await;
    let pins = format!(
        "select count(*) from pg_locks where locktype = 'advisory' and pid = {}",
        lease.backend_pid().expect("it is bound")
    );
    assert_eq!(observe(&mut admin, &pins).await, "Some(\"1\")", "the lease shows");
    drop(lease);
    assert_eq!(name_of(&second).await?, "acme");
    run(&mut admin, "drop schema tenant_acme cascade").await;
    create_tenant(&mut admin, "acme").await;
    sleep(Duration::from_secs(5)).await;
    for db in [&first, &second] {
        assert_eq!(refusal(db).await, ErrorKind::StaleHandle);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_renamed_tenant_is_refused_by_its_old_name_everywhere() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let (here, there) = two_processes(&world).await;
    let old = [here.tenant("acme").await?, there.tenant("acme").await?];
    for db in &old {
        name_of(db).await?;
    }
    let provisioner = here.provisioner();
    provisioner.rename("acme", "globex").await?;
    assert_eq!(refusal(&old[0]).await, ErrorKind::StaleHandle);
    // At once it finds no tables, a moment later it is told why.
    eventually("it is refused", async || {
        kind_of(name_of(&old[1]).await.expect_err("it has no tables")) == ErrorKind::StaleHandle
    })
    .await;
    assert_eq!(name_of(&there.tenant("globex").await?).await?, "acme");
    assert_eq!(here.tenant("acme").await.unwrap_err().kind(), ErrorKind::UnknownTenant);

    // Back again it is who it was: nobody else has had the name.
    provisioner.rename("globex", "acme").await?;
    assert_eq!(name_of(&here.tenant("acme").await?).await?, "acme");
    // Another tenant's name is not.
    create_tenant(&mut world.admin().await, "initech").await;
    let taken = provisioner.rename("initech", "globex").await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::NameInUse);
    assert_eq!(name_of(&here.tenant("initech").await?).await?, "initech");
    free_names(&mut world.admin().await).await;
    provisioner.rename("initech", "globex").await?;
    Ok(())
}

#[tokio::test]
async fn the_old_name_of_a_renamed_tenant_is_free_although_it_is_at_work() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let provisioner = manager.provisioner();
    provisioner.rename("acme", "globex").await?;
    let globex = manager.tenant("globex").await?;
    let mut lease = globex.acquire().await?;
    assert_eq!(name_of(&mut *lease).await?, "acme");
    free_names(&mut world.admin().await).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    assert_eq!(name_of(&mut *lease).await?, "acme");
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_sees_the_shared_schema_does_not_fall_through_to_it() -> TestResult {
    for rename in [false, true] {
        let world = World::with_tenants(&["acme", "globex"]).await;
        let mut admin = world.admin().await;
        run(&mut admin, "create table public.users (id int primary key, name text)").await;
        run(&mut admin, "insert into public.users values (1, 'shared')").await;
        let manager = || world.builder().tenants_see_shared(true).build();
        let (here, there) = (manager()?, manager()?);
        let handles = [here.tenant("acme").await?, there.tenant("acme").await?];
        for db in &handles {
            assert_eq!(name_of(db).await?, "acme");
        }
        let provisioner = here.provisioner();
        let leave = async || match rename {
            true => provisioner.rename("acme", "initech").await,
            false => {
                let options = DropOptions::default();
                provisioner.drop_tenant("acme", "acme", options).await.map(drop)
            }
        };
        // Whoever is at work would go on in the shared schema: it is waited for.
        let mut lease = handles[1].acquire().await?;
        assert_eq!(leave().await.unwrap_err().kind(), ErrorKind::Busy);
        assert_eq!(name_of(&mut *lease).await?, "acme");
        drop(lease);
        let mut tx = handles[1].begin().await?;
        assert_eq!(leave().await.unwrap_err().kind(), ErrorKind::Busy);
        assert_eq!(name_of(&mut *tx).await?, "acme");
        // Also where it has given up all advisory locks.
        run(&mut *tx, "select pg_advisory_unlock_all()").await;
        assert_eq!(leave().await.unwrap_err().kind(), ErrorKind::Busy);
        tx.commit().await?;
        // Requests go on all the time, and none of them finds what is everybody's.
        let busy = tokio::spawn({
            let db = handles[1].clone();
            async move {
                loop {
                    match name_of(&db).await {
                        Ok(name) => assert_eq!(name, "acme"),
                        Err(error) => return kind_of(error),
                    }
                }
            }
        });
        leave().await?;
        assert_eq!(busy.await?, ErrorKind::StaleHandle);
        for db in &handles {
            assert_eq!(refusal(db).await, ErrorKind::StaleHandle);
        }
        assert_eq!(name_of(&there.tenant("globex").await?).await?, "globex");
    }
    Ok(())
}

#[tokio::test]
async fn requests_wait_while_their_tenant_is_renamed() -> TestResult {
    let world = World::with_tenants(&["acme", "globex", "other"]).await;
    let manager = world.manager();
    let provisioner = manager.provisioner();
    provisioner.rename("other", "another").await?;
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    name_of(&acme).await?;
    // Somebody holds what the rename needs.
    let mut admin = world.admin().await;
    run(&mut admin, "begin; lock table tenantry_retired").await;
    let renaming = tokio::spawn(async move { provisioner.rename("acme", "initech").await });
    let mut waiting = Vec::new();
    eventually("a request waits", async || {
        let db = acme.clone();
        waiting.push(tokio::spawn(async move { name_of(&db).await }));
        sleep(Duration::from_millis(50)).await;
        waiting.last().is_some_and(|request| !request.is_finished())
    })
    .await;
    assert_eq!(name_of(&globex).await?, "globex", "others do not wait");
    run(&mut admin, "commit").await;
    renaming.await??;
    let last = waiting.pop().expect("one waits").await?;
    assert_eq!(kind_of(last.expect_err("its tenant has gone")), ErrorKind::StaleHandle);
    Ok(())
}

#[tokio::test]
async fn transactions_of_others_count_though_nobody_sees_when_they_began() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    // Roles are the server's, and other tests have theirs.
    let role = format!(
        "provisioner_{}",
        observe(&mut admin, "select oid from pg_database where datname = current_database()")
            .await
            .trim_matches(|c: char| !c.is_ascii_digit())
    );
    let grants = format!(
        "create role {role} login; grant create on schema public to {role}; do $$ begin \
         execute format('grant create on database %I to {role}', current_database()); end $$; \
         alter schema tenant_acme owner to {role}; alter table tenant_acme.users owner to {role}"
    );
    run(&mut admin, &grants).await;
    let url = world.database.url().replacen("postgres@", &format!("{role}@"), 1);
    let url = if url.contains(&role) { url } else { with_user(world.database.url(), &role) };
    let manager = TenantManager::builder(url).build()?;
    let provisioner = manager.provisioner();
    provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
    free_names(&mut admin).await;
    // One of the superuser's, and one that begins when the first has been noted.
    let mut before = world.admin().await;
    run(&mut before, "begin; select 1").await;
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut before).await?;
    let busy = provisioner.create("acme", CreateOptions::default()).await.unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::NameInUse);
    // Since when it is open is hidden from the role.
    assert!(
        busy.to_string().contains(&format!("still open: process {pid} of role postgres")),
        "{busy}"
    );
    let mut after = world.admin().await;
    run(&mut after, "begin; select 1").await;
    let busy = provisioner.create("acme", CreateOptions::default()).await.unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::NameInUse);
    run(&mut before, "commit").await;
    provisioner.create("acme", CreateOptions::default()).await?;
    run(&mut after, "commit").await;
    manager.close().await;
    Ok(())
}

/// The URL of a database for another user.
fn with_user(url: &str, user: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("it is a URL");
    let rest = rest.split_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{user}@{rest}")
}

#[tokio::test]
async fn where_the_table_of_names_cannot_be_made_nothing_is_dropped() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    let oid = "select oid from pg_database where datname = current_database()";
    let oid = observe(&mut admin, oid).await;
    let role = format!("owner_{}", oid.trim_matches(|c: char| !c.is_ascii_digit()));
    let grants = format!(
        "create role {role} login; revoke create on schema public from public; do $$ begin \
         execute format('grant create on database %I to {role}', current_database()); end $$; \
         alter schema tenant_acme owner to {role}; alter table tenant_acme.users owner to {role}"
    );
    run(&mut admin, &grants).await;
    let manager = TenantManager::builder(with_user(world.database.url(), &role)).build()?;
    let dropped = manager.provisioner().drop_tenant("acme", "acme", DropOptions::default()).await;
    let error = dropped.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    assert!(error.to_string().contains("tenantry_retired"), "{error}");
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_of_a_table_is_created_anew_for_another_customer() -> TestResult {
    let world = World::new().await;
    let catalog = TableCatalog::new();
    let manager = world.builder().catalog(catalog.clone()).build()?;
    catalog.create_table(manager.shared()).await?;
    let provisioner = manager.provisioner();
    provisioner.create("acme", CreateOptions::default()).await?;
    furnish(&world, "tenant_acme", "first").await;
    let first = manager.tenant("acme").await?;
    assert_eq!(name_of(&first).await?, "first");
    provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
    free_names(&mut world.admin().await).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    furnish(&world, "tenant_acme", "second").await;
    assert_eq!(refusal(&first).await, ErrorKind::StaleHandle);
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "second");
    drop(connect(world.database.url()).await);
    manager.close().await;
    Ok(())
}
