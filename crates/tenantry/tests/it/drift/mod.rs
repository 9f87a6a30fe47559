//! Drift: every tenant is compared, and nothing is found where there is nothing.

mod clusters;
mod references;
mod watch;
