//! Findings about sequences that run out of numbers.

use std::collections::BTreeMap;

use super::{
    kinds::{KINDS, Kind, WORST, Worst},
    tenants::Tenants,
    told::Told,
};
use crate::{doctor::Finding, plain::plain};

/// The percentage of used numbers from which a sequence is an error.
const TOO_FULL: f64 = 90.0;

/// A sequence that is fuller than it should be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Full {
    pub(super) place: usize,
    pub(super) name: String,
    /// The table and the column that it numbers, if any.
    pub(super) of: Option<(String, String)>,
    /// The type of the column, if that is what runs out.
    pub(super) column_type: Option<String>,
    pub(super) percent: f64,
    pub(super) last: i64,
}

/// Groups equal ones of several tenants, the fullest first.
pub(super) fn tell(mut full: Vec<Full>, tenants: &Tenants) -> Told {
    full.sort_by(|a, b| b.percent.total_cmp(&a.percent).then(a.place.cmp(&b.place)));
    let mut kinds = BTreeMap::<_, (f64, Kind)>::new();
    for one in full {
        let key = (one.name.clone(), one.of.clone(), one.column_type.clone());
        let what = || {
            let (table, column) = one.of.clone().unwrap_or_default();
            vec![one.name.clone(), table, column, one.column_type.clone().unwrap_or_default()]
        };
        let detail = vec![format!("{:.0} %", one.percent.floor()), one.last.to_string()];
        let (_, kind) = kinds.entry(key).or_insert_with(|| {
            (one.percent, Kind { what: what(), affected: 0, worst: Vec::new() })
        });
        kind.affected += 1;
        if kind.worst.len() < WORST {
            kind.worst.push(Worst { place: one.place, times: 1, detail });
        }
    }
    let mut kinds: Vec<_> = kinds.into_values().collect();
    kinds.sort_by(|a, b| b.0.total_cmp(&a.0));
    let left_out = kinds.len().saturating_sub(KINDS);
    kinds.truncate(KINDS);
    let findings = kinds.iter().map(|(worst, kind)| tell_one(*worst, kind, tenants)).collect();
    Told { findings, left_out }
}

fn tell_one(worst: f64, kind: &Kind, tenants: &Tenants) -> Finding {
    let [name, table, column, of_type] = [0, 1, 2, 3].map(|at| plain(kind.part(at)));
    let of = if table.is_empty() { String::new() } else { format!(" of {table}.{column}") };
    let what = format!("sequence {name}{of} has drawn {:.0} % of its numbers", worst.floor());
    let (why, how) = advice(&of_type);
    let finding =
        if worst >= TOO_FULL { Finding::error(what, why) } else { Finding::warning(what, why) };
    // A column needs more than its sequence does.
    let statements = match (table.as_str(), of_type.as_str()) {
        ("", "") => kind.sql(tenants, |sql, schema, _| {
            sql.words("alter sequence ").of(schema, kind.part(0)).words(" as bigint no maxvalue");
        }),
        _ => Vec::new(),
    };
    let finding = statements.into_iter().fold(finding, Finding::sql);
    finding.how(how).tenants(kind.affected(tenants, |worst| {
        format!("{name}: {} (last value {})", worst.part(0), worst.part(1))
    }))
}

/// Why a full sequence matters, and what to do. The type is that of its column, if the column runs out first.
fn advice(of_type: &str) -> (String, &'static str) {
    match of_type {
        "" => (
            "after the last number nextval fails, and so do inserts".to_owned(),
            "raise its maximum, unless it is meant to end there",
        ),
        of_type => (
            format!("inserts fail when the next number does not fit into {of_type}"),
            "make the column bigint with a migration, and the sequence with alter sequence … as bigint; a large table \
             is rewritten under a lock unless a second column takes over",
        ),
    }
}
