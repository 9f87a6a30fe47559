//! Identity of a tenant, and the location of its data.
//!
//! Everything here is pure: no connection, no clock. Every value is valid by construction.

mod binding;
mod home;
mod id;
mod id_from;
mod ident;
mod isolation;
mod kind;
mod limits;
mod placement;
mod placement_policy;
mod rows;
mod schema_oid;
mod search_path;
mod slug;
mod template;
#[expect(clippy::module_inception, reason = "the file is named by the concept it holds")]
mod tenant;
mod tier;

pub(crate) use binding::{Binding, RowKey};
pub(crate) use home::Home;
pub use id::{ParseTenantIdError, TenantId};
pub use ident::{Ident, IdentError};
pub(crate) use ident::{MOVED, PROVISIONAL, SCRATCH};
pub use isolation::Isolation;
pub use kind::{IsolationKind, ParseIsolationKindError};
pub use limits::{LimitsError, TenantLimits};
pub(crate) use placement::OnServer;
pub use placement::Placement;
pub(crate) use placement::{MAIN, Spot};
pub(crate) use placement_policy::NoServer;
pub use placement_policy::{PlacementPolicy, ServerLoad};
pub(crate) use rows::Setting;
pub use rows::{KeyType, Rows, SettingError};
pub(crate) use schema_oid::{Schema, SchemaOid};
pub(crate) use search_path::SearchPath;
pub use slug::{SlugError, SlugPolicy};
pub use template::{NameTemplate, TemplateError};
pub(crate) use tenant::{DROPPING, MAKING, UNDOING};
pub use tenant::{Tenant, TenantRecord, TenantState};
pub use tier::Tier;
