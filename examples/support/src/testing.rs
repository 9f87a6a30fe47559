//! For the examples' tests: starts a program, sends it requests, and runs the lines that it and its README show.

mod answer;
pub mod crud;
mod curl;
mod diff;
mod program;
mod readme;
mod server;
pub mod shutdown;
mod wait;

pub use answer::{Answer, get, try_send};
pub use curl::{Attempt, run_attempts};
pub use program::Program;
pub use readme::works_as_shown;
pub use server::{Server, skip};
pub use wait::wait_until;

/// The result of a test.
pub type TestResult = Result<(), Box<dyn std::error::Error>>;
