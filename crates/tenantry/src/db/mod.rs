//! Database handles for the application.

mod behind_pooler;
mod effect;
mod elsewhere;
mod executor;
mod follow;
mod handle;
mod in_transaction;
mod lost;
mod on_connection;
mod only_reads;
mod patience;
mod read;
mod reader;
mod rows;
mod shared;
mod statement;
mod stream;
mod tenant;
mod transaction;
mod whereabouts;

pub(crate) use elsewhere::is_of_names;
pub(crate) use handle::Handle;
pub use read::ReadDb;
pub use shared::SharedDb;
pub use tenant::TenantDb;
pub use transaction::TenantTransaction;
pub(crate) use whereabouts::{Found, Lost, LostAt, Standing, Whereabout, Whereabouts};
