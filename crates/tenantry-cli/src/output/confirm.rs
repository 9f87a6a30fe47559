use std::io::{self, IsTerminal};

use clap::Args;

use super::tell;
use crate::failure::Failure;

/// A question before something is destroyed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Confirm {
    /// Do not ask for confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

impl Confirm {
    /// Asks the operator to type a word, such as the id of a tenant, before an operation.
    ///
    /// # Errors
    ///
    /// If something else is typed, or standard input is not a terminal.
    pub(crate) fn typed(self, what: &str, word: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::new(format!(
                "{what} must be confirmed, but this is not a terminal"
            ))
            .hint("use --yes in scripts"));
        }
        tell(super::plain(&format!("{what}: type {word} to continue: ")));
        let mut typed = String::new();
        io::stdin()
            .read_line(&mut typed)
            .map_err(|error| Failure::while_doing("reading the answer", &error))?;
        match typed.trim() == word {
            true => Ok(()),
            false => {
                Err(Failure::new(format!("not confirmed: {word} was not typed; nothing was done")))
            }
        }
    }
}
