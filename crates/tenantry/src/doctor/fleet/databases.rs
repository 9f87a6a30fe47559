//! Whether the databases and servers of tenants can be reached.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt;

use super::told::place_of;
use crate::{
    doctor::{
        Affected, BuiltIn, Examined, Finding, Subject, error_in_words,
        homes::Homes,
        run::DATABASES,
        text::{counted, grouped},
    },
    error::Error,
    fleet::{Fleet, in_each_home},
    plain::plain,
    tenant::{Home, TenantRecord},
};

/// The check of databases.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: DATABASES,
    title: "Databases of tenants",
    reads: "the databases of tenants",
    look: |on| look(on).boxed(),
};

/// A tenant, and the database that it is in.
type Placed<'a> = (Home, &'a TenantRecord);

async fn look(subject: &Subject) -> Result<Examined, Error> {
    let records = match subject.tenants() {
        Ok(records) => records,
        Err(error) => return Ok(Examined::not_listed("the list of tenants", error)),
    };
    let fleet = subject.fleet();
    let placed = records.iter().filter_map(|record| Some((fleet.home_of(record).ok()?, record)));
    let placed: Vec<Placed<'_>> = placed.collect();
    if placed.iter().all(|(home, _)| home.is_managers()) && !fleet.servers().are_several() {
        return Ok(Examined::ok("every tenant is in the manager's database"));
    }
    let homes = subject.homes().await;
    let refused = refused(fleet, homes).await?;
    let away = homes.away.iter().map(|(server, why)| of_server(server, why, &placed));
    let mut findings: Vec<_> = away.collect();
    findings.extend(of_databases(&refused, &placed));
    findings.extend(left_out(homes, &placed));
    let databases = counted(homes.total, "database", "databases");
    let message = match &findings[..] {
        [] => format!("{databases} of tenants, and each can be reached"),
        [first, ..] => format!("{databases} of tenants: {first}"),
    };
    Ok(Examined::ok(message).findings(findings))
}

/// Connects to each database, and returns those that cannot be reached, with the reason.
async fn refused(fleet: &Fleet, homes: &Homes) -> Result<Vec<(Home, String)>, Error> {
    let connect = |fleet: Fleet, _: Vec<usize>| async move {
        fleet.lease().await?.settle().await;
        Ok::<_, Error>(())
    };
    let done = in_each_home(fleet, homes.reached().map(Some), connect).await?;
    let refused = done.into_iter().filter_map(|in_home| {
        let why = in_home.result.err()?;
        Some((in_home.home, error_in_words(&why)))
    });
    let mut refused: Vec<_> = refused.collect();
    refused.sort();
    Ok(refused)
}

fn of_server(server: &str, why: &str, placed: &[Placed<'_>]) -> Finding {
    let on: Vec<_> = placed.iter().filter(|(home, _)| home.server() == server).collect();
    let finding = Finding::error(
        format!("server {} cannot be reached: {}", plain(server), plain(why)),
        "no request of its tenants is served, and the checks of tenants do not see them; other servers are not affected",
    )
    .how(format!(
        "start the server {}, or correct its URL in the configuration; run the doctor again then",
        plain(server)
    ))
    .about_away(server);
    finding.tenants(affected(&on, placed.len(), "its server is away"))
}

/// Reports databases that cannot be reached, by reason.
fn of_databases(refused: &[(Home, String)], placed: &[Placed<'_>]) -> Vec<Finding> {
    let mut by_reason = BTreeMap::<&str, BTreeSet<&Home>>::new();
    for (home, why) in refused {
        by_reason.entry(why).or_default().insert(home);
    }
    let finding = |(why, homes): (&str, BTreeSet<&Home>)| {
        let inside: Vec<_> = placed.iter().filter(|(home, _)| homes.contains(home)).collect();
        let count = counted(homes.len(), "database", "databases");
        Finding::error(
            format!("{count} of tenants cannot be connected to: {}", plain(why)),
            "no request of these tenants is served, and the checks of tenants do not see them",
        )
        .how(
            "restore the database, or grant connect on it to the role; if the tenant is gone, drop it with \
             Provisioner::drop_tenant, which removes the record",
        )
        .tenants(affected(&inside, placed.len(), "its database cannot be connected to"))
    };
    by_reason.into_iter().map(finding).collect()
}

/// Says that only a sample was examined.
fn left_out(homes: &Homes, placed: &[Placed<'_>]) -> Option<Finding> {
    let all = placed.iter().map(|(home, _)| home.clone()).collect();
    let left_out = homes.left_out(&all);
    (left_out > 0).then(|| {
        Finding::info(
            format!(
                "the checks of tenants examine a sample: {} of {} databases are left out",
                grouped(left_out),
                grouped(homes.total)
            ),
            "each run connects to a bounded number of databases of each server, and the next one examines others",
        )
        .how("examine more of them with Doctor::databases or tenantry doctor --databases")
    })
}

fn affected(tenants: &[&Placed<'_>], of: usize, detail: &str) -> Affected {
    tenants.iter().fold(Affected::new(tenants.len(), of), |affected, (home, record)| {
        affected.worst_in(record.id.as_str(), detail, Some(&place_of(home)))
    })
}
