//! Reads `tenantry.toml`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    key::{self, Group, Key, Kind},
    value::Value,
};
use crate::failure::Failure;

/// The name of the file in the current folder.
pub(crate) const NAME: &str = "tenantry.toml";

/// The contents of the file.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    /// Settings with their line numbers.
    pub(crate) settings: Vec<(Key, Value, usize)>,
}

/// Reads the named file, or the one in the current folder, if it exists.
///
/// # Errors
///
/// With the file, the line, the key, and the valid values.
pub(crate) fn read(named: Option<&Path>) -> Result<Option<File>, Failure> {
    let path = named.unwrap_or(Path::new(NAME));
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(path, &error)),
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = line_of(error.as_bytes(), valid);
        Failure::new(format!("{}:{line}: the file is not UTF-8", path.display()))
    })?;
    let settings = parse(&text).map_err(|Wrong { line, what, hint }| {
        let failure = Failure::new(format!("{}:{line}: {what}", path.display()));
        hint.into_iter().fold(failure, Failure::hint)
    })?;
    Ok(Some(File { path: path.to_owned(), settings }))
}

/// Reads the text of a file.
#[cfg(test)]
pub(crate) fn parse_text(text: &str) -> Result<Vec<(Key, Value, usize)>, String> {
    parse(text).map_err(|Wrong { line, what, .. }| format!("{line}: {what}"))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => Failure::new(format!("there is no configuration file {path}"))
            .hint(format!("`tenantry init --output {path}` writes one")),
        io::ErrorKind::IsADirectory => {
            Failure::new(format!("the configuration {path} is a folder"))
                .hint(format!("name the file, such as {path}/{NAME}"))
        }
        _ => Failure::while_doing(format_args!("reading the configuration file {path}"), error),
    }
}

/// An error in the file.
#[derive(Debug)]
struct Wrong {
    line: usize,
    what: String,
    hint: Option<String>,
}

fn line_of(text: &[u8], offset: usize) -> usize {
    text[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn parse(text: &str) -> Result<Vec<(Key, Value, usize)>, Wrong> {
    let line = |offset: usize| line_of(text.as_bytes(), offset);
    let table = DeTable::parse(text).map_err(|error| Wrong {
        line: line(error.span().map_or(0, |span| span.start)),
        what: format!("not valid TOML: {}", error.message()),
        hint: None,
    })?;
    let mut settings = Vec::new();
    for (section, value) in table.get_ref() {
        let at = line(section.span().start);
        let section = section.get_ref().as_ref();
        let Some(entries) = value.get_ref().as_table() else {
            return Err(unknown(at, section));
        };
        if !sections().any(|known| known == section) {
            return Err(unknown_table(at, section));
        }
        match key::group(section) {
            None => read_entries(section, entries, &line, &mut settings)?,
            Some(group) => {
                for (name, value) in entries {
                    let at = line(name.span().start);
                    let Some(entries) = value.get_ref().as_table() else {
                        return Err(unnamed(at, group, name.get_ref()));
                    };
                    let table = format!("{section}.{}", name.get_ref());
                    if entries.is_empty() {
                        let what = format!("the table [{table}] is empty");
                        return Err(Wrong { line: at, what, hint: None });
                    }
                    read_entries(&table, entries, &line, &mut settings)?;
                }
            }
        }
    }
    Ok(settings)
}

/// Reads the settings of a table.
fn read_entries(
    table: &str,
    entries: &DeTable<'_>,
    line: &impl Fn(usize) -> usize,
    settings: &mut Vec<(Key, Value, usize)>,
) -> Result<(), Wrong> {
    for (entry, value) in entries {
        let name = format!("{table}.{}", entry.get_ref());
        let at = line(entry.span().start);
        let key = key::find(&name).ok_or_else(|| unknown(at, &name))?;
        let read = read_value(&key, value).map_err(|what| Wrong {
            line: line(value.span().start),
            what: format!("{name} {what}"),
            hint: None,
        })?;
        settings.push((key, read, at));
    }
    Ok(())
}

/// The error of a setting that is outside of the table with its name.
fn unnamed(line: usize, group: &Group, name: &str) -> Wrong {
    let table = group.table;
    let hint = format!("write [{table}.NAME] above it");
    Wrong { line, what: format!("unknown key {table}.{name}"), hint: Some(hint) }
}

/// The tables of the file.
fn sections() -> impl Iterator<Item = &'static str> + Clone {
    let mut last = "";
    let names = key::ALL.iter().map(|key| key.name.split('.').next().unwrap_or_default());
    let single = names.filter(move |name| std::mem::replace(&mut last, name) != *name);
    single.chain(key::GROUPS.iter().map(|group| group.table))
}

fn unknown_table(line: usize, name: &str) -> Wrong {
    let hint = match key::nearest(name, sections()) {
        Some(nearest) => format!("did you mean [{nearest}]?"),
        None => format!("the tables are {}", sections().collect::<Vec<_>>().join(", ")),
    };
    Wrong { line, what: format!("unknown table [{name}]"), hint: Some(hint) }
}

fn unknown(line: usize, name: &str) -> Wrong {
    let candidates = key::candidates(name);
    let nearest = key::nearest(name, candidates.iter().map(String::as_str));
    let hint = match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => "`tenantry config` lists all keys".to_owned(),
    };
    Wrong { line, what: format!("unknown key {name}"), hint: Some(hint) }
}

/// Returns what a value of this type looks like in the file.
fn expected(kind: Kind) -> String {
    match kind {
        Kind::List => "must be a list of texts, such as [\"a\", \"b\"]".to_owned(),
        Kind::Count => "must be a whole number of at least 1".to_owned(),
        Kind::Number => "must be a number".to_owned(),
        Kind::Switch => "must be true or false".to_owned(),
        Kind::Duration => "must be a time in quotes, such as \"5s\"".to_owned(),
        Kind::Choice(choices) => format!("must be \"{}\"", choices.join("\" or \"")),
        Kind::Text | Kind::Path | Kind::Url | Kind::Secret => "must be a text in quotes".to_owned(),
    }
}

fn read_value(key: &Key, value: &Spanned<DeValue<'_>>) -> Result<Value, String> {
    let expected = || expected(key.kind);
    match (key.kind, value.get_ref()) {
        (Kind::List, DeValue::Array(items)) => {
            let texts = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
            texts.collect::<Option<_>>().map(Value::List).ok_or_else(expected)
        }
        // `[catalog.columns]` with `id = "slug"` is equivalent to `columns = ["id=slug"]`.
        (Kind::List, DeValue::Table(pairs)) => {
            let texts = pairs.iter().map(|(name, value)| {
                value.get_ref().as_str().map(|text| format!("{}={text}", name.get_ref()))
            });
            texts.collect::<Option<_>>().map(Value::List).ok_or_else(expected)
        }
        (Kind::List | Kind::Count | Kind::Number | Kind::Switch, DeValue::String(_)) => {
            Err(expected())
        }
        (Kind::Count, DeValue::Integer(number)) => Value::parse(key.kind, number.as_str()),
        (Kind::Number, DeValue::Integer(number)) => Value::parse(key.kind, number.as_str()),
        (Kind::Number, DeValue::Float(number)) => Value::parse(key.kind, number.as_str()),
        (Kind::Switch, DeValue::Boolean(switch)) => Ok(Value::Switch(*switch)),
        (kind, DeValue::String(text)) => Value::parse(kind, text),
        _ => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let Wrong { line, what, hint } = parse(text).unwrap_err();
        format!("{line}: {what}; {}", hint.unwrap_or_default())
    }

    #[test]
    fn settings_have_their_lines() {
        let text = "[pool]\nmax_connections = 5\n\n[tenants]\nextension_schemas = [\"ext\"]\nsee_shared = true\n";
        let mut read = parse(text).unwrap();
        read.sort_by_key(|(_, _, line)| *line);
        let shown: Vec<_> =
            read.iter().map(|(key, value, line)| format!("{line}: {}={value}", key.name)).collect();
        assert_eq!(
            shown,
            [
                "2: pool.max_connections=5",
                "5: tenants.extension_schemas=ext",
                "6: tenants.see_shared=true"
            ]
        );
    }

    #[test]
    fn servers_and_tiers_have_names() {
        let text = "[servers.eu-1]\nurl = \"postgres://h/d\"\n\n[tiers.gold]\nweight = 0.5\nmax_connections = 3\n";
        let read = parse(text).unwrap();
        let mut shown: Vec<_> =
            read.iter().map(|(key, value, line)| format!("{line}: {}={value}", key.name)).collect();
        shown.sort();
        let url = "2: servers.eu-1.url=postgres://h/d";
        assert_eq!(shown, [url, "5: tiers.gold.weight=0.5", "6: tiers.gold.max_connections=3"]);
        for (text, told) in [
            (
                "[servers.eu-1]\n\nulr = 'x'",
                "3: unknown key servers.eu-1.ulr; did you mean servers.eu-1.url?",
            ),
            ("[servers]\nurl = 'x'", "2: unknown key servers.url; write [servers.NAME] above it"),
            ("[tiers.gold]\nweight = '1'", "2: tiers.gold.weight must be a number; "),
            (
                "[tiers.gold]\nisolation = 'rows'",
                "2: tiers.gold.isolation must be schema or row or database; ",
            ),
            ("[server.eu-1]\nurl = 'x'", "1: unknown table [server]; did you mean [servers]?"),
        ] {
            assert_eq!(wrong(text), told);
        }
    }

    #[test]
    fn a_table_of_texts_is_a_list_of_pairs() {
        let text = "[catalog.columns]\nid = \"slug\"\nstate = \"active\"\n";
        let read = parse(text).unwrap();
        let shown: Vec<_> =
            read.iter().map(|(key, value, _)| format!("{}={value}", key.name)).collect();
        assert_eq!(shown, ["catalog.columns=id=slug,state=active"]);
        assert!(wrong("[catalog.columns]\nid = 1\n").contains("must be a list of texts"));
    }

    #[test]
    fn errors_name_the_line_the_key_and_the_nearest() {
        assert_eq!(
            wrong("\n[pool]\nmax_conections = 5"),
            "3: unknown key pool.max_conections; did you mean pool.max_connections?"
        );
        assert_eq!(wrong("[pol]\n"), "1: unknown table [pol]; did you mean [pool]?");
        assert_eq!(
            wrong("[pool]\nmax_connections = \"5\""),
            "2: pool.max_connections must be a whole number of at least 1; "
        );
        assert_eq!(
            wrong("[pool]\nacquire_timeout = 5"),
            "2: pool.acquire_timeout must be a time in quotes, such as \"5s\"; "
        );
        assert_eq!(
            wrong("[tenants]\ncatalog = \"tabel\""),
            "2: tenants.catalog must be schemas or table or query; "
        );
        assert!(wrong("url = 'x'").starts_with("1: unknown key url; did you mean database.url?"));
        assert!(wrong("[pool\n").starts_with("1: not valid TOML: "));
        assert!(
            wrong("[pool]\nmax_connections = 1\nmax_connections = 2")
                .starts_with("3: not valid TOML")
        );
    }
}
