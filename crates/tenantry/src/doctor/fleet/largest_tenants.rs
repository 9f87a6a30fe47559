//! Tenants that are much larger than most.

use futures_util::FutureExt;
use sqlx::Row;

use super::everywhere::{Besides, Local, everywhere};
use crate::{
    doctor::{Affected, BuiltIn, Examined, Finding, Subject, text::grouped},
    error::Error,
    finding::FindingPlace,
    reading::{lease_for_reading, on},
    sql::Sql,
};

/// The check of sizes.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "largestTenants",
    title: "Largest tenants",
    reads: "the sizes of tables",
    look: |on| look(on).boxed(),
};

/// The factor over the median from which a tenant is reported.
const TIMES: u64 = 10;

/// The minimum relations and bytes of a large tenant, regardless of the others.
const FEW_RELATIONS: u64 = 1_000;
const FEW_BYTES: u64 = 100 << 20;

/// A tenant with its relations and bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Size {
    tenant: String,
    /// Where it lives, if several databases are examined.
    place: Option<FindingPlace>,
    relations: u64,
    bytes: u64,
}

async fn look(subject: &Subject) -> Result<Examined, Error> {
    let read = |local| read(local).boxed();
    let mut all = match everywhere(subject, Besides::Nothing, read).await? {
        Ok(all) => all,
        Err(examined) => return Ok(examined),
    };
    let sizes = all.each().into_iter().flat_map(|(place, sizes)| {
        sizes.into_iter().map(move |size| Size { place: place.clone(), ..size })
    });
    Ok(all.unseen(judge(sizes.collect(), all.examined)))
}

async fn read(local: Local<'_>) -> Result<Vec<Size>, Error> {
    let tenants = &local.tenants;
    let mut lease = lease_for_reading(&local.fleet).await?;
    let mut sql = Sql::default();
    tenants.begin(&mut sql);
    sql.text(SIZES);
    let query = tenants.bind(sqlx::query(sql.finish())).persistent(false);
    let rows = on(&mut lease, async |conn| query.fetch_all(conn).await).await?;
    let mut sizes = Vec::with_capacity(rows.len());
    for row in &rows {
        let place = usize::try_from(row.try_get::<i32, _>(0)? - 1).unwrap_or(usize::MAX);
        let [relations, bytes] =
            [row.try_get::<i64, _>(1)?, row.try_get(2)?].map(i64::unsigned_abs);
        if let Some(tenant) = tenants.at(place) {
            sizes.push(Size { tenant: tenant.id.to_string(), place: None, relations, bytes });
        }
    }
    Ok(sizes)
}

fn judge(mut sizes: Vec<Size>, of: usize) -> Examined {
    let (relations, bytes) =
        (median(&sizes, |size| size.relations), median(&sizes, |size| size.bytes));
    sizes.sort_by_key(|size| (std::cmp::Reverse(size.bytes), std::cmp::Reverse(size.relations)));
    let examined = Examined::ok(match sizes.first() {
        Some(largest) => format!(
            "median {}, largest {} ({})",
            in_bytes(bytes),
            in_bytes(largest.bytes),
            largest.tenant
        ),
        None => "no schemas".to_owned(),
    });
    let is_large = |size: &&Size| {
        let many = size.relations >= FEW_RELATIONS.max(relations.saturating_mul(TIMES));
        many || size.bytes >= FEW_BYTES.max(bytes.saturating_mul(TIMES))
    };
    let large: Vec<_> = sizes.iter().filter(is_large).collect();
    if large.is_empty() || sizes.len() < 3 {
        return examined;
    }
    let medians = format!("{} and {} relations", in_bytes(bytes), grouped(relations));
    examined.finding(outliers(&large, of, &medians))
}

fn median(sizes: &[Size], value: fn(&Size) -> u64) -> u64 {
    let mut values: Vec<_> = sizes.iter().map(value).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn outliers(large: &[&Size], of: usize, medians: &str) -> Finding {
    let affected = large.iter().fold(Affected::new(large.len(), of), |affected, size| {
        let detail = format!("{}, {} relations", in_bytes(size.bytes), grouped(size.relations));
        affected.worst_in(&size.tenant, detail, size.place.as_ref())
    });
    let what =
        format!("tenants are at least {TIMES} times as large as the median, which is {medians}");
    let why = "they dominate the duration of migrations, vacuuming and dumps, and the server's cache; sizes are those \
               of the last vacuum or analyze";
    Finding::info(what, why)
        .how("consider dedicated connections, a connection limit per tenant, or a separate database for them")
        .tenants(affected)
}

fn in_bytes(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} kB", bytes >> 10),
        1_048_576..10_737_418_240 => format!("{} MB", grouped(bytes >> 20)),
        _ => format!("{} GB", grouped(bytes >> 30)),
    }
}

/// Relations and bytes by tenant; TOAST data counts as its table's.
const SIZES: &str = "\
    select n.place, pg_catalog.count(*), (coalesce(pg_catalog.sum(c.relpages::pg_catalog.int8 operator(pg_catalog.+) coalesce(t.relpages, 0)::pg_catalog.int8), 0) \
    operator(pg_catalog.*) pg_catalog.current_setting('block_size')::pg_catalog.numeric)::pg_catalog.int8 \
    from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid left join pg_catalog.pg_class t on t.oid operator(pg_catalog.=) c.reltoastrelid \
    where c.relkind operator(pg_catalog.=) any (array['r', 'p', 'i', 'I', 'S', 'm', 'f', 'v']::pg_catalog.\"char\"[]) \
    group by n.place";

#[cfg(test)]
mod tests {
    use super::*;

    fn size(tenant: &str, relations: u64, megabytes: u64) -> Size {
        Size { tenant: tenant.to_owned(), place: None, relations, bytes: megabytes << 20 }
    }

    #[test]
    fn only_what_stands_out_is_told() {
        let examined = judge(
            vec![size("a", 40, 1), size("b", 40, 2), size("c", 40, 900), size("d", 4_000, 1)],
            4,
        );
        let tenants = examined.findings[0].tenants.as_ref().unwrap();
        let named: Vec<_> = tenants.worst.iter().map(|worst| worst.tenant_id.as_str()).collect();
        assert_eq!(named, ["c", "d"]);
        assert_eq!(examined.message(), "median 2 MB, largest 900 MB (c)");
        for fine in [
            vec![size("a", 40, 1), size("b", 40, 1), size("c", 390, 99)],
            vec![size("a", 40, 1), size("b", 40, 900)],
            Vec::new(),
        ] {
            assert_eq!(judge(fine, 3).findings, []);
        }
    }
}
