//! `__attempt`: creates the namespaces of a world in this process and exits, to check whether the
//! kernel allows it.

use std::process::ExitCode;

use nix::sched::unshare;

use super::holder::NAMESPACES;

/// Name of the role.
pub const ROLE: &str = "__attempt";

/// Succeeds if the namespaces could be created; otherwise prints the kernel's error on stderr.
pub fn main() -> ExitCode {
    match unshare(NAMESPACES) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
