//! The server that tests work on.

use std::env;

/// Names a server for tests, in place of `DATABASE_URL`.
const SERVER: &str = "TENANTRY_TEST_URL";

/// Returns the URL of a server for tests only; tenantry-devdb reads `DATABASE_URL`.
pub(crate) fn named() -> Option<String> {
    env::var(SERVER).ok().filter(|url| !url.is_empty())
}

/// Returns `true` if connections lead to a server that was started for tests, and to no pooler.
pub(crate) fn is_throwaway() -> bool {
    named().is_none() && env::var_os("DATABASE_URL").is_none_or(|url| url.is_empty())
}
