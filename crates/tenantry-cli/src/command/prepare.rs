use clap::Args;

use super::Ended;
use crate::{context::Context, exit::Exit};

/// Arguments of `prepare`.
#[derive(Debug, Args)]
pub(crate) struct Prepare {}

impl Prepare {
    pub(crate) async fn run(self, _on: &Context) -> Ended {
        Ok(Exit::Fine)
    }
}
