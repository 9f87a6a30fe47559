//! Readers that have seen enough, full disks, and terminals.

use crate::support::{Fleet, Folder, Ran, Tenantry};

/// Commands with much to print.
const LONG: [&str; 16] = [
    "--help",
    "config",
    "config --json",
    "status --all",
    "tenant list",
    "tenant list --ids",
    "migrate --all",
    "migrate --all --dry-run",
    "migrate lint --rules",
    "drift",
    "schema export acme",
    "health --all --json",
    "metrics",
    "completions bash",
    "man",
    "sql --format ndjson select(1)",
];

fn words(command: &str) -> impl Iterator<Item = String> {
    command.split(' ').map(|word| word.replace('(', " ").replace(')', ""))
}

/// The binary, started by a shell with its output going elsewhere.
fn shell(fleet: &Fleet, command: &str, to: &str) -> Tenantry {
    let script = format!("{} \"$@\" {to}", env!("CARGO_BIN_EXE_tenantry"));
    let script = if to.starts_with('|') { format!("set -o pipefail; {script}") } else { script };
    let args = ["-c".to_owned(), script, "tenantry".to_owned()].into_iter();
    fleet.folder.program("bash", args.chain(words(command))).url(fleet.url())
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let fleet = Fleet::new().await;
    for command in LONG {
        let ran = shell(&fleet, command, "| head -c 1").run().await;
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{command}: {ran:#?}");
    }
    // What prints again and again ends with its reader.
    shell(&fleet, "metrics --watch --interval 10ms", "| head -1").run().await.ended_with(0);
    shell(&fleet, "metrics --watch --interval 10ms --json", "| head -1").run().await.ended_with(0);
}

#[tokio::test]
async fn a_full_disk_is_told() {
    let fleet = Fleet::new().await;
    for command in LONG {
        let ran = shell(&fleet, command, "> /dev/full").run().await;
        assert_eq!(ran.code, Some(2), "{command}: {ran:#?}");
        assert!(ran.stderr.starts_with("error: writing to standard output: "), "{ran:#?}");
    }
}

#[tokio::test]
async fn standard_error_that_cannot_be_written_stops_nothing() {
    let fleet = Fleet::new().await;
    for (command, code) in [("status -vv", 0), ("status", 0), ("tenant show nobody", 2), ("x", 2)] {
        for to in ["2> /dev/full", "2>&-"] {
            // An unknown variable makes a note.
            let ran = shell(&fleet, command, to).env("TENANTRY_XYZZY", "1").run().await;
            assert_eq!(ran.code, Some(code), "{command}: {ran:#?}");
        }
    }
    let ran = shell(&fleet, "status", ">&-").run().await.ended_with(0);
    assert_eq!(ran.stderr, "");
}

#[tokio::test]
async fn nothing_but_text_goes_to_what_is_not_a_terminal() {
    let fleet = Fleet::new().await;
    fleet.add_migration("0003_wrong", "select nonsense");
    for command in
        LONG.into_iter().chain(["health", "migrate", "doctor", "statsu", "tenant show x"])
    {
        let ran = fleet.tenantry(words(command)).env("TERM", "xterm-256color").run().await;
        ran.never_says("\u{1b}").never_says("\r");
    }
}

#[tokio::test]
async fn colours_follow_the_variables() {
    let fleet = Fleet::new().await;
    let with = |variables: &[(&str, &str)]| {
        let start = fleet.tenantry(["health"]);
        variables.iter().fold(start, |call, (name, value)| call.env(name, value)).run()
    };
    with(&[("CLICOLOR_FORCE", "1")]).await.says("\u{1b}[32mhealthy");
    with(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).await.never_says("\u{1b}");
    with(&[("CLICOLOR_FORCE", "0")]).await.never_says("\u{1b}");
}

/// Runs the binary in a terminal of its own. What is typed is there from the start.
fn in_terminal(folder: &Folder, columns: u16, command: &str, typed: &str) -> Tenantry {
    let binary = env!("CARGO_BIN_EXE_tenantry");
    let script = format!("stty cols {columns} rows 24 && exec {binary} {command}");
    let call = folder.program("script", ["-qec", &script, "/dev/null"]);
    call.env("TERM", "xterm-256color").env("SHELL", "/bin/sh").stdin(typed)
}

#[tokio::test]
async fn tables_fit_into_a_narrow_terminal() {
    let fleet = Fleet::new().await;
    fleet.add_migration("0003_with_a_rather_long_name_that_has_to_be_wrapped", "select 1");
    let plain = |ran: Ran| {
        // Sequences of colours have no width.
        let mut text = ran.ended_with(0).stdout;
        while let Some(start) = text.find('\u{1b}') {
            let end = text[start..].find(|c: char| c.is_ascii_alphabetic()).unwrap() + start;
            text.replace_range(start..=end, "");
        }
        text
    };
    for command in ["status", "tenant list", "config", "doctor --list", "health"] {
        let ran = in_terminal(&fleet.folder, 40, command, "").url(fleet.url()).run().await;
        let text = plain(ran);
        for line in text.lines() {
            let line = line.trim_end_matches('\r');
            let width = line.rsplit('\r').next().unwrap_or_default().chars().count();
            assert!(width <= 40 || !line.contains("  "), "{command}: {width} columns: {line:?}");
        }
    }
}

#[tokio::test]
async fn colours_and_questions_are_for_terminals() {
    let fleet = Fleet::new().await;
    let call = |command, typed| in_terminal(&fleet.folder, 80, command, typed).url(fleet.url());
    call("health", "").run().await.ended_with(0).says("\u{1b}[32mhealthy");
    call("health", "").env("NO_COLOR", "1").run().await.ended_with(0).never_says("\u{1b}[3");
    call("health", "").env("TERM", "dumb").run().await.ended_with(0).never_says("\u{1b}[3");
    let wrong = call("tenant drop acme", "amce\n").run().await.ended_with(2);
    wrong.says("type acme to continue").says("nothing was done");
    let enough = call("tenant drop acme", "").run().await.ended_with(2);
    enough.says("nothing was done");
    fleet.run("tenant show acme").await.ended_with(0);
    call("tenant drop acme", "acme\n").run().await.ended_with(0).says("dropped tenant acme");
    fleet.run("tenant show acme").await.ended_with(2);
}
