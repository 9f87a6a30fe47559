//! What a check has found, and how it is combined: the same problem in many databases becomes one finding.

use crate::{
    doctor::{Examined, text::grouped},
    finding::{Finding, FindingPlace},
    tenant::{Home, Ident},
};

/// The maximum number of findings about several databases.
const LISTED: usize = 60;

/// Findings, and their total number.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) findings: Vec<Finding>,
    pub(super) left_out: usize,
}

impl Told {
    /// Adds the results of other queries.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.findings.extend(other.findings);
        self.left_out += other.left_out;
        self
    }

    /// Combines the findings. `fine` is the text if there are none.
    pub(super) fn examined(self, fine: impl FnOnce() -> String) -> Examined {
        let message = match (&self.findings[..], self.left_out) {
            ([], _) => fine(),
            ([one], 0) => one.to_string(),
            ([first, ..], 0) => format!("{} findings, such as {first}", self.findings.len()),
            ([first, ..], more) => format!(
                "{} findings, {} of them listed, such as {first}",
                grouped(self.findings.len() + more),
                self.findings.len()
            ),
        };
        Examined::ok(message).findings(self.findings)
    }
}

/// Combines findings about this many tenants. In the manager's database alone, they are unchanged.
pub(super) fn merged(found: Vec<(Home, Told)>, tenants: usize) -> Told {
    if let [(home, _)] = &found[..]
        && home.is_managers()
    {
        return found.into_iter().map(|(_, told)| told).next().unwrap_or_default();
    }
    let mut all = Told::default();
    for (home, told) in found {
        let place = place_of(&home);
        all.left_out += told.left_out;
        for finding in told.findings {
            let finding = finding.in_place(&place);
            match all.findings.iter().position(|known| known.is_same_as(&finding)) {
                Some(at) => {
                    let known = all.findings.remove(at);
                    all.findings.insert(at, known.and(finding));
                }
                None if all.findings.len() < LISTED => all.findings.push(finding),
                None => all.left_out += 1,
            }
        }
    }
    all.findings.iter_mut().for_each(|finding| examined(finding, tenants));
    all
}

/// Counts affected tenants among all that were examined.
fn examined(finding: &mut Finding, tenants: usize) {
    if let Some(affected) = &mut finding.tenants {
        affected.of = tenants;
    }
}

/// Returns a database as findings name it.
pub(super) fn place_of(home: &Home) -> FindingPlace {
    FindingPlace::new(home.server(), home.database().map(Ident::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Affected;

    fn home(name: &str) -> Home {
        Home::named("eu", Some(Ident::parse(name).expect("an identifier")))
    }

    fn told(tenant: &str, what: &str) -> Told {
        let affected = Affected::new(1, 1).worst(tenant, "late");
        let finding = Finding::warning(what, "it hurts").sql(format!("cure {tenant}"));
        Told { findings: vec![finding.tenants(affected)], left_out: 0 }
    }

    #[test]
    fn the_same_in_several_databases_is_one_finding() {
        let found = vec![
            (Home::MANAGERS, told("a", "no index")),
            (home("db_b"), told("b", "no index")),
            (home("db_c"), told("c", "no key")),
        ];
        let all = merged(found, 5);
        assert_eq!(all.findings.len(), 2);
        assert_eq!(all.findings[0].to_string(), "2 of 5 tenants: no index");
        assert_eq!(all.findings[0].sql, ["cure a", "cure b"]);
        let places: Vec<_> = all.findings[0].sql_in.iter().map(ToString::to_string).collect();
        assert_eq!(places, ["server main", "database db_b of server eu"]);
        let worst = &all.findings[1].tenants.as_ref().expect("they are named").worst[0];
        assert_eq!(
            (worst.server.as_deref(), worst.database.as_deref()),
            (Some("eu"), Some("db_c"))
        );
    }

    #[test]
    fn many_different_findings_are_counted() {
        let found = (0..99).map(|n| (home(&format!("db{n}")), told("a", &format!("table {n}"))));
        let all = merged(found.collect(), 99);
        assert_eq!((all.findings.len(), all.left_out), (LISTED, 99 - LISTED));
    }

    #[test]
    fn the_managers_database_alone_is_not_named() {
        let alone = merged(vec![(Home::MANAGERS, told("a", "no index"))], 1);
        assert_eq!(alone.findings[0].sql_in, []);
        let leftover = Told { findings: vec![Finding::info("a leftover", "")], left_out: 0 };
        let there = merged(vec![(home("db_b"), leftover)], 1);
        assert_eq!(there.findings[0].what, "a leftover (database db_b of server eu)");
    }
}
