//! The catalog's record of an unfinished creation.

use std::fmt;

use crate::{
    error::{Error, ErrorKind},
    tenant::TenantRecord,
};

/// The start of every step that the library writes; see [`TableCatalog`](crate::TableCatalog).
const PREFIX: &str = "tenantry: ";

/// A step such as `tenantry: seeds "demo data" (0123456789abcdef)`: the remaining work, and who started it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step(String);

impl Step {
    /// Creates the step of a tenant whose seeds still have to run. `own` is `true` if the tenant already contains
    /// data of its sign-up; `token` identifies the creator.
    pub(super) fn seeds<'s>(names: impl Iterator<Item = &'s str>, own: bool, token: u64) -> Self {
        let mut text = format!("{PREFIX}seeds");
        for name in names {
            text.push_str(&format!(" {name:?}"));
        }
        if own {
            text.push_str(" for one sign-up");
        }
        Self(format!("{text} ({token:016x})"))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `true` if another creator can continue from this step instead of its own: the remaining work is the
    /// same, and the tenant contains no data of one particular sign-up.
    pub(super) fn may_go_on_from(&self, found: &str) -> bool {
        let what = |text: &str| text.rsplit_once(" (").map(|(what, _)| what.to_owned());
        what(found) == what(&self.0) && !self.0.contains(" for one sign-up (")
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Refuses to change a tenant whose creation has not completed.
pub(super) fn refuse_unfinished(record: &TenantRecord) -> Result<(), Error> {
    match &record.step {
        None => Ok(()),
        Some(_) => {
            let attempted = "its creation has not completed: create it again, or drop it";
            Err(Error::new(ErrorKind::Busy, attempted).with_tenant(&record.id))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_seeds_go_on() {
        let of =
            |names: &[&'static str], own, token| Step::seeds(names.iter().copied(), own, token);
        let found = of(&["demo data", "plans"], false, 1);
        assert_eq!(found.as_str(), r#"tenantry: seeds "demo data" "plans" (0000000000000001)"#);
        assert!(of(&["demo data", "plans"], false, 2).may_go_on_from(found.as_str()));
        assert!(!of(&["demo data"], false, 2).may_go_on_from(found.as_str()));
        assert!(!of(&["demo data", "plans"], true, 2).may_go_on_from(found.as_str()));
        let own = of(&["plans"], true, 1);
        assert!(!of(&["plans"], true, 2).may_go_on_from(own.as_str()));
        assert!(!of(&["plans"], false, 2).may_go_on_from("something else"));
    }
}
