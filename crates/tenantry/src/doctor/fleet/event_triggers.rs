//! Event triggers that fire when migrations change tables.

use futures_util::FutureExt;
use sqlx::Row;

use super::{
    everywhere::{Besides, Local, everywhere},
    told::{Told, merged},
};
use crate::{
    doctor::{BuiltIn, Examined, Finding, Subject, text::counted},
    error::Error,
    plain::plain,
    reading::{lease_for_reading, on},
};

/// The check of event triggers.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "eventTriggers",
    title: "Event triggers",
    reads: "the event triggers",
    look: |on| look(on).boxed(),
};

async fn look(subject: &Subject) -> Result<Examined, Error> {
    let read = |local| read(local).boxed();
    let mut all = match everywhere(subject, Besides::Managers, read).await? {
        Ok(all) => all,
        Err(examined) => return Ok(examined),
    };
    let some: usize = all.found.iter().map(|(_, told)| told.findings.len()).sum();
    let examined = match some {
        0 => Examined::ok("none"),
        some => Examined::ok(counted(some, "event trigger", "event triggers")),
    };
    let told = merged(std::mem::take(&mut all.found), all.examined);
    Ok(all.unseen(examined.findings(told.findings)))
}

async fn read(local: Local<'_>) -> Result<Told, Error> {
    let mut lease = lease_for_reading(&local.fleet).await?;
    let query = sqlx::query(FIND).persistent(false);
    let rows = on(&mut lease, async |conn| query.fetch_all(conn).await).await?;
    let mut told = Told::default();
    for row in &rows {
        let text = |at| row.try_get::<String, _>(at).map(|text| plain(&text));
        let (name, event, function) = (text(0)?, text(1)?, text(2)?);
        told.findings.push(
            Finding::info(
                format!("event trigger {name} calls {function} at {event}"),
                "it runs for DDL in the whole database, including every migration of every tenant: it slows them \
                 down, and they fail when it fails",
            ),
        );
    }
    Ok(told)
}

/// Event triggers that are enabled and do not belong to an extension.
const FIND: &str = "\
    select e.evtname::pg_catalog.text, e.evtevent::pg_catalog.text, pg_catalog.concat(n.nspname, '.', p.proname) \
    from pg_catalog.pg_event_trigger e join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) e.evtfoid join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) p.pronamespace \
    where e.evtenabled operator(pg_catalog.<>) 'D'::pg_catalog.\"char\" \
    and not exists (select from pg_catalog.pg_depend d where d.classid operator(pg_catalog.=) 'pg_catalog.pg_event_trigger'::pg_catalog.regclass and d.objid operator(pg_catalog.=) e.oid and d.deptype operator(pg_catalog.=) 'e'::pg_catalog.\"char\") \
    order by 1";
