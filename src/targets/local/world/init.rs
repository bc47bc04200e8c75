//! `__init STATE`: PID 1 of the world. Prepares mounts, starts `__inside`, reaps orphans, and
//! exits with the lifeline.

use std::{
    io::Read as _,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{
        signal::{SigSet, SigmaskHow, sigprocmask},
        wait::{WaitStatus, waitpid},
    },
    unistd::{Pid, sethostname},
};

use super::{
    error::RoleError,
    spec::{NODE_NAME, WorldSpec},
    state,
};
use crate::errors::chain;

/// Entry point of PID 1.
pub fn main(args: &[String]) -> ExitCode {
    let Some(state) = args.first().map(PathBuf::from) else {
        return ExitCode::from(2);
    };
    // PID 1 may outlive the holder by a moment; its directory must stay until then.
    let _held = state::hold(&state);
    match start(&state) {
        Ok(inside) => {
            watch_lifeline();
            reap(inside)
        }
        Err(error) => {
            let message = chain(&error);
            eprintln!("{message}");
            let _ = std::fs::write(state.join("failure"), message);
            ExitCode::FAILURE
        }
    }
}

fn start(state: &Path) -> Result<Pid, RoleError> {
    let spec = WorldSpec::read(state).map_err(RoleError::io("read the world's spec"))?;
    // The holder blocks the signals that must not end it. Containers would inherit the mask and
    // never see a SIGTERM.
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
        .map_err(RoleError::kernel("unblock signals"))?;
    mounts(&spec)?;
    sethostname(NODE_NAME).map_err(RoleError::kernel("set the host name"))?;
    let exe = std::env::current_exe().map_err(RoleError::io("find this program"))?;
    let socket = std::io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .map_err(RoleError::io("pass on the listening socket"))?;
    let child = Command::new(exe)
        .arg("__inside")
        .arg(state)
        .stdin(Stdio::null())
        .stdout(Stdio::from(socket))
        .spawn()
        .map_err(RoleError::io("start the world's main process"))?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

/// Nothing mounted here reaches the host: the whole tree is made private first.
fn mounts(spec: &WorldSpec) -> Result<(), RoleError> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).map_err(RoleError::kernel("create a mount namespace"))?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(RoleError::kernel("make the mounts private"))?;
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), safe, none).map_err(RoleError::Proc)?;
    // Shows the world's own network devices. If this is rejected, the host's /sys stays, and
    // nothing here depends on it.
    let _ = mount(
        Some("sysfs"),
        "/sys",
        Some("sysfs"),
        safe | MsFlags::MS_RDONLY,
        none,
    );
    let private = spec.private();
    std::fs::create_dir_all(&private)
        .map_err(RoleError::io(format!("create {}", private.display())))?;
    mount(
        Some("tmpfs"),
        &private,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some("mode=0755"),
    )
    .map_err(RoleError::kernel(format!(
        "mount a tmpfs at {}",
        private.display()
    )))
}

/// PID 1 exits when its stdin closes; the kernel then ends every process of the namespace
/// (pid_namespaces(7)).
#[allow(
    clippy::exit,
    reason = "PID 1 has nothing to unwind: its end is the end of the world"
)]
fn watch_lifeline() {
    std::thread::spawn(|| {
        let mut byte = [0];
        let _ = std::io::stdin().read(&mut byte);
        std::process::exit(0);
    });
}

/// Reaps until the main process has ended.
fn reap(inside: Pid) -> ExitCode {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == inside => {
                return ExitCode::from(u8::try_from(code).unwrap_or(1));
            }
            Ok(WaitStatus::Signaled(pid, ..)) if pid == inside => return ExitCode::FAILURE,
            Err(Errno::ECHILD) => return ExitCode::FAILURE,
            Ok(_) | Err(_) => {}
        }
    }
}
