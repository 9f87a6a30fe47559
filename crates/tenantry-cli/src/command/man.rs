use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, CommandFactory};
use clap_mangen::Man as Page;

use super::Arguments;
use super::Ended;
use crate::{context::Context, exit::Exit, failure::Failure, output};

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write one page per command to this folder, instead of printing the main page
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, on: &Context) -> Ended {
        let mut command = Arguments::command().name(on.program().to_owned());
        command.build();
        match self.folder {
            Some(folder) => {
                fs::create_dir_all(&folder)
                    .and_then(|()| write_all(&folder, &command, on.program()))
                    .map_err(|error| {
                        Failure::while_doing(
                            format_args!("writing manual pages to {}", folder.display()),
                            &error,
                        )
                    })?;
            }
            None => {
                let mut page = Vec::new();
                output::written(Page::new(command).render(&mut page))?;
                output::written(io::Write::write_all(&mut io::stdout().lock(), &page))?;
            }
        }
        Ok(Exit::Fine)
    }
}

/// Writes the page of a command, and those of its subcommands: `tenantry-migrate-new.1`.
fn write_all(folder: &Path, command: &clap::Command, name: &str) -> io::Result<()> {
    let mut page = Vec::new();
    Page::new(command.clone()).title(name).render(&mut page)?;
    fs::write(folder.join(format!("{name}.1")), page)?;
    command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
        .try_for_each(|sub| write_all(folder, sub, &format!("{name}-{}", sub.get_name())))
}
