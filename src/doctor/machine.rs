//! The machine itself: system, processor, kernel, memory.

use super::{
    check::{CheckBuilder, DoctorCheck},
    version::at_least,
};

/// Required by kube-proxy's nftables mode.
const KERNEL: &[u32] = &[5, 13];

const GB: u64 = 1_000_000_000;

/// Properties of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachineFacts {
    /// As Rust names it, `linux`.
    pub os: String,
    /// As Rust names it, `x86_64`.
    pub arch: String,
    /// Release of the kernel; `None` without /proc.
    pub kernel: Option<String>,
    /// Bytes of memory that are available now; `None` without /proc.
    pub memory: Option<u64>,
}

/// Memory that a target needs, in bytes: the minimum, and what is recommended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub least: u64,
    pub enough: u64,
}

impl Memory {
    /// etcd, an API server, istiod and some dozens of proxies as processes.
    pub const LOCAL: Self = Self {
        least: 2 * GB,
        enough: 4 * GB,
    };
    /// The same in containers, with a kubelet and containerd.
    pub const KIND: Self = Self {
        least: 3 * GB,
        enough: 6 * GB,
    };
}

pub fn system(machine: &MachineFacts) -> DoctorCheck {
    let about = CheckBuilder::new("system", "the programs of every target are built for Linux");
    let found = format!("{} on {}", machine.os, machine.arch);
    match (machine.os.as_str(), machine.arch.as_str()) {
        ("linux", "x86_64" | "aarch64") => about.ok(found),
        _ => about.missing(
            found,
            "use a Linux machine with an x86_64 or aarch64 processor",
        ),
    }
}

pub fn kernel(machine: &MachineFacts) -> DoctorCheck {
    let about = CheckBuilder::new(
        "kernel",
        "namespaces, and the nftables features that kube-proxy uses (5.13 or newer)",
    );
    match &machine.kernel {
        None => about.missing(
            "/proc is not mounted",
            "mount it: mount -t proc proc /proc (container engines mount it themselves)",
        ),
        Some(release) if at_least(release, KERNEL) => about.ok(release),
        Some(release) => about.missing(release, "boot a kernel of version 5.13 or newer"),
    }
}

/// `None` is advice: the memory is unknown and may suffice.
pub fn memory(machine: &MachineFacts, needs: Memory) -> DoctorCheck {
    let about = CheckBuilder::new("memory", "the control plane and a proxy for every pod");
    let Some(bytes) = machine.memory else {
        return about.advice(
            "unknown without /proc/meminfo",
            format!("make sure that {} are free", gb(needs.enough)),
        );
    };
    let found = format!("{} free", gb(bytes));
    match bytes {
        _ if bytes < needs.least => about.missing(
            found,
            format!(
                "free memory, or use a machine with more: {} is the minimum, {} is recommended",
                gb(needs.least),
                gb(needs.enough)
            ),
        ),
        _ if bytes < needs.enough => about.advice(
            found,
            format!(
                "{} is recommended; with less, use --jobs 1",
                gb(needs.enough)
            ),
        ),
        _ => about.ok(found),
    }
}

/// A number of bytes in GB.
pub(super) fn gb(bytes: u64) -> String {
    format!("{}.{} GB", bytes / GB, bytes % GB / (GB / 10))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::doctor::CheckState::{self, Advice, Missing, Ok};

    #[rstest]
    #[case("linux", "x86_64", Ok)]
    #[case("linux", "aarch64", Ok)]
    #[case("linux", "riscv64", Missing)]
    #[case("macos", "aarch64", Missing)]
    fn linux_on_two_processors(#[case] os: &str, #[case] arch: &str, #[case] state: CheckState) {
        let machine = MachineFacts {
            os: os.to_owned(),
            arch: arch.to_owned(),
            ..MachineFacts::default()
        };
        assert_eq!(system(&machine).state, state);
    }

    #[rstest]
    #[case(Some("6.1.0-13-amd64"), Ok, "6.1.0")]
    #[case(Some("5.10.0"), Missing, "5.10.0")]
    #[case(None, Missing, "/proc")]
    fn a_kernel_that_is_new_enough(
        #[case] release: Option<&str>,
        #[case] state: CheckState,
        #[case] word: &str,
    ) {
        let kernel = release.map(str::to_owned);
        let check = kernel_of(kernel);
        assert!(
            check.state == state && check.found.contains(word),
            "{check:?}"
        );
    }

    fn kernel_of(kernel: Option<String>) -> DoctorCheck {
        let machine = MachineFacts {
            kernel,
            ..MachineFacts::default()
        };
        super::kernel(&machine)
    }

    #[rstest]
    #[case(Some(8_250_000_000), Ok, "8.2 GB")]
    #[case(Some(3_000_000_000), Advice, "3.0 GB")]
    #[case(Some(900_000_000), Missing, "0.9 GB")]
    #[case(None, Advice, "/proc/meminfo")]
    fn memory_has_three_outcomes(
        #[case] memory: Option<u64>,
        #[case] state: CheckState,
        #[case] word: &str,
    ) {
        let machine = MachineFacts {
            memory,
            ..MachineFacts::default()
        };
        let check = super::memory(&machine, Memory::LOCAL);
        assert!(
            check.state == state && check.found.contains(word),
            "{check:?}"
        );
    }
}
