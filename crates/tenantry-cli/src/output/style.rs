use std::{env, io::IsTerminal};

use clap::builder::styling::{AnsiColor, Style as Ansi};

/// Colors, if the terminal supports them and [`NO_COLOR`](https://no-color.org) is not set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    coloured: bool,
}

impl Style {
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let forced =
            env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0" && !value.is_empty());
        Self { coloured: !refused && (forced || (stream.is_terminal() && !dumb)) }
    }

    fn paint(self, text: &str, style: Ansi) -> String {
        if self.coloured { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.paint(text, AnsiColor::Green.on_default())
    }

    pub(crate) fn warning(self, text: &str) -> String {
        self.paint(text, AnsiColor::Yellow.on_default().bold())
    }

    pub(crate) fn error(self, text: &str) -> String {
        self.paint(text, AnsiColor::Red.on_default().bold())
    }
}
