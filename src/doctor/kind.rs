//! The kind target: a cluster in containers.

use std::{collections::BTreeSet, path::PathBuf};

use super::{
    check::{CheckBuilder, DoctorCheck},
    docker::{self, DockerFacts},
    local,
    machine::{self, MachineFacts, Memory},
    programs::FoundProgram,
    version::at_least,
};

/// The oldest kind that can load images into nodes with containerd 2.
const KIND: &[u32] = &[0, 27];
/// With fewer, the programs of a single node fail with "too many open files".
const INSTANCES_LEAST: u64 = 64;
/// What kind's documentation requires for several nodes ("Known Issues").
const INSTANCES_ENOUGH: u64 = 512;
const WATCHES_LEAST: u64 = 8_192;
const WATCHES_ENOUGH: u64 = 65_536;
/// A kubelet does not start without these.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// What is known about this machine as a host for a kind cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindFacts {
    pub machine: MachineFacts,
    pub docker: DockerFacts,
    pub kind: FoundProgram,
    pub istioctl: Istioctl,
    pub testbed: Result<PathBuf, PathBuf>,
    /// The local target's tool chain is complete.
    pub chain: bool,
    pub kernel: Kernel,
    /// Requested name of the cluster.
    pub name: Option<String>,
}

/// istioctl and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Istioctl {
    pub program: FoundProgram,
    /// The file that a flag or an environment variable names.
    pub given: Option<PathBuf>,
    /// It is the tool chain's istioctl, of the version that the local target runs.
    pub ours: bool,
    /// The requested version of Istio.
    pub expected: Option<String>,
}

/// Limits of the kernel that the engine runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kernel {
    /// sysctl fs.inotify.max_user_instances.
    pub instances: Option<u64>,
    /// sysctl fs.inotify.max_user_watches.
    pub watches: Option<u64>,
    /// Enabled cgroup controllers.
    pub controllers: BTreeSet<String>,
    /// Whether the engine can give containers CAP_SYS_RESOURCE; `None` if that is not visible from
    /// here.
    pub resource: Option<bool>,
}

/// Everything that the kind target needs.
pub fn checks(facts: &KindFacts) -> Vec<DoctorCheck> {
    let mut checks = vec![
        machine::system(&facts.machine),
        machine::memory(&facts.machine, Memory::KIND),
    ];
    checks.extend(docker::checks(&facts.docker));
    checks.push(kind(&facts.kind));
    checks.push(istioctl(&facts.istioctl));
    checks.push(local::testbed(&facts.testbed));
    checks.push(chain(facts.chain));
    let elsewhere = matches!(&facts.docker.engine, Ok(engine) if !engine.here);
    if !elsewhere {
        checks.push(instances(facts.kernel.instances));
        checks.push(watches(facts.kernel.watches));
        checks.push(controllers(&facts.kernel.controllers));
        checks.extend(privileges(facts));
    }
    checks.extend(docker::leftover(&facts.docker, facts.name.as_deref()));
    checks
}

fn kind(program: &FoundProgram) -> DoctorCheck {
    let about = CheckBuilder::new("kind", "creates the cluster");
    let remedy = "install kind 0.27 or newer in PATH (with Go: go install sigs.k8s.io/kind@latest), or set MESHPROOF_KIND=/path/to/kind";
    match (program.found(), program.version()) {
        (None, _) => about.missing("not found in PATH", remedy),
        (Some(found), Some(version)) if at_least(version, KIND) => about.ok(found),
        (Some(found), Some(_)) => about.advice(
            format!("{found}; versions older than 0.27 cannot load images into new nodes"),
            remedy,
        ),
        (Some(found), None) => about.missing(found, remedy),
    }
}

fn istioctl(istioctl: &Istioctl) -> DoctorCheck {
    let about = CheckBuilder::new(
        "istioctl",
        "installs the version of Istio that it belongs to",
    );
    let Some(found) = istioctl.program.found() else {
        return match &istioctl.given {
            Some(path) => about.missing(
                format!("no program at {}", path.display()),
                "name another one with --istioctl, or leave the flag out to use the one in PATH",
            ),
            None => about.missing(
                "found neither in PATH nor in the tool chain",
                "install the istioctl of the Istio to test in PATH (every release has one), or build the tool chain's: meshproof toolchain prepare",
            ),
        };
    };
    match (istioctl.program.version(), &istioctl.expected) {
        (None, _) => about.missing(found, "install an istioctl in PATH that runs on this machine"),
        (Some(answer), Some(expected)) if !answer.split_whitespace().any(|word| word == expected) => about
            .missing(
                format!("{found}, but Istio {expected} is requested"),
                format!("install the istioctl of Istio {expected} in PATH, or name it with --istioctl"),
            ),
        (Some(_), None) if istioctl.ours => about.advice(
            format!("{found}, from the tool chain"),
            "for another version of Istio, install its istioctl in PATH, or name it with --istioctl",
        ),
        _ => about.ok(found),
    }
}

/// Nothing is built for a cluster, so scenarios that need missing parts are skipped.
fn chain(ready: bool) -> DoctorCheck {
    let about = CheckBuilder::new(
        "tool chain",
        "clients and servers of other gRPC implementations, and Gateway API's definitions",
    );
    match ready {
        true => about.ok("ready"),
        false => about.advice(
            "not built, so scenarios that need these are skipped",
            "meshproof toolchain prepare (see meshproof doctor --target local)",
        ),
    }
}

fn instances(found: Option<u64>) -> DoctorCheck {
    let about = CheckBuilder::new(
        "inotify instances",
        "every kubelet, containerd and proxy watches files",
    );
    let remedy = "as root: sysctl -w fs.inotify.max_user_instances=512 (to make it permanent: a line in /etc/sysctl.d)";
    match found {
        None => about.advice("unknown: /proc is not mounted", remedy),
        Some(n) if n < INSTANCES_LEAST => about.missing(n.to_string(), remedy),
        Some(n) if n < INSTANCES_ENOUGH => about.advice(
            format!("{n}, which may be too few for several nodes"),
            remedy,
        ),
        Some(n) => about.ok(n.to_string()),
    }
}

fn watches(found: Option<u64>) -> DoctorCheck {
    let about = CheckBuilder::new(
        "inotify watches",
        "every kubelet, containerd and proxy watches files",
    );
    let remedy = "as root: sysctl -w fs.inotify.max_user_watches=524288 (to make it permanent: a line in /etc/sysctl.d)";
    match found {
        None => about.advice("unknown: /proc is not mounted", remedy),
        Some(n) if n < WATCHES_LEAST => about.missing(n.to_string(), remedy),
        Some(n) if n < WATCHES_ENOUGH => about.advice(n.to_string(), remedy),
        Some(n) => about.ok(n.to_string()),
    }
}

fn controllers(found: &BTreeSet<String>) -> DoctorCheck {
    let about = CheckBuilder::new(
        "cgroup controllers",
        "kubelets do not start without cpu, memory and pids",
    );
    let missing = CONTROLLERS.iter().filter(|&&name| !found.contains(name));
    let missing = Vec::from_iter(missing.copied()).join(", ");
    let have = Vec::from_iter(found.iter().map(String::as_str)).join(", ");
    match (found.is_empty(), missing.is_empty()) {
        (_, true) => about.ok(have),
        (true, _) => about.advice(
            "not visible from here",
            "mount /sys/fs/cgroup",
        ),
        (false, false) => about.missing(
            format!("{missing} missing, only {have} enabled"),
            "boot with the kernel parameters cgroup_enable=memory and systemd.unified_cgroup_hierarchy=1; in a container, mount the host's /sys/fs/cgroup",
        ),
    }
}

/// Only an engine that runs on this machine as root is concerned: a rootless one has the bounding
/// set of its own user namespace.
fn privileges(facts: &KindFacts) -> Option<DoctorCheck> {
    let engine = facts.docker.engine.as_ref().ok();
    if engine.is_some_and(|engine| engine.rootless) {
        return None;
    }
    let about = CheckBuilder::new(
        "CAP_SYS_RESOURCE",
        "kind's nodes are privileged containers, which get every capability",
    );
    let other_runtime = engine
        .map(|engine| engine.default_runtime.as_str())
        .filter(|name| !name.is_empty() && *name != "runc");
    Some(match (facts.kernel.resource?, other_runtime) {
        (true, _) => about.ok("in the bounding set"),
        (false, Some(name)) => about.advice(
            format!("not in the bounding set; the engine's runtime {name} may work without it"),
            "if nodes fail with `unable to apply caps`, use scripts/kind-offline",
        ),
        (false, None) => about.missing(
            "not in the bounding set: docker run --privileged fails with `unable to apply caps`",
            "use a machine or a container that has it, or else scripts/kind-offline",
        ),
    })
}

#[cfg(test)]
#[path = "kind_tests.rs"]
mod tests;
