//! Rules for masks, from a file.

use std::{env, fs};

use anyhow::Context;
use tenantry::anonymize::Anonymize;

/// Reads rules, and their key from the environment if they name a variable.
pub(crate) fn read(path: &str) -> anyhow::Result<Anonymize> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    let rules = Anonymize::from_toml(&text).with_context(|| format!("reading {path}"))?;
    Ok(rules.read_key(|name| env::var(name).ok())?)
}
