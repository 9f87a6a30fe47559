//! Work in the databases that tenants are in: on all servers at a time, and in a few databases of each.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use futures_util::{
    FutureExt, StreamExt,
    future::{Either, join_all, select},
    stream,
};
use tokio::time::{sleep, timeout};

use super::Fleet;
use crate::{
    error::{Error, ErrorKind, RETRY_AFTER},
    error_report::ErrorReport,
    tenant::Home,
};

/// The number of databases of a server that are worked in at a time.
const DATABASES_AT_ONCE: usize = 4;

/// The longest interval between checks of a further server.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// The number of checks in a row that fail before the work on a server is given up.
const ENOUGH: u32 = 2;

/// The result of the work in one database.
pub(crate) struct InHome<T> {
    pub(crate) home: Home,
    /// The items that are in it, by their place.
    pub(crate) places: Vec<usize>,
    pub(crate) result: T,
}

impl<U, E> InHome<Result<Vec<U>, E>> {
    /// Puts what was found in the database to its items. If the database could not be worked in, each of them has a
    /// copy of that error.
    pub(crate) fn scatter<T>(
        self,
        into: &mut [Result<T, E>],
        each: impl Fn(U) -> Result<T, E>,
        copy: impl Fn(&E, &Home) -> E,
    ) {
        match self.result {
            Ok(all) => {
                for (place, one) in self.places.into_iter().zip(all) {
                    into[place] = each(one);
                }
            }
            Err(error) => {
                self.places
                    .into_iter()
                    .for_each(|place| into[place] = Err(copy(&error, &self.home)));
            }
        }
    }
}

/// Works in each database that items are in. Items without one are left out.
///
/// An error of the manager's database is one of all; another database concerns its items only.
pub(crate) async fn in_each_home<'a, T, E, F>(
    fleet: &Fleet,
    homes: impl Iterator<Item = Option<&'a Home>>,
    work: impl Fn(Fleet, Vec<usize>) -> F,
) -> Result<Vec<InHome<Result<T, E>>>, E>
where
    F: Future<Output = Result<T, E>> + Send,
    E: From<Error>,
{
    let work = &work;
    let servers = by_server(homes).into_values().map(|homes| async move {
        let at_once = fleet.at(&homes[0].0).databases_at_once();
        let in_home = homes.into_iter().map(|(home, places)| async move {
            let fleet = fleet.at(&home);
            // Without its type: the futures of all callers would be too deep for the compiler.
            let work = work(fleet.clone(), places.clone()).boxed();
            let result = while_alive(&fleet, work).await;
            InHome { home, places, result }
        });
        stream::iter(in_home).buffer_unordered(at_once).collect::<Vec<_>>().await
    });
    let all: Vec<_> = join_all(servers).await.into_iter().flatten().collect();
    let (mut done, mut of_all) = (Vec::with_capacity(all.len()), None);
    for in_home in all {
        match in_home.result {
            Err(error) if in_home.home.is_managers() => of_all = Some(error),
            result => done.push(InHome { result, ..in_home }),
        }
    }
    of_all.map_or(Ok(done), Err)
}

/// Returns the places of items by the databases that they are in, by server.
fn by_server<'a>(
    homes: impl Iterator<Item = Option<&'a Home>>,
) -> BTreeMap<String, Vec<(Home, Vec<usize>)>> {
    let mut by_home = BTreeMap::<&Home, Vec<usize>>::new();
    for (place, home) in homes.enumerate() {
        if let Some(home) = home {
            by_home.entry(home).or_default().push(place);
        }
    }
    let mut by_server = BTreeMap::<_, Vec<_>>::new();
    for (home, places) in by_home {
        by_server.entry(home.server().to_owned()).or_default().push((home.clone(), places));
    }
    by_server
}

/// Runs work in a fleet's database until it ends, or its server turns out not to answer: connections to a server that
/// hangs stay open, and what waits for it would wait indefinitely. The main server is not checked, because nothing
/// works without it.
///
/// # Cancel safety
///
/// That of the work.
pub(crate) async fn while_alive<T, E: From<Error>>(
    fleet: &Fleet,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    if fleet.is_on_main() {
        return work.await;
    }
    match select(pin!(work), fleet.no_answer().boxed()).await {
        Either::Left((result, _)) => result,
        Either::Right((error, _)) => Err(error.into()),
    }
}

impl Fleet {
    /// Returns `true` if maintenance runs on the main server.
    pub(crate) fn is_on_main(&self) -> bool {
        self.server().name() == self.main().name()
    }

    /// Returns how many databases of this fleet's server are worked in at a time.
    fn databases_at_once(&self) -> usize {
        DATABASES_AT_ONCE.min(self.server().places_for_upkeep().saturating_sub(1)).max(1)
    }

    /// Returns once the server has not answered several times in a row.
    pub(crate) async fn no_answer(&self) -> Error {
        let limit = self.server().options().acquire_timeout;
        let mut in_vain = 0;
        while in_vain < ENOUGH {
            sleep(CHECK_EVERY.min(limit)).await;
            in_vain = if self.answers(limit).await { 0 } else { in_vain + 1 };
        }
        let attempted = format!("server {} does not answer", self.server().name());
        let error = Error::new(ErrorKind::Unavailable, attempted).with_retry_after(RETRY_AFTER);
        self.server().name_in(error)
    }

    /// Returns why the server does not answer within a time, if so. A server without a free connection does.
    pub(crate) async fn why_away(&self, limit: Duration) -> Option<String> {
        let why = match timeout(limit, self.system_here().ping()).boxed().await {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => ErrorReport::new(&error).to_string(),
            Err(_) => format!("no answer within {limit:?}"),
        };
        (!self.server().is_used_up()).then_some(why)
    }

    /// Returns `true` if the server answers on a connection of the library, or if there is none to ask on.
    async fn answers(&self, limit: Duration) -> bool {
        let asked = timeout(limit.saturating_mul(2), self.system_here().ping()).await;
        matches!(asked, Ok(Ok(()))) || self.server().is_used_up()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::{Ident, Placement};

    fn home(server: &str, database: Option<&str>) -> Home {
        let name = |name| Ident::parse(name).expect("an identifier");
        let placement = match database {
            Some(database) => Placement::in_database(name(database), name("public")),
            None => Placement::in_schema(name("tenant_a")),
        };
        placement.on(Some(&server.into())).home()
    }

    #[test]
    fn items_are_grouped_by_server_and_database() {
        let homes = [home("main", None), home("eu", Some("a")), home("eu", None)];
        let of = [&homes[0], &homes[1], &homes[0], &homes[2], &homes[1]].map(Some);
        let grouped = by_server(of.into_iter().chain([None]));
        assert_eq!(grouped["main"], [(homes[0].clone(), vec![0, 2])]);
        let eu = [(homes[2].clone(), vec![3]), (homes[1].clone(), vec![1, 4])];
        assert_eq!(grouped["eu"], eu);
    }
}
