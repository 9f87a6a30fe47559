//! Migrations of many tenants: what is run, what is recorded, and what is said about it.

mod concurrent;
mod dirty;
mod files;
mod jobs;
mod lints;
mod plans;
mod runs;
mod shared_touch;
mod standing;
mod truth;

pub(crate) use files::Files;
