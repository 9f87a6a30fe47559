//! Settings of rows, databases, servers and tiers.

use std::process;

use sqlx::{Connection, PgConnection};
use tenantry_devdb::{DevDatabase, DevServer};

use crate::support::{Folder, Ran, eventually, execute, value};

const UNREACHABLE: &str = "postgres://127.0.0.1:1/none";

/// The value of a setting and where it is from.
fn setting(ran: &Ran, key: &str) -> (String, String) {
    let json = ran.json();
    let all = json["settings"].as_array().unwrap();
    let found = all.iter().find(|setting| setting["key"] == key).unwrap();
    let text = |name: &str| found[name].as_str().unwrap_or("-").to_owned();
    (text("value"), text("source"))
}

#[tokio::test]
async fn servers_come_from_the_file_and_from_variables_and_flags() {
    let folder = Folder::new();
    folder.write("password", "geheim\n");
    folder.write(
        "tenantry.toml",
        "[servers.eu-1]\nurl = \"postgres://app:geheim@h/d\"\nmax_connections = 5\n\
         [servers.us]\npassword_file = \"password\"\n",
    );
    let config = || folder.tenantry(["config", "--json"]);
    let ran = config().run().await.ended_with(0).never_says("geheim");
    let url = |ran: &Ran| setting(ran, "servers.eu-1.url");
    assert_eq!(url(&ran), ("postgres://app:***@h/d".into(), "tenantry.toml:2".into()));
    assert_eq!(setting(&ran, "servers.eu-1.max_connections").0, "5");
    assert_eq!(setting(&ran, "servers.us.url"), ("-".into(), "-".into()));
    let variable = "TENANTRY_SERVERS_EU_1_URL";
    let ran = config().env(variable, "postgres://app:geheim@other/d").run().await.ended_with(0);
    assert_eq!(url(&ran), ("postgres://app:***@other/d".into(), format!("${variable}")));
    ran.never_says("geheim").never_says("is not a setting");
    let flag = ["config", "--json", "--set", "servers.eu-1.url=postgres://third/d"];
    let ran = folder.tenantry(flag).env(variable, "postgres://other/d").run().await;
    assert_eq!(url(&ran.ended_with(0)), ("postgres://third/d".into(), "--set".into()));
    let ran = config().env("TENANTRY_SERVERS_MARS_URL", "x").run().await.ended_with(0);
    ran.says("$TENANTRY_SERVERS_MARS_URL is not a setting");

    folder.write("tenantry.toml", "[servers.eu-1]\nurl = 'x'\n[servers.eu_1]\nurl = 'x'\n");
    config().run().await.ended_with(2).says("have the same variable $TENANTRY_SERVERS_EU_1_URL");
}

#[tokio::test]
async fn what_cannot_be_used_is_named_with_its_place() {
    let folder = Folder::new();
    for (settings, says, help) in [
        (
            "[servers.eu]\n\nulr = 'x'",
            "tenantry.toml:3: unknown key servers.eu.ulr",
            "servers.eu.url?",
        ),
        ("[servers.eu]\n", "tenantry.toml:1: the table [servers.eu] is empty", ""),
        (
            "[servers.eu]\nmax_connections = 2",
            "the server eu has no URL",
            "$TENANTRY_SERVERS_EU_URL",
        ),
        ("[servers.eu]\nurl = 'mysql://h/d'", "servers.eu.url (tenantry.toml:2): ", ""),
        (
            "[servers.main]\nurl = 'postgres://h/d'",
            "servers.main.url (tenantry.toml:2): ",
            "is called main",
        ),
        (
            "[servers.'e u']\nurl = 'postgres://h/d'",
            "servers.e u.url (tenantry.toml:2): ",
            "1 to 63 letters",
        ),
        (
            "[servers.eu]\nurl = 'postgres://h/d'\npassword_file = 'none'",
            "servers.eu.password_file (tenantry.toml:3): reading none",
            "",
        ),
        (
            "[tiers.gold]\nweight = 2",
            "tiers.gold.weight (tenantry.toml:2) has no effect",
            "tenants.tier",
        ),
        (
            "[tenants]\ntier = 'plan'",
            "tenants.tier (tenantry.toml:2) has no effect",
            "[tiers.NAME]",
        ),
        (
            "[tenants]\ntier = 'plan'\n[tiers.gold]\nserver = 'mars'",
            "tiers.gold.server (tenantry.toml:4): there is no server mars",
            "add [servers.mars]",
        ),
        (
            "[tenants]\ntier = 'plan'\n[tiers.gold]\nweight = 0",
            "tiers.gold.weight (tenantry.toml:4): weight must be a number from 0.1 to 100",
            "",
        ),
        ("[rows]\ncolumn = ''\nrole = \"a\\u0000\"", "rows.role (tenantry.toml:3): ", ""),
        (
            "[rows]\nsetting = 'tenant'",
            "rows.setting (tenantry.toml:2): \"tenant\" is not the name",
            "",
        ),
        ("[rows]\nkey = 'int'", "tenantry.toml:2: rows.key must be text or uuid or bigint", ""),
        (
            "[tenants]\nisolation = 'row'",
            "SchemaDiscovery lists schemas, and tenants have none",
            "",
        ),
        (
            "[tenants]\nisolation = 'database'\ncatalog = 'table'\ndatabase = 'one'",
            "the configuration cannot be used",
            "{id}",
        ),
    ] {
        folder.write("tenantry.toml", settings);
        let ran = folder.tenantry(["tenant", "list"]).url(UNREACHABLE).run().await.ended_with(2);
        ran.says(says).says(help);
    }
}

/// A configuration with tenants of each kind on two servers.
fn tiers(other: &str) -> String {
    format!(
        "[tenants]\ncatalog = \"table\"\nisolation = \"row\"\ntier = \"plan\"\n\n[rows]\nrole = \"app_rows_cli\"\n\n\
         [servers.eu-1]\nurl = \"{other}\"\nmax_connections = 4\n\n\
         [tiers.free]\nisolation = \"row\"\nweight = 0.5\n\n[tiers.pro]\nisolation = \"schema\"\n\n\
         [tiers.large]\nisolation = \"schema\"\nserver = \"eu-1\"\n"
    )
}

#[tokio::test]
async fn a_tier_of_the_file_places_a_new_tenant() {
    let (server, other) = (DevServer::start().await.unwrap(), DevServer::start().await.unwrap());
    let database = DevDatabase::create_at(&server.url()).await.unwrap();
    let folder = Folder::new();
    folder.write("tenantry.toml", tiers(&other.url()));
    let run = |arguments: &str| {
        let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
        folder.tenantry(arguments).url(database.url()).run()
    };
    let sql = |sql: &str| {
        let arguments = ["-v", "ON_ERROR_STOP=1", "-qc", sql, database.url()];
        folder.program("psql", arguments).run()
    };
    sql("create role app_rows_cli").await.ended_with(0);
    run("init --yes --create-table --output other.toml").await.ended_with(0);
    let new = run("migrate new notes --row-table notes").await.ended_with(0);
    let file = folder.read(new.stdout.trim());
    assert!(file.contains("to \"app_rows_cli\""), "{file}");
    run("migrate --all").await.ended_with(0);
    run("tenant create small --attributes plan=free").await.ended_with(0);
    run("tenant create middle --attributes plan=pro").await.ended_with(0);
    run("tenant create plain").await.ended_with(0);
    let listed = run("tenant list").await.ended_with(0);
    for (tenant, cells) in [
        ("small", "small row main - public 1 active"),
        ("middle", "middle schema main - tenant_middle 1 active"),
        ("plain", "plain row main - public 1 active"),
    ] {
        let line = listed.stdout.lines().find(|line| line.starts_with(tenant)).unwrap();
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(line.starts_with(cells), "{line}");
    }
    // Another plan moves no tenant.
    sql("update tenants set attributes = '{\"plan\": \"pro\"}' where id = 'small'")
        .await
        .ended_with(0);
    run("tenant show small").await.ended_with(0).says("isolation   row").says("server      main");
    database.close().await.unwrap();
}

#[tokio::test]
async fn the_load_of_every_server_is_read_and_one_that_is_away_is_named() {
    let (server, other) = (DevServer::start().await.unwrap(), DevServer::start().await.unwrap());
    let folder = Folder::new();
    let servers = format!("[servers.eu-1]\nurl = \"{}\"\nmax_connections = 4\n", other.url());
    folder.write("tenantry.toml", servers);
    let run = |arguments: &str| {
        let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
        folder.tenantry(arguments).url(server.url()).run()
    };
    let text = run("metrics --sizes --health").await.ended_with(0);
    for name in ["main", "eu-1"] {
        let of_server = |line: &&str| line.starts_with(&format!("{name} "));
        let lines: Vec<_> = text.stdout.lines().filter(of_server).collect();
        let [load, health] = &lines[..] else { panic!("{}", text.stdout) };
        assert!(load.contains(" of "), "{load}");
        assert!(health.contains(" ok ") && health.contains(" session"), "{health}");
    }
    let figures = run("metrics --prometheus").await.ended_with(0).stdout;
    for name in ["main", "eu-1"] {
        for series in ["up", "connections_max", "connections", "commits_total"] {
            let series = format!("\ntenantry_db_{series}{{server=\"{name}\"}} ");
            assert!(figures.contains(&series), "{series} is not in {figures}");
        }
    }
    assert_eq!(figures.matches("# TYPE tenantry_db_commits_total counter").count(), 1);
    let doctor = run("doctor --only settings --severity settings=warning").await.ended_with(0);
    doctor.says("fsync is off (servers main, eu-1)");

    other.stop_now().await.unwrap();
    let figures = run("metrics --prometheus").await.ended_with(0).stdout;
    assert!(figures.contains("tenantry_db_up{server=\"eu-1\"} 0\n"), "{figures}");
    assert!(figures.contains("tenantry_db_up{server=\"main\"} 1\n"), "{figures}");
    assert!(!figures.contains("tenantry_db_commits_total{server=\"eu-1\"}"), "{figures}");
    let text = run("metrics").await.ended_with(0);
    text.says("not read").says("not seen: sessions and statements on server eu-1: ");
}

#[tokio::test]
async fn a_server_that_is_away_is_told_with_its_own_setting() {
    let (server, other) = (DevServer::start().await.unwrap(), DevServer::start().await.unwrap());
    let folder = Folder::new();
    let file = |url: &str| tiers(url).replace("[rows]\nrole = \"app_rows_cli\"\n\n", "");
    folder.write("tenantry.toml", file(&other.url()));
    let run = |arguments: &str| {
        let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
        folder.tenantry(arguments).url(server.url()).run()
    };
    run("init --yes --create-table --output other.toml").await.ended_with(0);
    run("tenant create big --attributes plan=large").await.ended_with(0);

    let refused = other.url().replace("postgres@", "stranger:geheim@");
    folder.write("tenantry.toml", file(&refused));
    let ran = run("tenant drop big --yes").await.ended_with(2);
    let line = file(&refused).lines().position(|line| line.starts_with("url")).unwrap() + 1;
    ran.clone().says("(tenant big, server eu-1)").never_says("geheim");
    ran.says(&format!("help: servers.eu-1.url (tenantry.toml:{line}) is "))
        .never_says("database.url");

    // The login of maintenance has a setting of its own.
    folder.write("tenantry.toml", file(&other.url()));
    let create = ["tenant", "create", "small", "--attributes", "plan=pro"];
    let upkeep = folder.tenantry(create).url(server.url()).env("TENANTRY_UPKEEP_USER", "stranger");
    let ran = upkeep.run().await.ended_with(2).says("with the credentials of upkeep");
    ran.says("; upkeep.user ($TENANTRY_UPKEEP_USER) is stranger");

    other.stop_now().await.unwrap();
    let sizes = run("metrics --sizes").await.ended_with(0);
    let big = sizes.stdout.lines().find(|line| line.starts_with("big ")).unwrap();
    let cells: Vec<_> = big.split_whitespace().collect();
    assert_eq!(cells, ["big", "not", "read", "-", "-"], "{big}");
    for command in ["tenant drop big --yes", "tenant create large --attributes plan=large"] {
        let ran = run(command).await.ended_with(2);
        ran.says("help: servers.eu-1.url (tenantry.toml:").never_says("$DATABASE_URL");
    }
    // The main server has the settings of the main one.
    server.stop_now().await.unwrap();
    let ran = run("tenant list").await.ended_with(2);
    ran.says("server main").says("help: database.url ($DATABASE_URL) is ").never_says("eu-1");
}

#[tokio::test]
async fn health_asks_every_server_and_the_selected_tenants() {
    let (server, other) = (DevServer::start().await.unwrap(), DevServer::start().await.unwrap());
    let folder = Folder::new();
    folder.write(
        "tenantry.toml",
        tiers(&other.url()).replace("[rows]\nrole = \"app_rows_cli\"\n\n", ""),
    );
    let run = |arguments: &str| {
        let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
        folder.tenantry(arguments).url(server.url()).run()
    };
    run("init --yes --create-table --output other.toml").await.ended_with(0);
    run("tenant create here --attributes plan=pro").await.ended_with(0);
    run("tenant create there --attributes plan=large").await.ended_with(0);
    run("health").await.ended_with(0).says("healthy: 0 tenants checked");
    run("health --all")
        .await
        .ended_with(0)
        .says("healthy: 2 tenants checked, 0 degraded, 0 unhealthy");
    run("health --tenant there").await.ended_with(0).says("healthy: 1 tenant checked");
    // A tenant without its schema is noticed only if it is checked.
    let drop_schema = ["-qc", "drop schema tenant_here cascade", &server.url()];
    folder.program("psql", drop_schema).run().await.ended_with(0);
    run("health").await.ended_with(0);
    let all = run("health --all").await.ended_with(1);
    let here = all.stdout.lines().find(|line| line.starts_with("here ")).unwrap();
    assert!(here.contains("main") && here.contains("unhealthy"), "{here}");

    other.stop_now().await.unwrap();
    for arguments in ["health", "health --tenant here", "health --json"] {
        let ran = run(arguments).await.ended_with(1);
        assert!(ran.stdout.contains("eu-1"), "{arguments}: {ran:#?}");
    }
    run("metrics --health").await.ended_with(1).says("health: unhealthy");
    let all = run("health --all").await.ended_with(1).says("unhealthy: 2 tenants checked");
    let there = all.stdout.lines().find(|line| line.starts_with("there ")).unwrap();
    assert!(there.contains("eu-1") && there.contains("unhealthy"), "{there}");

    server.stop_now().await.unwrap();
    run("health").await.ended_with(1).says("unhealthy: 0 tenants checked");
    let ran = run("health --all").await.ended_with(1).says("shared database: unhealthy");
    ran.says("no tenant was checked, because they could not be listed");
    let json = run("health --all --json").await.ended_with(1).json();
    assert_eq!(json["healthy"], false, "{json}");
}

#[tokio::test]
async fn a_tenant_is_moved_to_another_server() {
    let (server, other) = (DevServer::start().await.unwrap(), DevServer::start().await.unwrap());
    let folder = Folder::new();
    let servers = format!(
        "[tenants]\ncatalog = \"table\"\n\n[servers.eu-1]\nurl = \"{}\"\nmax_connections = 6\n",
        other.url()
    );
    folder.write("tenantry.toml", servers);
    let run = |arguments: &str| {
        let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
        folder.tenantry(arguments).url(server.url()).run()
    };
    run("init --yes --create-table --output other.toml").await.ended_with(0);
    run("tenant create acme").await.ended_with(0);
    run("move --list").await.ended_with(0).says("no moves");
    let plan = run("move acme --to eu-1 --dry-run").await.ended_with(0);
    plan.says("requests would wait for about").says("logical replication is not used");
    let blocked = run("move acme --to eu-1 --dry-run --max-pause 1ms --json").await.ended_with(1);
    assert_eq!(blocked.json()["obstacles"][0]["kind"], "pause");
    let asked = run("move acme --to eu-1 --dry-run --method replication").await.ended_with(1);
    asked.says("obstacle: wal_level is minimal");
    run("move acme --to eu-1 --method paper").await.ended_with(2).says("must be replication or");
    run("move acme --to mars").await.ended_with(2).says("there is no server \"mars\"");
    run("move acme").await.ended_with(2).says("with `--isolation`");
    run("move acme --cancel").await.ended_with(2).says("it is on no move");
    run("move").await.ended_with(2);

    let moved = run("move acme --to eu-1 --keep 1ms --json").await.ended_with(0).json();
    assert_eq!(moved["toServer"], "eu-1");
    assert!(moved["pauseMs"].as_f64().is_some_and(|pause| pause > 0.0), "{moved}");
    run("tenant show acme").await.ended_with(0).says("server      eu-1").says("epoch       2");
    let listed = run("move --list").await.ended_with(0);
    let shown = listed.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.starts_with("tenant stage from to method began took note acme done main eu-1 "));
    listed.says(" main keeps tenantry_moved_").says(" until 20");
    run("move acme --to eu-1").await.ended_with(2).says("it is on server eu-1 already");
    run("move --take-over").await.ended_with(0).says("no abandoned moves");
    run("move --sweep").await.ended_with(0).says("dropped tenantry_moved_");
    run("move --sweep").await.ended_with(0).says("nothing to drop");
}

#[tokio::test]
async fn a_move_that_is_interrupted_is_undone() {
    let (server, other) = (DevServer::start().await.unwrap(), DevServer::start().await.unwrap());
    let folder = Folder::new();
    let servers = format!(
        "[tenants]\ncatalog = \"table\"\n\n[servers.eu-1]\nurl = \"{}\"\nmax_connections = 6\n",
        other.url()
    );
    folder.write("tenantry.toml", servers);
    let tenantry = |arguments: &str| {
        let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
        folder.tenantry(arguments).url(server.url())
    };
    tenantry("init --yes --create-table --output other.toml").run().await.ended_with(0);
    tenantry("tenant create acme").run().await.ended_with(0);
    let mut admin = PgConnection::connect(&server.url()).await.unwrap();
    // It keeps the fence waiting, which gives way, and tries again.
    let mut holder = PgConnection::connect(&server.url()).await.unwrap();
    execute(
        &mut holder,
        "create table tenant_acme.held (n int); begin; insert into tenant_acme.held values (1)",
    )
    .await;
    for signal in ["INT", "TERM"] {
        let child = tenantry("move acme --to eu-1").command.spawn().unwrap();
        let state = "select state from tenants where id = 'acme'";
        eventually("it moves", async || value(&mut admin, state).await != "active").await;
        let pid = child.id().unwrap().to_string();
        let sent = process::Command::new("kill").args(["-s", signal, &pid]).status().unwrap();
        assert!(sent.success());
        let output = child.wait_with_output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("interrupted: the move is undone"), "{said}");
        assert_eq!(value(&mut admin, state).await, "active", "{said}");
        tenantry("move --list").run().await.ended_with(0).says("acme    undone");
    }
    execute(&mut holder, "rollback").await;
    tenantry("move acme --to eu-1").run().await.ended_with(0);
}

#[tokio::test]
async fn a_server_is_drained() {
    let (server, other) = (DevServer::start().await.unwrap(), DevServer::start().await.unwrap());
    let folder = Folder::new();
    let servers = format!(
        "[tenants]\ncatalog = \"table\"\n\n[servers.eu-1]\nurl = \"{}\"\nmax_connections = 6\n",
        other.url()
    );
    folder.write("tenantry.toml", &servers);
    let run = |arguments: &str| {
        let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
        folder.tenantry(arguments).url(server.url()).run()
    };
    run("init --yes --create-table --output other.toml").await.ended_with(0);
    for tenant in ["acme", "beta", "idle"] {
        run(&format!("tenant create {tenant} --server eu-1")).await.ended_with(0);
    }
    run("tenant suspend idle").await.ended_with(0);
    run("move --drain eu-1").await.ended_with(2).says("server eu-1: it still gets new tenants");
    run("move acme --drain eu-1").await.ended_with(2);
    for option in [
        "--at-once 2",
        "--max-failures 2",
        "--to eu-1",
        "--dry-run",
        "--keep 1d",
        "--no-verify",
        "--method replication",
    ] {
        run(&format!("move --list {option}")).await.ended_with(2);
    }
    run("move acme --to main --to eu-1").await.ended_with(2).says("give `--to` once");

    folder.write(
        "tenantry.toml",
        servers.replace("max_connections", "draining = true\nmax_connections"),
    );
    let plan = run("move --drain eu-1 --dry-run").await.ended_with(0);
    plan.says("requests would wait for about")
        .says("suspended, or moved by another process")
        .says("2 of 3 tenants would move");
    let blocked =
        run("move --drain eu-1 --dry-run --max-pause 1ms --json").await.ended_with(1).json();
    assert_eq!(blocked["tenants"][0]["value"]["obstacles"][0]["kind"], "pause");
    let blocked = run("move --drain eu-1 --dry-run --max-pause 1ms").await.ended_with(1);
    blocked.says("0 of 3 tenants would move");
    run("move --drain eu-1 --to mars").await.ended_with(2).says("there is no server \"mars\"");
    run("move --drain eu-1 --at-once 0").await.ended_with(2).says("at_once must be at least 1");
    let drained = run("move --drain eu-1 --to main --at-once 2").await.ended_with(0);
    drained.says("acme").says("requests waited for").says("2 of 3 tenants moved");
    run("tenant show beta").await.ended_with(0).says("server      main");
    run("tenant resume idle").await.ended_with(0);
    let rest = run("move --drain eu-1 --json").await.ended_with(0).json();
    assert_eq!((&rest["total"], &rest["tenants"][0]["tenantId"]), (&1.into(), &"idle".into()));
    run("move --drain eu-1").await.ended_with(0).says("0 of 0 tenants moved");
}
