//! Tenants whose creation has not completed, suspended tenants, those on the way to another place, and moves that no
//! process works on.

use std::collections::HashSet;

use futures_util::FutureExt;
use sqlx::Row;

use crate::{
    doctor::{
        Affected, BuiltIn, Examined, Finding, Subject,
        text::{counted, grouped},
    },
    error::Error,
    moves::{MoveRecord, Mover},
    plain::plain,
    provision::{LOCK_OF_MAKER, lock_of_maker},
    reading::{lease_for_reading, on},
    tenant::{DROPPING, TenantRecord, TenantState},
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
        Err(error) => return Ok(Examined::not_listed("the list of tenants", error)),
    };
    let fleet = subject.fleet();
    let steps = records.iter().filter_map(|record| Some((record, record.step.as_ref()?)));
    let (dropping, making): (Vec<_>, Vec<_>) =
        steps.partition(|(_, step)| step.starts_with(DROPPING));
    let making = making.into_iter().filter_map(|(record, step)| {
        let site = fleet.site_anywhere(record).or_else(|_| fleet.site_of_rows_anywhere(record));
        Some((record, step, lock_of_maker(&site.ok()?)))
    });
    let making: Vec<_> = making.collect();
    let suspended = records
        .iter()
        .filter(|record| record.step.is_none() && record.state == TenantState::Suspended);
    let suspended = suspended.count();
    let underway = match making.is_empty() {
        true => HashSet::new(),
        false => {
            underway(subject, making.iter().map(|(_, _, lock)| lock.as_str()).collect()).await?
        }
    };
    let moving = records.iter().filter(|record| record.state.is_moving()).count();
    let counts = [
        (suspended, "suspended"),
        (making.len(), "being created"),
        (dropping.len(), "being dropped"),
        (moving, "being moved"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts.map(|(count, what)| format!("{} {what}", grouped(count))).collect();
    let message = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let left = making.iter().filter(|(_, _, lock)| !underway.contains(lock));
    let left: Vec<_> = left.map(|(record, step, _)| (*record, &***step)).collect();
    let dropping: Vec<_> = dropping.iter().map(|(record, step)| (*record, &***step)).collect();
    // A role that may not read the records of moves takes none over, either.
    let moves = Mover::new(fleet.clone());
    let abandoned = moves.abandoned(&mut *lease_for_reading(fleet).await?).await;
    let findings = [
        interrupted(&left, records.len()),
        not_dropped(&dropping, records.len()),
        left_alone(&abandoned.unwrap_or_default(), records.len()),
    ];
    Ok(Examined::ok(message).findings(findings.into_iter().flatten()))
}

/// Tenants with their steps.
type Steps<'a> = [(&'a TenantRecord, &'a str)];

/// Reports tenants whose creation has stopped at a step.
fn interrupted(tenants: &Steps<'_>, of: usize) -> Option<Finding> {
    let affected = affected(tenants, of)?;
    let what = counted(tenants.len(), "creation of a tenant was", "creations of tenants were");
    let finding = Finding::warning(
        format!("{what} interrupted"),
        "requests of the tenant are refused until its last seeds have run, and no process is running them",
    );
    let how = "create it again with the same id and seeds, which resumes the creation, or drop it";
    Some(finding.how(how).tenants(affected))
}

/// Reports tenants in other databases or on other servers whose drop has not ended.
fn not_dropped(tenants: &Steps<'_>, of: usize) -> Option<Finding> {
    let affected = affected(tenants, of)?;
    let what = counted(tenants.len(), "drop of a tenant has", "drops of tenants have");
    let finding = Finding::warning(
        format!("{what} not ended"),
        "unless a process is dropping it at this moment, its rows are still there",
    );
    Some(finding.how("drop it again, which continues").tenants(affected))
}

/// Reports moves whose process has died.
fn left_alone(moves: &[MoveRecord], of: usize) -> Option<Finding> {
    let affected = moves.iter().fold(Affected::new(moves.len(), of), |affected, of| {
        affected.worst(of.tenant_id.as_str(), of.stage.as_str())
    });
    let what = counted(moves.len(), "move of a tenant is", "moves of tenants are");
    let finding = Finding::warning(
        format!("{what} abandoned"),
        "no process works on it; requests of the tenant may wait, and a replication slot may keep the source's log",
    );
    let how = "take it over with `Mover::take_over` or `tenantry move --take-over`";
    (!moves.is_empty()).then(|| finding.how(how).tenants(affected))
}

fn affected(tenants: &Steps<'_>, of: usize) -> Option<Affected> {
    let affected = tenants.iter().fold(Affected::new(tenants.len(), of), |affected, tenant| {
        let (record, step) = tenant;
        affected.worst(record.id.as_str(), plain(step))
    });
    (!tenants.is_empty()).then_some(affected)
}

/// Returns which of these locks are held, because a tenant is being created at the moment.
async fn underway(subject: &Subject, locks: Vec<&str>) -> Result<HashSet<String>, Error> {
    let mut lease = lease_for_reading(subject.fleet()).await?;
    let query = sqlx::query(UNDERWAY).bind(locks).bind(LOCK_OF_MAKER).persistent(false);
    let rows = on(&mut lease, async |conn| query.fetch_all(conn).await).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// The lock is the one held while a tenant is [created](crate::provision) in more than one transaction.
const UNDERWAY: &str = "\
    select asked.schema from pg_catalog.unnest($1::pg_catalog.text[]) as asked (schema) \
    where exists (select from pg_catalog.pg_locks l where l.locktype operator(pg_catalog.=) 'advisory' and l.objsubid operator(pg_catalog.=) 1 and l.granted \
    and l.database operator(pg_catalog.=) (select d.oid from pg_catalog.pg_database d where d.datname operator(pg_catalog.=) pg_catalog.current_database()) \
    and ((l.classid::pg_catalog.int8 operator(pg_catalog.<<) 32) operator(pg_catalog.|) l.objid::pg_catalog.int8) operator(pg_catalog.=) pg_catalog.hashtextextended(asked.schema, $2))";
