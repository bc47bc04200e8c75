//! Resource limits of this process (getrlimit(2)), compared with what a local world needs: a
//! limit that is too low is reported before anything starts, with the shell's name for it. Soft
//! limits are raised as far as the hard ones allow, for this process and what it starts.

use nix::{
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::Uid,
};

/// A limit that is lower than a world needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process may have only {allowed} {what} ({flag}) and {needed} are needed: raise the limit, for example with `{flag} {suggested}` before this command, or in /etc/security/limits.conf"
)]
pub struct TooLow {
    what: &'static str,
    flag: &'static str,
    allowed: u64,
    needed: u64,
    /// `needed` in the unit of the shell's flag.
    suggested: u64,
}

struct Need {
    resource: Resource,
    what: &'static str,
    /// The shell's flag for it (bash(1), ulimit).
    flag: &'static str,
    least: u64,
    /// Bytes or items in one unit of the shell's flag.
    unit: u64,
    /// A lower soft limit is raised to this value.
    expected: u64,
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Measured on a world with one scenario: about 40 open files in a process, 300 threads in all
/// processes together; a scenario with six pods adds about 100 threads. Address space: a Go
/// program reserves about 2 GiB. Largest file: etcd's log, 64 MB at once.
const WORLD: [Need; 5] = [
    Need {
        resource: Resource::RLIMIT_NOFILE,
        what: "open files",
        flag: "ulimit -n",
        least: 512,
        unit: 1,
        expected: 65_536,
    },
    Need {
        resource: Resource::RLIMIT_NPROC,
        what: "processes and threads",
        flag: "ulimit -u",
        least: 1024,
        unit: 1,
        expected: 65_536,
    },
    Need {
        resource: Resource::RLIMIT_STACK,
        what: "bytes of stack",
        flag: "ulimit -s",
        least: MIB,
        unit: 1024,
        expected: 8 * MIB,
    },
    Need {
        resource: Resource::RLIMIT_AS,
        what: "bytes of address space",
        flag: "ulimit -v",
        least: 8 * GIB,
        unit: 1024,
        expected: u64::MAX,
    },
    Need {
        resource: Resource::RLIMIT_FSIZE,
        what: "bytes in a file",
        flag: "ulimit -f",
        least: 512 * MIB,
        unit: 1024,
        expected: u64::MAX,
    },
];

/// What a run on a world that is already up needs.
const RUN: [Need; 1] = [Need {
    resource: Resource::RLIMIT_NOFILE,
    what: "open files",
    flag: "ulimit -n",
    least: 128,
    unit: 1,
    expected: 65_536,
}];

/// Ensures that a world can be started.
///
/// # Errors
/// The first limit that is too low.
pub fn for_a_world() -> Result<(), TooLow> {
    WORLD.iter().try_for_each(raise)
}

/// Ensures that a world that is already up can be used.
///
/// # Errors
/// Same as [`for_a_world`].
pub fn for_a_run() -> Result<(), TooLow> {
    RUN.iter().try_for_each(raise)
}

fn raise(need: &Need) -> Result<(), TooLow> {
    let Ok((soft, hard)) = getrlimit(need.resource) else {
        return Ok(());
    };
    let expected = need.expected.min(hard);
    if soft < expected {
        // The hard limit is not exceeded, so no privilege is needed.
        let _ = setrlimit(need.resource, expected, hard);
    }
    let exempt = need.resource == Resource::RLIMIT_NPROC && Uid::effective().is_root();
    check(need, hard, exempt)
}

fn check(need: &Need, hard: u64, exempt: bool) -> Result<(), TooLow> {
    if hard >= need.least || exempt {
        return Ok(());
    }
    Err(TooLow {
        what: need.what,
        flag: need.flag,
        allowed: hard,
        needed: need.least,
        suggested: need.least / need.unit,
    })
}

/// Explains messages in a program's log that mean that a resource limit was reached.
pub fn explain(log: &str) -> Option<String> {
    // Messages of Go's runtime, and of Go and libc for EAGAIN from clone(2) (golang/go
    // src/runtime/os_linux.go, newosproc).
    let threads = ["failed to create new OS thread", "pthread_create failed"];
    if threads.iter().any(|message| log.contains(message)) {
        let limit = getrlimit(Resource::RLIMIT_NPROC).map_or(0, |(soft, _)| soft);
        return Some(format!(
            "it could not start a thread: this user may have {limit} processes and threads (ulimit -u), or the machine has no more"
        ));
    }
    if log.contains("too many open files") || log.contains("Too many open files") {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
        return Some(format!(
            "it reached the limit of {limit} open files (ulimit -n)"
        ));
    }
    log.contains("no space left on device")
        .then(|| "there is no space left on the file system of the state directory".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::files(
        0,
        16,
        "16 open files (ulimit -n) and 512 are needed",
        "`ulimit -n 512`"
    )]
    #[case::processes(1, 60, "60 processes and threads (ulimit -u)", "`ulimit -u 1024`")]
    #[case::stack(2, 65_536, "65536 bytes of stack (ulimit -s)", "`ulimit -s 1024`")]
    #[case::memory(3, GIB, "bytes of address space (ulimit -v)", "`ulimit -v 8388608`")]
    fn a_low_limit_is_named_as_the_shell_names_it(
        #[case] number: usize,
        #[case] hard: u64,
        #[case] reported: &str,
        #[case] remedy: &str,
    ) {
        let answer = check(&WORLD[number], hard, false).unwrap_err().to_string();
        assert!(
            answer.contains(reported) && answer.contains(remedy),
            "{answer}"
        );
    }

    #[test]
    fn enough_is_enough_and_root_may_have_all_processes() {
        assert_eq!(check(&WORLD[0], 512, false), Ok(()));
        assert_eq!(check(&WORLD[1], 60, true), Ok(()));
    }

    #[rstest]
    #[case(
        "runtime: failed to create new OS thread (have 8 already; errno=11)",
        Some("ulimit -u")
    )]
    #[case("accept tcp: accept4: too many open files", Some("ulimit -n"))]
    #[case("write x: no space left on device", Some("no space left"))]
    #[case("panic: nil map", None)]
    fn a_log_that_tells_of_a_limit_is_explained(#[case] log: &str, #[case] reported: Option<&str>) {
        let answer = explain(log);
        assert_eq!(answer.is_some(), reported.is_some(), "{answer:?}");
        assert!(reported.is_none_or(|message| answer.unwrap().contains(message)));
    }
}
