//! Runs kind and docker with a deadline, and explains their failures.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::Command,
    time::timeout,
};

use super::{cause::cause, error::KindError};
use crate::env;

/// Lines of a program's output that an error shows.
const TAIL: usize = 25;

/// `kind` or `docker`, found in PATH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerTool {
    path: PathBuf,
    /// `DOCKER_HOST` for the program, if different from this process's.
    engine: Option<String>,
}

impl ContainerTool {
    /// kind: `$MESHPROOF_KIND`, else the one in PATH, else the one that the tool chain `prepared`.
    ///
    /// # Errors
    /// [`KindError::NoProgram`].
    pub fn kind(prepared: Option<&Path>) -> Result<Self, KindError> {
        if let Some(named) = env::kind() {
            return Self::find(&named);
        }
        let found = Self::find(Path::new("kind"));
        found.or_else(|missing| prepared.map_or(Err(missing), Self::find))
    }

    /// The program's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same program, using the engine that a cluster was created with.
    #[must_use]
    pub fn with_engine(self, engine: Option<String>) -> Self {
        Self { engine, ..self }
    }

    /// The docker client; kind uses the same.
    ///
    /// # Errors
    /// [`KindError::NoProgram`].
    pub fn docker() -> Result<Self, KindError> {
        Self::find(Path::new("docker"))
    }

    fn find(name: &Path) -> Result<Self, KindError> {
        let missing = || KindError::NoProgram(name.to_owned());
        let path = crate::toolchain::on_path(name).ok_or_else(missing)?;
        Ok(Self { path, engine: None })
    }

    /// Runs the program and returns its stdout. It is killed if it runs longer than `limit`.
    ///
    /// # Errors
    /// [`KindError::Slow`] and [`KindError::Failed`], with its output and the cause.
    pub async fn run<S: AsRef<OsStr>>(
        &self,
        args: &[S],
        limit: Duration,
    ) -> Result<String, KindError> {
        self.run_known(args, limit, |_| Ok(())).await
    }

    /// As [`Self::run`]; `note` is called with the PID right after the start.
    ///
    /// # Errors
    /// As [`Self::run`], and those of `note`, after which the process is killed.
    pub async fn run_known<S: AsRef<OsStr>>(
        &self,
        args: &[S],
        limit: Duration,
        note: impl FnOnce(u32) -> Result<(), KindError>,
    ) -> Result<String, KindError> {
        let texts: Vec<_> = args
            .iter()
            .map(|arg| arg.as_ref().to_string_lossy())
            .collect();
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let what = format!("{name} {}", texts.join(" "));
        let failed = |cause: &str, output: String| KindError::Failed {
            what: what.clone(),
            cause: cause.to_owned(),
            output,
        };
        let mut command = Command::new(&self.path);
        if let Some(engine) = &self.engine {
            command.env("DOCKER_HOST", engine);
        }
        let child = command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = child.map_err(|error| failed("cannot start it", error.to_string()))?;
        child.id().map_or(Ok(()), note)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut answer = Vec::new();
        let talk = async {
            let (out, ()) = tokio::join!(whole(stdout), lines(stderr, &mut answer));
            (out, child.wait().await)
        };
        let Ok((out, status)) = timeout(limit, talk).await else {
            let last = tail(&answer);
            return Err(KindError::Slow { what, limit, last });
        };
        match status {
            Ok(status) if status.success() => Ok(out),
            Ok(_) => Err(failed(cause(&answer.join("\n")), tail(&answer))),
            Err(error) => Err(failed("cannot wait for its exit", error.to_string())),
        }
    }
}

async fn whole(from: Option<impl AsyncRead + Unpin>) -> String {
    let mut lines = Vec::new();
    self::lines(from, &mut lines).await;
    lines.iter().map(|line| format!("{line}\n")).collect()
}

async fn lines(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<String>) {
    let Some(from) = from else { return };
    let mut reader = BufReader::new(from).split(b'\n');
    while let Ok(Some(line)) = reader.next_segment().await {
        into.push(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
}

fn tail(lines: &[String]) -> String {
    let begin = lines.len().saturating_sub(TAIL);
    lines[begin..]
        .iter()
        .map(|line| format!("  | {}", crate::output::clean_line(line)))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn shell() -> ContainerTool {
        ContainerTool::find(Path::new("sh")).expect("sh is in PATH")
    }

    #[tokio::test]
    async fn what_a_program_prints_is_its_answer() {
        let out = shell()
            .run(&["-c", "echo a; echo b; echo no >&2"], LIMIT)
            .await;
        assert_eq!(out.expect("it succeeds"), "a\nb\n");
    }

    #[tokio::test]
    async fn a_failure_says_command_cause_and_words() {
        let answer = "echo 'write: no space left on device' >&2; exit 1";
        let error = shell()
            .run(&["-c", answer], LIMIT)
            .await
            .unwrap_err()
            .to_string();
        for part in [
            "sh -c",
            "disk of the container engine is full",
            "| write: no space",
        ] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended_and_quoted() {
        let answer = "echo waiting for the node >&2; exec sleep 60";
        let limit = Duration::from_millis(500);
        let error = shell()
            .run(&["-c", answer], limit)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("500ms") && error.contains("waiting for the node"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_program_leads_to_the_doctor() {
        let error = ContainerTool::find(Path::new("no-such-program"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no-such-program") && error.contains("doctor"),
            "{error}"
        );
    }
}
