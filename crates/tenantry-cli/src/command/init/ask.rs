//! Interactive questions at a terminal.

use dialoguer::Input;

use super::{Proposals, propose::Proposal};
use crate::{
    failure::Failure,
    output::plain,
    postgres::Connection,
    settings::{Key, Value, key},
};

/// The settings that are worth a question.
static ASKED: [&Key; 6] = [
    &key::SCHEMA,
    &key::SHARED_SCHEMA,
    &key::CATALOG,
    &key::EXTENSION_SCHEMAS,
    &key::TENANT_MIGRATIONS,
    &key::MAX_CONNECTIONS,
];

/// Asks for a database. No database is a valid answer.
pub(super) fn database_url() -> Result<Option<String>, Failure> {
    let url: String = Input::new()
        .with_prompt(
            "Database, such as postgres://user@host/database (empty for none; no password)",
        )
        .allow_empty(true)
        .validate_with(|url: &String| match url.trim() {
            "" => Ok(()),
            url => Connection::parse(url).map(drop).map_err(|failure| failure.to_string()),
        })
        .interact_text()?;
    Ok(Some(url.trim().to_owned()).filter(|url| !url.is_empty()))
}

/// Asks about the most important settings, each with its proposal.
pub(super) fn about(proposals: &mut Proposals) -> Result<(), Failure> {
    for key in ASKED {
        let proposed = proposals.get(key);
        if let Some(proposal) = proposed {
            eprintln!("  {}: {}", key.name, plain(&proposal.why));
        }
        let initial = proposed.map(|proposal| proposal.value.to_string());
        let initial = initial.or_else(|| key.default.map(str::to_owned)).unwrap_or_default();
        let kind = key.kind;
        let answer: String = Input::new()
            .with_prompt(format!("{} ({})", key.about, key.name))
            .allow_empty(true)
            .default(initial.clone())
            .show_default(!initial.is_empty())
            .validate_with(move |text: &String| Value::parse(kind, text).map(drop))
            .interact_text()?;
        let answer = answer.trim();
        if answer != initial {
            let value = Value::parse(kind, answer).map_err(Failure::new)?;
            proposals.add(Proposal { key, value, why: "as answered".to_owned() });
        }
    }
    Ok(())
}
