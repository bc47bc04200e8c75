//! `__enter`: runs a program inside a running container, for `kubectl exec`, exec probes and
//! lifecycle hooks.
//!
//! The started process itself stays outside and waits, because only children enter a PID
//! namespace. When it dies, the kernel kills the program inside.

use std::{fs, fs::File, path::Path};

use nix::{
    errno::Errno,
    sched::{CloneFlags, setns},
    sys::{
        prctl,
        signal::Signal,
        wait::{WaitStatus, waitpid},
    },
    unistd,
};

use super::{error::ContainerError, identity, spec::EnterSpec};
use crate::{errors::chain, targets::local::ns};

/// Exit code if the container cannot be entered or the program cannot be started, as shells and
/// container runtimes use it.
const NOT_STARTED: i32 = 126;

/// Enters the container described by the file `arguments[0]`, runs `arguments[1..]` there and
/// returns its exit code (128 + n when signal n ended it). Must be called while the process is
/// single-threaded.
pub fn enter_main(arguments: &[String]) -> i32 {
    match enter(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", chain(&error));
            NOT_STARTED
        }
    }
}

fn enter(arguments: &[String]) -> Result<i32, ContainerError> {
    let [file, argv @ ..] = arguments else {
        return Err(ContainerError::Arguments);
    };
    let text = fs::read(file).map_err(ContainerError::gone(format!("cannot read {file}")))?;
    let spec = serde_json::from_slice(&text);
    let spec: EnterSpec = spec.map_err(|source| ContainerError::Description {
        file: file.clone(),
        source,
    })?;
    let root = open(&spec, "mnt")?;
    join(&spec)?;
    let child = ns::fork_child(|| {
        eprintln!("{}", become_program(&spec, &root, argv));
        NOT_STARTED + 1
    })
    .map_err(ContainerError::io("fork in the container"))?;
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128 + signal as i32),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                let step = "wait for the program in the container";
                return Err(ContainerError::kernel(step)(error));
            }
        }
    }
}

/// Enters all namespaces except the mount namespace, which has to come last because it hides the
/// world's `/proc`.
fn join(spec: &EnterSpec) -> Result<(), ContainerError> {
    const KINDS: [(&str, CloneFlags); 4] = [
        ("net", CloneFlags::CLONE_NEWNET),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("pid", CloneFlags::CLONE_NEWPID),
    ];
    for (name, flag) in KINDS {
        let step = format!("enter the container's {name} namespace");
        setns(open(spec, name)?, flag).map_err(ContainerError::kernel(step))?;
    }
    Ok(())
}

fn open(spec: &EnterSpec, name: &str) -> Result<File, ContainerError> {
    let path = format!("/proc/{}/ns/{name}", spec.pid);
    File::open(&path).map_err(ContainerError::gone(path))
}

/// Runs in the forked child; returns only with an error message.
fn become_program(spec: &EnterSpec, root: &File, argv: &[String]) -> String {
    if let Err(error) = setns(root, CloneFlags::CLONE_NEWNS) {
        return format!("cannot enter the container's files: {error}");
    }
    if let Err(error) = unistd::chdir(&spec.workdir).or_else(|_| unistd::chdir(Path::new("/"))) {
        return format!("cannot change to {}: {error}", spec.workdir.display());
    }
    if let Err(error) = identity::assume(&spec.identity) {
        return format!("cannot become uid {}: {error}", spec.identity.uid);
    }
    if let Err(error) = prctl::set_pdeathsig(Signal::SIGKILL) {
        return format!("cannot tie the program to its parent: {error}");
    }
    identity::exec(argv, &spec.env)
}
