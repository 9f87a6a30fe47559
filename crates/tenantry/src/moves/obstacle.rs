//! What stands in the way of a move.

use std::{error::Error as StdError, fmt};

use serde::Serialize;

/// Something that prevents a move, found before anything is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Obstacle {
    /// What kind of thing it is.
    pub kind: ObstacleKind,
    /// What was found, and what to do.
    pub what: String,
}

/// Kinds of [obstacles](Obstacle).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ObstacleKind {
    /// The tenant is suspended, on its way already, or incomplete.
    State,
    /// A kind of isolation is not configured, or not supported on the target.
    Isolation,
    /// The catalog cannot record moves, or something else decides where the tenant is.
    Catalog,
    /// A server's budget has no room for the connections of a move.
    Budget,
    /// The target runs an earlier version of PostgreSQL, or has another encoding.
    Version,
    /// A role lacks a privilege, or does not exist on the target.
    Privilege,
    /// The target already has a schema, database or key of that name, or had one until a moment ago.
    Name,
    /// The structure cannot be created on the target, such as for a missing extension, or shared tables differ.
    Structure,
    /// Objects outside of the schema depend on it.
    Outside,
    /// The tenant has something that a copy lacks, such as a publication, large objects, or rows without its key.
    NotCarried,
    /// Requests would wait for longer than [`max_pause`](super::MoveOptions::max_pause).
    Pause,
    /// Logical replication was asked for, and the servers do not allow it.
    Replication,
    /// A log of changes was asked for, and it cannot be kept.
    ChangeLog,
}

impl Obstacle {
    pub(super) fn new(kind: ObstacleKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Everything that prevents a move: the source of an error of kind [`Move`](crate::ErrorKind::Move).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacles(Vec<Obstacle>);

impl Obstacles {
    pub(super) fn new(obstacles: Vec<Obstacle>) -> Self {
        Self(obstacles)
    }

    /// Returns all of them.
    #[must_use]
    pub fn all(&self) -> &[Obstacle] {
        &self.0
    }
}

impl fmt::Display for Obstacles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, obstacle) in self.0.iter().enumerate() {
            write!(f, "{}{obstacle}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl StdError for Obstacles {}
