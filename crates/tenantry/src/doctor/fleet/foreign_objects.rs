//! Objects that refer from one tenant's schema to another's, or from elsewhere to a tenant's.

use std::collections::BTreeMap;

use futures_util::FutureExt;

use super::{
    everywhere::{Besides, Local, everywhere},
    kinds::{Kind, find},
    tenants::Tenants,
    told::{Told, merged},
};
use crate::{
    doctor::{
        Affected, BuiltIn, Examined, Finding, Subject,
        text::{counted, grouped},
    },
    drift::references_of,
    error::Error,
    plain::plain,
    reading::{lease_for_reading, on},
    schema::{CrossReference, ReferenceKind},
};

/// The check of references across schemas.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "foreignObjects",
    title: "References across tenants",
    reads: "the dependencies between schemas",
    look: |on| look(on).boxed(),
};

/// The maximum number of findings that are listed.
const LISTED: usize = 20;

async fn look(subject: &Subject) -> Result<Examined, Error> {
    let read = |local| look_into(local).boxed();
    let mut all = match everywhere(subject, Besides::Nothing, read).await? {
        Ok(all) => all,
        Err(examined) => return Ok(examined),
    };
    let mut refused = 0;
    let found = std::mem::take(&mut all.found).into_iter().map(|(home, (told, some))| {
        refused += some;
        (home, told)
    });
    let told = merged(found.collect(), all.examined);
    let examined = told.examined(|| format!("no reference across schemas in {}", all.in_words()));
    let examined = all.unseen(examined);
    Ok(match refused {
        0 => examined,
        some => examined.unseen(format!(
            "the functions and views of {} that could not be printed",
            counted(some, "tenant", "tenants")
        )),
    })
}

/// Looks into one database, and returns with the findings how many schemas could not be printed.
async fn look_into(local: Local<'_>) -> Result<(Told, usize), Error> {
    let tenants = &local.tenants;
    let shared = local.fleet.shared_site().schema;
    let is_managers = local.fleet.home().is_managers();
    let schemas: Vec<_> = tenants.iter().map(|tenant| tenant.schema.clone()).collect();
    let mut lease = lease_for_reading(&local.fleet).await?;
    let references = references_of(&mut lease, &schemas, is_managers.then_some(&shared)).await?;
    let outside = on(&mut lease, async |conn| find(conn, tenants, OUTSIDE).await).await?;
    drop(lease);

    let mut told = tell(&references.all, tenants);
    // References of the shared schema are already included.
    let others =
        outside.kinds.iter().filter(|kind| !is_managers || kind.part(1) != shared.as_str());
    told.findings.extend(others.map(|kind| tell_outside(kind, tenants)));
    told.left_out += outside.left_out;
    Ok((told, references.refused.len()))
}

/// The tenants that have the same reference, with the target of each.
#[derive(Default)]
struct Same {
    is_of_shared: bool,
    tenants: Vec<(String, String)>,
}

/// Groups references from the same object to the same one.
fn tell(references: &[CrossReference], tenants: &Tenants) -> Told {
    let ids: BTreeMap<&str, &str> =
        tenants.iter().map(|tenant| (tenant.schema.as_str(), tenant.id.as_str())).collect();
    let id = |schema: &str| ids.get(schema).copied();
    let mut kinds = BTreeMap::<(String, ReferenceKind, &str), Same>::new();
    for reference in references {
        let key = (reference.object.to_string(), reference.via, reference.to.as_str());
        let (from, to) = (id(&reference.from_schema), id(&reference.to_schema));
        let same = kinds.entry(key).or_default();
        same.is_of_shared |= from.is_none();
        // A reference of the shared schema is reported for the tenants that it refers to.
        let of = from.or(to).unwrap_or_default();
        same.tenants.push((of.to_owned(), plain(&reference.to_string())));
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, same)| std::cmp::Reverse(same.tenants.len()));
    let left_out = kinds.len().saturating_sub(LISTED);
    let findings = kinds.into_iter().take(LISTED);
    let findings = findings.map(|((object, via, to), same)| {
        tell_one(&plain(&object), via, &plain(to), &same, tenants)
    });
    Told { findings: findings.collect(), left_out }
}

fn tell_one(object: &str, via: ReferenceKind, to: &str, same: &Same, tenants: &Tenants) -> Finding {
    let of = if same.is_of_shared { " of the shared schema" } else { "" };
    let whose = if same.is_of_shared { "tenants" } else { "another tenant" };
    let to =
        if to.is_empty() { format!("the schema of {whose}") } else { format!("{to} of {whose}") };
    let what = format!("{object}{of} {} {to}", via.words());
    let mut ids: Vec<_> = same.tenants.iter().map(|(id, _)| id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let affected = Affected::new(ids.len(), tenants.len());
    let affected =
        same.tenants.iter().fold(affected, |affected, (id, text)| affected.worst(id, text));
    let finding = match (same.is_of_shared, via) {
        (true, _) => Finding::warning(
            what,
            "every role that may use the shared object sees the tenants' data, and none of these tenants can be \
             dropped without it",
        )
        .how("drop it, or keep it where no role of a tenant may use it"),
        (false, ReferenceKind::Literal) => Finding::warning(
            what,
            "a statement that uses the string reaches the other tenant",
        )
        .how("name the object without its schema, with a migration"),
        (false, _) => Finding::error(
            what,
            "statements of one tenant read or change rows of the other, or wait for its locks, and the other cannot be dropped, \
             moved or restored by itself",
        )
        .how("change it to the tenant's own object with a migration, and look for rows that belong to the other \
              tenant"),
    };
    finding.tenants(affected)
}

fn tell_outside(kind: &Kind, tenants: &Tenants) -> Finding {
    let [verb, schema, name] = [0, 1, 2].map(|at| plain(kind.part(at)));
    let what = match verb.as_str() {
        "references" => format!("a foreign key of {schema}.{name} references tables of tenants"),
        _ => format!("{schema}.{name} reads tables of tenants"),
    };
    let finding = Finding::warning(
        what,
        "every role that may use it sees the tenants' data, and none of these tenants can be dropped without it",
    )
    .how("drop it, or keep it where no role of a tenant may use it");
    finding.tenants(kind.affected(tenants, |worst| match worst.times {
        1 => plain(worst.part(0)),
        times => format!("{} and {} more", plain(worst.part(0)), grouped(times - 1)),
    }))
}

/// Views and foreign keys in schemas that do not belong to a tenant.
const OUTSIDE: &str = "\
    link as (select 'reads' as verb, r.ev_class as rel, p.refobjid as of \
    from pg_catalog.pg_rewrite r join pg_catalog.pg_depend p on p.classid operator(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass and p.objid operator(pg_catalog.=) r.oid \
    and p.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass and p.refobjid operator(pg_catalog.<>) r.ev_class \
    union select 'references', i.conrelid, i.confrelid from pg_catalog.pg_constraint i where i.contype operator(pg_catalog.=) 'f'::pg_catalog.\"char\"), \
    f as (select n.place, array[link.verb, s.nspname::pg_catalog.text, c.relname::pg_catalog.text] as what, array[t.relname::pg_catalog.text] as detail, 0::pg_catalog.float8 as weight \
    from link join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) link.rel join pg_catalog.pg_namespace s on s.oid operator(pg_catalog.=) c.relnamespace \
    join pg_catalog.pg_class t on t.oid operator(pg_catalog.=) link.of join n on n.oid operator(pg_catalog.=) t.relnamespace \
    where not exists (select from n as o where o.oid operator(pg_catalog.=) s.oid) and not pg_catalog.starts_with(s.nspname::pg_catalog.text, 'pg_') \
    group by n.place, link.verb, s.nspname, c.relname, t.relname)";
