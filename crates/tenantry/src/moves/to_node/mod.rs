//! Moves between the nodes of one Citus cluster: Citus copies, and nothing is recorded.

mod options;
mod report;
mod run;

pub use options::{NodeMoveOptions, ShardTransfer};
pub use report::{NodeMoveProgress, NodeMoveReport};
