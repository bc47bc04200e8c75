//! The hidden roles of this program: every process of the local world is `meshproof __<role> …`.
//!
//! They are told apart before the command line is parsed and before any thread exists, because a process must be
//! single-threaded to enter a new user namespace (user_namespaces(7)).

use std::process::ExitCode;

use super::{container, shell, world};

/// Runs the internal role that the arguments name, if they name one.
pub fn dispatch() -> Option<ExitCode> {
    let mut args = std::env::args().skip(1);
    let role = args.next().filter(|arg| arg.starts_with("__"))?;
    let rest: Vec<String> = args.collect();
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
            eprintln!("meshproof: {other} is no role of this program");
            ExitCode::from(2)
        }
    })
}

/// An exit status as the kernel keeps it: the low eight bits (wait(2)).
fn code(status: i32) -> ExitCode {
    ExitCode::from(status.to_le_bytes()[0])
}
