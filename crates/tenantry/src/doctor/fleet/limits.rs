//! Limits and places of tenants that cannot be used, and limits without an effect.

use futures_util::FutureExt;

use crate::{
    doctor::{
        Affected, BuiltIn, Examined, Finding, Subject, error_in_words,
        text::{counted, grouped},
    },
    error::Error,
    tenant::TenantRecord,
};

/// The check of limits.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "limits",
    title: "Limits and places of tenants",
    reads: "the list of tenants",
    look: |on| look(on).boxed(),
};

/// Tenants with what is wrong about them.
type Named<'a> = Vec<(&'a TenantRecord, String)>;

async fn look(subject: &Subject) -> Result<Examined, Error> {
    let records = match subject.tenants() {
        Ok(records) => records,
        Err(error) => return Ok(Examined::not_listed("the list of tenants", error)),
    };
    let (mut refused, mut beyond, mut limited) = (Named::new(), Named::new(), 0);
    for record in records {
        match judge(subject, record) {
            Err(error) => refused.push((record, error_in_words(&error))),
            Ok(Judged { is_limited, beyond: too_much }) => {
                limited += usize::from(is_limited);
                beyond.extend(too_much.map(|words| (record, words)));
            }
        }
    }
    let message = match limited {
        0 => "no tenant has limits of its own".to_owned(),
        limited => format!("{} limited", counted(limited, "tenant is", "tenants are")),
    };
    let found = [of_refused(&refused, records.len()), of_beyond(&beyond, records.len())];
    Ok(Examined::ok(message).findings(found.into_iter().flatten()))
}

/// What is known of a tenant that is served.
struct Judged {
    is_limited: bool,
    /// Its limit of connections, if it is beyond what its server has for tenants.
    beyond: Option<String>,
}

/// Fails as a look-up of the tenant would.
fn judge(subject: &Subject, record: &TenantRecord) -> Result<Judged, Error> {
    let fleet = subject.fleet();
    let placement = fleet.lookup().place(record)?;
    let limits = fleet.lookup().limits_of(record)?;
    let places = fleet.servers().of(&placement).places_for_tenants();
    let beyond = limits.max_connections.filter(|most| *most > places).map(|most| {
        let (server, places) = (placement.server(), grouped(places));
        format!("max_connections is {most}, and the pool of the server {server} has {places} for tenants")
    });
    Ok(Judged { is_limited: limits != Default::default(), beyond })
}

fn of_refused(tenants: &Named<'_>, of: usize) -> Option<Finding> {
    let affected = affected(tenants, of)?;
    let what = format!("{} refused", counted(tenants.len(), "tenant is", "tenants are"));
    let why = "their limits, or their place, cannot be used, so none of their requests is served";
    let finding = Finding::error(what, why);
    let how = "correct the tenant's row in the catalog, or its tier; a server must be configured under the name \
               that the row or the tier gives it";
    Some(finding.how(how).tenants(affected))
}

fn of_beyond(tenants: &Named<'_>, of: usize) -> Option<Finding> {
    let affected = affected(tenants, of)?;
    let tenants = counted(tenants.len(), "tenant has", "tenants have");
    let what = format!("{tenants} a limit that cannot be reached");
    let why = "the budget of the server is smaller, so the tenant can have fewer connections than it should";
    let how = "raise the budget (max_connections) of the server's pool, or lower the limit";
    Some(Finding::warning(what, why).how(how).tenants(affected))
}

fn affected(tenants: &Named<'_>, of: usize) -> Option<Affected> {
    let affected =
        tenants.iter().fold(Affected::new(tenants.len(), of), |affected, (record, words)| {
            affected.worst(record.id.as_str(), words)
        });
    (!tenants.is_empty()).then_some(affected)
}
