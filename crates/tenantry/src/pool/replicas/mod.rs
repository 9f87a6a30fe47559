//! Read replicas: what is known of a primary and of the servers that follow it, and which of them
//! may answer a read.
//!
//! A replica may be used for a read when it has replayed the log up to a position. That is the
//! position of the primary after the tenant's last write in this process, or that of a
//! [`ConsistencyToken`]. Positions are compared within one [`History`] only.

mod instances;
mod judge;
mod lineage;
mod look;
mod lsn;
mod marks;
mod token;
mod trail;

pub use self::token::{ConsistencyToken, ParseTokenError};
pub(super) use self::{
    instances::{Instance, Instances},
    judge::{Case, Judgement, Shortfall, judge},
    look::{Seen, look},
    marks::{Marks, Need},
    trail::{Sample, Trail},
};
pub(crate) use self::{
    judge::{ReplicaLimits, WAIT},
    lineage::Lineage,
    lsn::Lsn,
};
