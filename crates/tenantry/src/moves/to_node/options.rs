use std::{fmt, sync::Arc};

use super::NodeMoveProgress;

pub(super) type OnNodeProgress = dyn Fn(&NodeMoveProgress) + Send + Sync;

/// Options for moving a tenant between nodes of a Citus cluster.
///
/// # Examples
///
/// ```
/// use tenantry::moves::{NodeMoveOptions, ShardTransfer};
///
/// let options = NodeMoveOptions::default()
///     .transfer(ShardTransfer::BlockWrites)
///     .on_progress(|progress| println!("{progress}"));
/// ```
#[derive(Clone, Default)]
#[must_use = "options do nothing until a mover gets them"]
pub struct NodeMoveOptions {
    pub(super) transfer: ShardTransfer,
    pub(super) on_progress: Option<Arc<OnNodeProgress>>,
}

impl NodeMoveOptions {
    /// Sets how Citus copies the rows. Default: [`ShardTransfer::Auto`].
    pub fn transfer(mut self, transfer: ShardTransfer) -> Self {
        self.transfer = transfer;
        self
    }

    /// Sets a closure that is called twice a second while rows are copied, from the task that moves. It must not block.
    pub fn on_progress(
        mut self,
        on_progress: impl Fn(&NodeMoveProgress) + Send + Sync + 'static,
    ) -> Self {
        self.on_progress = Some(Arc::new(on_progress));
        self
    }
}

impl fmt::Debug for NodeMoveOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeMoveOptions").field("transfer", &self.transfer).finish_non_exhaustive()
    }
}

/// How Citus copies the rows of a tenant to another node: its `shard_transfer_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ShardTransfer {
    /// By logical replication, while the tenant is served. Citus refuses it if a table has no primary key and no
    /// replica identity.
    #[default]
    Auto,
    /// By logical replication, also for tables without a key; updates and deletes in these fail meanwhile.
    ForceLogical,
    /// By a copy, for whose duration the tenant is read only. It needs no `wal_level = logical`.
    BlockWrites,
}

impl ShardTransfer {
    /// Returns the name that Citus uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::ForceLogical => "force_logical",
            Self::BlockWrites => "block_writes",
        }
    }
}
