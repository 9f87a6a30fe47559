//! Flags over variables over the file over defaults, errors that name the place, and no secret shown.

use serde_json::Value;

use crate::support::{Folder, Ran};

/// The value of a setting and where it is from.
fn setting(ran: &Ran, key: &str) -> (String, String) {
    let json = ran.json();
    let all = json["settings"].as_array().unwrap();
    let found = all.iter().find(|setting| setting["key"] == key).unwrap();
    let text = |name: &str| found[name].as_str().unwrap_or("-").to_owned();
    (text("value"), text("source"))
}

/// A setting with a value in the file, in the environment and on the command line.
const EACH: [(&str, &str, &str, &str); 6] = [
    ("pool.max_connections", "5", "6", "7"),
    ("pool.acquire_timeout", "\"1s\"", "2s", "3s"),
    ("tenants.see_shared", "true", "yes", "true"),
    ("tenants.catalog", "\"table\"", "table", "schemas"),
    ("tenants.extension_schemas", "[\"a\", \"b\"]", "c,d", "e"),
    ("seeds.folder", "\"one\"", "two", "three"),
];

#[tokio::test]
async fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
    let folder = Folder::new();
    let ran = folder.tenantry(["config", "--json"]).run().await.ended_with(0);
    assert_eq!(setting(&ran, "pool.max_connections"), ("20".into(), "default".into()));
    assert_eq!(setting(&ran, "database.url"), ("-".into(), "-".into()));
    for (key, in_file, in_variable, in_flag) in EACH {
        let (section, name) = key.split_once('.').unwrap();
        folder.write("tenantry.toml", format!("# a comment\n[{section}]\n{name} = {in_file}\n"));
        let plain = folder.tenantry(["config", "--json"]);
        let (value, from) = setting(&plain.run().await.ended_with(0), key);
        assert_eq!(from, "tenantry.toml:3", "{key}");
        assert_eq!(value, in_file.replace(['"', '[', ']', ' '], ""));
        let variable = format!("TENANTRY_{}", key.replace('.', "_").to_uppercase());
        let both = folder.tenantry(["config", "--json"]).env(&variable, in_variable);
        let (value, from) = setting(&both.run().await.ended_with(0), key);
        assert_eq!((value, from), (in_variable.replace("yes", "true"), format!("${variable}")));
        let set = format!("{key}={in_flag}");
        let all = folder.tenantry(["config", "--json", "--set", &set]).env(&variable, in_variable);
        let found = setting(&all.run().await.ended_with(0), key);
        assert_eq!(found, (in_flag.into(), "--set".into()));
    }
}

#[tokio::test]
async fn the_own_variable_and_the_flag_win_over_database_url() {
    let folder = Folder::new();
    folder.write("tenantry.toml", "[database]\nurl = \"postgres://h/file\"\n");
    let at = |args: &[&str], own: &str| {
        let args = ["config", "--json"].into_iter().chain(args.iter().copied());
        folder.tenantry(args).url("postgres://h/plain").env("TENANTRY_DATABASE_URL", own).run()
    };
    let found = setting(&at(&[], "").await.ended_with(0), "database.url");
    assert_eq!(found, ("postgres://h/plain".into(), "$DATABASE_URL".into()));
    let found = setting(&at(&[], "postgres://h/own").await, "database.url");
    assert_eq!(found, ("postgres://h/own".into(), "$TENANTRY_DATABASE_URL".into()));
    let flags = ["--database-url", "postgres://h/flag"];
    let found = setting(&at(&flags, "postgres://h/own").await, "database.url");
    assert_eq!(found, ("postgres://h/flag".into(), "--database-url".into()));
}

#[tokio::test]
async fn the_file_is_named_by_flag_or_variable() {
    let folder = Folder::new();
    folder.write("tenantry.toml", "[pool]\nmax_connections = 1\n");
    folder.write("b/other.toml", "[pool]\nmax_connections = 2\n[seeds]\nfolder = \"data\"\n");
    folder.write("third.toml", "[pool]\nmax_connections = 3\n");
    folder.write("b/data/one.sql", "select 1");
    let key = "pool.max_connections";
    let by_variable =
        folder.tenantry(["config", "--json"]).env("TENANTRY_CONFIG", "b/other.toml").run().await;
    assert_eq!(setting(&by_variable, key).0, "2");
    assert_eq!(by_variable.json()["file"], "b/other.toml");
    let by_flag = folder.tenantry(["config", "--json", "--config", "third.toml"]);
    let by_flag = by_flag.env("TENANTRY_CONFIG", "b/other.toml").run().await;
    assert_eq!(setting(&by_flag, key).0, "3");
    // Paths in a file are relative to it.
    let seeds = folder.tenantry(["seed", "--list", "--config", "b/other.toml"]).run().await;
    assert_eq!(seeds.ended_with(0).stdout, "one\n");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_told_with_its_place() {
    let folder = Folder::new();
    folder.write("folder/x", "");
    for (name, bytes, told) in [
        (
            "a.toml",
            &b"[pool]\nmax_conections = 5\n"[..],
            "a.toml:2: unknown key pool.max_conections\n  help: did you mean pool.max_connections?",
        ),
        ("b.toml", b"[pool\n", "b.toml:1: not valid TOML"),
        (
            "c.toml",
            b"[pool]\nmax_connections = 0\n",
            "c.toml:2: pool.max_connections must be a whole number of at least 1",
        ),
        ("d.toml", b"[pool]\n# \xff\n", "d.toml:2: the file is not UTF-8"),
        (
            "e.toml",
            b"[tenants]\ncatalog = \"views\"\n",
            "e.toml:2: tenants.catalog must be schemas or table",
        ),
        ("f.toml", b"pool = 5\n", "f.toml:1: unknown key pool"),
        ("g.toml", b"[[pool]]\nmax_connections = 5\n", "g.toml:1: "),
        ("h.toml", b"[pool]\nmax_connections = 5\n[pool]\n", "h.toml:3: not valid TOML"),
        ("i.toml", b"[pool.inner]\nmax = 5\n", "i.toml:1: unknown key pool.inner"),
        ("j.toml", b"\x00\x01\x02", "j.toml:1: not valid TOML"),
        (
            "k.toml",
            b"[seeds]\nrepeatable = [1]\n",
            "k.toml:2: seeds.repeatable must be a list of texts",
        ),
    ] {
        folder.write(name, bytes);
        let ran = folder.tenantry(["status", "--config", name]).run().await.ended_with(2);
        assert!(ran.stdout.is_empty(), "{ran:?}");
        ran.says(told).says("error: ");
    }
    let at = |name: &str| folder.tenantry(["status", "--config", name]).run();
    at("folder").await.ended_with(2).says("folder is a folder").says("folder/tenantry.toml");
    at("none.toml").await.ended_with(2).says("there is no configuration file none.toml");
    at("a.toml/b").await.ended_with(2).says("reading the configuration file a.toml/b");
}

#[tokio::test]
async fn an_empty_file_and_a_byte_order_mark_are_fine() {
    let folder = Folder::new();
    for text in [
        "",
        "\n\n# nothing\n",
        "\u{feff}[pool]\nmax_connections = 20\n",
        "[pool]\r\nmax_connections = 20\r\n",
    ] {
        folder.write("tenantry.toml", text);
        let ran = folder.tenantry(["config", "--json"]).run().await.ended_with(0);
        assert_eq!(setting(&ran, "pool.max_connections").0, "20", "{text:?}");
    }
}

#[tokio::test]
async fn a_variable_or_a_flag_that_is_wrong_is_named() {
    let folder = Folder::new();
    let with = |name: &str, value: &str| folder.tenantry(["config"]).env(name, value).run();
    with("TENANTRY_POOL_MAX_CONNECTIONS", "many")
        .await
        .ended_with(2)
        .says("$TENANTRY_POOL_MAX_CONNECTIONS: pool.max_connections must be a whole number");
    with("TENANTRY_POOL_MAX_CONNECTION", "5")
        .await
        .ended_with(0)
        .says("$TENANTRY_POOL_MAX_CONNECTION is not a setting; did you mean $TENANTRY_POOL_MAX_CONNECTIONS?")
        .never_says("many");
    with("TENANTRY_XYZZY", "5").await.ended_with(0).says("$TENANTRY_XYZZY is not a setting");
    // An empty variable is none, as pipelines set them.
    with("TENANTRY_POOL_MAX_CONNECTIONS", "").await.ended_with(0);
    for (set, told) in [
        ("pool.max_conections=5", "did you mean pool.max_connections?"),
        ("pool.max_connections", "--set pool.max_connections has no value"),
        ("pool.max_connections=x", "--set: pool.max_connections must be a whole number"),
        ("=", "--set"),
    ] {
        folder.tenantry(["config", "--set", set]).run().await.ended_with(2).says(told);
    }
    #[cfg(unix)]
    {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let odd = OsStr::from_bytes(b"\xff");
        let ran = folder.tenantry(["config"]).env("TENANTRY_SEEDS_FOLDER", odd).run().await;
        ran.ended_with(2).says("$TENANTRY_SEEDS_FOLDER is not UTF-8");
    }
}

#[tokio::test]
async fn the_name_of_a_variable_may_hold_what_is_not_text() {
    // Whatever else is in the environment is nobody's business.
    let folder = Folder::new();
    let ran = folder.tenantry(["config"]).env("A\u{1b}[31m", "\u{1b}[31m").run().await;
    ran.ended_with(0).never_says("\u{1b}");
    let ran = folder.tenantry(["config"]).env("TENANTRY_\u{1b}[31m", "x").run().await;
    ran.ended_with(0).never_says("\u{1b}").says("is not a setting");
}

/// A password with what is special in URLs, shells, TOML, JSON and .pgpass.
const ODD: &str = "gehe:im@/?#&=%41 \"'$x\\é";
/// Pieces of it that are in no other text.
const PIECES: [&str; 4] = ["gehe", "im@/", "%41 ", "gehe%3Aim"];

fn encoded(password: &str) -> String {
    url::form_urlencoded::byte_serialize(password.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

#[track_caller]
fn hides(ran: &Ran) {
    let all = ran.all();
    for piece in PIECES.into_iter().chain([encoded(ODD).as_str()]) {
        assert!(!all.contains(piece), "{piece:?} is in {ran:#?}");
    }
}

#[tokio::test]
async fn no_password_is_shown() {
    let folder = Folder::new();
    folder.write("password", format!("{ODD}\n"));
    // Nobody listens on port 1.
    let (host, name) = ("127.0.0.1:1", encoded(ODD));
    for url in [
        format!("postgres://app:{name}@{host}/d"),
        format!("postgres://app:{ODD}@{host}/d"),
        format!("postgres://app@{host}/d?password={name}"),
        format!("postgres://app@{host}/d?password={ODD}"),
        format!("postgres://app:{name}@{host}/d?sslmode={name}"),
        format!("postgres://app:{name}@{host}/d?unknown={name}"),
        format!("postgrs://app:{name}@{host}/d"),
        format!("host=127.0.0.1 port=1 password={ODD}"),
        format!("postgres:/app:{name}@{host}/d"),
        name.clone(),
    ] {
        for command in
            ["config", "config --json", "status", "status --json", "doctor", "health -vvv"]
        {
            let args: Vec<_> = command.split(' ').collect();
            let place = folder.tenantry(&args).url(&url).env("PGPASSWORD", ODD).run().await;
            hides(&place);
            let flag = args.iter().copied().chain(["--database-url", &url]);
            hides(&folder.tenantry(flag).run().await);
        }
        folder.write("url.toml", format!("[database]\nurl = {}\n", Value::from(url.as_str())));
        hides(&folder.tenantry(["config", "--config", "url.toml"]).run().await.ended_with(0));
        // A mistake on the line of the URL.
        folder.write("url.toml", format!("[database]\nurl = {} x\n", Value::from(url.as_str())));
        hides(&folder.tenantry(["config", "--config", "url.toml"]).run().await.ended_with(2));
        let set = format!("database.url={url}");
        hides(&folder.tenantry(["config", "--set", &set]).run().await.ended_with(0));
        hides(&folder.tenantry(["status", "--set", &url]).run().await.ended_with(2));
    }
    for (key, value) in
        [("file", "password"), ("command", "cat password"), ("command", "cat password; false")]
    {
        let set = format!("database.password_{key}={value}");
        let ran = folder
            .tenantry(["status", "-vvv", "--set", &set])
            .url(format!("postgres://app@{host}/d"));
        hides(&ran.run().await.ended_with(2));
    }
}

#[tokio::test]
async fn a_password_in_a_flag_is_warned_of() {
    let folder = Folder::new();
    let url = "postgres://app:geheim@127.0.0.1:1/d";
    let ran = folder.tenantry(["config", "--database-url", url]).run().await.ended_with(0);
    ran.says("other users of this machine can see").never_says("geheim");
}

#[tokio::test]
async fn a_password_that_cannot_be_read_is_told_with_its_place() {
    let folder = Folder::new();
    folder.write("empty", "\n");
    let url = "postgres://app@127.0.0.1:1/d";
    for (set, told) in [
        (&["database.password_file=none"][..], "database.password_file (--set): reading none"),
        (
            &["database.password_file=empty"],
            "database.password_file (--set): the password is empty",
        ),
        (
            &["database.password_command=true"],
            "database.password_command (--set): the password is empty",
        ),
        (
            &["database.password_command=exit 3"],
            "database.password_command (--set): the command failed",
        ),
        (&["database.password_command=echo x", "database.password_file=empty"], "are both set"),
        (&["upkeep.user=boss", "upkeep.password_file=none"], "upkeep.password_file (--set)"),
    ] {
        let args = ["status"].into_iter().chain(set.iter().flat_map(|set| ["--set", set]));
        folder.tenantry(args).url(url).run().await.ended_with(2).says(told);
    }
    let ran = folder.tenantry(["status"]).run().await.ended_with(2);
    ran.says("no database is given").says("DATABASE_URL=postgres://");
}

#[tokio::test]
async fn settings_of_another_catalog_are_refused_by_name() {
    let folder = Folder::new();
    for (settings, says, help) in [
        (
            "[catalog]\nquery = 'select 1 as id'",
            "catalog.query (tenantry.toml:2) has no effect",
            "\"query\"",
        ),
        ("[catalog]\ncolumns = ['id=slug']", "while tenants.catalog is schemas", "\"table\""),
        ("[catalog.columns]\nid = 'slug'\n[catalog]\nnotify = 'x'", "has no effect", ""),
        ("[tenants]\ncatalog = 'query'", "catalog.query is not set", "select slug as id"),
        (
            "[tenants]\ncatalog = 'table'\n[catalog]\nexcept = ['audit']",
            "catalog.except (tenantry.toml:4)",
            "\"schemas\"",
        ),
        (
            "[tenants]\ncatalog = 'table'\n[catalog]\ncolumns = ['slug']",
            "\"slug\" names no column",
            "id=slug",
        ),
        (
            "[tenants]\ncatalog = 'table'\n[catalog.columns]\nplan = 'plan'",
            "is for nothing that a tenant has",
            "created_at",
        ),
        (
            "[tenants]\ncatalog = 'query'\n[catalog]\nquery = 'delete from x'",
            "must be a single select",
            "",
        ),
    ] {
        folder.write("tenantry.toml", settings);
        let ran =
            folder.tenantry(["tenant", "list"]).url("postgres://127.0.0.1:1/none").run().await;
        ran.ended_with(2).says(says).says(help);
    }
}
