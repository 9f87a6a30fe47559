use std::fmt;

use clap::ValueEnum;

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// Annotations of GitHub Actions
    Github,
}

/// An annotation as a [workflow
/// command](https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands) of GitHub
/// Actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Annotation {
    command: &'static str,
    title: String,
    message: String,
    place: Option<(String, u32)>,
}

impl Annotation {
    pub(crate) fn error(title: String, message: String) -> Self {
        Self { command: "error", title, message, place: None }
    }

    pub(crate) fn warning(title: String, message: String) -> Self {
        Self { command: "warning", title, message, place: None }
    }

    pub(crate) fn notice(title: String, message: String) -> Self {
        Self { command: "notice", title, message, place: None }
    }

    /// Adds the file and line that it is about.
    pub(crate) fn at(mut self, file: String, line: u32) -> Self {
        self.place = Some((file, line));
        self
    }
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, title, message, place } = self;
        write!(f, "::{command} ")?;
        if let Some((file, line)) = place {
            write!(f, "file={},line={line},", property(file))?;
        }
        write!(f, "title={}::{}", property(title), data(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_message_is_another_command() {
        let annotation =
            Annotation::error("a:b,c".into(), "100 %\n::set-env".into()).at("x,y.sql".into(), 3);
        assert_eq!(
            annotation.to_string(),
            "::error file=x%2Cy.sql,line=3,title=a%3Ab%2Cc::100 %25%0A::set-env"
        );
    }
}
