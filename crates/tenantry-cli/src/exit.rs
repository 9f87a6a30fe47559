use std::process::ExitCode;

/// The result of a command that could run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Nothing to report.
    Fine,
    /// There were warnings, which count as problems with `--strict`.
    Warnings,
    /// Problems were found.
    Problems,
    /// It was interrupted, and has reported what was done until then.
    Interrupted,
}

impl Exit {
    /// Returns [`Exit::Fine`] if `fine` is `true`, and [`Exit::Problems`] otherwise.
    pub(crate) fn fine_if(fine: bool) -> Self {
        if fine { Self::Fine } else { Self::Problems }
    }

    /// Returns the exit code.
    pub(crate) fn code(self, strict: bool) -> ExitCode {
        match self {
            Self::Fine => ExitCode::SUCCESS,
            Self::Warnings if !strict => ExitCode::SUCCESS,
            Self::Warnings | Self::Problems => ExitCode::from(1),
            Self::Interrupted => ExitCode::from(COULD_NOT_RUN),
        }
    }
}

/// The exit code of a command that could not run.
pub(crate) const COULD_NOT_RUN: u8 = 2;
