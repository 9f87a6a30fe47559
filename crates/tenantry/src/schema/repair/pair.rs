//! An object that both schemas have.

use super::{
    super::{Attribute, Object, ObjectKey},
    plan::Plan,
};

/// An object as it is and as it has to be.
pub(super) struct Pair<'p, 'a> {
    pub(super) plan: &'p Plan<'a>,
    pub(super) key: &'p ObjectKey,
    pub(super) old: &'p Object,
    pub(super) new: &'p Object,
}

impl<'p, 'a> Pair<'p, 'a> {
    /// Returns the object, if both schemas have it.
    pub(super) fn find(plan: &'p Plan<'a>, key: &'p ObjectKey) -> Option<Self> {
        Some(Self { plan, key, old: plan.actual.get(key)?, new: plan.expected.get(key)? })
    }

    /// Returns `true` if the values of an attribute differ.
    pub(super) fn differs_in(&self, attribute: Attribute) -> bool {
        self.plan.changes(self.key).contains(&attribute)
    }

    /// Returns `true` if the values of at least one of these attributes differ.
    pub(super) fn differs_in_any(&self, attributes: &[Attribute]) -> bool {
        attributes.iter().any(|attribute| self.differs_in(*attribute))
    }
}
