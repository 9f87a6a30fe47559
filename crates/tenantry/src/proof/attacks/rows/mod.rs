//! Attacks of one tenant on the rows of another, in tables that both use.

#[cfg(test)]
mod broken;
pub(in crate::proof) mod interrupted;
pub(in crate::proof) mod key;
pub(in crate::proof) mod policies;
pub(in crate::proof) mod reach;
mod standing;
pub(in crate::proof) mod tables;
pub(in crate::proof) mod turns;
