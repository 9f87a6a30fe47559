//! The table of keys that were given up.

use super::{Case, RowsFinding, RowsRule};
use crate::{
    finding::Finding,
    pool::{CURE_OF_RETIRED_KEYS, RETIRED_KEYS, RetiredTable},
};

/// Reports a table that another role has made, or changed.
pub(super) fn judge(case: Case<'_>) -> Option<RowsFinding> {
    let RetiredTable::Foreign(why) = case.retired_keys else { return None };
    let finding = Finding::error(
        format!("table {RETIRED_KEYS} is not the library's own: {why}"),
        "its records tell sessions that a key belongs to another tenant now: while it is there, tenants are neither \
         created nor dropped, and not served if it cannot have such records",
    );
    Some(RowsFinding::new(RowsRule::RetiredKeys, RETIRED_KEYS, finding.how(CURE_OF_RETIRED_KEYS)))
}
