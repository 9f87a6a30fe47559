//! How a program ends.

use std::{
    error::Error,
    process::{ExitCode, Termination},
};

/// Turns the result of a program into its exit code. An error is printed to stderr in one line, with its causes.
pub fn exit_code<T, E>(result: Result<T, E>) -> ExitCode
where
    T: Termination,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    match result {
        Ok(value) => value.report(),
        Err(error) => {
            eprintln!("error: {}", in_one_line(&*error.into()));
            ExitCode::FAILURE
        }
    }
}

/// Joins an error and its causes with colons. A cause that the text before it ends with already is omitted.
fn in_one_line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fmt};

    use super::in_one_line;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn each_cause_is_printed_once() {
        let root = Layer("no such file", None);
        let middle = Layer("opening x: no such file", Some(Box::new(root)));
        let top = Layer("reading the settings", Some(Box::new(middle)));
        assert_eq!(in_one_line(&top), "reading the settings: opening x: no such file");
    }
}
