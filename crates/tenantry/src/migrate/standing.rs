//! Decides whether files are run in a schema: not if it holds tables but no migration records.

use super::{Failure, WithoutRecords, survey::Recorded};

/// How a schema became part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Only by its name, which matches the pattern of the tenants' schemas.
    ByName,
    /// A table lists its tenant, or it was named explicitly.
    Listed,
    /// It holds other tables anyway.
    WithOthers,
}

/// Sets aside the schemas that hold tables but no records, unless files are to be run over these.
///
/// A schema that was found by its name while others have records may not belong to a tenant at all.
pub(super) fn put_aside<T>(
    surveyed: &mut [(T, Result<Recorded, Failure>)],
    found: impl Fn(&T) -> Found,
    without_records: WithoutRecords,
) {
    if without_records == WithoutRecords::Migrate {
        return;
    }
    let have_records = surveyed
        .iter()
        .any(|(_, recorded)| recorded.as_ref().is_ok_and(|recorded| !recorded.applied.is_empty()));
    for (schema, recorded) in surveyed {
        let tables = recorded.as_ref().map_or(0, |recorded| recorded.tables);
        if tables > 0 {
            *recorded = Err(match (found(schema), have_records) {
                (Found::WithOthers, _) => continue,
                (Found::ByName, true) => Failure::doubtful(tables),
                (Found::ByName | Found::Listed, _) => Failure::needs_baseline(tables),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::migrate::{FailureReason, plan::Applied, remembered::Seen, tracking::Presence};

    fn schema(records: i64, tables: usize) -> ((), Result<Recorded, Failure>) {
        let row = |version| Applied { version, success: true, checksum: Vec::new(), begun: None };
        let applied: Arc<[Applied]> = (1..=records).map(row).collect();
        let presence = if records > 0 { Presence::Table } else { Presence::NoTable };
        ((), Ok(Recorded { presence, applied, tables, seen: Seen::default() }))
    }

    fn reasons(
        mut schemas: Vec<((), Result<Recorded, Failure>)>,
        found: Found,
        without: WithoutRecords,
    ) -> Vec<Option<FailureReason>> {
        put_aside(&mut schemas, |()| found, without);
        schemas.into_iter().map(|(_, recorded)| recorded.err().map(|error| error.reason)).collect()
    }

    #[test]
    fn tables_without_records_are_put_aside() {
        let (refuse, migrate) = (WithoutRecords::Refuse, WithoutRecords::Migrate);
        let fleet = || vec![schema(2, 0), schema(0, 138), schema(0, 0)];
        let doubtful = [None, Some(FailureReason::Doubtful), None];
        assert_eq!(reasons(fleet(), Found::ByName, refuse), doubtful);
        let needs_baseline = [None, Some(FailureReason::NeedsBaseline), None];
        assert_eq!(reasons(fleet(), Found::Listed, refuse), needs_baseline);
        assert_eq!(reasons(fleet(), Found::ByName, migrate), [None, None, None]);
        assert_eq!(reasons(fleet(), Found::WithOthers, refuse), [None, None, None]);
        // If no schema has records, the name is sufficient.
        let fresh = vec![schema(0, 3), schema(0, 0)];
        let expected = [Some(FailureReason::NeedsBaseline), None];
        assert_eq!(reasons(fresh, Found::ByName, refuse), expected);
    }
}
