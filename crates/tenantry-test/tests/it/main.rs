//! Every promise of the kit, kept against real servers.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod attribute;
mod neighbour;
mod nested;
mod requests;
mod tidy;
mod without_attribute;
