//! `__container`: the first process of a container, from its start in new namespaces to the exec of
//! the container's program.
//!
//! Its standard input is a socket: the node writes a [`ContainerSpec`] and shuts down its side. A
//! [`StartFailure`] comes back, or nothing, since the socket closes on exec: then the program
//! runs.

use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
};

use nix::{
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        stat::{Mode, fchmod, umask},
    },
    unistd::{dup2_stdin, setsid},
};

use super::{
    identity, root,
    spec::{ContainerSpec, StartFailure},
};
use crate::errors::chain;

/// Exit code of a container whose program could not be started, as container runtimes report it.
const START_ERROR: i32 = 128;

/// Memory that a process may reserve beyond its limit without touching it, in bytes.
const SPARE: u64 = 1 << 30;

/// Becomes the container's program, or reports the failure and returns the exit code. Must be
/// called while the process is single-threaded.
pub fn main() -> i32 {
    let mut node = match take_socket() {
        Ok(node) => node,
        Err(error) => {
            eprintln!(
                "__container is started by the node, with a socket as standard input: {error}"
            );
            return START_ERROR;
        }
    };
    let message = start(&mut node);
    let reply = serde_json::to_vec(&StartFailure { message }).unwrap_or_default();
    if let Err(error) = node.write_all(&reply) {
        eprintln!("cannot report to the node: {error}");
    }
    START_ERROR
}

/// Moves the socket away from standard input, which becomes `/dev/null`.
fn take_socket() -> io::Result<UnixStream> {
    let copy = io::stdin().as_fd().try_clone_to_owned()?; // close-on-exec
    dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(UnixStream::from(copy))
}

/// Returns only with an error message.
fn start(node: &mut UnixStream) -> String {
    let mut text = Vec::new();
    let spec: ContainerSpec = match node
        .read_to_end(&mut text)
        .map_err(serde_json::Error::io)
        .and_then(|_| serde_json::from_slice(&text))
    {
        Ok(spec) => spec,
        Err(error) => return format!("cannot read the container's description: {error}"),
    };
    umask(Mode::from_bits_truncate(0o022));
    if let Err(error) = root::build_and_enter(&spec) {
        return chain(&error);
    }
    if let Err(error) = prepare_process(spec.memory) {
        return format!("cannot prepare the container's process: {error}");
    }
    if let Err(error) = identity::assume(&spec.identity) {
        return format!(
            "cannot become uid {} gid {}: {error}",
            spec.identity.uid, spec.identity.gid
        );
    }
    // After the change of user, so that a directory the user may not enter is an error, as in
    // container runtimes.
    if let Err(error) = nix::unistd::chdir(&spec.workdir) {
        return format!(
            "cannot change to the working directory {}: {error}",
            spec.workdir.display()
        );
    }
    identity::exec(&spec.argv, &spec.env)
}

/// Sets the modes of the output pipes and the resource limits. Programs such as Envoy reopen
/// `/dev/stdout` as another user, which the pipe's mode must allow.
///
/// `RLIMIT_DATA` stops a process that grows faster than the node samples its container's memory.
/// It counts writable memory, touched or not (setrlimit(2)), such as thread stacks, so it is
/// several times the limit, for each process.
fn prepare_process(memory: Option<u64>) -> io::Result<()> {
    if let Some(limit) = memory {
        let most = limit.saturating_mul(2).saturating_add(SPARE);
        let (_, hard) = getrlimit(Resource::RLIMIT_DATA)?;
        setrlimit(Resource::RLIMIT_DATA, most.min(hard), most.min(hard))?;
    }
    setsid()?;
    fchmod(io::stdout(), Mode::from_bits_truncate(0o666))?;
    fchmod(io::stderr(), Mode::from_bits_truncate(0o666))?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}
