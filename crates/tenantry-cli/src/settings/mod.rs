//! Settings: flags over environment variables over `tenantry.toml` over defaults.

mod catalog;
pub(crate) mod file;
pub(crate) mod key;
mod manager;
mod migrations;
mod password;
pub(crate) mod redact;
mod rows;
mod seeds;
mod servers;
mod tiers;
mod value;

use std::{
    collections::BTreeMap,
    env, fmt,
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) use key::{Group, Key};
pub(crate) use value::{Value, duration};

use crate::{failure::Failure, global::Global};

/// The variable that names the only folder in which programs of PostgreSQL are looked for, as for throwaway servers.
pub(crate) const PG_BIN: &str = "TENANTRY_PG_BIN";

/// The source of a setting's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Default,
    File { path: PathBuf, line: usize },
    Variable(String),
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// The settings in force.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The file, if there is one.
    pub(crate) file: Option<PathBuf>,
    entries: BTreeMap<String, (Value, Source)>,
    /// Variables that look like settings but are not.
    pub(crate) unknown_variables: Vec<(String, Option<String>)>,
}

impl Settings {
    /// Reads them from everywhere.
    ///
    /// # Errors
    ///
    /// With the location, the key and the valid values.
    pub(crate) fn read(global: &Global) -> Result<Self, Failure> {
        let from_variable = env::var_os("TENANTRY_CONFIG").map(PathBuf::from);
        let named =
            global.config.clone().or(from_variable.filter(|path| !path.as_os_str().is_empty()));
        let file = file::read(named.as_deref())?;
        let mut settings = Self {
            file: file.as_ref().map(|file| file.path.clone()),
            entries: BTreeMap::new(),
            unknown_variables: Vec::new(),
        };
        for key in key::ALL {
            if let Some(text) = key.default {
                let value = Value::parse(key.kind, text)
                    .map_err(|why| Failure::new(format!("{} {why}", key.name)))?;
                settings.entries.insert(key.name.to_string(), (value, Source::Default));
            }
        }
        if let Some(file) = file {
            for (key, value, line) in file.settings {
                let source = Source::File { path: file.path.clone(), line };
                settings.entries.insert(key.name.into_owned(), (value, source));
            }
        }
        settings.read_environment()?;
        settings.read_flags(global)?;
        Ok(settings)
    }

    /// Returns all settings: single ones, and those of the names in use.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let single = key::ALL.iter().copied().cloned();
        let of_names = key::GROUPS.iter().flat_map(|group| {
            self.names(group).into_iter().flat_map(|name| group.keys_of(&name).collect::<Vec<_>>())
        });
        single.chain(of_names).collect()
    }

    /// Returns the names in a group of settings, such as those of servers.
    pub(crate) fn names(&self, group: &Group) -> Vec<String> {
        let of_group = |whole: &String| {
            let (name, _) = whole.strip_prefix(group.table)?.strip_prefix('.')?.rsplit_once('.')?;
            Some(name.to_owned())
        };
        let mut names: Vec<_> = self.entries.keys().filter_map(of_group).collect();
        names.dedup();
        names
    }

    fn read_environment(&mut self) -> Result<(), Failure> {
        let keys = self.keys();
        self.unknown_variables = unknown_variables(&keys);
        let plain = ("DATABASE_URL".to_owned(), key::DATABASE_URL.clone());
        let own: Vec<_> = keys.into_iter().map(|key| (key.variable(), key)).collect();
        refuse_shared_variables(&own)?;
        for (variable, key) in std::iter::once(plain).chain(own) {
            match env::var(&variable) {
                Ok(text) if text.is_empty() => (),
                Ok(text) => self.set(key, &text, Source::Variable(variable))?,
                Err(env::VarError::NotPresent) => (),
                Err(env::VarError::NotUnicode(_)) => {
                    return Err(Failure::new(format!("${variable} is not UTF-8")));
                }
            }
        }
        Ok(())
    }

    fn read_flags(&mut self, global: &Global) -> Result<(), Failure> {
        for pair in &global.set {
            let Some((name, text)) = pair.split_once('=') else {
                return Err(Failure::new(format!("--set {} has no value", shown_key(pair)))
                    .hint("write it as --set pool.max_connections=5"));
            };
            let Some(key) = key::find(name.trim()) else {
                let candidates = key::candidates(name.trim());
                let nearest = key::nearest(name.trim(), candidates.iter().map(String::as_str));
                let hint = nearest.map_or_else(
                    || "`tenantry config` lists all keys".to_owned(),
                    |nearest| format!("did you mean {nearest}?"),
                );
                let name = shown_key(name);
                return Err(Failure::new(format!("--set: unknown key {name}")).hint(hint));
            };
            self.set(key, text, Source::Flag("--set"))?;
        }
        if let Some(url) = &global.database_url {
            self.set(key::DATABASE_URL.clone(), url, Source::Flag("--database-url"))?;
        }
        Ok(())
    }

    fn set(&mut self, key: Key, text: &str, source: Source) -> Result<(), Failure> {
        let value = Value::parse(key.kind, text)
            .map_err(|why| Failure::new(format!("{source}: {} {why}", key.name)))?;
        self.entries.insert(key.name.into_owned(), (value, source));
        Ok(())
    }

    /// Returns the value of a key, and where it was set.
    pub(crate) fn get(&self, key: &Key) -> Option<(&Value, &Source)> {
        self.entries.get(&*key.name).map(|(value, source)| (value, source))
    }

    /// Returns where a key was set, for errors about its value.
    pub(crate) fn place(&self, key: &Key) -> String {
        match self.get(key) {
            Some((_, source)) => format!("{} ({source})", key.name),
            None => key.name.to_string(),
        }
    }

    pub(crate) fn is_default(&self, key: &Key) -> bool {
        self.get(key).is_none_or(|(_, source)| *source == Source::Default)
    }

    pub(crate) fn text(&self, key: &Key) -> Option<&str> {
        match self.get(key)?.0 {
            Value::Text(text) | Value::Url(text) | Value::Secret(text) => {
                Some(text).filter(|text| !text.is_empty()).map(String::as_str)
            }
            _ => None,
        }
    }

    pub(crate) fn list(&self, key: &Key) -> &[String] {
        match self.get(key) {
            Some((Value::List(list), _)) => list,
            _ => &[],
        }
    }

    pub(crate) fn count(&self, key: &Key) -> Option<usize> {
        match self.get(key)?.0 {
            Value::Count(count) => Some(*count),
            _ => None,
        }
    }

    pub(crate) fn number(&self, key: &Key) -> Option<f64> {
        match self.get(key)?.0 {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn duration(&self, key: &Key) -> Option<Duration> {
        match self.get(key)?.0 {
            Value::Duration(duration) => Some(*duration),
            _ => None,
        }
    }

    pub(crate) fn switch(&self, key: &Key) -> bool {
        matches!(self.get(key), Some((Value::Switch(true), _)))
    }

    /// Returns a path. A path in the file is relative to the file's folder.
    pub(crate) fn path(&self, key: &Key) -> Option<PathBuf> {
        let path = self.text(key)?;
        let base = match self.get(key)?.1 {
            Source::File { path, .. } => path.parent().map(Path::to_owned),
            _ => None,
        };
        Some(base.map_or_else(|| PathBuf::from(path), |base| base.join(path)))
    }
}

/// Shows the text that was given as a key, unless it looks like a value, which could be a secret.
fn shown_key(name: &str) -> &str {
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.trim().chars().all(is_key) { name.trim() } else { "***" }
}

/// Refuses two names that the environment cannot tell apart, such as `eu-1` and `eu_1`.
fn refuse_shared_variables(own: &[(String, Key)]) -> Result<(), Failure> {
    let mut seen = BTreeMap::new();
    for (variable, key) in own {
        if let Some(other) = seen.insert(variable, key) {
            let (one, other) = (&other.name, &key.name);
            return Err(Failure::new(format!(
                "{one} and {other} have the same variable ${variable}"
            ))
            .hint("give one of them another name"));
        }
    }
    Ok(())
}

/// Finds variables that look like settings but are not.
fn unknown_variables(keys: &[Key]) -> Vec<(String, Option<String>)> {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let known = |name: &str| {
        ["TENANTRY_CONFIG", PG_BIN].contains(&name) || keys.iter().any(|key| key.variable() == name)
    };
    let unknown = names.filter(|name| name.starts_with("TENANTRY_") && !known(name));
    let mut unknown: Vec<_> = unknown
        .map(|name| {
            let like =
                name.trim_start_matches("TENANTRY_").to_ascii_lowercase().replacen('_', ".", 1);
            let nearest = key::nearest(&like, keys.iter().map(|key| &*key.name));
            (name, nearest.map(str::to_owned))
        })
        .collect();
    unknown.sort();
    unknown
}
