//! Programs that run with a timeout, and their output.

use std::{
    ffi::OsStr,
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use meshproof::{
    toolchain::on_path,
    wait::{Look, WaitError, until},
};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use tempfile::NamedTempFile;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::tally::tail;

/// The program under test.
pub fn meshproof() -> PathBuf {
    let path = std::env::var_os("MESHPROOF").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_meshproof")),
        PathBuf::from,
    );
    path.canonicalize()
        .unwrap_or_else(|error| panic!("program {} not found: {error}", path.display()))
}

/// Reads a count from a variable.
pub fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|error| panic!("{variable}={text} is not a number: {error}"))
    })
}

/// Splits a variable into words.
pub fn words_of(variable: &str, default: &str) -> Vec<String> {
    let text = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    text.split_whitespace().map(str::to_owned).collect()
}

/// # Panics
/// When kubectl is not in PATH.
pub fn need_kubectl() {
    assert!(
        on_path(Path::new("kubectl")).is_some(),
        "`kubectl` not found in PATH: install it (https://kubernetes.io/docs/tasks/tools/) and run the test again"
    );
}

/// A command of a program in PATH or the system's directories, with arguments.
pub fn command(program: impl AsRef<OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .args(args)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

/// How a program ended, and its output.
#[derive(Debug)]
pub struct Said {
    /// Exit status, or 128 plus the number of the signal, or `None` after a timeout.
    pub status: Option<i32>,
    pub text: String,
}

impl Said {
    pub fn ok(&self) -> bool {
        self.status == Some(0)
    }

    /// Status and end of the output, for messages.
    pub fn reported(&self) -> String {
        let status = self.status.map_or_else(
            || "timed out".to_owned(),
            |status| format!("status {status}"),
        );
        format!("{status}, output:\n{}", tail(&self.text, 15))
    }
}

/// Runs a command to its end, or kills it after the timeout.
pub async fn answer(command: Command, limit: Duration) -> Said {
    let mut running = Running::start(command);
    let status = running.ended(limit).await;
    Said {
        status,
        text: running.text(),
    }
}

/// Returns the standard output of a command that must succeed.
///
/// # Errors
/// How it ended, and its standard error.
pub async fn output(mut command: Command, limit: Duration) -> Result<String, String> {
    let name = command.as_std().get_program().display().to_string();
    let child = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = match timeout(limit, child).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("{name}: {error}")),
        Err(_) => return Err(format!("{name} did not end within {limit:?}")),
    };
    let [out, error] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    match output.status.success() {
        true => Ok(out.into_owned()),
        false => Err(format!("{name}: {}: {}", output.status, tail(&error, 10))),
    }
}

/// A running program whose output goes to a file. Dropping it ends its process group.
pub struct Running {
    child: Child,
    log: NamedTempFile,
}

impl Running {
    /// # Panics
    /// When the program does not start.
    pub fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// # Panics
    /// When the program does not start.
    pub fn start_with(mut command: Command, stdin: Stdio) -> Self {
        let log = NamedTempFile::new().expect("a file for the output");
        let to = || Stdio::from(log.as_file().try_clone().expect("a second handle"));
        command
            .stdin(stdin)
            .stdout(to())
            .stderr(to())
            .process_group(0)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, log }
    }

    fn pid(&self) -> Option<Pid> {
        let id = self.child.id()?; // none once its status was collected
        i32::try_from(id).ok().map(Pid::from_raw)
    }

    /// Sends a signal to this process alone.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _ = kill(pid, signal); // the process may have ended
        }
    }

    /// Waits for its end; the result is as for [`Said::status`]. After the timeout its process
    /// group is killed.
    pub async fn ended(&mut self, limit: Duration) -> Option<i32> {
        let status = match timeout(limit, self.child.wait()).await {
            Ok(status) => Some(code(status.expect("our own child"))),
            Err(_) => None,
        };
        if status.is_none() {
            self.end();
            let _ = self.child.wait().await;
        }
        status
    }

    /// Waits for the first line that `wanted` accepts.
    ///
    /// # Errors
    /// The output so far, after the timeout.
    pub async fn line(
        &self,
        limit: Duration,
        expected: impl Fn(&str) -> bool,
    ) -> Result<String, String> {
        let look = async |_| {
            let text = self.text();
            let found = text.lines().find(|line| expected(line)).map(str::to_owned);
            Ok::<_, String>(found.map_or_else(|| Look::Unmet(tail(&text, 5)), Look::Met))
        };
        until(limit, look).await.map_err(|error| match error {
            WaitError::TimedOut(late) => format!("the expected line was not printed: {late}"),
            WaitError::Failed(why) => why,
        })
    }

    /// The output so far.
    pub fn text(&self) -> String {
        let bytes = fs::read(self.log.path()).expect("the output");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn end(&self) {
        if let Some(pid) = self.pid() {
            let _ = killpg(pid, Signal::SIGKILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Exit code as in a shell.
fn code(status: ExitStatus) -> i32 {
    let signal = || status.signal().map(|signal| 128 + signal);
    status.code().or_else(signal).unwrap_or(-1)
}
