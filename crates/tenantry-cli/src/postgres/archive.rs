use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Program, program::major};
use crate::failure::Failure;

/// The start of `pg_dump`'s archives in the custom format.
const MAGIC: &[u8] = b"PGDMP";

/// The OID of `pg_namespace`, which marks schemas in a table of contents.
const PG_NAMESPACE: &str = "2615";

/// A dump in PostgreSQL's custom format: its origin and contents.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) path: PathBuf,
    /// The version of the dumped server, such as `17.2`.
    pub(crate) server_version: String,
    pub(crate) server_major: i32,
    /// The schemas that it makes.
    pub(crate) schemas: Vec<String>,
}

impl Archive {
    /// Reads the table of contents.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        check_format(path)?;
        let program = Program::newest("pg_restore")?;
        let list = run(&program, path, "--list", None)?;
        let version = dumped_from(&list)
            .ok_or_else(|| broken(path, "it does not say from which server it is"))?;
        let wanted = format!(" {PG_NAMESPACE} ");
        let lines = list.lines().filter(|line| {
            !line.starts_with(';') && line.contains(&wanted) && line.contains(" SCHEMA - ")
        });
        let lines = lines.map(|line| format!("{line}\n")).collect::<String>();
        let schemas = match lines.is_empty() {
            true => Vec::new(),
            false => schemas_of(&run(&program, path, "--use-list=/dev/stdin", Some(&lines))?),
        };
        Ok(Self {
            path: path.to_owned(),
            server_major: major(&version).unwrap_or_default(),
            server_version: version,
            schemas,
        })
    }
}

fn check_format(path: &Path) -> Result<(), Failure> {
    let what = || format!("reading the dump {}", path.display());
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut start))
        .map_err(|error| Failure::while_doing(what(), &error))?;
    if start == MAGIC {
        return Ok(());
    }
    Err(Failure::new(format!("{} is not a dump in the custom format", path.display()))
        .hint("create one with `tenantry dump`; a plain dump is SQL, which `psql --file` runs"))
}

fn broken(path: &Path, why: &str) -> Failure {
    Failure::new(format!("the dump {} cannot be used: {why}", path.display()))
}

/// Runs `pg_restore` to read information about an archive. It does not connect to a server.
fn run(program: &Program, path: &Path, what: &str, input: Option<&str>) -> Result<String, Failure> {
    let mut command = Command::new(&program.path);
    command.env("LC_ALL", "C").env_remove("PGCLUSTER").arg(what).arg("--file=-").arg(path);
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // If it stops reading, its own error message says why.
        drop(stdin.write_all(input.as_bytes()));
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().trim_start_matches("pg_restore: error: ").replace('\n', "; ");
    let failure = broken(path, &format!("pg_restore {} says: {said}", program.version));
    Err(match said.contains("unsupported version") {
        true => {
            failure.hint("it was made by a newer pg_dump: install client programs of that version")
        }
        false => failure,
    })
}

/// Reads `;     Dumped from database version: 17.2 (Debian 17.2-1)`.
fn dumped_from(list: &str) -> Option<String> {
    let line = list.lines().find_map(|line| line.split_once("Dumped from database version: "));
    line?.1.split_whitespace().next().map(str::to_owned)
}

/// Parses the names in `create schema` statements; the text has no other statements.
fn schemas_of(sql: &str) -> Vec<String> {
    const CREATE: &str = "CREATE SCHEMA ";
    let mut schemas = Vec::new();
    let mut rest = sql;
    while let Some(at) = rest.find(CREATE) {
        let is_at_start = at == 0 || rest[..at].ends_with('\n');
        rest = &rest[at + CREATE.len()..];
        if is_at_start && let Some((name, behind)) = identifier(rest) {
            schemas.push(name);
            rest = behind;
        }
    }
    schemas
}

/// Parses an identifier as quoted by the server, and returns it with the rest.
fn identifier(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\n'])?;
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut name = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' if quoted[at + 1..].starts_with('"') => {
                name.push('"');
                characters.next();
            }
            '"' => return Some((name, &quoted[at + 1..])),
            other => name.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_however_they_are_quoted() {
        let sql = "SET x = 1;\n\n--\n-- Name: a; Type: SCHEMA; Schema: -; Owner: o\n--\n\nCREATE SCHEMA a;\n\n\
                   -- Name: CREATE SCHEMA x;\nCREATE SCHEMA \"Odd \"\"; CREATE SCHEMA y;\nname\";\n";
        assert_eq!(schemas_of(sql), ["a", "Odd \"; CREATE SCHEMA y;\nname"]);
        assert!(schemas_of("CREATE SCHEMA \"open").is_empty());
    }

    #[test]
    fn the_version_of_the_server_is_found() {
        let list = ";\n; Archive created at 2026-01-15\n;     Dumped from database version: 17.2 (Debian 17.2-1)\n\
                    ;     Dumped by pg_dump version: 18.1\n";
        assert_eq!(dumped_from(list).as_deref(), Some("17.2"));
        assert_eq!(dumped_from(""), None);
    }
}
