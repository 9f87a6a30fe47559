//! 0 is fine, 1 found problems, 2 could not run; `--strict` makes warnings problems.

use crate::support::{Fleet, Folder, execute};

/// Runs commands in their order; each with its exit code, with and without `--strict`.
///
/// The one with `--strict` comes second, so it is for commands that can be run twice.
async fn check(fleet: &Fleet, commands: &[(&str, i32, Option<i32>)]) {
    for (command, code, strict) in commands {
        let ran = fleet.run(command).await;
        assert_eq!(ran.code, Some(*code), "{command}: {ran:#?}");
        // A command that ran has a report; one that could not says why.
        assert_eq!(ran.stdout.is_empty(), *code == 2, "{command}: {ran:#?}");
        assert_eq!(ran.stderr.contains("error: "), *code == 2, "{command}: {ran:#?}");
        if let Some(strict) = strict {
            let ran = fleet.run(&format!("{command} --strict")).await;
            assert_eq!(ran.code, Some(*strict), "{command} --strict: {ran:#?}");
        }
    }
}

#[tokio::test]
async fn a_sound_fleet_is_fine() {
    let fleet = Fleet::new().await;
    for command in [
        "config --strict",
        "status --strict",
        "migrate --all --strict",
        "migrate --shared --strict",
        "migrate --all --dry-run --strict",
        "migrate mark --all --yes --strict",
        "migrate forget --all --dirty --yes --strict",
        "migrate lint --strict",
        "migrate lint --rules --strict",
        "tenant list --strict",
        "tenant show acme --strict",
        "tenant suspend acme --strict",
        "tenant resume acme --strict",
        "tenant create hooli --attributes plan=pro --strict",
        "tenant clone hooli wonka --strict",
        "tenant rename hooli hooli2 --yes --strict",
        "tenant drop hooli2 --dry-run --strict",
        "tenant drop hooli2 --yes --strict",
        "seed --list --strict",
        "seed --all --strict",
        "drift --strict",
        "drift --migrations --strict",
        "schema export acme --strict",
        "health --all --strict",
        "sql table(users) --strict",
        "doctor --only database,tenants,migrations --strict",
        "doctor --list --strict",
        "metrics --strict",
        "completions fish --strict",
        "man --strict",
    ] {
        let words = command.split(' ').map(|word| word.replace('(', " ").replace(')', ""));
        let ran = fleet.tenantry(words).run().await;
        assert_eq!(ran.code, Some(0), "{command}: {ran:#?}");
        assert_eq!(ran.stderr, "", "{command}");
        assert!(!ran.stdout.is_empty(), "{command}");
    }
}

/// A migration of tenants may need what the shared schema does not have yet.
#[tokio::test]
async fn a_tenant_beside_a_pending_shared_schema_is_a_warning() {
    let fleet = Fleet::new().await;
    let more = "create table regions (name text primary key);";
    fleet.folder.write("migrations/shared/0002_regions.sql", more);
    let created = fleet.run("tenant create hooli").await;
    assert_eq!(created.code, Some(0), "{created:#?}");
    let warning = "warning: the shared schema is not up to date: run `tenantry migrate --shared`";
    assert!(created.stderr.contains(warning), "{created:#?}");
    assert_eq!(fleet.run("tenant create wonka --strict").await.code, Some(1));
    assert_eq!(fleet.run("migrate --shared").await.code, Some(0));
    let created = fleet.run("tenant create stark --strict").await;
    assert_eq!((created.code, &*created.stderr), (Some(0), ""), "{created:#?}");
}

#[tokio::test]
async fn what_is_pending_is_a_warning_and_what_is_blocked_a_problem() {
    let fleet = Fleet::new().await;
    fleet.add_migration("0003_more", "create table more (id int primary key);");
    check(
        &fleet,
        &[
            ("status", 0, Some(1)),
            ("migrate --all --dry-run", 0, Some(0)),
            ("migrate --tenant acme", 0, Some(0)),
            ("drift", 1, Some(1)),
            ("migrate --all", 0, Some(0)),
            ("drift", 0, Some(0)),
        ],
    )
    .await;
    // A file that was changed after it was applied.
    fleet.add_migration("0003_more", "create table more (id bigint primary key);");
    check(
        &fleet,
        &[
            ("status", 1, Some(1)),
            ("migrate --all --dry-run", 1, None),
            ("migrate --all --dry-run --format github", 1, None),
            ("migrate --all", 1, None),
            ("migrate revert --all --to 2 --yes", 1, None),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_failed_tenant_is_a_problem_and_hides_no_other() {
    let fleet = Fleet::new().await;
    let mut admin = fleet.admin().await;
    execute(&mut admin, "create table tenant_globex.more (x int)").await;
    fleet.add_migration("0003_more", "create table more (id int primary key);");
    let ran = fleet.run("migrate --all").await.ended_with(1);
    ran.says("2 of 3 tenants migrated, 1 failed").says("globex").says("already exists");
    execute(&mut admin, "drop table tenant_globex.users cascade").await;
    let ran = fleet.run("seed admin --all").await.ended_with(1);
    ran.says("2 of 3").says("globex");
    check(
        &fleet,
        &[
            ("status", 0, Some(1)),
            ("drift", 1, None),
            ("drift --repair", 1, None),
            ("drift --format github", 1, None),
            ("migrate --tenant nobody", 1, None),
            ("drift --tenant nobody", 1, None),
            ("seed settings --tenant nobody", 1, None),
            ("health --tenant nobody", 1, None),
        ],
    )
    .await;
    let ran = fleet.tenantry(["sql", "select count(*) from users"]).run().await.ended_with(1);
    assert!(ran.stdout.contains("acme") && ran.stderr.contains("globex"), "{ran:#?}");
}

#[tokio::test]
async fn advice_is_a_warning() {
    let fleet = Fleet::new().await;
    let mut admin = fleet.admin().await;
    execute(&mut admin, "create table tenant_acme.keyless (x int)").await;
    check(&fleet, &[("schema lint acme", 1, Some(1)), ("schema lint globex", 0, Some(0))]).await;
    fleet.add_migration("0003_drop", "drop table orders;");
    check(&fleet, &[("migrate lint", 0, Some(1)), ("migrate lint --format github", 0, Some(1))])
        .await;
    fleet.add_migration("0003_drop", "create table public.elsewhere (x int);");
    check(&fleet, &[("migrate lint", 1, Some(1)), ("migrate --all", 2, None)]).await;
}

#[tokio::test]
async fn what_cannot_run_has_no_report() {
    let fleet = Fleet::new().await;
    check(
        &fleet,
        &[
            ("migrate", 2, Some(2)),
            ("migrate new ---", 2, None),
            ("migrate revert --all --to 0", 2, None),
            ("tenant show nobody", 2, None),
            ("tenant create acme", 2, None),
            ("tenant clone acme globex", 2, None),
            ("tenant clone nobody copy", 2, None),
            ("tenant suspend nobody", 2, None),
            ("tenant rename acme globex --yes", 2, None),
            ("tenant drop nobody --yes", 2, None),
            ("seed", 2, None),
            ("seed nothing --all", 2, None),
            ("drift --reference nobody", 2, None),
            ("schema export nobody", 2, None),
            ("schema lint nobody", 2, None),
            ("doctor --only nothing", 2, None),
            ("doctor --severity x", 2, None),
            ("metrics --url nonsense", 2, None),
            ("metrics --url http://127.0.0.1:1/metrics", 2, None),
        ],
    )
    .await;
    let ran = fleet.tenantry(["sql", "select 1; select 2"]).run().await.ended_with(2);
    assert!(ran.stdout.is_empty(), "{ran:#?}");
    let ran = fleet.tenantry(["sql", "delete from users"]).run().await.ended_with(1);
    ran.says("read-only");
}

#[tokio::test]
async fn without_migrations_or_seeds_that_is_said() {
    let fleet = Fleet {
        folder: Folder::new(),
        database: tenantry_devdb::DevDatabase::create().await.unwrap(),
    };
    fleet.run("status").await.ended_with(0).says("there are no migrations to compare with");
    fleet.run("status -q").await.ended_with(0).never_says("note: ");
    fleet.run("migrate --all").await.ended_with(2).says("there are no migrations");
    fleet.run("migrate lint").await.ended_with(2).says("there are no migrations");
    fleet.run("seed --all").await.ended_with(2).says("there are no seeds");
    fleet.run("tenant create a").await.ended_with(0).says("warning: there are no migrations");
    let kept = fleet.run("tenant create b --attributes plan=pro").await.ended_with(0);
    kept.says("warning: the attributes are not stored");
    // The first file makes the folder.
    let made = fleet.tenantry(["migrate", "new", "add users"]).run().await.ended_with(0);
    assert!(made.stdout.ends_with("_add_users.sql\n"), "{made:?}");
    fleet.run("migrate --all").await.ended_with(0).says("2 of 2 tenants migrated");
}
