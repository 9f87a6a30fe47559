use std::fmt;

use super::{BoxFuture, Check, Examined, Subject};
use crate::error::Error;

/// A check of the library: a function with its names.
#[derive(Clone, Copy)]
pub(crate) struct BuiltIn {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What it reads, for the message if reading fails, such as `the sequences`.
    pub(crate) reads: &'static str,
    pub(crate) look: Look,
}

/// Performs the check, or returns why it cannot.
pub(crate) type Look = for<'a> fn(&'a Subject) -> BoxFuture<'a, Result<Examined, Error>>;

impl Check for BuiltIn {
    fn name(&self) -> &str {
        self.name
    }

    fn title(&self) -> &str {
        self.title
    }

    fn run<'a>(&'a self, on: &'a Subject) -> BoxFuture<'a, Examined> {
        let looked = (self.look)(on);
        Box::pin(async move {
            looked.await.unwrap_or_else(|error| Examined::not_read(self.reads, &error))
        })
    }
}

impl fmt::Debug for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuiltIn").field("name", &self.name).finish_non_exhaustive()
    }
}
