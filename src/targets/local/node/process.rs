//! Starts a container's first process and watches it.

use std::{
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::{Pid, pipe2},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixStream, unix::pipe},
    process::{Child, Command},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use super::{
    logs::{self, LogFile},
    sandbox::{Namespaces, on_own_thread},
};
use crate::targets::local::container::{ContainerSpec, StartFailure};

/// How a container's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit {
    /// As a shell reports it: 128 + n when signal n ended the process.
    pub code: i32,
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        let by_signal = status.signal().map(|signal| 128 + signal);
        Self {
            code: status.code().or(by_signal).unwrap_or(-1),
        }
    }
}

/// An error starting a container.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    /// The node could not create the process.
    #[error("cannot start a process: {0}")]
    Spawn(#[from] io::Error),
    /// The process could not become the container's program.
    #[error("{0}")]
    Start(String),
}

/// A handle on a container's running process.
#[derive(Debug, Clone)]
pub(super) struct Process {
    /// As seen in the world's PID namespace.
    pub pid: i32,
    /// Why the node killed it, if it did so because of its memory.
    pub killed: Arc<Mutex<Option<String>>>,
    pub(super) signals: mpsc::UnboundedSender<Signal>,
    /// Cancelled as soon as the process has ended.
    pub ended: CancellationToken,
}

impl Process {
    /// Sends a signal; does nothing if the process has ended.
    pub fn signal(&self, signal: Signal) {
        let _ = self.signals.send(signal);
    }
}

/// Starts the container in its pod's namespaces; returns when its program runs. `exited` is called
/// once, at its end, after all of its output is in `log`.
pub(super) async fn launch(
    self_exe: &Path,
    namespaces: Arc<Namespaces>,
    spec: &ContainerSpec,
    log: LogFile,
    exited: impl FnOnce(Exit) + Send + 'static,
) -> Result<Process, LaunchError> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let (out_read, out_write) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(io::Error::from)?;
    let (err_read, err_write) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(io::Error::from)?;
    let child = spawn_inside(
        self_exe.to_path_buf(),
        namespaces,
        [theirs.into(), out_write, err_write],
    )
    .await?;
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .ok_or_else(|| io::Error::other("the process has no id"))?;
    let outputs = [
        ("stdout", read_end(out_read)?),
        ("stderr", read_end(err_read)?),
    ];
    let (signals, expected) = mpsc::unbounded_channel();
    let process = Process {
        pid,
        signals,
        killed: Arc::default(),
        ended: CancellationToken::new(),
    };
    let copying = logs::copy(outputs, log);
    tokio::spawn(watch(
        child,
        expected,
        process.ended.clone(),
        copying,
        exited,
    ));
    match hand_over(ours, spec).await? {
        None => Ok(process),
        Some(failure) => Err(LaunchError::Start(failure.message)),
    }
}

/// Spawns `__container` from a thread that has entered the pod's namespaces and whose children
/// get a PID namespace of their own.
async fn spawn_inside(
    self_exe: PathBuf,
    namespaces: Arc<Namespaces>,
    [stdin, stdout, stderr]: [OwnedFd; 3],
) -> io::Result<Child> {
    on_own_thread(move || {
        namespaces.enter()?;
        unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS)?;
        Command::new(self_exe)
            .arg("__container")
            .env_clear()
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::from(stdout))
            .stderr(Stdio::from(stderr))
            .kill_on_drop(true)
            .spawn()
    })
    .await
}

fn read_end(fd: OwnedFd) -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(fd)
}

/// Sends the description and waits for the socket to close, which exec does.
async fn hand_over(
    ours: std::os::unix::net::UnixStream,
    spec: &ContainerSpec,
) -> io::Result<Option<StartFailure>> {
    ours.set_nonblocking(true)?;
    let mut stream = UnixStream::from_std(ours)?;
    let text = serde_json::to_vec(spec).map_err(io::Error::other)?;
    let written = match stream.write_all(&text).await {
        Ok(()) => stream.shutdown().await,
        Err(error) => Err(error),
    };
    let mut reply = Vec::new();
    // a process that dies before it has read everything resets the socket; its watcher reports
    // its exit
    let read = stream.read_to_end(&mut reply).await;
    if !reply.is_empty() {
        return serde_json::from_slice(&reply)
            .map(Some)
            .map_err(io::Error::other);
    }
    written.and(read.map(|_| ()))?;
    Ok(None)
}

async fn watch(
    mut child: Child,
    mut expected: mpsc::UnboundedReceiver<Signal>,
    ended: CancellationToken,
    copying: impl Future<Output = ()>,
    exited: impl FnOnce(Exit),
) {
    tokio::pin!(copying);
    let mut copied = false;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            Some(signal) = expected.recv() => {
                if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok())
                    && let Err(error) = kill(Pid::from_raw(pid), signal) {
                    tracing::warn!(pid, %signal, %error, "cannot signal a container");
                }
            }
            () = &mut copying, if !copied => copied = true,
        }
    };
    // the whole PID namespace ends with its first process, so the pipes are at their end
    if !copied {
        copying.await;
    }
    ended.cancel();
    exited(status.map_or(Exit { code: -1 }, Exit::from));
}
