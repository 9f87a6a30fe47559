//! Migrations of many tenants: what is run, what is recorded, and what is said about it.

mod concurrent;
mod dirty;
mod files;
mod homes;
mod jobs;
mod lints;
mod plans;
mod remembered;
mod runs;
mod shared_touch;
mod standing;
mod truth;

pub(crate) use files::Files;
pub(crate) use homes::{Homes, record, records, values};
