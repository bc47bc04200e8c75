//! `__world STATE`: enters the new namespaces, starts PID 1 in them, waits, and removes what is
//! left.

use std::{
    io::Write as _,
    os::fd::AsFd as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask},
    unistd::{getpid, setsid},
};

use super::{error::RoleError, spec::WorldSpec, state};
use crate::errors::chain;

/// Namespaces of a world. The mount namespace is PID 1's own: the holder could not remove a
/// directory on which it sees something mounted.
pub(super) const NAMESPACES: CloneFlags = CloneFlags::CLONE_NEWUSER
    .union(CloneFlags::CLONE_NEWNET)
    .union(CloneFlags::CLONE_NEWUTS)
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWPID);

/// Entry point of the holder. Its stdin is the lifeline, its stdout the listening socket for the
/// API server.
pub fn main(args: &[String]) -> ExitCode {
    let Some(state) = args.first().map(PathBuf::from) else {
        return ExitCode::from(2);
    };
    // A separate session: Ctrl-C reaches the harness, which decides. SIGHUP and SIGPIPE must not
    // interrupt the cleanup.
    let _ = setsid();
    let mut ignored = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM] {
        ignored.add(signal);
    }
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&ignored), None);
    // Until this process has ended, its directory is not mistaken for that of a dead world.
    let _held = state::hold(&state);
    let code = match run(&state) {
        Ok(code) => code,
        Err(error) => {
            let message = chain(&error);
            eprintln!("{message}");
            let _ = std::fs::write(state.join("failure"), message);
            ExitCode::FAILURE
        }
    };
    finish(&state);
    code
}

/// A world that failed leaves its state for the harness, which reads and then removes it. If the
/// harness is gone, or the world was meant to end, it is removed here.
fn finish(state: &Path) {
    let failed = state.join("failure").exists();
    let kept = WorldSpec::read(state).is_ok_and(|spec| spec.kept);
    if failed && (kept || !lifeline_cut()) {
        return;
    }
    let _ = std::fs::remove_dir_all(state);
}

/// True when the other end of stdin is closed.
fn lifeline_cut() -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let stdin = std::io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok()
        && fds[0]
            .revents()
            .is_some_and(|seen| seen.intersects(PollFlags::POLLHUP | PollFlags::POLLIN))
}

fn run(state: &Path) -> Result<ExitCode, RoleError> {
    let spec = WorldSpec::read(state).map_err(RoleError::io("read the world's spec"))?;
    enter_namespaces()?;
    let exe = std::env::current_exe().map_err(RoleError::io("find this program"))?;
    let mut command = Command::new(exe);
    command.arg0("meshproof-world").arg("__init").arg(state);
    command.stdout(inherit_stdout()?);
    // A kept world's lifeline is a pipe whose other end this process holds; otherwise it is the
    // harness's.
    command.stdin(if spec.kept {
        Stdio::piped()
    } else {
        Stdio::inherit()
    });
    let mut init = command
        .spawn()
        .map_err(RoleError::io("start the world's first process"))?;
    std::fs::write(spec.init_pid(), init.id().to_string())
        .map_err(RoleError::io(format!("write into {}", state.display())))?;
    wait(&mut init)
}

/// Passes the listening socket on to the child as its stdout.
fn inherit_stdout() -> Result<Stdio, RoleError> {
    let socket = std::io::stdout().as_fd().try_clone_to_owned();
    socket
        .map(Stdio::from)
        .map_err(RoleError::io("pass on the listening socket"))
}

fn wait(init: &mut Child) -> Result<ExitCode, RoleError> {
    // Waiting would close the child's stdin, which is a kept world's lifeline and must stay open.
    let _lifeline = init.stdin.take();
    let status = init.wait().map_err(RoleError::io("wait for the world"))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn enter_namespaces() -> Result<(), RoleError> {
    let exe = std::env::current_exe().map_err(RoleError::io("find this program"))?;
    let mut helper = Command::new(exe)
        .arg("__idmap")
        .arg(getpid().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(RoleError::io("start the id-map helper"))?;
    unshare(NAMESPACES).map_err(RoleError::Namespaces)?;
    if let Some(mut stdin) = helper.stdin.take() {
        stdin.write_all(b"m").map_err(RoleError::HelperGone)?;
    }
    let output = helper
        .wait_with_output()
        .map_err(RoleError::io("wait for the id-map helper"))?;
    if output.status.success() {
        Ok(())
    } else {
        let answer = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(RoleError::Ids { answer })
    }
}
