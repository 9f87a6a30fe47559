//! The text of a new `tenantry.toml`.

use jiff::SignedDuration;

use super::{Look, Proposals};
use crate::{
    output::counted,
    settings::{Key, Value, key, key::Kind},
};

/// Generates the text: every key with its description, those with a proposal set, the others commented out with their
/// default.
pub(super) fn text(proposals: &Proposals, look: &Look) -> String {
    let mut text = String::from(
        "# The configuration of `tenantry`. Flags and environment variables (TENANTRY_POOL_MAX_CONNECTIONS and so on)\n\
         # win over it; `tenantry config` shows what is in force. Guide: docs/cli.md in the repository of Tenantry.\n",
    );
    if let Some(outline) = look.outline() {
        let server = &outline.server;
        text.push_str(&format!(
            "# Written for the database {}, PostgreSQL {}, with {}.\n",
            comment(&server.database),
            server.version,
            counted(outline.schemas.len(), "schema")
        ));
    }
    let mut section = "";
    for key in key::ALL.iter().copied() {
        let (table, name) = key.name.split_once('.').unwrap_or(("", &key.name));
        if table != section {
            text.push_str(&format!("\n[{table}]\n"));
            section = table;
        }
        text.push_str(&format!("# {}\n", comment(key.about)));
        match proposals.get(key) {
            Some(proposal) => {
                text.push_str(&format!(
                    "# ({})\n{name} = {}\n",
                    comment(&proposal.why),
                    toml(&proposal.value)
                ));
            }
            None => text.push_str(&format!("#{name} = {}\n", example(key))),
        }
    }
    for group in key::GROUPS {
        text.push_str(&format!("\n# {}\n#[{}.NAME]\n", comment(group.about), group.table));
        for key in group.keys {
            let (about, name) = (comment(key.about), &key.name);
            text.push_str(&format!("# {about}\n#{name} = {}\n", example(key)));
        }
    }
    text
}

/// A comment is one line.
fn comment(text: &str) -> String {
    crate::output::plain(text).replace('\n', " ")
}

/// Returns the value of a key that is commented out: its default, or an example.
fn example(key: &Key) -> String {
    let default = key.default.and_then(|text| Value::parse(key.kind, text).ok());
    match (default, key.kind) {
        (Some(value), _) => toml(&value),
        // An empty text is as good as none.
        (None, Kind::Text | Kind::Path | Kind::Url | Kind::Secret) => quoted(""),
        (None, _) => "…".to_owned(),
    }
}

/// Writes a value as the file has it.
fn toml(value: &Value) -> String {
    match value {
        Value::Text(text) | Value::Url(text) | Value::Secret(text) => quoted(text),
        Value::List(list) => {
            format!("[{}]", list.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
        }
        Value::Duration(duration) => match SignedDuration::try_from(*duration) {
            Ok(duration) => quoted(&format!("{duration:#}")),
            Err(_) => quoted(&format!("{duration:?}")),
        },
        Value::Count(count) => count.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Switch(switch) => switch.to_string(),
    }
}

/// Writes a basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::{super::propose::Proposal, *};
    use crate::settings::file;

    #[test]
    fn what_is_written_is_read_again() {
        let mut proposals = Proposals::default();
        let values: Vec<_> = key::ALL
            .iter()
            .copied()
            .map(|key| {
                let value = match key.kind {
                    Kind::Text | Kind::Path => Value::Text("a \"b\" \\ \u{1}\nä".into()),
                    Kind::Url => Value::Url("postgres://h/d".into()),
                    Kind::Secret => Value::Secret("password='a\\''".into()),
                    Kind::List => Value::List(vec!["a\"".into(), "b".into()]),
                    Kind::Count => Value::Count(7),
                    Kind::Number => Value::Number(0.5),
                    Kind::Duration => Value::parse(key.kind, "1m 30s").unwrap(),
                    Kind::Switch => Value::Switch(true),
                    Kind::Choice(choices) => Value::Text(choices[0].to_owned()),
                };
                proposals.add(Proposal { key, value: value.clone(), why: "a\nb = 1".into() });
                (&key.name, value)
            })
            .collect();
        let text = text(&proposals, &Look::NotWanted);
        let read = file::parse_text(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
        for (name, value) in values {
            let found = read.iter().find(|(key, _, _)| key.name == *name);
            // Texts are trimmed when they are read.
            assert_eq!(found.map(|(_, value, _)| value), Some(&value), "{name}");
        }
        let empty = super::text(&Proposals::default(), &Look::NotWanted);
        assert!(file::parse_text(&empty).unwrap().is_empty(), "all of it is commented out");
        assert!(key::ALL.iter().all(|key| empty.contains(key.about)));
        let of_groups = key::GROUPS.iter().flat_map(|group| group.keys);
        assert!(of_groups.into_iter().all(|key| empty.contains(key.about)));
    }
}
