use std::io;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Arguments;
use super::Ended;
use crate::{context::Context, exit::Exit, output};

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, on: &Context) -> Ended {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), on.program(), &mut script);
        output::written(io::Write::write_all(&mut io::stdout().lock(), &script))?;
        Ok(Exit::Fine)
    }
}
