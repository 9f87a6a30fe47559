//! `docs/cli.md`: each example is run, and its table of settings is that of the settings.
//!
//! `UPDATE_DOCS=1 cargo test -p tenantry-cli guide` writes the outputs anew.

use std::{env, fs, path::PathBuf};

use tenantry_devdb::DevDatabase;
use tokio::sync::Mutex;

use crate::support::{Folder, Ran};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md")
}

/// Both tests read and write the guide.
static GUIDE: Mutex<()> = Mutex::const_new(());

fn updates() -> bool {
    env::var_os("UPDATE_DOCS").is_some()
}

/// A command of a `console` block: `$` and the command, `>` and further lines of it, its output, and `?` with its exit code
/// where that is not 0.
#[derive(Debug, Default)]
struct Example {
    command: Vec<String>,
    output: Vec<String>,
    code: i32,
}

/// The guide in pieces: lines that are kept, and blocks of examples.
enum Piece {
    Line(String),
    Block(Vec<Example>),
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line != "```console" {
            pieces.push(Piece::Line(line.to_owned()));
            continue;
        }
        let mut block: Vec<Example> = Vec::new();
        for line in lines.by_ref().take_while(|line| *line != "```") {
            if let Some(command) = line.strip_prefix("$ ") {
                block.push(Example { command: vec![command.to_owned()], ..Example::default() });
                continue;
            }
            let example = block.last_mut().expect("a block begins with a command");
            match (line.strip_prefix("> "), line.strip_prefix("? ")) {
                (Some(more), _) if example.output.is_empty() => {
                    example.command.push(more.to_owned())
                }
                (_, Some(code)) => example.code = code.parse().unwrap(),
                _ => example.output.push(line.to_owned()),
            }
        }
        pieces.push(Piece::Block(block));
    }
    pieces
}

/// A line without what differs from run to run: times, versions and how wide columns are.
fn steady(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let inner = word.trim_matches(['(', ')', ',', ';', ':', '"']);
        let number = inner.trim_end_matches(|c: char| c.is_alphabetic());
        let is_number =
            !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
        let unit = &inner[number.len()..];
        let is_time = is_number && matches!(unit, "ms" | "s" | "µs");
        let is_date =
            inner.len() >= 8 && inner.chars().all(|c| c.is_ascii_digit() || "-:.TZ".contains(c));
        let is_version = is_number && unit.is_empty() && number.contains('.');
        if is_time || is_date || is_version { word.replace(inner, "[..]") } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Compares outputs. A line `...` stands for any number of lines, and `[..]` at the end of a line for the rest of it.
fn fits(expected: &[String], actual: &[String]) -> bool {
    match (expected.first().map(String::as_str), actual.first()) {
        (None, None) => true,
        (Some("..."), _) => {
            (0..=actual.len()).any(|skipped| fits(&expected[1..], &actual[skipped..]))
        }
        (Some(line), Some(other)) => {
            let same = match line.strip_suffix("[..]") {
                Some(start) => steady(other).starts_with(&steady(start)),
                None => steady(line) == steady(other),
            };
            same && fits(&expected[1..], &actual[1..])
        }
        _ => false,
    }
}

async fn run(folder: &Folder, url: &str, command: &str) -> Ran {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_tenantry"));
    let folders = [binary.parent().unwrap().to_owned()];
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(folders.into_iter().chain(env::split_paths(&path))).unwrap();
    // What goes to standard error is seen on a terminal, too.
    let call = folder.program("bash", ["-c", &format!("exec 2>&1\n{command}")]);
    call.env("PATH", path).url(url).run().await
}

#[tokio::test]
async fn each_example_does_what_the_guide_shows() {
    let _alone = GUIDE.lock().await;
    let database = DevDatabase::create().await.unwrap();
    let folder = Folder::new();
    let text = fs::read_to_string(path()).unwrap();
    let (mut written, mut wrong, mut count) = (String::new(), Vec::new(), 0);
    for piece in pieces(&text) {
        let block = match piece {
            Piece::Line(line) => {
                written.push_str(&format!("{line}\n"));
                continue;
            }
            Piece::Block(block) => block,
        };
        written.push_str("```console\n");
        for example in block {
            let command = example.command.join("\n");
            let ran = run(&folder, database.url(), &command).await;
            // `init` shows the name.
            let shown = ran.stdout.replace(database.name(), "saas");
            let output: Vec<_> = shown.lines().map(|line| line.trim_end().to_owned()).collect();
            count += 1;
            let is_right = fits(&example.output, &output) && ran.code == Some(example.code);
            if !is_right {
                wrong.push(format!("$ {command}\nexit code {:?}\n{shown}", ran.code));
            }
            written.push_str(&format!("$ {}\n", example.command.join("\n> ")));
            for line in if is_right { &example.output } else { &output } {
                written.push_str(&format!("{line}\n"));
            }
            if let Some(code) = ran.code.filter(|code| *code != 0) {
                written.push_str(&format!("? {code}\n"));
            }
        }
        written.push_str("```\n");
    }
    assert!(count > 40, "{count} examples");
    if updates() {
        fs::write(path(), written).unwrap();
    } else {
        assert!(wrong.is_empty(), "not as in the guide:\n\n{}", wrong.join("\n"));
    }
}

#[tokio::test]
async fn the_table_of_settings_is_complete() {
    const START: &str = "<!-- keys -->\n";
    const END: &str = "<!-- end of keys -->\n";
    let _alone = GUIDE.lock().await;
    let json = Folder::new().tenantry(["config", "--json"]).run().await.ended_with(0).json();
    let mut table = "| key | default | meaning |\n|---|---|---|\n".to_owned();
    for setting in json["settings"].as_array().unwrap() {
        let field = |name: &str| setting[name].as_str().unwrap_or_default();
        let default = match field("value") {
            "" => String::new(),
            value => format!("`{value}`"),
        };
        table.push_str(&format!("| `{}` | {default} | {} |\n", field("key"), field("about")));
    }
    let text = fs::read_to_string(path()).unwrap();
    let (before, rest) = text.split_once(START).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    if updates() {
        fs::write(path(), format!("{before}{START}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(shown, table, "run the test with UPDATE_DOCS=1");
    }
}

#[test]
fn what_differs_from_run_to_run_is_left_out_and_nothing_else() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (shown, printed) in [
        ("created a in 76.0ms", "created a in 1.2s"),
        ("a  b", "a b"),
        ("a\n...\nz", "a\nb\nc\nz"),
        ("a [..]", "a b c"),
        ("2026-01-15 10:30:00  x", "2027-01-15 10:31:00  x"),
        ("PostgreSQL 15.18, x", "PostgreSQL 17.2, x"),
        ("\"at\": \"2026-01-15T10:30:00.5Z\",", "\"at\": \"2027-01-15T10:31:00.25Z\","),
    ] {
        assert!(fits(&lines(shown), &lines(printed)), "{shown:?} {printed:?}");
    }
    for (shown, printed) in
        [("a 5 b", "a 6 b"), ("a\nb", "a"), ("a", "a\nb"), ("a\n...\nz", "a\nb"), ("", "a")]
    {
        assert!(!fits(&lines(shown), &lines(printed)), "{shown:?} {printed:?}");
    }
}
