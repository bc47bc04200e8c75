//! `__attempt`: makes the namespaces of a world in this process and ends, to see whether the kernel
//! allows it.

use std::process::ExitCode;

use nix::sched::unshare;

use super::holder::NAMESPACES;

/// Name of the role.
pub const ROLE: &str = "__attempt";

/// Ends well when the namespaces were made, else with the kernel's words on stderr.
pub fn main() -> ExitCode {
    match unshare(NAMESPACES) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
