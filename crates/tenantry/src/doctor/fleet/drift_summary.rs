//! The number of different schema structures among tenants.

use std::collections::HashMap;

use futures_util::FutureExt;
use sqlx::Row;

use super::everywhere::{Besides, Local, everywhere};
use crate::{
    doctor::{
        Affected, BuiltIn, Examined, Finding, Subject,
        text::{counted, grouped},
    },
    error::Error,
    finding::FindingPlace,
    reading::{lease_for_reading, on},
    sql::Sql,
    tenant::TenantId,
};

/// The check of shapes.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "driftSummary",
    title: "Shapes of schemas",
    reads: "the shapes of schemas",
    look: |on| look(on).boxed(),
};

async fn look(subject: &Subject) -> Result<Examined, Error> {
    let read = |local| read(local).boxed();
    let mut all = match everywhere(subject, Besides::Nothing, read).await? {
        Ok(all) => all,
        Err(examined) => return Ok(examined),
    };
    let (mut shapes, mut tenants) = (HashMap::<String, Vec<usize>>::new(), Vec::new());
    for (place, found) in all.each() {
        for (shape, tenant) in found {
            shapes.entry(shape).or_default().push(tenants.len());
            tenants.push((tenant, place.clone()));
        }
    }
    Ok(all.unseen(judge(shapes, &tenants, all.examined)))
}

/// A tenant, with the place where it lives if several databases are examined.
type Placed = (TenantId, Option<FindingPlace>);

/// Returns the shape of each tenant.
async fn read(local: Local<'_>) -> Result<Vec<(String, TenantId)>, Error> {
    let tenants = &local.tenants;
    let mut lease = lease_for_reading(&local.fleet).await?;
    let mut sql = Sql::default();
    tenants.begin(&mut sql);
    sql.text(SHAPES);
    let query = tenants.bind(sqlx::query(sql.finish())).persistent(false);
    let rows = on(&mut lease, async |conn| query.fetch_all(conn).await).await?;
    let mut shapes = Vec::with_capacity(rows.len());
    for row in &rows {
        let place = usize::try_from(row.try_get::<i32, _>(0)? - 1).unwrap_or(usize::MAX);
        if let Some(tenant) = tenants.at(place) {
            shapes.push((row.try_get(1)?, tenant.id.clone()));
        }
    }
    Ok(shapes)
}

const DIFFERENT: &str =
    "the same statement can fail or behave differently in them, and so can the next migration";

const COMPARE: &str =
    "list the differences with tenantry drift, which also compares what this summary omits";

fn judge(shapes: HashMap<String, Vec<usize>>, tenants: &[Placed], of: usize) -> Examined {
    let mut shapes: Vec<_> = shapes.into_values().collect();
    shapes.sort_by_key(|places| (std::cmp::Reverse(places.len()), places[0]));
    match &shapes[..] {
        [] => Examined::ok("no schemas"),
        [all] => Examined::ok(format!("one shape in {}", counted(all.len(), "tenant", "tenants"))),
        [most, next, ..] if most.len() == next.len() => {
            let shapes = grouped(shapes.len());
            let finding = Finding::info(
                "schemas have different shapes, and none of these is the most common",
                DIFFERENT,
            );
            Examined::ok(format!("{shapes} shapes; none is the most common"))
                .finding(finding.how(COMPARE))
        }
        [most, others @ ..] => {
            let message = format!(
                "{} shapes; {} of {} tenants have the most common one",
                grouped(shapes.len()),
                grouped(most.len()),
                grouped(of)
            );
            Examined::ok(message).finding(differing(others, tenants, of))
        }
    }
}

/// Reports the tenants without the most common shape, by shape.
fn differing(shapes: &[Vec<usize>], tenants: &[Placed], of: usize) -> Finding {
    let affected = Affected::new(shapes.iter().map(Vec::len).sum(), of);
    let affected = shapes.iter().fold(affected, |affected, places| {
        let detail = match places.len() {
            1 => "like no other".to_owned(),
            alike => format!("like {}", counted(alike - 1, "other", "others")),
        };
        let tenants = places.iter().filter_map(|place| tenants.get(*place));
        tenants.fold(affected, |affected, (id, place)| {
            affected.worst_in(id.as_str(), &detail, place.as_ref())
        })
    });
    Finding::info("schemas differ from the most common shape", DIFFERENT)
        .how(COMPARE)
        .tenants(affected)
}

/// A number for each schema, which is equal for schemas with the same tables, columns, constraints, indexes,
/// triggers, policies, functions and enums. It is a sum, so that nothing has to be sorted; a collision of different
/// schemas is practically impossible, and drift would still report it. It has no OID in it, so that schemas of several
/// databases compare.
const SHAPES: &str = "\
    , c as materialized (select n.place, n.oid as home, n.name as schema, c.oid, c.relname, c.relkind, c.relpersistence \
    from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
    where c.relname operator(pg_catalog.<>) all (array['_sqlx_migrations', '_tenantry_seeds', 'tenantry_retired', 'tenantry_migrated', 'tenantry_budget', 'tenantry_moves', 'tenantry_movers', 'tenantry_markers']::pg_catalog.name[])), \
    l as ( \
    select c.place, pg_catalog.concat_ws('|', 'column', c.relkind, c.relpersistence, c.relname, a.attname, y.typname, \
    case when y.typnamespace operator(pg_catalog.=) c.home then '' else (select w.nspname::pg_catalog.text from pg_catalog.pg_namespace w where w.oid operator(pg_catalog.=) y.typnamespace) end, a.atttypmod, a.attnotnull, a.atthasdef, a.attidentity, a.attgenerated) as line \
    from c join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped \
    join pg_catalog.pg_type y on y.oid operator(pg_catalog.=) a.atttypid where c.relkind operator(pg_catalog.=) any (array['r', 'p', 'v', 'm', 'f', 'c']::pg_catalog.\"char\"[]) \
    union all select c.place, pg_catalog.concat_ws('|', 'relation', c.relkind, c.relname) from c \
    where c.relkind operator(pg_catalog.<>) all (array['i', 'I']::pg_catalog.\"char\"[]) \
    union all select c.place, pg_catalog.concat_ws('|', 'index', c.relname, x.relname, i.indisunique, i.indisprimary, i.indnatts, i.indnkeyatts, i.indisvalid, i.indpred is null, i.indexprs is null) \
    from c join pg_catalog.pg_index i on i.indrelid operator(pg_catalog.=) c.oid join pg_catalog.pg_class x on x.oid operator(pg_catalog.=) i.indexrelid \
    union all select c.place, pg_catalog.concat_ws('|', 'constraint', c.relname, o.conname, o.contype, o.convalidated, o.confupdtype, o.confdeltype) \
    from c join pg_catalog.pg_constraint o on o.conrelid operator(pg_catalog.=) c.oid \
    union all select c.place, pg_catalog.concat_ws('|', 'trigger', c.relname, g.tgname, g.tgtype, g.tgenabled) \
    from c join pg_catalog.pg_trigger g on g.tgrelid operator(pg_catalog.=) c.oid and not g.tgisinternal \
    union all select c.place, pg_catalog.concat_ws('|', 'policy', c.relname, y.polname, y.polcmd, y.polpermissive) \
    from c join pg_catalog.pg_policy y on y.polrelid operator(pg_catalog.=) c.oid \
    union all select n.place, pg_catalog.concat_ws('|', 'function', p.proname, p.pronargs, p.prokind, p.prosecdef, p.provolatile, pg_catalog.replace(p.prosrc, n.name::pg_catalog.text, '')) \
    from n join pg_catalog.pg_proc p on p.pronamespace operator(pg_catalog.=) n.oid \
    union all select n.place, pg_catalog.concat_ws('|', 'enum', y.typname, e.enumlabel) \
    from n join pg_catalog.pg_type y on y.typnamespace operator(pg_catalog.=) n.oid join pg_catalog.pg_enum e on e.enumtypid operator(pg_catalog.=) y.oid) \
    select n.place, coalesce(pg_catalog.sum(pg_catalog.hashtextextended(l.line, 0)::pg_catalog.numeric), 0)::pg_catalog.text \
    from n left join l on l.place operator(pg_catalog.=) n.place group by n.place";
