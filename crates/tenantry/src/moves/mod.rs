//! Moving tenants between servers, and between kinds of isolation: [`Mover`].
//!
//! ```text
//!  control server        planned ─▶ prepared ─▶ fencing ─▶ fenced ─▶ verified ─▶ switched ─▶ done
//!  state in the catalog  moving                 cutover                          active, epoch + 1
//!  source                            locks      schema renamed                               kept for days
//!  target                            tried out             copied in one transaction, compared
//!  requests              served                 wait                             served on the target
//! ```
//!
//! With logical replication, the rows are copied between `prepared` and `fencing`, in the stages `copying` and
//! `catching_up`.
//!
//! Before the stage `switched`, every failure leads to `undoing ─▶ reopened ─▶ undone`; from there on, a move only goes
//! forward. Each stage is recorded with the process that works on the move, so that another one can continue.

mod announce;
mod attempts;
mod beside;
mod change_log;
mod conninfo;
mod container;
mod destination;
mod drain;
mod drained;
mod ended;
mod ends;
mod estimate;
mod examine;
mod failure;
mod fence;
mod fill;
mod id;
mod ledger;
mod locks;
mod machine;
mod mover;
mod obstacle;
mod options;
mod own_table;
mod places;
mod progress;
mod record;
mod replicate;
mod row_fence;
mod run;
mod sample;
#[cfg(test)]
mod simulation;
mod stage;
mod tidy;
mod to_node;
mod unforced;

pub use destination::Destination;
pub use drain::DrainOptions;
pub use mover::{Mover, TakenOver};
pub use obstacle::{Obstacle, ObstacleKind, Obstacles};
pub use options::MoveOptions;
pub use progress::{MoveLag, MoveProgress};
pub use record::{MovePlan, MoveRecord, MoveReport, Swept};
pub use stage::{MoveMethod, MoveStage};
pub use to_node::{NodeMoveOptions, NodeMoveProgress, NodeMoveReport, ShardTransfer};
