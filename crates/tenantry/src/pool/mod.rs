//! One bounded connection pool for any number of tenants.
//!
//! The scheduler decides which request gets which connection and does no I/O; the server is the
//! asynchronous shell around it. A [`Lease`] is a checked-out connection.

mod abandoned;
mod acquire;
mod after_bind;
mod allowance;
mod answer;
pub(crate) mod application_name;
mod backend;
mod breaker;
#[cfg(test)]
mod broken;
mod clean;
mod connect;
mod connector;
mod credentials;
mod deadline;
mod examining;
mod extensions;
mod fleeting;
mod gate;
mod holder;
mod hook;
mod hosts;
mod housekeeping;
mod introduce;
mod lease;
mod lent;
mod live_limits;
mod logins;
mod look;
mod manner;
mod meeting;
mod names;
mod occupant;
mod options;
mod outbox;
mod outcomes;
mod pin;
mod pooling;
mod privileges;
mod rate;
mod replicas;
mod reset;
mod retired_keys;
mod retired_table;
mod routing;
mod rows;
pub(crate) mod scheduler;
mod scratch;
mod server;
mod session;
mod session_error;
mod setters;
mod shape;
mod share;
mod snapshot;
mod standby;
mod state;
mod writing;

pub use abandoned::TransactionWatch;
pub(crate) use abandoned::Watched;
pub(crate) use after_bind::{AfterBind, AskAfterBind};
#[cfg(test)]
pub(crate) use allowance::Stage;
pub(crate) use allowance::{Allowance, Moment};
pub use breaker::BreakerOptions;
#[cfg(test)]
pub(crate) use broken::Broken;
pub(crate) use connector::{AfterConnect, AskAtConnect, Connector};
pub use credentials::Credentials;
pub(crate) use credentials::{AskForCredentials, Login};
pub(crate) use deadline::after;
pub(crate) use extensions::ExtensionSchemas;
pub(crate) use fleeting::Begin;
pub(crate) use holder::{Holder, as_part};
pub use hosts::{LoadBalanceHosts, ParseTargetError, TargetSessionAttrs};
pub use lease::Lease;
pub(crate) use lease::{Effect, PrimaryCheck};
pub(crate) use lent::Verdict;
pub(crate) use live_limits::LiveLimits;
pub(crate) use occupant::{Occupant, OccupantId, SharedHome};
pub use options::PoolOptions;
pub(crate) use pin::{KeyDigest, PINS, PINS_OF_KEYS, SEEN_AS, pin_hash};
pub use pooling::Pooling;
pub(crate) use pooling::{Guard, TRANSACTION_POOLER};
pub(crate) use privileges::{Grantee, grant, keep_to_owner};
pub use replicas::{ConsistencyToken, ParseTokenError};
pub(crate) use replicas::{Lineage, ReplicaLimits};
pub(crate) use retired_keys::RETIRED_KEYS;
pub(crate) use retired_table::{CURE as CURE_OF_RETIRED_KEYS, RetiredTable};
pub(crate) use scheduler::Class;
pub(crate) use server::{Detail, Own, Place, ReplicaPool, ReplicaStatus, Server};
pub(crate) use session::{Answers, Purpose, Question, Session};
pub(crate) use session_error::leaves_session_usable;
pub(crate) use shape::RowTables;
pub(crate) use share::{Admission, Share, door};
pub(crate) use snapshot::Holding;
pub use snapshot::{
    Acquires, BudgetSnapshot, PoolSnapshot, SharedPoolSnapshot, TenantPoolSnapshot,
};
