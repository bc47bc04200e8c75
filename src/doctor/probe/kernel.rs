//! Limits of the kernel that a container engine runs on.

use std::{collections::BTreeSet, fs};

use super::machine::{number, text};
use crate::doctor::kind::Kernel;

/// Number of CAP_SYS_RESOURCE (capabilities(7), linux/capability.h).
const SYS_RESOURCE: u64 = 24;

/// `running`: an engine answers. Then its own bounding set counts, otherwise that of this process,
/// whose user would start one.
pub(super) fn kernel(running: bool) -> Kernel {
    Kernel {
        instances: number("/proc/sys/fs/inotify/max_user_instances"),
        watches: number("/proc/sys/fs/inotify/max_user_watches"),
        controllers: controllers(
            &text("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default(),
            &text("/proc/cgroups").unwrap_or_default(),
        ),
        resource: match running {
            true => engine_bounds().map(has_resource),
            false => text("/proc/self/status")
                .and_then(|status| bounds(&status))
                .map(has_resource),
        },
    }
}

/// cgroup v2 lists its controllers; those of v1 count if they are enabled and mounted (cgroups(7),
/// "/proc/cgroups").
fn controllers(v2: &str, v1: &str) -> BTreeSet<String> {
    let mounted = v1.lines().filter(|line| !line.starts_with('#'));
    let mounted = mounted.filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (name, hierarchy, enabled) = (fields.next()?, fields.next()?, fields.nth(1)?);
        (hierarchy != "0" && enabled == "1").then_some(name)
    });
    v2.split_whitespace()
        .chain(mounted)
        .map(str::to_owned)
        .collect()
}

/// The bounding set of a `dockerd` that is visible from here.
fn engine_bounds() -> Option<u64> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let daemon = processes.map(|entry| entry.path()).find(|process| {
        fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim() == "dockerd")
    });
    bounds(&fs::read_to_string(daemon?.join("status")).ok()?)
}

fn bounds(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn has_resource(bounds: u64) -> bool {
    bounds >> SYS_RESOURCE & 1 == 1
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Name:\tx\nCapBnd:\t000001ffffffffff\n", Some(true))]
    #[case("CapBnd:\t000001fffeffffff\n", Some(false))]
    #[case("Name:\tx\n", None)]
    fn a_bounding_set_has_the_capability_or_not(#[case] status: &str, #[case] has: Option<bool>) {
        assert_eq!(bounds(status).map(has_resource), has);
    }

    const CGROUPS: &str = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nmemory\t4\t26\t0\npids\t0\t1\t1\n";

    #[rstest]
    #[case::version_2("cpuset cpu io memory pids", "", &["cpu", "cpuset", "io", "memory", "pids"])]
    #[case::version_1("", CGROUPS, &["cpu"])]
    #[case::neither("", "", &[])]
    fn controllers_of_both_versions(#[case] v2: &str, #[case] v1: &str, #[case] names: &[&str]) {
        assert_eq!(Vec::from_iter(controllers(v2, v1)), names);
    }
}
