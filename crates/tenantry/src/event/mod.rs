//! Events: reported once, to tracing, to hooks, and to the counters.
//!
//! An [`Event`] goes to `tracing` and to the hooks registered with the
//! [builder](crate::ManagerBuilder::on_event). Hooks run in separate tasks behind queues, so a hook
//! that is slow, fails or panics does not affect requests.

mod breaker_state;
mod budget_state;
mod evict_reason;
mod figures;
mod hook;
mod kinds;
mod line;
mod meters;
mod observer;
mod options;
#[cfg(feature = "fmt")]
mod plain_format;
mod reads;
mod replica_state;
mod statement;
mod trace;
mod upkeep;

pub use breaker_state::BreakerState;
pub use budget_state::BudgetState;
pub use evict_reason::EvictReason;
pub use hook::{Hook, HookResult};
pub(crate) use hook::{Hooks, Of};
pub use kinds::{
    AcquireTimeout, BreakerChange, BudgetChange, CatalogOutage, Drifted, Event, LongLease,
    Migrated, MoveStep, PoolCreated, PoolError, PoolEvicted, Query, Rebind, ReplicaChange, Retry,
    RetryOf, WarmedUp,
};
pub(crate) use kinds::{deserialize_millis, serialize_millis, serialize_optional_millis};
pub(crate) use meters::Meters;
#[cfg(feature = "prometheus")]
pub(crate) use meters::Times;
#[cfg(feature = "opentelemetry")]
pub(crate) use meters::Timings;
pub(crate) use observer::{Observer, Ran, Whose};
pub use options::EventOptions;
#[cfg(feature = "fmt")]
pub use plain_format::PlainFormat;
pub use replica_state::ReplicaState;
#[cfg(feature = "opentelemetry")]
pub(crate) use upkeep::UpkeepMeters;
