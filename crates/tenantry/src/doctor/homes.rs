//! The databases that tenants are in, as far as a run of the doctor examines them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::join_all;

use crate::{
    error::{Error, ErrorKind},
    finding::FindingPlace,
    fleet::Fleet,
    tenant::{Home, Ident, TenantRecord},
};

/// The longest wait for a further server.
const PATIENCE: Duration = Duration::from_secs(5);

/// The databases of a run. Every check examines the same ones.
#[derive(Debug, Default)]
pub(super) struct Homes {
    examined: BTreeSet<Home>,
    /// The number of databases that tenants are in.
    pub(super) total: usize,
    /// Further servers that do not answer, with the reason.
    pub(super) away: BTreeMap<String, String>,
}

/// Which databases of a server are examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// The maximum number of databases of each server, besides the one in its URL.
    pub(super) most: usize,
    /// Where the sample begins, so that each run examines others.
    pub(super) start: usize,
}

impl Homes {
    /// Chooses among the tenants' databases, and asks every further server whether it answers.
    pub(super) async fn find(
        fleet: &Fleet,
        tenants: &[TenantRecord],
        sample: Sample,
        limit: Duration,
    ) -> Self {
        let homes = tenants.iter().filter_map(|record| fleet.home_of(record).ok());
        let homes: BTreeSet<_> = homes.collect();
        let total = homes.len();
        // Every server has a database that schemas can be left in.
        let examined = sample.of(homes).into_iter().chain(fleet.servers().homes()).collect();
        let further = fleet.servers().homes().filter(|home| !home.is_managers());
        let limit = PATIENCE.min(limit / 4);
        let asked = further.map(|home| async move {
            let why = fleet.at(&home).why_away(limit).await?;
            Some((home.server().to_owned(), why))
        });
        let away = join_all(asked).await.into_iter().flatten().collect();
        Self { examined, total, away }
    }

    /// Returns `true` if the run examines this database, unless its server is away.
    pub(super) fn has(&self, home: &Home) -> bool {
        self.examined.contains(home)
    }

    /// Returns `true` if the server of a database does not answer.
    pub(super) fn is_away(&self, home: &Home) -> bool {
        self.away.contains_key(home.server())
    }

    /// Returns the databases to examine, on servers that answer.
    pub(super) fn reached(&self) -> impl Iterator<Item = &Home> {
        self.examined.iter().filter(|home| !self.is_away(home))
    }

    /// Returns how many of the tenants' databases are not in the sample.
    pub(super) fn left_out(&self, of_tenants: &BTreeSet<Home>) -> usize {
        of_tenants.iter().filter(|home| !self.has(home)).count()
    }
}

impl Sample {
    /// Returns all databases in the URLs of servers, and so many of each server's others.
    fn of(self, homes: BTreeSet<Home>) -> Vec<Home> {
        let mut by_server = BTreeMap::<String, Vec<Home>>::new();
        let mut chosen = Vec::new();
        for home in homes {
            match home.database() {
                None => chosen.push(home),
                Some(_) => by_server.entry(home.server().to_owned()).or_default().push(home),
            }
        }
        for mut homes in by_server.into_values() {
            let start = self.start % homes.len();
            homes.rotate_left(start);
            homes.truncate(self.most);
            chosen.extend(homes);
        }
        chosen
    }
}

/// Returns the number of tenants on each server that is away, of those in these databases.
pub(super) fn away<'a>(
    homes: &Homes,
    of_tenants: impl Iterator<Item = &'a Home>,
) -> BTreeMap<String, usize> {
    let mut away: BTreeMap<_, _> = homes.away.keys().map(|server| (server.clone(), 0)).collect();
    of_tenants.for_each(|home| {
        if let Some(tenants) = away.get_mut(home.server()) {
            *tenants += 1;
        }
    });
    away
}

/// Returns the database that a finding names.
///
/// # Errors
///
/// [`Placement`](ErrorKind::Placement) if there is no such server, or the name cannot be that of a database.
pub(super) fn home_at(fleet: &Fleet, place: &FindingPlace) -> Result<Home, Error> {
    let is_known = fleet.servers().all().any(|(name, _)| name == place.server);
    match place.database.as_deref().map(Ident::parse).transpose() {
        Ok(database) if is_known => Ok(Home::named(&place.server, database)),
        _ => Err(Error::new(ErrorKind::Placement, format!("there is no {place}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_bounded_on_each_server_and_moves_on() {
        let database = |server: &str, n: usize| {
            Home::named(server, Some(Ident::parse(&format!("db{n}")).expect("an identifier")))
        };
        let all: BTreeSet<_> = (0..9)
            .flat_map(|n| [database("main", n), database("eu", n)])
            .chain([Home::MANAGERS, Home::named("eu", None)])
            .collect();
        let names = |start| {
            let mut chosen = Sample { most: 2, start }.of(all.clone());
            chosen.sort();
            chosen.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let expected = |first, second| {
            let of = |server| {
                [first, second].map(|n: usize| format!("database db{n} of server {server}"))
            };
            let [a, b] = of("main");
            let [c, d] = of("eu");
            let url = |server| format!("the database in the URL of server {server}");
            vec![url("main"), a, b, url("eu"), c, d]
        };
        assert_eq!(names(0), expected(0, 1));
        assert_eq!(names(10), expected(1, 2));
        assert_eq!(Sample { most: 99, start: 7 }.of(all.clone()).len(), all.len());
        assert_eq!(Sample { most: 99, start: 7 }.of(BTreeSet::new()), []);
    }
}
