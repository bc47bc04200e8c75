//! The few raw kernel calls that the local target needs and that have no safe wrapper: fork and
//! clone with namespaces, and capabilities. It is the only file of the harness that may use
//! `unsafe`; each function states why it is sound.
//!
//! Everything else about namespaces has a safe wrapper in `nix`: `unshare`, `setns`, `mount`,
//! `pivot_root`, `prctl`. A thread may `unshare` or `setns` its network, UTS, IPC and mount
//! namespaces and the PID namespace of its *children* without touching its siblings, so containers
//! need no fork of a process with threads: a short-lived thread enters the namespaces and spawns
//! the program from there.
#![allow(unsafe_code)]

use std::{fs, io, process};

use nix::{
    libc,
    sched::CloneFlags,
    unistd::{ForkResult, Pid},
};

/// Forks, runs `child` in the new process and makes its return value the exit code. Returns the
/// child's PID.
///
/// # Errors
/// If the process has more than one thread (the forked copy could deadlock on a lock that another
/// thread held), or if fork(2) fails.
pub fn fork_child(child: impl FnOnce() -> i32) -> io::Result<Pid> {
    only_one_thread()?;
    // SAFETY: the process has a single thread (checked above), so the child sees every lock and the
    // heap in a settled state.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => leave(child()),
    }
}

/// Like [`fork_child`], with the child in new namespaces (`CLONE_NEWUSER`, `CLONE_NEWPID`, …):
/// clone3(2) without a new stack.
///
/// # Errors
/// Same as [`fork_child`]; `EPERM` if the caller may not create one of the namespaces.
pub fn clone_child(flags: CloneFlags, child: impl FnOnce() -> i32) -> io::Result<Pid> {
    only_one_thread()?;
    let args = CloneArgs {
        flags: u64::from(flags.bits().cast_unsigned()),
        exit_signal: libc::SIGCHLD.cast_unsigned().into(),
        ..CloneArgs::default()
    };
    // SAFETY: `args` is a valid clone_args of the size given; without CLONE_VM and a stack the call
    // behaves as fork(2), and the process has a single thread (checked above).
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const args,
            std::mem::size_of::<CloneArgs>(),
        )
    };
    match result {
        0 => leave(child()),
        pid if pid > 0 => Ok(Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `struct clone_args` of the kernel's first version (64 bytes).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

/// Ends a forked child without running the parent's exit handlers or flushing its buffers twice.
fn leave(code: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(code) }
}

fn only_one_thread() -> io::Result<()> {
    let threads = fs::read_dir("/proc/self/task")?.count();
    if threads == 1 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "process {} has {threads} threads; it must fork before it starts any",
        process::id()
    )))
}

/// Restores the default action of SIGPIPE, which Rust programs ignore and an exec'ed program
/// would inherit as ignored.
pub fn restore_sigpipe() {
    // SAFETY: setting a signal to its default action installs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// A set of capabilities, bit n standing for capability number n of linux/capability.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct CapSet(pub u64);

/// Names in the order of their numbers, as Kubernetes writes them (without `CAP_`).
const CAP_NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// An unknown capability name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability {0:?}")]
pub struct NoCapability(pub String);

impl CapSet {
    /// Every capability this harness knows by name.
    pub const ALL: Self = Self((1 << CAP_NAMES.len()) - 1);

    /// The set of these names; `ALL` stands for all, a leading `CAP_` is ignored.
    ///
    /// # Errors
    /// [`NoCapability`], with the first unknown name.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, NoCapability> {
        names.into_iter().try_fold(Self::default(), |set, name| {
            let short = name.strip_prefix("CAP_").unwrap_or(name);
            if short.eq_ignore_ascii_case("ALL") {
                return Ok(Self::ALL);
            }
            match CAP_NAMES
                .iter()
                .position(|known| known.eq_ignore_ascii_case(short))
            {
                Some(number) => Ok(Self(set.0 | 1 << number)),
                None => Err(NoCapability(name.to_owned())),
            }
        })
    }

    /// Both sets together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Removes every capability that is not in `keep` from the bounding set, so that no later exec
/// can regain it.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`.
pub fn limit_bounding_set(keep: CapSet) -> io::Result<()> {
    for number in 0..64u64 {
        if keep.0 & (1 << number) != 0 {
            continue;
        }
        // SAFETY: PR_CAPBSET_DROP takes one integer and touches no memory of this process.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) } == 0 {
            continue;
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() == Some(libc::EINVAL) {
            return Ok(()); // past the kernel's last capability
        }
        return Err(error);
    }
    Ok(())
}

/// Makes `set` the effective and permitted capabilities of the calling thread and empties the
/// inheritable set.
///
/// # Errors
/// `EPERM` if the set has a capability that the thread does not hold.
pub fn set_capabilities(set: CapSet) -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    struct Half {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let half = |bits: u64| {
        let bits = u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0);
        Half {
            effective: bits,
            permitted: bits,
            inheritable: 0,
        }
    };
    let mut header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let data = [half(set.0), half(set.0 >> 32)];
    // SAFETY: version 3 of capset(2) reads one header and exactly two data elements, which both
    // outlive the call.
    if unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::none(&[], Ok(0))]
    #[case::numbers(&["CHOWN", "NET_ADMIN"], Ok(1 | 1 << 12))]
    #[case::prefix(&["CAP_NET_RAW"], Ok(1 << 13))]
    #[case::all(&["NET_RAW", "ALL"], Ok(CapSet::ALL.0))]
    #[case::unknown(&["FLY"], Err("FLY"))]
    fn names_become_bits(#[case] names: &[&str], #[case] bits: Result<u64, &str>) {
        let got = CapSet::of(names.iter().copied());
        assert_eq!(
            got,
            bits.map(CapSet)
                .map_err(|name| NoCapability(name.to_owned()))
        );
    }

    #[test]
    fn a_process_with_threads_is_not_forked() {
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv());
        let answer = fork_child(|| 0).unwrap_err().to_string();
        drop(release);
        let _ = other.join();
        assert!(answer.contains("threads"), "{answer}");
    }
}
