//! Exit codes: scripts rely on them. Only `main` ends the process.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything is as expected.
    Ok,
    /// A FAIL or an UNEXPECTED-PASS.
    Failed,
    /// Wrong usage, or a suite file that does not lint.
    Usage,
    /// An ERROR: a claim could not be judged.
    Error,
    /// No scenario was selected.
    NothingSelected,
    /// Stopped by a signal, after clean-up.
    Signal(i32),
    /// The exit code of a child process (`target shell`).
    Child(u8),
}

impl Exit {
    /// SIGINT.
    pub const INTERRUPTED: Self = Self::Signal(2);
    /// SIGTERM.
    pub const TERMINATED: Self = Self::Signal(15);
    /// SIGHUP.
    pub const HANGUP: Self = Self::Signal(1);

    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Error => 3,
            Self::NothingSelected => 4,
            Self::Signal(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            Self::Child(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Exit::Ok, 0)]
    #[case(Exit::Failed, 1)]
    #[case(Exit::Usage, 2)]
    #[case(Exit::Error, 3)]
    #[case(Exit::NothingSelected, 4)]
    #[case(Exit::INTERRUPTED, 130)]
    #[case(Exit::TERMINATED, 143)]
    #[case(Exit::HANGUP, 129)]
    fn codes_are_a_contract(#[case] exit: Exit, #[case] code: u8) {
        assert_eq!(exit.code(), code);
    }
}
