//! `__shell STATE [COMMAND…]`: a program inside the world, beside the control plane, with kubectl and istioctl ready to use.

use std::{
    ffi::OsString,
    fs::File,
    path::PathBuf,
    process::{Command, ExitCode},
};

use nix::sched::{CloneFlags, setns};

use super::world::{launch::World, spec::WorldSpec};

/// Name of the role.
pub const ROLE: &str = "__shell";

/// Entry of the role.
pub fn main(args: &[String]) -> ExitCode {
    let [state, command @ ..] = args else {
        return ExitCode::from(2);
    };
    match enter(&PathBuf::from(state), command) {
        Ok(code) => code,
        Err(words) => {
            eprintln!("cannot enter the local target: {words}");
            ExitCode::FAILURE
        }
    }
}

fn enter(state: &std::path::Path, command: &[String]) -> Result<ExitCode, String> {
    let spec =
        WorldSpec::read(state).map_err(|error| format!("its state cannot be read: {error}"))?;
    let world = World::find(&spec.name).map_err(|error| error.to_string())?;
    let pid = world.init_pid().ok_or("it has ended")?;
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    // The user namespace first: it gives the right to enter the others.
    let kinds = [
        ("user", CloneFlags::CLONE_NEWUSER),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("net", CloneFlags::CLONE_NEWNET),
        ("pid", CloneFlags::CLONE_NEWPID),
        ("mnt", CloneFlags::CLONE_NEWNS),
    ];
    let open = |kind: &str| {
        File::open(format!("/proc/{pid}/ns/{kind}"))
            .map_err(|error| format!("namespace {kind}: {error}"))
    };
    let files: Result<Vec<File>, String> = kinds.iter().map(|(kind, _)| open(kind)).collect();
    let directory = std::env::current_dir().ok();
    for (file, (kind, flag)) in files?.iter().zip(kinds) {
        setns(file, flag).map_err(|error| format!("namespace {kind}: {error}"))?;
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
    let status = child
        .status()
        .map_err(|error| format!("{program}: {error}"))?;
    Ok(ExitCode::from(
        status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(1),
    ))
}

/// The tool chain's programs (istioctl) come after the user's own.
fn path(spec: &WorldSpec, inherited: OsString) -> OsString {
    let mut path = inherited;
    path.push(":");
    path.push(&spec.bins);
    path
}
