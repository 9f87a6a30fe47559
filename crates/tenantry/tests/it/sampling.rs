//! How much of a large matrix one run covers.

/// Returns the index of the first case to cover, at random, and the distance to the next one. With
/// `TENANTRY_THOROUGH` set, all cases are covered.
pub(crate) fn every(usual: usize) -> (usize, usize) {
    let every = if std::env::var_os("TENANTRY_THOROUGH").is_some() { 1 } else { usual };
    (fastrand::usize(..every), every)
}
