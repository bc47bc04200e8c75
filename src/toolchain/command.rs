//! Runs `go` and `pip`, and reports their output.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    process::{ChildStderr, ChildStdout, Command, Stdio},
    thread::{self, JoinHandle},
};

use super::error::ToolchainError;

/// Number of output lines that an error shows.
const TAIL: usize = 20;

/// Runs `command` to completion and returns its stdout; each line of its stderr goes to `on_line`.
///
/// `lock`, if given, becomes the command's stdin, which no command reads: the lock is then held for
/// as long as the command runs, even if this process dies first, so that no other process touches
/// the files that the command is still writing.
///
/// # Errors
/// [`ToolchainError::Command`] with the last lines; [`ToolchainError::DiskFull`] if they report a
/// full disk.
pub(super) fn run(
    doing: &str,
    command: &mut Command,
    lock: Option<&File>,
    on_line: impl FnMut(&str),
) -> Result<String, ToolchainError> {
    let failed = |status: String, tail: String| ToolchainError::Command {
        doing: doing.to_owned(),
        status,
        tail,
    };
    let spawned = |error: std::io::Error| failed("could not start".to_owned(), error.to_string());
    let stdin = match lock {
        Some(lock) => Stdio::from(lock.try_clone().map_err(spawned)?),
        None => Stdio::null(),
    };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(spawned)?;
    let reader = read_in_background(child.stdout.take());
    let tail = follow(child.stderr.take(), on_line);
    let status = child.wait().map_err(spawned)?;
    let output = reader
        .join()
        .map_err(|_| spawned(std::io::Error::other("reader panicked")))?;
    if status.success() {
        return output.map_err(spawned);
    }
    if tail.contains("no space left on device") || tail.contains("No space left on device") {
        return Err(ToolchainError::DiskFull {
            doing: doing.to_owned(),
            path: std::env::temp_dir(),
        });
    }
    Err(failed(status.to_string(), tail))
}

/// Starts a thread that reads all of `stdout`, so that a full pipe never blocks the command.
fn read_in_background(stdout: Option<ChildStdout>) -> JoinHandle<std::io::Result<String>> {
    thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut stdout) = stdout {
            stdout.read_to_end(&mut text)?;
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    })
}

/// Passes each line of `stderr` to `on_line` until its end, and returns the last lines.
fn follow(stderr: Option<ChildStderr>, mut on_line: impl FnMut(&str)) -> String {
    let mut tail = VecDeque::with_capacity(TAIL);
    for line in stderr
        .into_iter()
        .flat_map(|stderr| BufReader::new(stderr).split(b'\n'))
    {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        on_line(&line);
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line);
    }
    let tail: Vec<String> = tail.into();
    tail.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_lines_are_kept_apart() {
        let mut lines = Vec::new();
        let answer = run(
            "test",
            &mut sh("echo data; echo one >&2; echo two >&2"),
            None,
            |l| lines.push(l.to_owned()),
        );
        assert_eq!(answer.unwrap(), "data\n");
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_failure_repeats_the_last_lines() {
        let error = run("building x", &mut sh("seq 1 100 >&2; exit 3"), None, |_| {})
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("building x") && error.contains("exit status: 3"),
            "{error}"
        );
        assert!(
            error.contains("\n100") && !error.contains("\n80\n"),
            "{error}"
        );
    }

    #[test]
    fn a_full_disk_is_called_one() {
        let error = run(
            "building x",
            &mut sh("echo write: no space left on device >&2; exit 1"),
            None,
            |_| {},
        );
        assert!(matches!(error, Err(ToolchainError::DiskFull { .. })));
    }

    #[test]
    fn a_missing_program_is_an_error_that_names_the_step() {
        let error = run(
            "looking",
            &mut Command::new("/does/not/exist"),
            None,
            |_| {},
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("looking"), "{error}");
    }
}
