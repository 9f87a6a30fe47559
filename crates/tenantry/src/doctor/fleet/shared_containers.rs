//! Tenants that share a container, or whose container is easily confused with another's.

use std::collections::BTreeMap;

use futures_util::FutureExt;

use super::told::Told;
use crate::{
    doctor::{Affected, BuiltIn, Examined, Finding, Subject, error_in_words, text::counted},
    error::Error,
    plain::{listed, plain},
    tenant::TenantId,
};

/// The check of containers.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "sharedContainers",
    title: "Containers of tenants",
    reads: "the list of tenants",
    look: |on| look(on).boxed(),
};

async fn look(on: &Subject) -> Result<Examined, Error> {
    let records = match on.tenants() {
        Ok(records) => records,
        Err(error) => return Ok(Examined::not_listed("the list of tenants", error)),
    };
    // Row tenants have a key instead, which the catalog keeps unique.
    let with_schemas = records.iter().filter(|record| !on.fleet().is_in_rows(record));
    let placed = with_schemas.map(|record| match on.fleet().site_anywhere(record) {
        Ok(site) if site.home.is_managers() => (&record.id, Ok(site.schema.to_string())),
        Ok(site) => (&record.id, Ok(format!("{} in {}", site.schema, site.home))),
        Err(error) => (&record.id, Err(error_in_words(&error))),
    });
    let placed: Vec<_> = placed.collect();
    let fine = format!("a schema for each of {}", counted(records.len(), "tenant", "tenants"));
    let told = Told { findings: judge(&placed), left_out: 0 };
    Ok(if told.findings.is_empty() { Examined::ok(fine) } else { told.examined(String::new) })
}

/// Judges by ids and containers, or the reason why a tenant has none.
fn judge(placed: &[(&TenantId, Result<String, String>)]) -> Vec<Finding> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for (id, container) in placed {
        match container {
            Ok(container) => with.push((id.as_str(), container.as_str())),
            Err(why) => without.push((id.as_str(), plain(why))),
        }
    }
    let without = found(&without, placed.len(), || {
        Finding::error(
            "tenants have no schema that could be theirs",
            "requests for them are refused",
        )
        .how("correct the container in the catalog, or rename the tenant")
    });
    let findings = [sharing(&with, placed.len()), confusable(&with, placed.len()), without];
    findings.into_iter().flatten().collect()
}

/// Reports tenants with the same container.
fn sharing(placed: &[(&str, &str)], of: usize) -> Option<Finding> {
    let mut by_name = BTreeMap::<&str, Vec<&str>>::new();
    for (id, container) in placed {
        by_name.entry(container).or_default().push(id);
    }
    let shared = by_name.iter().filter(|(_, ids)| ids.len() > 1).flat_map(|(name, ids)| {
        ids.iter().map(move |id| {
            let others = ids.iter().filter(|other| *other != id);
            let others: Vec<_> = others.map(|other| (*other).to_owned()).collect();
            (*id, format!("{}, also of {}", plain(name), listed(&others, 3)))
        })
    });
    found(&shared.collect::<Vec<_>>(), of, || {
        Finding::error(
            "tenants share a schema",
            "each reads and changes the other's rows; a process refuses the second of them that it looks up",
        )
        .how("give each a separate container in the catalog, and separate their rows")
    })
}

/// Reports tenants whose containers have the same name except for case.
fn confusable(placed: &[(&str, &str)], of: usize) -> Option<Finding> {
    let mut by_folded = BTreeMap::<String, Vec<(&str, &str)>>::new();
    for (id, container) in placed {
        by_folded.entry(container.to_lowercase()).or_default().push((id, container));
    }
    by_folded.values_mut().for_each(|alike| alike.sort_unstable());
    let alike =
        by_folded.values().filter(|alike| alike.iter().any(|(_, name)| *name != alike[0].1));
    let alike = alike.flat_map(|alike| {
        alike.iter().map(move |(id, name)| {
            let others = alike.iter().filter(|(other, _)| other != id);
            let others: Vec<_> = others.map(|(_, name)| (*name).to_owned()).collect();
            (*id, format!("{}, and {}", plain(name), listed(&others, 3)))
        })
    });
    found(&alike.collect::<Vec<_>>(), of, || {
        Finding::warning(
            "tenants have schemas whose names differ only in case",
            "host names are case-insensitive, and SQL folds unquoted names: a request or a script for one can reach \
             the other",
        )
        .how("rename one of them")
    })
}

fn found(
    tenants: &[(&str, String)],
    of: usize,
    finding: impl FnOnce() -> Finding,
) -> Option<Finding> {
    (!tenants.is_empty()).then(|| {
        let affected = Affected::new(tenants.len(), of);
        finding().tenants(
            tenants.iter().fold(affected, |affected, (id, detail)| affected.worst(*id, detail)),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(placed: &[(&str, Result<&str, &str>)]) -> Vec<Finding> {
        let ids: Vec<_> = placed.iter().map(|(id, _)| TenantId::parse(id).unwrap()).collect();
        let own = placed.iter().map(|(_, at)| at.map(str::to_owned).map_err(str::to_owned));
        judge(&ids.iter().zip(own).collect::<Vec<_>>())
    }

    fn named(finding: &Finding) -> Vec<(&str, &str)> {
        let tenants = finding.tenants.as_ref().unwrap();
        tenants
            .worst
            .iter()
            .map(|worst| (worst.tenant_id.as_str(), worst.detail.as_str()))
            .collect()
    }

    #[test]
    fn those_that_share_are_named_and_the_others_are_not() {
        let found = of(&[
            ("a", Ok("one")),
            ("b", Ok("one")),
            ("c", Ok("two")),
            ("d", Ok("TWO")),
            ("e", Ok("three")),
            ("f", Err("it is\npublic")),
        ]);
        assert_eq!(found.len(), 3);
        assert_eq!(named(&found[0]), [("a", "one, also of b"), ("b", "one, also of a")]);
        assert_eq!(named(&found[1]), [("c", "two, and TWO"), ("d", "TWO, and two")]);
        assert_eq!(named(&found[2]), [("f", "it is\\u{a}public")]);
        assert_eq!(of(&[("a", Ok("one")), ("b", Ok("two"))]), []);
    }
}
