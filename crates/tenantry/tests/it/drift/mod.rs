//! Drift: every tenant is compared, and nothing is found where there is nothing.

mod besides;
mod changing;
mod clusters;
mod diffs;
mod misremembered;
mod references;
mod repair;
mod watch;
