//! Runs a check in each database that tenants are in.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use super::{
    tenants::Tenants,
    told::{Told, merged, place_of},
};
use crate::{
    doctor::{
        Examined, Subject, error_in_words,
        homes::away,
        text::{counted, grouped},
    },
    error::{Error, ErrorKind},
    finding::FindingPlace,
    fleet::{Fleet, in_each_home},
    plain::plain,
    tenant::{Home, TenantRecord},
};

/// The maximum number of notes about databases that could not be examined.
const NOTES: usize = 5;

/// A database, and the tenants in it.
#[derive(Debug)]
pub(super) struct Local<'a> {
    /// Maintenance in this database.
    pub(super) fleet: Fleet,
    pub(super) records: Vec<&'a TenantRecord>,
    pub(super) tenants: Tenants,
}

impl Local<'_> {
    /// Returns `true` if the database is a tenant's own.
    pub(super) fn is_of_one(&self) -> bool {
        self.fleet.home().database().is_some() && self.tenants.len() <= 1
    }
}

/// Which databases a check examines, besides those of tenants with a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Besides {
    /// No others.
    Nothing,
    /// The manager's.
    Managers,
    /// Those in the URLs of all servers.
    Servers,
}

/// The results in all databases that were examined.
pub(super) struct Everywhere<T> {
    /// What was found, by database; that of the manager comes first.
    pub(super) found: Vec<(Home, T)>,
    /// The number of tenants in these databases.
    pub(super) examined: usize,
    /// The number of tenants that could be examined.
    pub(super) of: usize,
    /// The number of tenants on each server that is away.
    away: BTreeMap<String, usize>,
    /// What else could not be examined.
    unseen: Vec<String>,
}

/// Runs a check in each database that tenants with a schema are in. A database that cannot be examined only concerns
/// its tenants, unless it is the manager's.
///
/// Returns the result of the check if there is nothing to examine.
pub(super) async fn everywhere<'a, T: Send>(
    subject: &'a Subject,
    besides: Besides,
    look: impl Fn(Local<'a>) -> BoxFuture<'a, Result<T, Error>>,
) -> Result<Result<Everywhere<T>, Examined>, Error> {
    let fleet = subject.fleet();
    let records = match subject.tenants() {
        Ok(records) => records,
        Err(error) => return Ok(Err(Examined::not_listed("the list of tenants", error))),
    };
    // The check of containers reports a tenant that does not have one.
    let placed = records
        .iter()
        .filter_map(|record| Some((fleet.site_anywhere(record).ok()?.home, Some(record))));
    let mut placed: Vec<(Home, Option<&TenantRecord>)> = placed.collect();
    let of = placed.len();
    if of == 0 && besides == Besides::Nothing {
        return Ok(Err(Examined::ok("no tenants")));
    }
    let until = Instant::now() + time_for_others(subject.check_timeout);
    let homes = subject.homes().await;
    placed.extend(besides.homes(fleet).map(|home| (home, None)));
    let within = |(home, _): &'_ (Home, _)| homes.has(home) && !homes.is_away(home);
    let examined = placed.iter().map(|place| within(place).then_some(&place.0));
    let work = |fleet: Fleet, places: Vec<usize>| {
        let records: Vec<_> = places.iter().filter_map(|place| placed[*place].1).collect();
        let tenants = Tenants::of(&fleet, records.iter().copied());
        let home = fleet.home().clone();
        let looked = look(Local { fleet, records, tenants });
        async move {
            if home.is_managers() {
                return looked.await;
            }
            let late = |_| Err(Error::new(ErrorKind::Timeout, "the time of the check was over"));
            timeout_at(until, looked).await.unwrap_or_else(late)
        }
    };
    let mut done = in_each_home(fleet, examined, work).await?;
    done.sort_by(|a, b| a.home.cmp(&b.home));
    let count = |places: &[usize]| places.iter().filter(|at| placed[**at].1.is_some()).count();
    let mut unseen = Unseen::default();
    let away =
        away(homes, placed.iter().filter(|(_, record)| record.is_some()).map(|(home, _)| home));
    let mut all = Everywhere { found: Vec::new(), examined: 0, of, away, unseen: Vec::new() };
    for in_home in done {
        let tenants = count(&in_home.places);
        match in_home.result {
            Ok(found) => {
                all.examined += tenants;
                all.found.push((in_home.home, found));
            }
            Err(error) => unseen.add(&in_home.home, tenants, &error_in_words(&error)),
        }
    }
    all.unseen = unseen.notes();
    Ok(Ok(all))
}

/// Leaves time to report what was found in other databases.
fn time_for_others(limit: Duration) -> Duration {
    limit / 4 * 3
}

impl Besides {
    fn homes(self, fleet: &Fleet) -> impl Iterator<Item = Home> {
        let homes = fleet.servers().homes();
        homes.filter(move |home| match self {
            Self::Nothing => false,
            Self::Managers => home.is_managers(),
            Self::Servers => true,
        })
    }
}

/// Databases that could not be examined, by server and reason.
#[derive(Debug, Default)]
struct Unseen(BTreeMap<(String, String), (Vec<Home>, usize)>);

impl Unseen {
    fn add(&mut self, home: &Home, tenants: usize, why: &str) {
        let (homes, all) = self.0.entry((home.server().to_owned(), why.to_owned())).or_default();
        homes.push(home.clone());
        *all += tenants;
    }

    /// Returns a bounded number of notes.
    fn notes(self) -> Vec<String> {
        let mut notes = Vec::new();
        for ((server, why), (homes, tenants)) in self.0 {
            let tenants = counted(tenants, "tenant", "tenants");
            notes.push(match &homes[..] {
                [one] => format!("{tenants} in {}: {why}", plain(&one.to_string())),
                many => format!(
                    "{tenants} in {} databases of server {}: {why}",
                    grouped(many.len()),
                    plain(&server)
                ),
            });
        }
        let more = notes.len().saturating_sub(NOTES);
        notes.truncate(NOTES);
        notes.extend((more > 0).then(|| format!("{more} more groups of databases")));
        notes
    }
}

impl<T> Everywhere<T> {
    /// Returns how many tenants were examined, such as `3 tenants` or `50 of 10,000 tenants`.
    pub(super) fn in_words(&self) -> String {
        match self.examined == self.of {
            true => counted(self.of, "tenant", "tenants"),
            false => {
                format!("{} of {}", grouped(self.examined), counted(self.of, "tenant", "tenants"))
            }
        }
    }

    /// Takes what was found in each database, with its place unless that is the manager's database alone.
    pub(super) fn each(&mut self) -> Vec<(Option<FindingPlace>, T)> {
        let alone = matches!(&self.found[..], [(home, _)] if home.is_managers());
        let place = |home: &Home| (!alone).then(|| place_of(home));
        std::mem::take(&mut self.found).into_iter().map(|(home, of)| (place(&home), of)).collect()
    }

    /// Adds to the result of a check what could not be examined.
    pub(super) fn unseen(&self, examined: Examined) -> Examined {
        let away = self.away.iter();
        let examined = away
            .fold(examined, |examined, (server, tenants)| examined.away(server, Some(*tenants)));
        self.unseen.iter().fold(examined, Examined::unseen)
    }
}

impl Everywhere<Told> {
    /// Combines the findings. `fine` is the text if there are none, such as "no invalid index".
    pub(super) fn told(mut self, fine: &str) -> Examined {
        let (tenants, found) = (self.in_words(), std::mem::take(&mut self.found));
        let told = merged(found, self.examined);
        self.unseen(told.examined(|| format!("{fine} in {tenants}")))
    }
}
