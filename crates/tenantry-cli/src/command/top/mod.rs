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
    /// The service's /metrics [default: service.metrics_url; without it the database alone is asked]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// How long to wait between two looks
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = settings::duration)]
    interval: Duration,
    /// Column to sort by at the start
    #[arg(long, value_enum, default_value_t = SortBy::Queries)]
    sort: SortBy,
    /// Show tenants whose id contains this alone
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Do not read how much room tenants take
    #[arg(long)]
    no_sizes: bool,
}

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(100);

impl Top {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        if on.output.json {
            return Err(Failure::new("top has no JSON").hint("use `metrics --watch --json`"));
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
