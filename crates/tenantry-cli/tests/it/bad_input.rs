//! Ids, lists, addresses and files that are not what they should be.

use sqlx::{Connection, PgConnection};
use tenantry_devdb::DevServer;

use crate::support::{Fleet, Folder, TENANTS, execute, value};

#[tokio::test]
async fn a_database_that_is_down_is_told() {
    let folder = Folder::project();
    for command in
        ["status", "tenant list", "migrate --all", "drift", "seed admin --all", "tenant create a"]
    {
        let call =
            folder.tenantry(command.split(' ')).url("postgres://app:geheim@127.0.0.1:1/saas");
        let ran = call.run().await.ended_with(2);
        assert!(ran.stdout.is_empty(), "{ran:?}");
        ran.says("127.0.0.1:1").never_says("geheim");
    }
    for command in ["health", "doctor"] {
        let call = folder.tenantry([command]).url("postgres://app:geheim@127.0.0.1:1/saas");
        call.run().await.ended_with(1).never_says("geheim");
    }
    let at = |url: &'static str| folder.tenantry(["status"]).url(url).run();
    at("postgres://app@no-such-host.invalid/saas").await.ended_with(2).says("no-such-host.invalid");
    at("mysql://app@localhost/saas").await.ended_with(2).says("database.url ($DATABASE_URL)");
    at("postgres://app@127.0.0.1:99999/saas").await.ended_with(2).says("error: ");
}

/// A server that asks a login of the role `app` for its password.
async fn guarded(password: &str) -> DevServer {
    let server = DevServer::start().await.unwrap();
    let mut admin = PgConnection::connect(&server.url()).await.unwrap();
    let role =
        format!("create role app login superuser password '{}'", password.replace('\'', "''"));
    execute(&mut admin, &format!("set password_encryption to 'scram-sha-256'; {role}")).await;
    let rules = "host all app 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
    std::fs::write(server.data_dir().join("pg_hba.conf"), rules).unwrap();
    server.restart().await.unwrap();
    server
}

#[tokio::test]
async fn passwords_come_from_everywhere_and_wrong_ones_are_not_shown() {
    const PASSWORD: &str = "ge:he/im@?#&=%41 \"'$x\\é";
    let server = guarded(PASSWORD).await;
    let folder = Folder::project();
    let port = server.port();
    let url = format!("postgres://app@127.0.0.1:{port}/postgres");
    let status = |url: &str, args: &[&str]| {
        let args = ["tenant", "list", "--set", "tenants.catalog=schemas"]
            .into_iter()
            .chain(args.iter().copied());
        folder.tenantry(args).url(url)
    };
    let encoded: String = url::form_urlencoded::byte_serialize(PASSWORD.as_bytes()).collect();
    let encoded = encoded.replace('+', "%20");
    let in_url = format!("postgres://app:{encoded}@127.0.0.1:{port}/postgres");
    status(&in_url, &[]).run().await.ended_with(0);
    status(&url, &[]).env("PGPASSWORD", PASSWORD).run().await.ended_with(0);
    folder.write("password", format!("{PASSWORD}\n"));
    status(&url, &["--set", "database.password_file=password"]).run().await.ended_with(0);
    status(&url, &["--set", "database.password_command=cat password"]).run().await.ended_with(0);
    // What is beside the URL wins over what is in it.
    let wrong = format!("postgres://app:falsch@127.0.0.1:{port}/postgres");
    status(&wrong, &["--set", "database.password_file=password"]).run().await.ended_with(0);
    let escaped = PASSWORD.replace('\\', "\\\\").replace(':', "\\:");
    let pgpass = folder.write(".pgpass", format!("127.0.0.1:{port}:*:app:{escaped}\n"));
    set_mode(&pgpass, 0o600);
    status(&url, &[]).run().await.ended_with(0);
    for call in [status(&wrong, &[]), status(&url, &[]).env("PGPASSWORD", "falsch")] {
        let ran = call.run().await.ended_with(2);
        ran.says("password authentication failed").never_says("falsch").never_says("ge:he");
    }
    // Others may read it: it is not used, as with psql.
    set_mode(&pgpass, 0o644);
    status(&url, &[]).run().await.ended_with(2).never_says("ge:he");
    let tls = format!("{in_url}?sslmode=require");
    status(&tls, &[])
        .run()
        .await
        .ended_with(2)
        .says("TLS")
        .never_says("ge:he")
        .never_says(&encoded);
    let nobody = format!("postgres://nobody@127.0.0.1:{port}/postgres");
    status(&nobody, &[]).run().await.ended_with(2).says("nobody");
    let nowhere = format!("postgres://postgres@127.0.0.1:{port}/nowhere");
    status(&nowhere, &[]).run().await.ended_with(2).says("nowhere");
    server.close().await;
}

fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let folder = Folder::project();
    let make = "openssl req -new -x509 -nodes -days 2 -subj /CN=elsewhere -addext basicConstraints=critical,CA:FALSE -keyout k.pem -out c.pem";
    folder.program("sh", ["-c", &format!("{make} 2>&1")]).run().await.ended_with(0);
    let server = DevServer::start().await.unwrap();
    for (name, file) in [("server.key", "k.pem"), ("server.crt", "c.pem")] {
        let path = server.data_dir().join(name);
        std::fs::copy(folder.path().join(file), &path).unwrap();
        set_mode(&path, 0o600);
        give_to_owner_of(&server.data_dir(), &path);
    }
    let mut admin = PgConnection::connect(&server.url()).await.unwrap();
    execute(&mut admin, "alter system set ssl = on").await;
    server.restart().await.unwrap();
    let at = |query: &str| {
        let url = format!("postgres://postgres@localhost:{}/postgres?{query}", server.port());
        folder.tenantry(["tenant", "list", "--set", "tenants.catalog=schemas"]).url(url).run()
    };
    at("sslmode=require").await.ended_with(0);
    at("sslmode=verify-ca").await.ended_with(2).says("certificate");
    at("sslmode=verify-ca&sslrootcert=c.pem").await.ended_with(0);
    at("sslmode=verify-full&sslrootcert=c.pem").await.ended_with(2).says("localhost");
    at("sslmode=verify-full&sslrootcert=none.pem").await.ended_with(2).says("none.pem");
    server.close().await;
}

/// PostgreSQL takes a key that it owns; for root it runs as somebody else.
fn give_to_owner_of(folder: &std::path::Path, file: &std::path::Path) {
    use std::os::unix::fs::MetadataExt;
    let owner = std::fs::metadata(folder).unwrap();
    std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid())).unwrap();
}

#[tokio::test]
async fn lists_of_tenants_come_from_arguments_files_and_standard_input() {
    let fleet = Fleet::new().await;
    fleet.folder.write("ids", "# two\nacme\n\n  globex  \r\n");
    fleet.folder.write("none", "# nobody\n");
    let count = |ran: &crate::support::Ran| ran.json()["total"].clone();
    let migrate = |list: &str| fleet.tenantry(["migrate", "--json", "--tenants", list]);
    assert_eq!(count(&migrate("acme,globex").run().await.ended_with(0)), 2);
    assert_eq!(count(&migrate("@ids").run().await.ended_with(0)), 2);
    assert_eq!(count(&migrate("-").stdin("initech\nacme\nglobex").run().await.ended_with(0)), 3);
    let listed = fleet.run("tenant list --ids").await.ended_with(0).stdout;
    assert_eq!(listed.lines().collect::<Vec<_>>(), TENANTS);
    assert_eq!(count(&migrate("-").stdin(listed).run().await.ended_with(0)), 3);
    // Nobody is not everybody.
    for (list, input) in [("-", ""), ("-", "\n# x\n"), ("@none", ""), ("", ""), (",", "")] {
        let ran = migrate(list).stdin(input).run().await.ended_with(2);
        ran.says("selects no tenant");
    }
    migrate("@missing").run().await.ended_with(2).says("reading tenant ids from missing");
    migrate("-").stdin(b"\xff\xfe".as_slice()).run().await.ended_with(2).says("standard input");
    // One that is named twice is migrated once.
    assert_eq!(count(&migrate("acme,acme").run().await.ended_with(0)), 1);
}

#[tokio::test]
async fn hostile_ids_are_text_and_nothing_else() {
    let fleet = Fleet::new().await;
    for id in [
        "a'; drop schema tenant_acme cascade; --",
        "a\" b",
        "../../etc/passwd",
        "a\u{1b}[31mred",
        "tenant_acme.users",
        "a\nb",
        "",
        " ",
        "ACME",
        "аcme",
        &"a".repeat(64),
        "%",
        "a\u{202e}b",
    ] {
        for command in [
            &["tenant", "create", id][..],
            &["tenant", "show", id],
            &["tenant", "suspend", id],
            &["tenant", "drop", "--yes", id],
            &["tenant", "rename", "--yes", "acme", id],
            &["tenant", "clone", "acme", id],
            &["schema", "export", id],
            &["migrate", "--tenant", id],
            &["drift", "--tenant", id],
            &["seed", "admin", "--tenant", id],
            &["health", "--tenant", id],
        ] {
            let ran = fleet.tenantry(command).run().await;
            let upper = id == "ACME" && ran.code == Some(0);
            assert!(matches!(ran.code, Some(1 | 2)) || upper, "{command:?}: {ran:#?}");
            ran.never_says("\u{1b}").never_says("\u{202e}");
        }
    }
    let mut admin = fleet.admin().await;
    let schemas =
        value(&mut admin, "select count(*) from pg_namespace where nspname like 'tenant\\_%'")
            .await;
    assert_eq!(schemas, "3");
}

#[tokio::test]
async fn a_tenant_that_is_named_like_a_flag_is_none() {
    let fleet = Fleet::new().await;
    for command in ["tenant show --all", "tenant create -x", "schema export --json"] {
        fleet.run(command).await.ended_with(2).says("Usage: ");
    }
    for command in ["tenant show -- --all", "tenant create -- -x", "tenant drop --yes -- --all"] {
        fleet.run(command).await.ended_with(2).says("tenant id");
    }
}

#[tokio::test]
async fn destruction_is_confirmed() {
    let fleet = Fleet::new().await;
    for command in [
        "tenant drop acme",
        "tenant rename acme acme2",
        "migrate revert --all --to 1",
        "migrate forget --all --orphans",
    ] {
        let ran = fleet.tenantry(command.split(' ')).stdin("acme\nall\nyes\n").run().await;
        ran.ended_with(2).says("must be confirmed").says("--yes");
    }
    assert_eq!(fleet.run("tenant list --ids").await.stdout.lines().count(), 3);
    let shown = fleet.run("tenant drop acme --dry-run").await.ended_with(0);
    shown.says("users").says("orders");
    fleet.run("tenant show acme").await.ended_with(0);
    fleet.run("tenant drop acme --yes").await.ended_with(0);
    fleet.run("tenant show acme").await.ended_with(2).says("there is no tenant acme");
    fleet.run("tenant drop acme --yes").await.ended_with(2).says("acme");
}

#[tokio::test]
async fn two_at_once_are_safe() {
    let fleet = Fleet::new().await;
    fleet.add_migration("0003_once", "create table once (x int); select pg_sleep(0.05);");
    let (one, two) =
        tokio::join!(fleet.run("migrate --all --json"), fleet.run("migrate --all --json"));
    let (one, two) = (one.ended_with(0).json(), two.ended_with(0).json());
    let migrated = one["migrated"].as_i64().unwrap() + two["migrated"].as_i64().unwrap();
    assert_eq!(migrated, 3, "{one} {two}");
    let (one, two) =
        tokio::join!(fleet.run("tenant create hooli"), fleet.run("tenant create hooli"));
    let mut codes = [one.code, two.code];
    codes.sort();
    assert_eq!(codes, [Some(0), Some(2)], "{one:#?} {two:#?}");
    fleet.run("tenant show hooli").await.ended_with(0).says("active");
    let drop = "tenant drop hooli --yes";
    let (one, two) = tokio::join!(fleet.run(drop), fleet.run(drop));
    assert!([one.code, two.code].contains(&Some(0)), "{one:#?} {two:#?}");
    fleet.run("tenant show hooli").await.ended_with(2);
}

#[tokio::test]
async fn files_that_are_named_and_not_there_are_told() {
    let fleet = Fleet::new().await;
    fleet.folder.write("broken.json", "{\"tables\": 5}");
    fleet.folder.write("broken.toml", "[users]\nemail = \"\n");
    for (command, told) in [
        ("drift --model none.json", "reading the model none.json"),
        ("drift --model broken.json", "schema export"),
        ("drift --model migrations", "reading the model migrations"),
        ("schema lint acme --options none.json", "reading the options none.json"),
        ("schema lint acme --options broken.json", "reading the options broken.json"),
        ("schema export acme --output none/x.json", "writing none/x.json"),
        ("tenant clone acme b --anonymize none.toml", "reading the masks none.toml"),
        ("tenant clone acme b --anonymize broken.toml", "reading the masks broken.toml"),
        ("sql --file none.sql", "reading the statement from none.sql"),
        ("seed nosuch --all", "there is no seed nosuch"),
        ("seed admn --all", "did you mean admin?"),
        ("man --folder tenantry.toml", "writing manual pages to tenantry.toml"),
        ("migrate --all --set migrations.tenants=none", "migrations.tenants (--set)"),
        ("seed --all --set seeds.folder=none", "seeds.folder (--set)"),
        ("status --set lint.off=ful_name", "unknown rule"),
        ("status --set tenants.schema=nothing", "the configuration cannot be used"),
        ("tenant create x --attributes nonsense", "is neither JSON nor name=value"),
        ("tenant create x --attributes {bad", "--attributes {bad"),
        ("tenant clone acme x --data --limit users", "--limit users has no ="),
    ] {
        let ran = fleet.run(command).await;
        assert_eq!(ran.code, Some(2), "{command}: {ran:#?}");
        assert!(ran.stdout.is_empty() && ran.stderr.contains(told), "{command}: {ran:#?}");
    }
}

#[tokio::test]
async fn nothing_passes_that_was_not_looked_at() {
    let folder = Folder::project();
    let down = "postgres://app:geheim@127.0.0.1:1/saas";
    for (command, code) in [
        ("doctor --only foreignObjects,sequences", 1),
        ("doctor --skip database", 1),
        ("doctor --only sequences --skip sequences", 2),
        ("doctor --timeout 0s", 2),
        ("migrate --tenant acme", 2),
        ("migrate --tenant acme --dry-run", 2),
    ] {
        let ran = folder.tenantry(command.split(' ')).url(down).run().await.ended_with(code);
        ran.never_says("geheim");
    }
}

#[tokio::test]
async fn what_was_committed_is_told_when_rows_cannot_be_printed() {
    let fleet = Fleet::new().await;
    let both = ["sql", "select 1", "--json", "--format", "csv"];
    fleet.tenantry(both).run().await.ended_with(2).says("cannot be combined");
    fleet.run("doctor --json --format github --only tenants").await.ended_with(2);
    let mut admin = fleet.admin().await;
    execute(&mut admin, "create table tenant_acme.w (id int)").await;
    execute(&mut admin, "create table tenant_globex.w (other int)").await;
    let insert = [
        "sql",
        "--write",
        "--tenants",
        "acme,globex",
        "--concurrency",
        "1",
        "--format",
        "csv",
        "insert into w values (1) returning *",
    ];
    let ran = fleet.tenantry(insert).run().await.ended_with(2);
    ran.says("the columns of globex are others").says("committed in acme");
    assert_eq!(value(&mut admin, "select count(*)::text from tenant_acme.w").await, "1");
    assert_eq!(value(&mut admin, "select count(*)::text from tenant_globex.w").await, "0");
}

#[tokio::test]
async fn logins_of_metrics_are_not_shown() {
    let folder = Folder::project();
    let set = "service.metrics_url=http://me:geheim@127.0.0.1:9/metrics?token=geheim";
    let ran = folder.tenantry(["config", "--set", set]).run().await.ended_with(0);
    ran.says("http://me:***@127.0.0.1:9/metrics?token=***").never_says("geheim");
    let ran = folder.tenantry(["metrics", "--set", set]).run().await.ended_with(2);
    ran.says("http://127.0.0.1:9/metrics").never_says("geheim");
}

#[tokio::test]
async fn a_wave_that_fails_is_the_last() {
    let fleet = Fleet::new().await;
    let mut admin = fleet.admin().await;
    execute(&mut admin, "create table tenant_acme.tags (id int)").await;
    fleet.add_migration("0009_tags.sql", "create table tags (id bigint primary key);");
    let ran = fleet.run("migrate --all --wave 1 --concurrency 1").await.ended_with(1);
    ran.says("not started").says("acme");
    fleet.run("migrate --all --wave 1 --error-budget 1").await.ended_with(1).says("migrated");
    fleet.run("doctor --instances 0").await.ended_with(2);
}

#[tokio::test]
async fn files_that_cannot_be_restored_are_told_apart() {
    let folder = Folder::new();
    folder.write("acme.dump", b"PGDMP and more");
    folder.program("gzip", ["acme.dump"]).run().await.ended_with(0);
    folder.write("bom.dump", b"\xef\xbb\xbfPGDMP");
    folder.write("bom.rows", b"\xef\xbb\xbftenantry rows 1\n");
    folder.write("utf16.dump", b"\xff\xfeP\0G\0");
    folder.write("empty.dump", b"");
    folder.write("plain.sql", b"select 1;\n");
    folder.write("dir/toc.dat", b"PGDMP");
    folder.program("mkfifo", ["pipe"]).run().await.ended_with(0);
    for (file, says, help) in [
        ("acme.dump.gz", "is compressed with gzip", "gzip --decompress"),
        ("bom.dump", "begins with a byte order mark", "dump the tenant again"),
        ("bom.rows", "begins with a byte order mark", "dump the tenant again"),
        ("utf16.dump", "is UTF-16 text", "dump the tenant again"),
        ("empty.dump", "is empty", "dump the tenant again"),
        ("plain.sql", "is not a dump in the custom format", "psql --file"),
        ("dir", "is a folder", "tenantry dump"),
        ("pipe", "is a pipe or device", "write the dump to a file first"),
        ("-", "is not read from standard input", "write the dump to a file first"),
        ("/dev/stdin", "is not read from standard input", "write the dump to a file first"),
    ] {
        let restore = ["restore", "acme", "--yes", "--input", file];
        let ran = folder.tenantry(restore).url("postgres://127.0.0.1:1/none").stdin("PGDMP");
        let ran = ran.run().await.ended_with(2).says(says).says(help);
        assert_eq!(ran.stderr.lines().count(), 2, "one sentence, and what to do: {ran:#?}");
    }
    let dump =
        folder.tenantry(["dump", "acme", "--output", "-"]).url("postgres://127.0.0.1:1/none");
    dump.run().await.ended_with(2).says("is not written to standard output").says("name a file");
    assert!(!folder.path().join("-").exists());
    for command in [&["dump", "acme"][..], &["shell", "acme"]] {
        let ran = folder.tenantry(command).run().await.ended_with(2);
        ran.says("no database is given").says("DATABASE_URL=postgres://").says("--database-url");
    }
}
