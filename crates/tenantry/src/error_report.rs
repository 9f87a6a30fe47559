//! Errors as text: for logs, and as the `Debug` output of all public errors.

use std::{error::Error as StdError, fmt};

use crate::plain::is_plain;

/// An error together with its sources, formatted for a log or for `main`.
///
/// `{}` is one line, `a: b: c`; `{:?}` is a paragraph with a numbered list of causes. A source
/// whose text is already part of its parent's text is omitted, and control characters are escaped,
/// so a line stays a line. The report can contain text from the database: write it to a log and not
/// into a response.
///
/// The `Debug` output of this crate's own errors is the same paragraph, for a `main` that returns
/// one; `{:#?}` shows their structure.
///
/// # Examples
///
/// ```
/// use tenantry::{Error, ErrorReport};
///
/// let error = Error::catalog(std::io::Error::other("the registry does not answer"));
/// let report = ErrorReport::new(&error);
/// let line = "catalog failed: asking the catalog: the registry does not answer";
/// assert_eq!(report.to_string(), line);
/// let paragraph = "catalog failed: asking the catalog\n\nCaused by:\n    the registry does not answer";
/// assert_eq!(format!("{report:?}"), paragraph);
/// assert_eq!(format!("{error:?}"), paragraph);
/// ```
#[derive(Clone, Copy)]
pub struct ErrorReport<'a>(&'a (dyn StdError + 'static));

impl<'a> ErrorReport<'a> {
    /// Creates a report of an error. For a `Box<dyn Error>` or an `anyhow::Error`, pass `&*error`.
    #[must_use]
    pub fn new(error: &'a (dyn StdError + 'static)) -> Self {
        Self(error)
    }

    pub(crate) fn error(self) -> &'a (dyn StdError + 'static) {
        self.0
    }
}

impl fmt::Display for ErrorReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, &self.texts().join(": "), None)
    }
}

impl fmt::Debug for ErrorReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self.texts();
        let (first, causes) = texts.split_first().ok_or(fmt::Error)?;
        write_escaped(f, first, Some("\n"))?;
        if !causes.is_empty() {
            f.write_str("\n\nCaused by:")?;
        }
        for (index, cause) in causes.iter().enumerate() {
            match causes.len() {
                1 => f.write_str("\n    ")?,
                _ => write!(f, "\n    {index}: ")?,
            }
            write_escaped(f, cause, Some("\n       "))?;
        }
        Ok(())
    }
}

/// Writes text with control characters escaped; line feeds become `line_feed` if given.
fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str, line_feed: Option<&str>) -> fmt::Result {
    text.chars().try_for_each(|character| match (character, line_feed) {
        ('\n', Some(line_feed)) => f.write_str(line_feed),
        _ if is_plain(character) => fmt::Write::write_char(f, character),
        _ => write!(f, "{}", character.escape_debug()),
    })
}

/// Returns an error and its sources, outermost first.
pub(crate) fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Implements `Debug` for error types as [`ErrorReport`] prints them; `{:#?}` names the type.
macro_rules! readable_debug {
    ($($error:ty),+ $(,)?) => {
        $(
            impl ::std::fmt::Debug for $error {
                fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                    let report = $crate::error_report::ErrorReport::new(self);
                    match f.alternate() {
                        true => f
                            .debug_tuple(stringify!($error))
                            .field(&report.to_string())
                            .finish(),
                        false => ::std::fmt::Debug::fmt(&report, f),
                    }
                }
            }
        )+
    };
}

pub(crate) use readable_debug;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    readable_debug!(Layer);

    fn layers(texts: &[&'static str]) -> Layer {
        let (text, rest) = texts.split_first().unwrap();
        let source = (!rest.is_empty()).then(|| Box::new(layers(rest)));
        Layer { text, source }
    }

    #[test]
    fn is_a_line_or_a_paragraph() {
        for (texts, line, paragraph) in [
            (&["alone"][..], "alone", "alone"),
            (&["a", "b"], "a: b", "a\n\nCaused by:\n    b"),
            (&["a", "b", "c"], "a: b: c", "a\n\nCaused by:\n    0: b\n    1: c"),
            // Repeated text is printed once.
            (&["failed: b", "b", "c"], "failed: b: c", "failed: b\n\nCaused by:\n    c"),
        ] {
            let error = layers(texts);
            assert_eq!(ErrorReport::new(&error).to_string(), line);
            assert_eq!(format!("{error:?}"), paragraph);
        }
        assert!(format!("{:#?}", layers(&["a", "b"])).starts_with("Layer("));
    }

    #[test]
    fn nothing_in_an_error_can_forge_a_line_of_the_log() {
        let error = layers(&["a\nb", "c\u{1b}[31m\nd"]);
        assert_eq!(ErrorReport::new(&error).to_string(), "a\\nb: c\\u{1b}[31m\\nd");
        let paragraph = "a\nb\n\nCaused by:\n    c\\u{1b}[31m\n       d";
        assert_eq!(format!("{error:?}"), paragraph);
    }
}
