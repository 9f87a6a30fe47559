//! How many shapes the schemas of tenants have.

use std::collections::HashMap;

use futures_util::FutureExt;

use super::check::looked_at;
use crate::{
    doctor::{Affected, BuiltIn, Examined, Finding, Subject, text::{counted, grouped}},
    drift::fingerprints,
    error::Error,
    schema::read,
};

/// The check of shapes.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "driftSummary",
    title: "Shapes of schemas",
    reads: "the fingerprints of schemas",
    look: |on| look(on).boxed(),
};

async fn look(subject: &Subject) -> Result<Examined, Error> {
    let tenants = match looked_at(subject) {
        Ok(tenants) => tenants,
        Err(examined) => return Ok(examined),
    };
    let subjects: Vec<_> = tenants
        .iter()
        .map(|tenant| read::Subject { schema: tenant.schema.clone(), role: tenant.role.clone() })
        .collect();
    let prints = fingerprints(subject.fleet(), &subjects.iter().collect::<Vec<_>>()).await?;
    let mut shapes = HashMap::<_, Vec<usize>>::new();
    let mut refused = 0;
    for (place, print) in prints.into_iter().enumerate() {
        match print {
            Ok(print) => shapes.entry(print).or_default().push(place),
            Err(_) => refused += 1,
        }
    }
    let mut shapes: Vec<_> = shapes.into_values().collect();
    shapes.sort_by_key(|places| (std::cmp::Reverse(places.len()), places[0]));
    let examined = match &shapes[..] {
        [] => Examined::ok("no schema could be read"),
        [all] => Examined::ok(format!("one shape in {}", counted(all.len(), "tenant", "tenants"))),
        [most, others @ ..] => {
            let message = format!("{} shapes; {} of {} tenants have the most common one", grouped(shapes.len()), grouped(most.len()), grouped(tenants.len()));
            let differ: usize = others.iter().map(Vec::len).sum();
            let affected = others.iter().flatten().fold(Affected::new(differ, tenants.len()), |affected, place| match tenants.at(*place) {
                Some(tenant) => affected.worst(tenant.id.as_str(), "differs"),
                None => affected,
            });
            let finding = Finding::info(
                "schemas differ from the most common shape",
                "the same statement can fail or behave differently in them, and so can the next migration",
            )
            .how("see what differs with tenantry drift")
            .tenants(affected);
            Examined::ok(message).finding(finding)
        }
    };
    Ok(match refused {
        0 => examined,
        some => examined.unseen(format!("{} whose schema is missing, changing or not to be used by the role", counted(some, "tenant", "tenants"))),
    })
}
