//! Known errors of kind and Docker, with their meaning and remedy.

/// A part of the error text, and its meaning and remedy.
const CAUSES: &[(&str, &str)] = &[
    (
        "Cannot connect to the Docker daemon",
        "no container engine answers: start Docker (sudo systemctl start docker), or set DOCKER_HOST to one that runs",
    ),
    (
        "docker daemon is not running",
        "no container engine answers: start Docker (sudo systemctl start docker), or set DOCKER_HOST to one that runs",
    ),
    (
        "permission denied while trying to connect to the",
        "this user may not use Docker: add it to the group docker (sudo usermod -aG docker $USER) and log in again",
    ),
    (
        "unable to apply caps",
        "this machine denies a capability that `docker run --privileged` requests; scripts/kind-offline starts an engine that requests fewer",
    ),
    (
        "address already in use",
        "a port in the kind configuration is already in use; remove apiServerPort and hostPort, or free the port",
    ),
    (
        "port is already allocated",
        "a port in the kind configuration is already in use; remove apiServerPort and hostPort, or free the port",
    ),
    (
        "no space left on device",
        "the disk of the container engine is full: `docker system df` shows its usage",
    ),
    (
        "too many open files",
        "the nodes ran out of inotify instances: sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288",
    ),
    (
        "already exist for a cluster with the name",
        "a cluster with this name already exists: choose another --name, or use that cluster",
    ),
    (
        "failed to pull image",
        "the node image is not on this machine and cannot be pulled; set --node-image to a local image (docker image ls), or build one without a registry: scripts/kind-offline",
    ),
    (
        "No such image",
        "the node image is not on this machine and cannot be pulled; set --node-image to a local image (docker image ls), or build one without a registry: scripts/kind-offline",
    ),
    (
        "failed to create control group",
        "the node's systemd has no cgroup of its own: the engine must provide cgroup v2, or v1 with a writable hierarchy",
    ),
    (
        "not run on a host using cgroup v1",
        "this kubelet does not support cgroup v1: boot the machine with cgroup v2 (systemd.unified_cgroup_hierarchy=1), or use a node image of Kubernetes 1.34 or older",
    ),
    (
        "could not find a log line that matches",
        "the node's container started but its systemd did not come up: cgroups or inotify instances are missing; its last log lines are below",
    ),
    (
        "timed out waiting for the condition",
        "Kubernetes on the node did not become healthy in time: the machine is slow or overloaded, or the node image is not for this version of kind",
    ),
    (
        "not found in type v1alpha4",
        "the kind configuration has a field that this version of kind does not support",
    ),
    (
        "invalid manifest",
        "an image archive is corrupt or was not created by `docker save`",
    ),
    ("no such file or directory", "a given file does not exist"),
    (
        "no nodes found for cluster",
        "the cluster's containers are gone: run `kind delete cluster`, then start again",
    ),
];

/// The entries that also count in the logs of nodes, where most errors are harmless.
const OF_NODES: &[&str] = &[
    "too many open files",
    "no space left on device",
    "failed to create control group",
    "not run on a host using cgroup v1",
];

/// Why a node fails to come up, if its log tells.
pub fn of_node(log: &str) -> Option<&'static str> {
    let lower = log.to_lowercase();
    let mark = OF_NODES.iter().find(|mark| lower.contains(**mark))?;
    Some(cause(mark))
}

/// The cause of the first entry that the error text contains, else "unknown cause".
pub fn cause(message: &str) -> &'static str {
    let lower = message.to_lowercase();
    CAUSES
        .iter()
        .find(|(mark, _)| lower.contains(&mark.to_lowercase()))
        .map_or("unknown cause", |(_, cause)| cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stops_a_node_counts_in_its_log() {
        assert_eq!(
            of_node("stat /etc/cni/net.d: no such file or directory"),
            None
        );
        let log = "E1 kubelet is configured to not run on a host using cgroup v1";
        assert!(of_node(log).is_some_and(|cause| cause.contains("cgroup v2")));
        assert!(OF_NODES.iter().all(|mark| cause(mark) != "unknown cause"));
    }

    #[rstest::rstest]
    #[case(
        "ERROR: failed to create cluster: failed to pull image \"kindest/node:v1\"",
        "--node-image"
    )]
    #[case("Cannot connect to the Docker daemon at unix:///x", "start Docker")]
    #[case(
        "docker: Error response from daemon: Bind for 127.0.0.1:6443 failed: port is already allocated",
        "apiServerPort"
    )]
    #[case("write /x: no space left on device", "disk")]
    #[case(
        "Failed to create control group inotify object: Too many open files",
        "inotify"
    )]
    #[case(
        "could not find a log line that matches \"Reached target .*Multi-User System.*|detected cgroup v1\"",
        "systemd did not come up"
    )]
    #[case("something new", "unknown cause")]
    fn words_lead_to_a_way_out(#[case] message: &str, #[case] part: &str) {
        assert!(cause(message).contains(part), "{}", cause(message));
    }
}
