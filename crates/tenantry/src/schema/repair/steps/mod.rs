//! The statements in a working order: drops in the reverse order of creation, then creations.

mod build;
mod drop;
mod finish;
mod save;

use std::collections::BTreeMap;

use super::{
    super::{
        ObjectKey, ObjectKind,
        ddl::{fill, reparsable},
    },
    Step, hazard,
    plan::Plan,
};

/// The stage in which a statement runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Labels of enums: committed before anything uses them.
    Alone,
    /// Saves values that would be lost.
    Save,
    /// Drops objects.
    Drop,
    /// Creates objects.
    Build,
    /// Restores the saved values.
    Finish,
}

/// When a statement runs: its stage, the phase in it, and the rank in that.
type Turn = (Stage, i64, i64);

/// Statements with their positions.
struct Steps<'p, 'a> {
    plan: &'p Plan<'a>,
    /// The index of each object in the order of creation.
    old_places: BTreeMap<&'a ObjectKey, i64>,
    found: Vec<(Turn, &'a ObjectKey, String)>,
}

/// Returns all statements.
pub(super) fn all(plan: &Plan<'_>) -> Vec<Step> {
    let old_places = (0_i64..)
        .zip(plan.old_order.places())
        .map(|(rank, place)| (plan.old_order.keys[place], rank))
        .collect();
    let mut steps = Steps { plan, old_places, found: Vec::new() };
    steps.save();
    steps.drop_objects();
    steps.build();
    steps.finish();
    // Each stage was filled in its own order.
    steps.found.sort_by_key(|(turn, ..)| *turn);
    let (schema, role) = (&plan.actual.schema, plan.actual.role.as_deref());
    let step = |((stage, ..), key, sql): (Turn, &ObjectKey, String)| {
        let remark = remark(plan, key, &sql, stage);
        let mut hazards = hazard::of(plan, key, &sql);
        hazards.iter_mut().for_each(|hazard| hazard.fill(schema, role));
        Step {
            sql: fill(&reparsable(&sql), schema, role),
            object: key.clone(),
            hazards,
            remark: remark.map(str::to_owned),
            is_alone: stage == Stage::Alone,
        }
    };
    steps.found.into_iter().map(step).collect()
}

/// Returns the reason for a statement that no difference explains.
fn remark(plan: &Plan<'_>, key: &ObjectKey, sql: &str, stage: Stage) -> Option<&'static str> {
    if key.kind == ObjectKind::Table && plan.rebuilt.contains(&*key.name) {
        return match () {
            () if sql.starts_with("lock ") => Some(
                "it cannot be altered as required (for example, the order of its columns): it is recreated, and \
                 its rows are copied",
            ),
            () if sql.contains(" rename to ") => Some("moved aside until its rows are copied"),
            _ => None,
        };
    }
    let comes_again = plan.dropped.contains(key) && plan.created.contains(key);
    (comes_again && !plan.changed.contains_key(key) && stage == Stage::Drop)
        .then_some("another change requires dropping it, and it is recreated below")
}

impl<'a> Steps<'_, 'a> {
    fn add(&mut self, turn: Turn, key: &'a ObjectKey, sql: String) {
        self.found.push((turn, key, sql));
    }
}
