//! When what is remembered of a tenant's migrations can be trusted.

use super::{Migrations, plan::Leniency};
use crate::{
    catalog::Site,
    pool::Grantee,
    tenant::{Home, Ident},
};

/// The identity of a schema and its records, by the server's own numbers: another schema of the same name has others,
/// and so have records that were restored. 0 is one that is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen {
    pub(super) database: i64,
    pub(super) schema: i64,
    pub(super) records: i64,
    /// The file of the records, which is a new one after a `truncate`.
    pub(super) file: i64,
}

impl Seen {
    /// Returns `true` if this is still what was seen before. A database of a tenant's own is only seen from outside.
    fn is_still(self, before: Self, home: &Home) -> bool {
        match home.database() {
            Some(_) => self.database != 0 && self.database == before.database,
            None => self.schema != 0 && self.records != 0 && self == before,
        }
    }

    /// Returns `true` if the schema is still the one that was seen before. Its records can have been created since.
    pub(super) fn is_schema_of(self, before: Self, home: &Home) -> bool {
        let inside = home.database().is_some() || self.schema == before.schema;
        self.database != 0 && self.database == before.database && inside
    }
}

/// What is remembered of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remembered {
    /// `true` if it had exactly these files, and no change is announced.
    pub(super) has_files: bool,
    pub(super) server: String,
    pub(super) database: Option<String>,
    pub(super) schema: String,
    pub(super) epoch: i64,
    /// The role that has privileges on the tables.
    pub(super) role: String,
    pub(super) seen: Seen,
    /// The number of changes so far.
    pub(super) changed: i64,
    /// When it was last looked at, in seconds.
    pub(super) looked_at: i64,
}

impl Remembered {
    /// Returns `true` if the tenant had these files where it is now, according to the catalog.
    pub(super) fn is_of(&self, site: &Site) -> bool {
        self.has_files
            && self.server == site.home.server()
            && self.database.as_deref() == site.home.database().map(Ident::as_str)
            && self.schema == site.schema.as_str()
            && i64::try_from(site.epoch) == Ok(self.epoch)
            && self.role == role_of(site)
    }

    /// Returns `true` if the schema is still the one that was looked at.
    pub(super) fn is_still(&self, now: Seen, home: &Home) -> bool {
        now.is_still(self.seen, home)
    }
}

/// Returns the role that works on the tables of a site, as far as it is known without asking for credentials.
pub(super) fn role_of(site: &Site) -> &str {
    match &site.grantee {
        Some(Grantee::Role(role)) => role.as_str(),
        Some(Grantee::Login(_)) => "(its own login)",
        None => "",
    }
}

/// The number of tenants that are looked at although they are remembered: those in databases of URLs.
const SAMPLE: usize = 100;

/// The same, of those in databases of their own: each needs a connection.
const SAMPLE_OF_DATABASES: usize = 4;

/// Chooses those of the remembered tenants that are looked at: the ones that were not for the longest time, so that
/// each of them is, sooner or later.
pub(super) fn sample<'a>(
    remembered: impl Iterator<Item = (usize, &'a Home, &'a Remembered)>,
) -> Vec<usize> {
    let (own, others): (Vec<_>, Vec<_>) =
        remembered.partition(|(_, home, _)| home.database().is_some());
    let mut chosen = Vec::new();
    for (mut group, most) in [(own, SAMPLE_OF_DATABASES), (others, SAMPLE)] {
        if group.len() > most {
            group.select_nth_unstable_by_key(most, |(_, _, of)| of.looked_at);
            group.truncate(most);
        }
        chosen.extend(group.into_iter().map(|(place, ..)| place));
    }
    chosen
}

/// Returns a text that is the same for the same files, and for the same problems that are tolerated.
pub(super) fn files_of(set: &Migrations, lenient: Leniency) -> String {
    let Leniency { out_of_order, missing } = lenient;
    format!("1 {} {}{}", set.hash(), u8::from(out_of_order), u8::from(missing))
}

/// Returns which problems were tolerated if the remembered files are these.
pub(super) fn lenient_if_files_are(remembered: &str, set: &Migrations) -> Option<Leniency> {
    let all = [(false, false), (false, true), (true, false), (true, true)];
    let mut all = all.into_iter().map(|(out_of_order, missing)| Leniency { out_of_order, missing });
    all.find(|lenient| files_of(set, *lenient) == remembered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::Placement;

    fn seen(database: i64, schema: i64, records: i64, file: i64) -> Seen {
        Seen { database, schema, records, file }
    }

    fn own_database() -> Home {
        let name = |name| Ident::parse(name).expect("an identifier");
        Placement::in_database(name("db"), name("public")).home()
    }

    #[test]
    fn another_schema_or_other_records_are_not_what_was_seen() {
        let before = seen(1, 2, 3, 4);
        assert!(before.is_still(before, &Home::MANAGERS));
        for now in [seen(9, 2, 3, 4), seen(1, 9, 3, 4), seen(1, 2, 9, 4), seen(1, 2, 3, 9)] {
            assert!(!now.is_still(before, &Home::MANAGERS), "{now:?}");
        }
        let nothing = seen(1, 0, 0, 0);
        assert!(!nothing.is_still(nothing, &Home::MANAGERS), "a schema that is gone");
        assert!(seen(1, 0, 0, 0).is_still(before, &own_database()));
        assert!(!seen(2, 2, 3, 4).is_still(before, &own_database()), "a database made anew");
        assert!(!Seen::default().is_still(Seen::default(), &own_database()));
    }

    #[test]
    fn those_not_looked_at_for_the_longest_time_are_chosen() {
        let of = |looked_at| Remembered {
            has_files: true,
            server: "main".into(),
            database: None,
            schema: "s".into(),
            epoch: 1,
            role: String::new(),
            seen: Seen::default(),
            changed: 0,
            looked_at,
        };
        let all: Vec<_> = (0..1_000).map(|n| of((n * 7_919) % 1_000)).collect();
        let (here, own) = (Home::MANAGERS, own_database());
        let mut chosen = sample(all.iter().enumerate().map(|(place, one)| (place, &here, one)));
        chosen.sort_unstable_by_key(|place| all[*place].looked_at);
        let ages: Vec<_> = chosen.iter().map(|place| all[*place].looked_at).collect();
        assert_eq!(ages, (0..100).collect::<Vec<_>>());
        let of_databases = sample(all.iter().enumerate().map(|(place, one)| (place, &own, one)));
        assert_eq!(of_databases.len(), SAMPLE_OF_DATABASES);
    }
}
