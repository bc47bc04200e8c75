//! Finds programs and queries their versions.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use crate::{
    doctor::{
        answer::NoAnswer,
        programs::{FOLDERS, FoundProgram},
    },
    output::clean_line,
    toolchain,
};

/// Timeout for a program to report its version, or for an engine to answer.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// The program `name` in PATH.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    toolchain::on_path(Path::new(name))
}

/// The program `name` where a local world finds it.
pub(super) fn of_the_world(name: &str) -> Option<PathBuf> {
    let mut places = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
    places.find_map(|place| toolchain::on_path(&place))
}

/// A program that only has to exist.
pub(super) fn there(path: Option<PathBuf>) -> FoundProgram {
    FoundProgram {
        path,
        version: None,
    }
}

/// A program with the first line of its output for the arguments `words`.
pub(super) async fn asked(path: Option<PathBuf>, args: &[&str]) -> FoundProgram {
    let version = match &path {
        Some(path) => Some(ask(path, args).await.map(|answer| first_line(&answer))),
        None => None,
    };
    FoundProgram { path, version }
}

/// The output of a program, or the last line of its error output if it fails, or why it could not
/// be started.
pub(super) async fn ask(program: &Path, args: &[&str]) -> Result<String, NoAnswer> {
    let asked = try_to_ask(program, args).await;
    asked.unwrap_or_else(|error| Err(NoAnswer::Unasked(error.to_string())))
}

/// Like [`ask`], but a failure to start the program is a separate error: the program has not
/// answered.
pub(super) async fn try_to_ask(
    program: &Path,
    args: &[&str],
) -> io::Result<Result<String, NoAnswer>> {
    let mut command = Command::new(program);
    command
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = command.spawn()?;
    let Ok(answer) = timeout(LIMIT, child.wait_with_output()).await else {
        return Ok(Err(NoAnswer::Silent(LIMIT)));
    };
    let answer = answer?;
    if answer.status.success() {
        return Ok(Ok(String::from_utf8_lossy(&answer.stdout).into_owned()));
    }
    let output = String::from_utf8_lossy(&answer.stderr).into_owned();
    let last = output.lines().rfind(|line| !line.trim().is_empty());
    let last = last.map_or_else(|| answer.status.to_string(), clean_line);
    Ok(Err(NoAnswer::Refused(last)))
}

fn first_line(answer: &str) -> String {
    clean_line(answer.lines().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_program_says_is_its_first_line_and_of_a_failure_the_last() {
        let shell = || on_path("sh");
        let answer = asked(shell(), &["-c", "echo one; echo two"]).await;
        assert_eq!(answer.version(), Some("one"));
        let failed = asked(shell(), &["-c", "echo a >&2; echo b >&2; exit 3"]).await;
        assert_eq!(failed.version, Some(Err(NoAnswer::Refused("b".to_owned()))));
        let silent = asked(shell(), &["-c", "exit 3"]).await;
        assert_eq!(
            silent.version,
            Some(Err(NoAnswer::Refused("exit status: 3".to_owned())))
        );
    }

    #[tokio::test]
    async fn a_program_that_cannot_be_started_has_not_said_no() {
        let tried = try_to_ask(Path::new("/does/not/exist"), &[]).await;
        assert!(tried.is_err());
        let answer = ask(Path::new("/does/not/exist"), &[]).await;
        assert!(answer.is_err_and(|why| why.to_string().contains("No such file")));
    }
}
