use futures_util::FutureExt;

use super::{Largest, Relations, Settings};
use crate::{
    doctor::{
        Examined, Finding, OnServer, ServerCheck,
        text::{counted, grouped},
    },
    error::Error,
};

/// Whether the lock table is large enough for a transaction that locks everything in one tenant, or in all.
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: "locks",
    title: "Lock table",
    reads: "the relations of tenants",
    look: |on| look(on).boxed(),
};

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let settings = on.settings().await?;
    let slots = slots(settings);
    let message = format!("room for about {} locks", grouped(slots));
    Ok(match on.relations().await? {
        Some(relations) => Examined::ok(message).findings(judge(relations, slots, settings)),
        None => {
            Examined::ok(message).unseen("the relations of tenants: the tenants cannot be listed")
        }
    })
}

/// The number of locks that fit: the [formula](https://www.postgresql.org/docs/current/runtime-config-locks.html) of
/// PostgreSQL's documentation. There is some additional slack that cannot be relied on.
fn slots(settings: &Settings) -> u64 {
    let sessions =
        settings.number("max_connections") + settings.number("max_prepared_transactions");
    settings.number("max_locks_per_transaction").saturating_mul(sessions).unsigned_abs()
}

fn judge(relations: &Relations, slots: u64, settings: &Settings) -> Vec<Finding> {
    let per_transaction = settings.number("max_locks_per_transaction").unsigned_abs().max(1);
    let raise = |locks: u64| {
        // Plus half as much again, for everything else that runs.
        let needed = (locks + locks / 2).div_ceil((slots / per_transaction).max(1));
        format!(
            "raise max_locks_per_transaction to {} (now {per_transaction}; a restart is needed)",
            needed.next_multiple_of(64)
        )
    };
    let largest = relations.largest.as_ref();
    let largest = largest.filter(|largest| largest.relations.saturating_mul(2) > slots);
    let largest = largest.map(|largest| in_one_tenant(largest, slots, raise(largest.relations)));
    let all = (relations.tables > slots)
        .then(|| in_all_tenants(relations.tables, slots, &raise(relations.tables)));
    largest.into_iter().chain(all).collect()
}

fn in_one_tenant(largest: &Largest, slots: u64, raise: String) -> Finding {
    let what = format!(
        "the tenant {} has {}, and the lock table has room for about {}",
        largest.tenant,
        counted_u64(largest.relations, "relation", "relations"),
        grouped(slots)
    );
    let why = "a transaction that locks all of them, such as pg_dump or drop schema … cascade, can fail with \"out of \
               shared memory\", and make other transactions fail";
    Finding::warning(what, why).how(raise)
}

fn in_all_tenants(tables: u64, slots: u64, raise: &str) -> Finding {
    let what = format!(
        "all tenants together have {}, and the lock table has room for about {}",
        counted_u64(tables, "table", "tables"),
        grouped(slots)
    );
    let why = "pg_dump of the whole database locks every table in one transaction, and fails with \"out of shared \
               memory\"";
    Finding::info(what, why)
        .how(format!("dump each tenant separately, or take a physical backup; or {raise}"))
}

fn counted_u64(count: u64, one: &str, many: &str) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), one, many)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn many_relations_need_more_room() {
        let settings =
            Settings::from([("max_locks_per_transaction", "64"), ("max_connections", "100")]);
        let slots = slots(&settings);
        assert_eq!(slots, 6_400);
        let of = |tables, largest| {
            let largest = Largest { tenant: "acme".into(), tables: 1, relations: largest };
            let relations = Relations { tables, largest: Some(largest) };
            judge(&relations, slots, &settings)
        };
        assert_eq!(of(6_400, 3_200), []);
        let found = of(40_000, 4_000);
        assert_eq!(
            found.iter().map(|of| of.severity).collect::<Vec<_>>(),
            [Severity::Warning, Severity::Info]
        );
        assert!(found[0].how.contains("to 64 (now 64"), "{}", found[0].how);
        assert!(found[1].how.contains("to 640 (now 64"), "{}", found[1].how);
    }
}
