//! Identity of a tenant, and the location of its data.
//!
//! Everything here is pure: no connection, no clock. Every value is valid by construction.

mod binding;
mod id;
mod id_from;
mod ident;
mod isolation;
mod placement;
mod schema_oid;
mod slug;
mod template;
#[expect(clippy::module_inception, reason = "the file is named by the concept it holds")]
mod tenant;

pub(crate) use binding::Binding;
pub use id::{ParseTenantIdError, TenantId};
pub use ident::{Ident, IdentError};
pub(crate) use ident::{PROVISIONAL, SCRATCH};
pub use isolation::Isolation;
pub use placement::Placement;
pub(crate) use schema_oid::{Schema, SchemaOid};
pub use slug::{SlugError, SlugPolicy};
pub use template::{NameTemplate, TemplateError};
pub use tenant::{Tenant, TenantRecord, TenantState};
