//! The machine and the user.

use std::fs;

use nix::unistd::{Uid, User};

use crate::doctor::machine::MachineFacts;

pub(super) fn machine() -> MachineFacts {
    MachineFacts {
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        kernel: text("/proc/sys/kernel/osrelease"),
        memory: memory(),
    }
}

/// Name of the user, or the user id if there is no name.
pub(super) fn user() -> String {
    let uid = Uid::effective();
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    name.unwrap_or_else(|| uid.to_string())
}

/// The contents of a small file, trimmed.
pub(super) fn text(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// The number in a small file.
pub(super) fn number(path: &str) -> Option<u64> {
    text(path)?.parse().ok()
}

/// Available memory according to the kernel, limited by what the cgroup (v2 or v1) still allows
/// this process.
fn memory() -> Option<u64> {
    let available = available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let left = |limit: &str, used: &str| {
        let folder = "/sys/fs/cgroup";
        let limit = number(&format!("{folder}/{limit}"))?;
        Some(limit.saturating_sub(number(&format!("{folder}/{used}"))?))
    };
    let group = left("memory.max", "memory.current").or_else(|| {
        left(
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
        )
    });
    Some(group.map_or(available, |group| group.min(available)))
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_can_be_had_is_read_in_bytes() {
        let text = "MemTotal:       24683772 kB\nMemFree: 1 kB\nMemAvailable:   23873052 kB\n";
        assert_eq!(available(text), Some(23_873_052 * 1024));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }
}
