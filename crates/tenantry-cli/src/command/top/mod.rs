//! A live view of tenants.

mod model;
mod screen;
mod source;
mod view;

use std::{io::IsTerminal, time::Duration};

use clap::Args;

use self::{
    model::{Model, SortBy},
    source::Source,
};
use super::Ended;
use crate::{context::Context, failure::Failure, settings};

/// Arguments of `top`.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// URL of the service's /metrics [default: service.metrics_url; without it, only the database is read]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Time between two readings
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = settings::duration)]
    interval: Duration,
    /// Initial sort column
    #[arg(long, value_enum, default_value_t = SortBy::Queries)]
    sort: SortBy,
    /// Show only tenants whose id contains this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Do not read the sizes of tenants
    #[arg(long)]
    no_sizes: bool,
}

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(100);

impl Top {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        if on.output.json {
            return Err(
                Failure::new("top does not support --json").hint("use `metrics --watch --json`")
            );
        }
        if !std::io::stdout().is_terminal() {
            return Err(
                Failure::new("top needs a terminal").hint("use `metrics --watch` elsewhere")
            );
        }
        let mut source = Source::new(on, self.url.as_deref(), !self.no_sizes)?;
        // An error that prevents all reading is reported before the terminal is switched to the screen.
        let first = on.interruptible("nothing was read", source.look()).await?;
        let mut model = Model::new(self.sort, self.filter);
        model.update(first);
        screen::run(on, source, model, self.interval.max(SHORTEST)).await
    }
}
