//! The internal roles of this program: every process of the local world is
//! `meshproof __<role> …`.
//!
//! Roles are dispatched before the command line is parsed and before any thread exists, because a
//! process must be single-threaded to enter a new user namespace (user_namespaces(7)).

use std::{ffi::OsString, process::ExitCode};

use nix::sys::stat::{Mode, umask};

use super::{container, shell, world};

/// Runs the internal role that the arguments name, if any.
pub fn dispatch() -> Option<ExitCode> {
    // An argument that is not UTF-8 is not a role; clap reports it.
    let role = std::env::args_os().nth(1)?.into_string().ok()?;
    if !role.starts_with("__") {
        return None;
    }
    let rest = std::env::args_os().skip(2).map(OsString::into_string);
    let Ok(rest) = rest.collect::<Result<Vec<String>, _>>() else {
        eprintln!("meshproof: the arguments of {role} must be UTF-8");
        return Some(ExitCode::from(2));
    };
    if ["__world", "__init", "__inside"].contains(&role.as_str()) {
        // Files that a world writes are read by its pods' users (1337), whatever the user's own
        // umask is. Keys set their own modes.
        umask(Mode::from_bits_truncate(0o022));
    }
    Some(match role.as_str() {
        "__world" => world::holder::main(&rest),
        "__idmap" => world::idmap::main(&rest),
        world::attempt::ROLE => world::attempt::main(),
        "__init" => world::init::main(&rest),
        "__inside" => world::inside::main(&rest),
        shell::ROLE => shell::main(&rest),
        "__container" => code(container::main()),
        "__enter" => code(container::enter_main(&rest)),
        other => {
            eprintln!("meshproof: unknown internal role {other}");
            ExitCode::from(2)
        }
    })
}

/// An exit status as the kernel keeps it: the low eight bits (wait(2)).
fn code(status: i32) -> ExitCode {
    ExitCode::from(status.to_le_bytes()[0])
}
