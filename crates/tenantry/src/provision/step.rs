//! The catalog's record of an unfinished creation or drop.

use std::fmt;

use super::mark::Mark;
use crate::{
    error::{Error, ErrorKind},
    tenant::{DROPPING, MAKING, TenantRecord, UNDOING},
};

/// The start of every step that the library writes; see [`TableCatalog`](crate::TableCatalog).
const PREFIX: &str = "tenantry: ";

/// What follows in it before the OID of the container.
const OID: &str = "oid ";

/// A step such as `tenantry: seeds "demo data" (0123456789abcdef)`: the remaining work, and who started it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step(String);

impl Step {
    /// Creates the step of a tenant whose seeds still have to run. `own` is `true` if the tenant already contains
    /// data of its sign-up; `token` identifies the creator.
    pub(super) fn seeds<'s>(names: impl Iterator<Item = &'s str>, own: bool, token: u64) -> Self {
        Self::seeds_after(PREFIX, names, own, token)
    }

    /// Creates the step of a tenant whose container is elsewhere and is being made.
    pub(super) fn making<'s>(
        mark: Mark,
        names: impl Iterator<Item = &'s str>,
        own: bool,
        token: u64,
    ) -> Self {
        Self::seeds_after(&format!("{MAKING}{} ", mark.digits()), names, own, token)
    }

    /// Creates the step of a tenant whose creation elsewhere has failed.
    pub(super) fn undoing(mark: Mark, token: u64) -> Self {
        Self(format!("{UNDOING}{} ({token:016x})", mark.digits()))
    }

    /// Creates the step of a tenant elsewhere that is being dropped. The OID is that of its database or schema, if it
    /// has one.
    pub(super) fn dropping(oid: Option<u32>, token: u64) -> Self {
        let what = oid.map_or_else(|| "rows".to_owned(), |oid| format!("{OID}{oid}"));
        Self(format!("{DROPPING}{what} ({token:016x})"))
    }

    fn seeds_after<'s>(
        start: &str,
        names: impl Iterator<Item = &'s str>,
        own: bool,
        token: u64,
    ) -> Self {
        let mut text = format!("{start}seeds");
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
        self.is_like(found) && !self.0.contains(" for one sign-up (")
    }

    /// Returns `true` if the remaining work is the same as that of another step.
    pub(super) fn is_like(&self, found: &str) -> bool {
        let what = |text: &str| text.rsplit_once(" (").map(|(what, _)| what.to_owned());
        what(found) == what(&self.0)
    }
}

/// What a recorded step says about a tenant elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elsewhere {
    Making(Mark),
    Undoing(Mark),
    /// With the OID of its database or schema, if it has one.
    Dropping(Option<u32>),
}

impl Elsewhere {
    /// Reads a step. `None` if it is that of a tenant in the manager's database.
    pub(super) fn read(step: &str) -> Option<Self> {
        let after = |start| step.strip_prefix(start);
        if let Some(rest) = after(MAKING) {
            return Mark::at_start_of(rest).map(Self::Making);
        }
        if let Some(rest) = after(UNDOING) {
            return Mark::at_start_of(rest).map(Self::Undoing);
        }
        let what = after(DROPPING)?.split_once(" (")?.0;
        Some(Self::Dropping(what.strip_prefix(OID).and_then(|oid| oid.parse().ok())))
    }

    /// Reads the step of a record.
    pub(super) fn of(record: &TenantRecord) -> Option<Self> {
        record.step.as_deref().and_then(Self::read)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Refuses to change a tenant whose creation or drop has not completed.
pub(crate) fn refuse_unfinished(record: &TenantRecord) -> Result<(), Error> {
    let attempted = match (&record.step, Elsewhere::of(record)) {
        (None, _) => return Ok(()),
        (Some(_), Some(Elsewhere::Dropping(_))) => "its drop has not completed: drop it again",
        (Some(_), _) => "its creation has not completed: create it again, or drop it",
    };
    Err(Error::new(ErrorKind::Busy, attempted).with_tenant(&record.id))
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

    #[test]
    fn steps_elsewhere_are_read_as_they_are_written() {
        let mark = Mark::at_start_of("0123456789abcdef").expect("it is a mark");
        let making = Step::making(mark, ["plans"].into_iter(), false, 1);
        assert_eq!(
            making.as_str(),
            r#"tenantry: making 0123456789abcdef seeds "plans" (0000000000000001)"#
        );
        let read = |step: &Step| Elsewhere::read(step.as_str());
        assert_eq!(read(&making), Some(Elsewhere::Making(mark)));
        assert_eq!(read(&Step::undoing(mark, 1)), Some(Elsewhere::Undoing(mark)));
        for oid in [Some(4_294_967_295), None] {
            assert_eq!(read(&Step::dropping(oid, 1)), Some(Elsewhere::Dropping(oid)));
        }
        assert_eq!(read(&Step::seeds(["plans"].into_iter(), false, 1)), None);
        assert_eq!(Elsewhere::read("tenantry: making a cake (1)"), None);
    }
}
