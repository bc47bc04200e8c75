//! `__init STATE`: PID 1 of the world. Prepares mounts, starts `__inside`, reaps orphans, and ends with the lifeline.

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
    spec::{NODE_NAME, WorldSpec},
    state,
};

/// Entry of PID 1.
pub fn main(args: &[String]) -> ExitCode {
    let Some(state) = args.first().map(PathBuf::from) else {
        return ExitCode::from(2);
    };
    // PID 1 may outlive the holder by a moment; what it needs stays until then.
    let _held = state::hold(&state);
    match start(&state) {
        Ok(inside) => {
            watch_lifeline();
            reap(inside)
        }
        Err(words) => {
            eprintln!("{words}");
            let _ = std::fs::write(state.join("failure"), words);
            ExitCode::FAILURE
        }
    }
}

fn start(state: &Path) -> Result<Pid, String> {
    let spec =
        WorldSpec::read(state).map_err(|error| format!("cannot read the world's spec: {error}"))?;
    // The holder blocks the signals that must not end it. Containers would inherit that, and never see a SIGTERM.
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
        .map_err(|error| format!("cannot unblock signals: {error}"))?;
    mounts(&spec)?;
    sethostname(NODE_NAME).map_err(|error| format!("cannot set the host name: {error}"))?;
    let exe =
        std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let socket = std::io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| error.to_string())?;
    let child = Command::new(exe)
        .arg("__inside")
        .arg(state)
        .stdin(Stdio::null())
        .stdout(Stdio::from(socket))
        .spawn()
        .map_err(|error| format!("cannot start the world's main process: {error}"))?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

/// Nothing mounted here reaches the host: the whole tree is made private first.
fn mounts(spec: &WorldSpec) -> Result<(), String> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|error| format!("cannot make a mount namespace: {error}"))?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(|error| format!("cannot make the mounts private: {error}"))?;
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), safe, none).map_err(|error| {
        format!("cannot mount /proc in the world: {error}; inside a container, run it with an unmasked /proc")
    })?;
    // Shows the world's own network devices; where it is refused, the host's /sys stays and nothing here depends on it.
    let _ = mount(
        Some("sysfs"),
        "/sys",
        Some("sysfs"),
        safe | MsFlags::MS_RDONLY,
        none,
    );
    let private = spec.private();
    std::fs::create_dir_all(&private)
        .map_err(|error| format!("cannot create {}: {error}", private.display()))?;
    mount(
        Some("tmpfs"),
        &private,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some("mode=0755"),
    )
    .map_err(|error| format!("cannot mount a tmpfs at {}: {error}", private.display()))
}

/// PID 1 leaves when its stdin closes; the kernel then ends every process of the namespace (pid_namespaces(7)).
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
