//! Names that customers choose for themselves.

mod error;
mod fold;
mod policy;
mod reserved;

pub use error::SlugError;
pub use policy::SlugPolicy;
