use super::Ended;
use crate::{context::Context, exit::Exit};
use clap::Args;

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(crate) struct Init {}

impl Init {
    pub(crate) async fn run(self, _on: &Context) -> Ended {
        Ok(Exit::Fine)
    }
}
