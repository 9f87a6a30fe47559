//! The `console` lines of a README, run as they are shown.

use std::{
    env, fs, os::unix::fs::PermissionsExt as _, path::Path, path::PathBuf, process::Command,
};

use super::{
    Program, Server, curl::is_installed, curl::run_attempts, curl::shell, diff, skip, wait_until,
};

/// The address in a README.
const SHOWN: &str = "127.0.0.1:3000";

/// A command of a `console` block: `$` and the command, then its output.
#[derive(Debug, Default)]
struct Example {
    command: String,
    output: Vec<String>,
}

/// Runs each command in the `console` blocks of `README.md` in `folder` and compares its output with the one shown.
///
/// `cargo run -p NAME -- ARGUMENTS` runs this program, in the root of the repository. One that listens stays while the commands after it run, and
/// each line that it prints is tried first; what is shown of it has to be in its output or its log. In what is shown,
/// `…` stands for any text or, alone, for any number of lines; times and ports may be others. `diff` blocks have to be
/// the case in the files that they name.
///
/// # Panics
///
/// An output is another one, or there is no command.
pub fn works_as_shown(program: &Program, folder: &str) {
    let text = fs::read_to_string(Path::new(folder).join("README.md")).expect("there is a README");
    diff::is_the_case(&text, Path::new(folder));
    let examples = examples(&text);
    assert!(!examples.is_empty(), "the README shows nothing");
    let mut runner = Runner { program, cargo: Cargo::instead_of(program), server: None };
    for example in &examples {
        runner.run(example);
    }
    runner.stop();
}

fn examples(readme: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut is_console = false;
    for line in readme.lines() {
        match (is_console, line.strip_prefix("$ ")) {
            (false, _) => is_console = line == "```console",
            (true, _) if line == "```" => is_console = false,
            (true, Some(command)) => {
                examples.push(Example { command: command.to_owned(), output: Vec::new() });
            }
            (true, None) => {
                let example = examples.last_mut().expect("a block begins with a command");
                if example.output.is_empty() && example.command.ends_with('\\') {
                    example.command = format!("{}\n{line}", example.command);
                } else {
                    example.output.push(line.to_owned());
                }
            }
        }
    }
    examples
}

struct Runner<'a> {
    program: &'a Program,
    cargo: Cargo,
    server: Option<Server>,
}

impl Runner<'_> {
    fn run(&mut self, example: &Example) {
        let listens = example.output.iter().any(|line| line.starts_with("listening on "));
        if listens || example.output.iter().any(|line| line.starts_with('[')) {
            self.serve(example);
        } else if example.command.contains("curl ") && !is_installed() {
            skip("a line of a README: there is no curl on this machine");
        } else {
            self.compare(example);
        }
    }

    fn serve(&mut self, example: &Example) {
        self.stop();
        // `exec`, so that the program and not a shell gets the signals.
        let server = Server::start(self.command(&with_exec(&example.command)));
        run_attempts(&server);
        for line in example.output.iter().filter(|line| !matches!(line.as_str(), "" | "…")) {
            wait_until(&format!("it shows {line:?}:\n{}", server.log()), || {
                let shown = format!("{}{}", server.said(), server.log());
                let shown = shown.replace(&server.address().to_string(), SHOWN);
                shown.lines().any(|other| fits_line(line, other)).then_some(())
            });
        }
        self.server = Some(server);
    }

    fn compare(&self, example: &Example) {
        let mut command = example.command.clone();
        if let Some(server) = &self.server {
            command = command.replace(SHOWN, &server.address().to_string());
        }
        let output = self.command(&command).output().expect("there is a shell");
        let text = String::from_utf8_lossy(&output.stdout);
        // The status that curl adds is in a line of its own.
        let text = if command.contains("curl ") {
            text.rsplit_once('\n').map_or("", |(text, _)| text)
        } else {
            &text
        };
        let lines: Vec<_> = text.trim_end().lines().collect();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(fits(&example.output, &lines), "$ {}\n{text}\n{log}", example.command);
    }

    fn command(&self, line: &str) -> Command {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = [self.cargo.0.clone()].into_iter().chain(env::split_paths(&path));
        let mut command = self.program.environment(shell(line));
        command.env("PATH", env::join_paths(folders).expect("the folder has a plain name"));
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
        command
    }

    fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

/// Puts `exec` before `cargo`, after variables that are set for it.
fn with_exec(command: &str) -> String {
    command.replacen("cargo run", "exec cargo run", 1)
}

/// A folder with a `cargo` that knows `cargo run -p NAME [-- ARGUMENTS]` and runs the program that was built.
struct Cargo(PathBuf);

impl Cargo {
    fn instead_of(program: &Program) -> Self {
        let folder = env::temp_dir().join(format!("example-cargo-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("folders can be made in the temporary one");
        let name = Path::new(&program.path).file_name().unwrap_or_default().display();
        let script = format!(
            "#!/bin/sh\n[ \"$1 $2 $3\" = 'run -p {name}' ] || exit 99\nshift 3\n\
             [ \"$1\" = -- ] && shift\nexec '{}' \"$@\"\n",
            program.path
        );
        let cargo = folder.join("cargo");
        fs::write(&cargo, script).expect("the folder is ours");
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("the file is ours");
        Self(folder)
    }
}

impl Drop for Cargo {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Compares outputs; a line `…` stands for any number of lines.
fn fits(shown: &[String], actual: &[&str]) -> bool {
    match (shown.first().map(String::as_str), actual.first()) {
        (None, None) => true,
        (Some("…"), _) => (0..=actual.len()).any(|skip| fits(&shown[1..], &actual[skip..])),
        (Some(line), Some(other)) => fits_line(line, other) && fits(&shown[1..], &actual[1..]),
        _ => false,
    }
}

/// Compares lines; `…` stands for any text.
fn fits_line(shown: &str, actual: &str) -> bool {
    let (shown, actual) = (without_times(shown), without_times(actual));
    let mut rest = actual.as_str();
    let mut pieces = shown.split('…').peekable();
    let start = pieces.next().unwrap_or_default();
    let Some(after) = rest.strip_prefix(start) else { return false };
    rest = after;
    let mut is_open = false;
    while let Some(piece) = pieces.next() {
        is_open = piece.is_empty() && pieces.peek().is_none();
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    is_open || rest.is_empty()
}

/// Replaces what differs from run to run: `1.3ms`, `12 ms` and `3.4 s`.
fn without_times(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line.trim_end();
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(at);
        let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
        let (number, after) = number.split_at(end);
        let unit = after.trim_start();
        let time = ["ms", "µs", "s"].iter().find_map(|name| {
            unit.strip_prefix(name).filter(|after| !after.starts_with(char::is_alphanumeric))
        });
        text = text + before + if time.is_some() { "TIME" } else { number };
        rest = time.unwrap_or(after);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::{examples, fits, fits_line};

    #[test]
    fn lines_are_compared_without_times_and_with_gaps() {
        assert!(fits_line("took 1.3ms rows=2", "took 27.25ms rows=2"));
        assert!(!fits_line("took 1.3ms rows=2", "took 1.3ms rows=3"));
        assert!(fits_line("a … c …", "a b c d"));
        assert!(!fits_line("a … c", "a b d"));
        assert!(fits_line("in 12 ms", "in 3 ms"));
        assert!(fits_line("in 12.1ms (all)", "in 1.3s (all)"));
        assert!(!fits_line("3 seeds", "4 seeds"));
        let shown = ["one".to_owned(), "…".to_owned(), "four".to_owned()];
        assert!(fits(&shown, &["one", "two", "three", "four"]));
        assert!(!fits(&shown, &["one", "two"]));
    }

    #[test]
    fn commands_and_outputs_are_told_apart() {
        let readme = "text\n```console\n$ a \\\n  b\nout\n$ c\n```\n$ not this\n";
        let found = examples(readme);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(
            (found[0].command.as_str(), &found[0].output[..]),
            ("a \\\n  b", &["out".to_owned()][..])
        );
    }
}
