//! The `diff` blocks of a README, compared with the files that they are about.

use std::{fs, path::Path};

/// The lines of one hunk that are in the file now.
#[derive(Debug)]
struct Hunk {
    file: String,
    lines: Vec<String>,
}

/// Checks that each file has what the `diff` blocks of a README show of it: the lines with `+` and those around
/// them, one after the other.
///
/// # Panics
///
/// A file is another one.
pub(super) fn is_the_case(readme: &str, folder: &Path) {
    for Hunk { file, lines } in hunks(readme) {
        let path = folder.join(&file);
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("the README shows {file}: {error}"));
        let all: Vec<_> = text.lines().collect();
        let found = all.windows(lines.len().max(1)).any(|window| window == lines);
        assert!(found, "{file} is not as the README shows it:\n{}", lines.join("\n"));
    }
}

fn hunks(readme: &str) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let mut file = None;
    let mut is_open = false;
    for line in readme.lines() {
        match (is_open, line.split_at_checked(1)) {
            (false, _) => is_open = line == "```diff",
            (true, _) if line == "```" => is_open = false,
            (true, _) if line.starts_with("--- ") => {}
            (true, _) if line.starts_with("+++ ") => file = line.strip_prefix("+++ "),
            (true, Some(("@", _))) => {
                let file = file.expect("a hunk comes after the name of a file").to_owned();
                hunks.push(Hunk { file, lines: Vec::new() });
            }
            (true, Some(("+" | " ", rest))) => {
                let hunk = hunks.last_mut().expect("a line comes after the start of a hunk");
                hunk.lines.push(rest.to_owned());
            }
            (true, None) => {
                hunks.last_mut().expect("likewise").lines.push(String::new());
            }
            (true, Some(_)) => {}
        }
    }
    hunks
}

#[cfg(test)]
mod tests {
    use super::hunks;

    #[test]
    fn lines_that_are_gone_are_left_out() {
        let readme = "```diff\n--- src/a.rs\n+++ src/a.rs\n@@ a @@\n one\n-two\n+three\n\n@@\n four\n```\n+ no\n";
        let found = hunks(readme);
        let lines: Vec<_> = found.iter().map(|hunk| hunk.lines.join("|")).collect();
        assert_eq!(lines, ["one|three|", "four"]);
        assert!(found.iter().all(|hunk| hunk.file == "src/a.rs"));
    }
}
