//! Tenants whose creation has not completed, and suspended tenants.

use std::collections::HashSet;

use futures_util::FutureExt;
use sqlx::Row;

use crate::{
    doctor::{
        Affected, BuiltIn, Examined, Finding, Subject,
        text::{counted, grouped},
    },
    error::Error,
    plain::plain,
    provision::LOCK_OF_MAKER,
    reading::{lease_for_reading, on},
    tenant::TenantState,
};

/// The check of states.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "tenantsOfState",
    title: "Suspended and unfinished tenants",
    reads: "the locks of tenants in the making",
    look: |on| look(on).boxed(),
};

async fn look(subject: &Subject) -> Result<Examined, Error> {
    let records = match subject.tenants() {
        Ok(records) => records,
        Err(error) => return Ok(Examined::not_read("the list of tenants", error)),
    };
    let making = records.iter().filter_map(|record| {
        let step = record.step.as_ref()?;
        Some((record, step, subject.fleet().site(record).ok()?.schema.to_string()))
    });
    let making: Vec<_> = making.collect();
    let suspended = records
        .iter()
        .filter(|record| record.step.is_none() && record.state == TenantState::Suspended);
    let suspended = suspended.count();
    let underway = match making.is_empty() {
        true => HashSet::new(),
        false => {
            underway(subject, making.iter().map(|(_, _, schema)| schema.as_str()).collect()).await?
        }
    };
    let message = match (suspended, making.len()) {
        (0, 0) => "none".to_owned(),
        (suspended, 0) => format!("{} suspended", grouped(suspended)),
        (suspended, making) => {
            format!("{} suspended, {} being created", grouped(suspended), grouped(making))
        }
    };
    let left = making.iter().filter(|(_, _, schema)| !underway.contains(schema));
    let left: Vec<_> = left.map(|(record, step, _)| (record.id.as_str(), &***step)).collect();
    let finding = (!left.is_empty()).then(|| interrupted(&left, records.len()));
    Ok(Examined::ok(message).findings(finding))
}

/// Reports tenants whose creation has stopped at a step.
fn interrupted(tenants: &[(&str, &str)], of: usize) -> Finding {
    let affected = Affected::new(tenants.len(), of);
    let affected =
        tenants.iter().fold(affected, |affected, (id, step)| affected.worst(*id, plain(step)));
    let what = counted(tenants.len(), "creation of a tenant was", "creations of tenants were");
    Finding::warning(
        format!("{what} interrupted"),
        "requests of the tenant are refused until its last seeds have run, and no process is running them",
    )
    .how("create it again with the same id and seeds, which resumes the creation, or drop it")
    .tenants(affected)
}

/// Returns the schemas whose tenants are being created at the moment: a session holds their lock.
async fn underway(subject: &Subject, schemas: Vec<&str>) -> Result<HashSet<String>, Error> {
    let mut lease = lease_for_reading(subject.fleet()).await?;
    let query = sqlx::query(UNDERWAY).bind(schemas).bind(LOCK_OF_MAKER).persistent(false);
    let rows = on(&mut lease, async |conn| query.fetch_all(conn).await).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// The lock is the one held while a tenant is [created](crate::provision) in more than one transaction.
const UNDERWAY: &str = "\
    select asked.schema from pg_catalog.unnest($1::pg_catalog.text[]) as asked (schema) \
    where exists (select from pg_catalog.pg_locks l where l.locktype operator(pg_catalog.=) 'advisory' and l.objsubid operator(pg_catalog.=) 1 and l.granted \
    and l.database operator(pg_catalog.=) (select d.oid from pg_catalog.pg_database d where d.datname operator(pg_catalog.=) pg_catalog.current_database()) \
    and ((l.classid::pg_catalog.int8 operator(pg_catalog.<<) 32) operator(pg_catalog.|) l.objid::pg_catalog.int8) operator(pg_catalog.=) pg_catalog.hashtextextended(asked.schema, $2))";
