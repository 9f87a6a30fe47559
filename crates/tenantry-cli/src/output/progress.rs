use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Progress of a long operation on standard error, if that is a terminal. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Progress(ProgressBar);

/// The interval at which the line is redrawn without progress, to update its clock.
const TICK: Duration = Duration::from_millis(200);

impl Progress {
    pub(super) fn new(what: &'static str, wanted: bool) -> Self {
        let shown = wanted && std::io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_prefix(what);
        if shown {
            bar.enable_steady_tick(TICK);
        }
        Self(bar)
    }

    /// Sets how many are done, out of how many, and the last one.
    pub(crate) fn set(&self, done: usize, total: usize, last: &str) {
        let (done, total) = (done as u64, total as u64);
        if self.0.length() != Some(total) {
            self.0.set_length(total);
            let style = ProgressStyle::with_template(
                "{spinner} {prefix} {bar:20} {pos}/{len} {elapsed} {wide_msg}",
            );
            self.0.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        }
        self.0.set_position(done);
        self.say(last);
    }

    /// Shows the current step.
    pub(crate) fn say(&self, what: &str) {
        self.0.set_message(super::plain(what).replace('\n', " "));
    }

    /// Prints a line above the progress.
    pub(crate) fn line(&self, line: &str) {
        self.0.println(super::plain(line));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
