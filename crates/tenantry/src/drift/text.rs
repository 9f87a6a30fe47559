//! The human-readable report. It stays readable even if many tenants have drifted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
};

use super::{DriftCluster, DriftReport, DriftStatus, Hidden, ObjectDiff, RowTables};
use crate::{
    schema::{Beyond, BeyondKind},
    table::Table,
};

/// The number of tenants of a cluster that are named; the others are counted.
const NAMED: usize = 5;

/// Clusters that are shown, the largest ones.
const CLUSTERS: usize = 20;

/// Findings of a cluster that are shown.
const FINDINGS: usize = 20;

/// Lines of one diff that are shown.
const DIFF_LINES: usize = 40;

/// Lines of the diffs of one cluster that are shown.
const CLUSTER_LINES: usize = 80;

/// Lines of all diffs that are shown.
const ALL_LINES: usize = 240;

/// Characters of a line of a diff that are shown.
const WIDTH: usize = 400;

impl Display for DriftReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { reference, total, no_drift, with_drift, error, .. } = self;
        if *total == 0 {
            write!(f, "there are no tenants: nothing was compared")?;
            return write_rows(f, self.rows);
        }
        write!(
            f,
            "{} compared with {reference}: {no_drift} equal, {with_drift} drifted, {error} unreadable",
            counted(*total, "tenant")
        )?;
        let behind = self.details.iter().filter(|tenant| tenant.status == DriftStatus::Behind);
        match behind.count() {
            0 => {}
            behind => write!(f, " ({behind} of the equal ones are behind the latest version)")?,
        }
        write_rows(f, self.rows)?;
        let mut room = ALL_LINES;
        for cluster in self.clusters.iter().take(CLUSTERS) {
            write_cluster(f, cluster, &mut room)?;
        }
        let others = self.clusters.get(CLUSTERS..).unwrap_or_default();
        if !others.is_empty() {
            let tenants: usize = others.iter().map(|cluster| cluster.tenants.len()).sum();
            write!(f, "\n\n{} with other findings", counted(tenants, "tenant"))?;
        }
        write_errors(f, self)?;
        write_misremembered(f, self)?;
        write_references(f, self)?;
        write_beyond(f, self)?;
        write_hidden(f, self)
    }
}

/// Writes what was done with the tables of tenants that are isolated by row.
fn write_rows(f: &mut Formatter<'_>, rows: Option<RowTables>) -> fmt::Result {
    let Some(RowTables { row_tenants, row_tables_compared }) = rows else { return Ok(()) };
    let tenants = counted(row_tenants, "tenant");
    match row_tables_compared {
        true => write!(f, "\n(rows) is the schema of {tenants} isolated by row"),
        false => write!(
            f,
            "\nnot compared: the tables of {tenants} isolated by row, which are in the shared schema"
        ),
    }
}

/// Writes a table of the tenants that could not be read.
fn write_errors(f: &mut Formatter<'_>, report: &DriftReport) -> fmt::Result {
    let mut failed = Table::new(["tenant", "schema", "error"]);
    for tenant in &report.details {
        if let Some(error) = &tenant.error {
            let schema = tenant.schema.as_deref().unwrap_or_default();
            failed.row([tenant.tenant_id.to_string(), schema.to_owned(), error.clone()]);
        }
    }
    if failed.is_empty() { Ok(()) } else { write!(f, "\n\n{failed}") }
}

/// Writes which tenants migration runs have remembered wrongly.
fn write_misremembered(f: &mut Formatter<'_>, report: &DriftReport) -> fmt::Result {
    let mut wrong = report.misremembered();
    for (at, (tenant, of)) in wrong.by_ref().take(FINDINGS).enumerate() {
        write!(f, "{}{}: {of}", if at == 0 { "\n\n" } else { "\n" }, tenant.tenant_id)?;
    }
    match wrong.count() {
        0 => Ok(()),
        more => write!(f, "\nand {} remembered wrongly", counted(more, "more tenant")),
    }
}

/// Writes how many findings the rules have hidden.
fn write_hidden(f: &mut Formatter<'_>, report: &DriftReport) -> fmt::Result {
    if !report.hidden.is_empty() {
        writeln!(f)?;
    }
    for Hidden { rule, differences } in &report.hidden {
        let count = counted(*differences, "finding");
        match rule {
            Some(rule) => write!(f, "\nhidden: {count} ({rule})")?,
            None => write!(f, "\nhidden: {count} not included")?,
        }
    }
    Ok(())
}

fn write_cluster(f: &mut Formatter<'_>, cluster: &DriftCluster, room: &mut usize) -> fmt::Result {
    let DriftCluster { tenants, findings, diffs, diffs_left_out } = cluster;
    let named = tenants.iter().take(NAMED).map(|tenant| &**tenant).collect::<Vec<_>>();
    let others = tenants.len() - named.len();
    write!(f, "\n\n{}: {}", counted(tenants.len(), "tenant"), named.join(", "))?;
    if others > 0 {
        write!(f, " and {others} more")?;
    }
    for finding in findings.iter().take(FINDINGS) {
        write!(f, "\n  {finding}")?;
    }
    if findings.len() > FINDINGS {
        write!(f, "\n  and {}", counted(findings.len() - FINDINGS, "more finding"))?;
    }
    write_diffs(f, diffs, *diffs_left_out, room)
}

fn write_diffs(
    f: &mut Formatter<'_>,
    diffs: &[ObjectDiff],
    mut left_out: usize,
    room: &mut usize,
) -> fmt::Result {
    let most = CLUSTER_LINES.min(*room);
    let mut room_here = most;
    for diff in diffs {
        match room_here {
            0 => left_out += 1,
            _ => write_diff(f, diff, &mut room_here)?,
        }
    }
    *room -= most - room_here;
    match left_out {
        0 => Ok(()),
        _ => write!(f, "\n\n    … {} not shown", counted(left_out, "more diff")),
    }
}

fn write_diff(f: &mut Formatter<'_>, diff: &ObjectDiff, room: &mut usize) -> fmt::Result {
    let most = DIFF_LINES.min(*room);
    let (lines, left_out) = (diff.diff.lines(), diff.lines_left_out);
    let left_out = left_out + lines.clone().count().saturating_sub(most);
    writeln!(f)?;
    for line in lines.take(most) {
        *room -= 1;
        let mut characters = line.chars();
        let start: String = characters.by_ref().take(WIDTH).collect();
        let end = if characters.next().is_some() { "…" } else { "" };
        write!(f, "\n    {start}{end}")?;
    }
    match left_out {
        0 => Ok(()),
        _ => write!(f, "\n    … {} not shown", counted(left_out, "more line")),
    }
}

/// Writes the references to other tenants.
fn write_references(f: &mut Formatter<'_>, report: &DriftReport) -> fmt::Result {
    let count = report.references().count();
    if count == 0 {
        return Ok(());
    }
    write!(f, "\n\n{} across tenants:", counted(count, "reference"))?;
    for reference in report.references().take(FINDINGS) {
        write!(f, "\n  {reference}")?;
    }
    match count.saturating_sub(FINDINGS) {
        0 => Ok(()),
        more => write!(f, "\n  and {more} more"),
    }
}

/// The facts beyond the dump of one kind, with the number of tenants that have some.
#[derive(Default)]
struct OfKind<'a> {
    tenants: usize,
    facts: BTreeSet<&'a Beyond>,
}

/// Writes a line for each kind of fact beyond the dump.
fn write_beyond(f: &mut Formatter<'_>, report: &DriftReport) -> fmt::Result {
    let kinds = beyond_by_kind(report);
    if !kinds.is_empty() {
        write!(f, "\n\noutside the dump, so not counted as drift:")?;
    }
    for (kind, OfKind { tenants, facts }) in kinds {
        let tenants = counted(tenants, "tenant");
        let mut facts = facts.iter();
        match (facts.next(), facts.len()) {
            (Some(first), 0) => write!(f, "\n  {tenants}: {first}")?,
            (first, others) => {
                let first = first.map(|first| first.object.to_string()).unwrap_or_default();
                write!(f, "\n  {tenants}: {kind} ({first} and {others} more)")?;
            }
        }
    }
    Ok(())
}

fn beyond_by_kind(report: &DriftReport) -> BTreeMap<BeyondKind, OfKind<'_>> {
    let mut kinds = BTreeMap::<BeyondKind, OfKind<'_>>::new();
    for tenant in &report.details {
        let mut seen = BTreeSet::new();
        for beyond in tenant.beyond.iter() {
            let kind = kinds.entry(beyond.what).or_default();
            kind.tenants += usize::from(seen.insert(beyond.what));
            kind.facts.insert(beyond);
        }
    }
    kinds
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, SystemTime},
    };

    use super::*;
    use crate::{
        drift::{ReferenceName, TenantDrift, diff::Diffs, report::Findings},
        schema::{Change, CrossReference, Difference, ObjectKey, ObjectKind, ReferenceKind},
    };

    fn tenant(number: usize, findings: Vec<Difference>) -> TenantDrift {
        TenantDrift {
            tenant_id: format!("t{number}").into(),
            schema: None,
            server: None,
            database: None,
            status: if findings.is_empty() { DriftStatus::Same } else { DriftStatus::Drifted },
            findings: findings.into(),
            beyond: Arc::default(),
            references: Arc::default(),
            version: None,
            misremembered: None,
            error: None,
        }
    }

    fn missing(name: &str) -> Difference {
        Difference { object: ObjectKey::new(ObjectKind::Table, name), change: Change::Missing }
    }

    fn diff(name: &str, lines: usize, lines_left_out: usize) -> ObjectDiff {
        let object = ObjectKey::new(ObjectKind::Table, name);
        ObjectDiff { object, diff: vec!["-line"; lines].join("\n"), lines_left_out }
    }

    fn report(details: Vec<TenantDrift>, diffs: Vec<Diffs>) -> DriftReport {
        let found = Findings {
            details,
            diffs,
            shared_references: Arc::default(),
            hidden: Vec::new(),
            rows: None,
        };
        let reference = ReferenceName::Tenant("t0".into());
        DriftReport::new(reference, found, SystemTime::UNIX_EPOCH, Duration::ZERO)
    }

    #[test]
    fn many_findings_in_many_tenants_are_no_wall() {
        let details = (0..1_000).map(|number| {
            tenant(number, (0..300).map(|of| missing(&format!("x{number}_{of}"))).collect())
        });
        let diffs = (0..1_000)
            .map(|_| Diffs { shown: (0..10).map(|_| diff("x", 100, 0)).collect(), left_out: 290 });
        let text = report(details.collect(), diffs.collect()).to_string();
        assert!(text.lines().count() < 900, "{}", text.lines().count());
        assert!(text.contains("\n  and 280 more findings\n"), "{text}");
        assert!(text.contains("\n    … 60 more lines not shown\n"), "{text}");
        assert!(text.contains("\n    … 298 more diffs not shown\n"), "{text}");
        assert!(text.ends_with("\n\n980 tenants with other findings"), "{text}");
    }

    #[test]
    fn what_the_diff_itself_has_left_out_counts() {
        let details = vec![tenant(0, vec![missing("x")])];
        let diffs = Diffs { shown: [diff("x", 41, 5)].into(), left_out: 0 };
        let text = report(details, vec![diffs]).to_string();
        assert!(text.ends_with("\n    -line\n    … 6 more lines not shown"), "{text}");
    }

    #[test]
    fn what_all_tenants_share_is_one_line() {
        let beyond = |name: &str, what| Beyond {
            object: ObjectKey::new(ObjectKind::Index, name),
            what,
            other: None,
        };
        let mut details: Vec<_> = (0..50).map(|number| tenant(number, Vec::new())).collect();
        for tenant in &mut details {
            tenant.beyond = [beyond("i", BeyondKind::InvalidIndex)].into();
        }
        details[3].beyond = ["i", "j", "k"].map(|name| beyond(name, BeyondKind::Published)).into();
        let text = report(details, vec![Diffs::default(); 50]).to_string();
        let expected = "\n\noutside the dump, so not counted as drift:\n  \
                        49 tenants: index i: the index is invalid\n  \
                        1 tenant: it is published (index i and 2 more)";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn a_reference_across_tenants_is_a_sentence_and_not_clean() {
        let mut of = tenant(1, Vec::new());
        of.references = [CrossReference {
            from_schema: "tenant_t1".to_owned(),
            object: ObjectKey::new(ObjectKind::View, "v"),
            to_schema: "tenant_t2".to_owned(),
            to: "orders".to_owned(),
            via: ReferenceKind::View,
        }]
        .into();
        let report = report(vec![of], vec![Diffs::default()]);
        assert!(!report.is_clean() && report.no_drift == 1);
        let expected =
            "\n\n1 reference across tenants:\n  view v of tenant_t1 reads tenant_t2.orders";
        assert!(report.to_string().ends_with(expected), "{report}");
    }
}
