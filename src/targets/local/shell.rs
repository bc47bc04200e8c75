//! `__shell STATE [COMMAND…]`: runs a program inside the world, next to the control plane, with
//! kubectl and istioctl ready to use.

use std::{
    ffi::OsString,
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, setns},
};

use super::world::{
    launch::{World, WorldError},
    spec::WorldSpec,
};
use crate::errors::chain;

/// Name of the role.
pub const ROLE: &str = "__shell";

/// An error entering a world.
#[derive(Debug, thiserror::Error)]
enum EnterError {
    #[error("cannot read its state")]
    State(#[source] io::Error),
    #[error(transparent)]
    World(#[from] WorldError),
    #[error("it has ended")]
    Ended,
    #[error("namespace {kind}")]
    Open {
        kind: &'static str,
        source: io::Error,
    },
    #[error("namespace {kind}")]
    Enter { kind: &'static str, source: Errno },
    #[error("{program}")]
    Program { program: String, source: io::Error },
}

/// Entry point of the role.
pub fn main(args: &[String]) -> ExitCode {
    let [state, command @ ..] = args else {
        return ExitCode::from(2);
    };
    match enter(&PathBuf::from(state), command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cannot enter the local target: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn enter(state: &Path, command: &[String]) -> Result<ExitCode, EnterError> {
    let spec = WorldSpec::read(state).map_err(EnterError::State)?;
    let world = World::find(&spec.name)?;
    let pid = world.init_pid().ok_or(EnterError::Ended)?;
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    // The user namespace first: it grants the right to enter the others.
    let kinds = [
        ("user", CloneFlags::CLONE_NEWUSER),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("net", CloneFlags::CLONE_NEWNET),
        ("pid", CloneFlags::CLONE_NEWPID),
        ("mnt", CloneFlags::CLONE_NEWNS),
    ];
    let open = |kind: &'static str| {
        let file = File::open(format!("/proc/{pid}/ns/{kind}"));
        file.map_err(|source| EnterError::Open { kind, source })
    };
    let files = kinds.iter().map(|(kind, _)| open(kind));
    let files = files.collect::<Result<Vec<File>, EnterError>>()?;
    let directory = std::env::current_dir().ok();
    for (file, (kind, flag)) in files.iter().zip(kinds) {
        setns(file, flag).map_err(|source| EnterError::Enter { kind, source })?;
    }
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
    let (program, rest) = command
        .split_first()
        .map_or((shell.as_str(), &[] as &[String]), |(first, rest)| {
            (first.as_str(), rest)
        });
    let mut child = Command::new(program);
    child
        .args(rest)
        .env("KUBECONFIG", spec.kubeconfig_inside())
        .env("PATH", path(&spec, inherited));
    child.current_dir(directory.unwrap_or_else(|| PathBuf::from("/")));
    let status = child.status().map_err(|source| EnterError::Program {
        program: program.to_owned(),
        source,
    })?;
    Ok(ExitCode::from(
        status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(1),
    ))
}

/// The toolchain's programs (istioctl) come after the user's own.
fn path(spec: &WorldSpec, inherited: OsString) -> OsString {
    let mut path = inherited;
    path.push(":");
    path.push(&spec.bins);
    path
}
