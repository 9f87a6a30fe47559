//! Compares what runs remember of tenants with the tenants' records.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use serde::Serialize;

use super::{
    Migrations,
    ledger::{Ledger, Line},
    memory::warn,
    plan::{Applied, Job, steps},
    remembered::lenient_if_files_are,
    survey,
};
use crate::{
    catalog::Site,
    error::Error,
    fleet::{Fleet, in_each_home},
    tenant::Ident,
};

/// A tenant whose migration records are not as `migrate_all` remembers them: the records were changed by hand,
/// or another backup was restored.
///
/// A deploy does not look at a tenant that is remembered to have all files, so a comparison forgets what is
/// remembered wrongly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Misremembered {
    /// How the records differ from what is remembered.
    pub what: String,
    /// What to do.
    pub how: String,
    /// Whether it was forgotten, so that the next deploy looks at the tenant.
    pub forgotten: bool,
}

impl fmt::Display for Misremembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.forgotten { "forgotten" } else { "still remembered" };
        write!(f, "{}; {state}: {}", self.what, self.how)
    }
}

/// A tenant to look at.
type Asked<'a> = (&'a str, &'a Site);

/// A tenant that is remembered, with its records.
struct Seen<'a> {
    name: &'a str,
    line: &'a Line,
    applied: Arc<[Applied]>,
}

/// Compares the records of tenants with what is remembered of them, forgets what is wrong, and returns it by the index
/// of the tenant. The files show what a tenant must have recorded if they are those that it is remembered to have;
/// otherwise, tenants that are remembered to have the same files are compared with each other.
///
/// Best effort: what cannot be read is not compared.
///
/// # Errors
///
/// That of the manager's database, if it is away.
pub(crate) async fn forget_misremembered(
    fleet: &Fleet,
    tenants: &[Option<Asked<'_>>],
    files: Option<&Migrations>,
) -> Result<HashMap<usize, Misremembered>, Error> {
    let Some(ledger) = Ledger::find(fleet).await? else { return Ok(HashMap::new()) };
    let before = ledger.lines().await?;
    let known = tenants.iter().map(|asked| {
        asked.filter(|(name, site)| before.get(*name).is_some_and(|line| line.of.is_of(site)))
    });
    let known: Vec<Option<Asked<'_>>> = known.collect();
    let homes = known.iter().map(|asked| asked.map(|(_, site)| &site.home));
    let here = &known;
    let read = |fleet: Fleet, places: Vec<usize>| async move {
        let sites = places.iter().filter_map(|place| here[*place]);
        let schemas: Vec<&Ident> = sites.map(|(_, site)| &site.schema).collect();
        survey::read(&fleet, &schemas).await
    };
    let mut seen = BTreeMap::new();
    for in_home in in_each_home(fleet, homes, read).await? {
        let Ok(all) = in_home.result else { continue };
        for (place, recorded) in in_home.places.into_iter().zip(all) {
            if let (Some((name, _)), Ok(recorded)) = (known[place], recorded)
                && let Some(line) = before.get(name)
            {
                seen.insert(place, Seen { name, line, applied: recorded.applied });
            }
        }
    }
    let wrong = wrong(&seen, files);
    if wrong.is_empty() {
        return Ok(HashMap::new());
    }
    // A run that has changed a tenant since has announced that.
    let after = ledger.lines().await?;
    let is_same = |(place, _): &(usize, String)| {
        let Seen { name, line, .. } = &seen[place];
        after.get(*name) == Some(line)
    };
    let wrong: Vec<_> = wrong.into_iter().filter(is_same).collect();
    let lines: Vec<_> =
        wrong.iter().map(|(place, _)| (seen[place].name, seen[place].line.of.changed)).collect();
    let forgotten = ledger.forget(&lines).await;
    if let Err(failure) = &forgotten {
        warn("what is remembered wrongly could not be forgotten", failure);
    }
    let forgotten = forgotten.is_ok();
    let how = match forgotten {
        true => "deploy again: the next run looks at the tenant",
        false => {
            "deploy with MigrateOptions::verify (tenantry migrate --verify), which looks at all tenants"
        }
    };
    let told = |(place, what)| (place, Misremembered { what, how: how.to_owned(), forgotten });
    Ok(wrong.into_iter().map(told).collect())
}

/// Returns those whose records are not what their line says, with the difference.
fn wrong(seen: &BTreeMap<usize, Seen<'_>>, files: Option<&Migrations>) -> Vec<(usize, String)> {
    let mut groups = BTreeMap::<&str, Vec<usize>>::new();
    for (place, of) in seen {
        groups.entry(&of.line.files).or_default().push(*place);
    }
    let mut wrong = Vec::new();
    for (remembered, places) in groups {
        let known = files.and_then(|set| Some((set, lenient_if_files_are(remembered, set)?)));
        let usual = match known {
            Some(_) => Arc::default(),
            None => most_common(places.iter().map(|place| &seen[place].applied)),
        };
        for place in &places {
            let applied = &seen[place].applied;
            let what = match known {
                Some((set, lenient)) => {
                    let left = steps(Job::Apply { to: None }, set, applied, lenient);
                    let expected: Vec<_> = set.files().iter().map(|file| file.version).collect();
                    let is_complete = left.is_ok_and(|left| left.is_empty());
                    (!is_complete).then(|| difference(&expected, applied))
                }
                None => {
                    let expected: Vec<_> = usual.iter().map(|row| row.version).collect();
                    (!is_same(&usual, applied)).then(|| difference(&expected, applied))
                }
            };
            wrong.extend(what.map(|what| (*place, what)));
        }
    }
    wrong
}

/// Returns the records that most tenants have; if as many have others, the longest of these.
fn most_common<'a>(all: impl Iterator<Item = &'a Arc<[Applied]>>) -> Arc<[Applied]> {
    let mut counts = Vec::<(&Arc<[Applied]>, usize)>::new();
    for applied in all {
        match counts.iter_mut().find(|(known, _)| is_same(known, applied)) {
            Some((_, count)) => *count += 1,
            None => counts.push((applied, 1)),
        }
    }
    let most = counts.into_iter().max_by_key(|(applied, count)| (*count, applied.len()));
    most.map(|(applied, _)| Arc::clone(applied)).unwrap_or_default()
}

/// Returns `true` if the same files are recorded, with the same text.
fn is_same(one: &[Applied], other: &[Applied]) -> bool {
    let key = |row: &Applied| (row.version, row.success, row.checksum.clone());
    std::ptr::eq(one, other) || one.iter().map(key).eq(other.iter().map(key))
}

fn difference(expected: &[i64], applied: &[Applied]) -> String {
    let done = |version: &&i64| applied.iter().any(|row| row.version == **version && row.success);
    match expected.iter().find(|version| !done(version)) {
        Some(version) => format!(
            "it is remembered to have all files, and version {version} is not recorded as completed"
        ),
        None => "it is remembered to have all files, and its records are not those of the files"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::remembered::Remembered;

    fn line(files: &str) -> Line {
        let of = Remembered {
            has_files: true,
            server: "main".into(),
            database: None,
            schema: "s".into(),
            epoch: 1,
            role: String::new(),
            seen: Default::default(),
            changed: 0,
            looked_at: 0,
        };
        Line { files: files.to_owned(), of }
    }

    fn applied(versions: &[i64]) -> Arc<[Applied]> {
        let row = |version: &i64| Applied {
            version: *version,
            success: true,
            checksum: vec![1],
            begun: None,
        };
        versions.iter().map(row).collect()
    }

    #[test]
    fn tenants_with_the_same_files_are_compared_with_each_other() {
        let one = line("1 abc 00");
        let other = line("1 def 00");
        let seen = [
            (&one, applied(&[1, 2])),
            (&one, applied(&[1])),
            (&one, applied(&[1, 2])),
            (&other, applied(&[1])),
        ];
        let seen = seen.into_iter().enumerate();
        let seen = seen.map(|(at, (line, applied))| (at, Seen { name: "a", line, applied }));
        let wrong = wrong(&seen.collect(), None);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert_eq!(wrong[0].0, 1);
        assert!(wrong[0].1.ends_with("version 2 is not recorded as completed"), "{wrong:?}");
    }
}
