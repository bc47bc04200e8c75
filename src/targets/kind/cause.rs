//! What kind's and Docker's words mean, and the way out.

/// A part of what they say, what it means, and what to do.
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
        "the machine withholds a capability that `docker run --privileged` asks for; scripts/kind-offline starts an engine that asks for less",
    ),
    (
        "address already in use",
        "a port that the kind configuration asks for is taken; leave out apiServerPort and hostPort, or free the port",
    ),
    (
        "port is already allocated",
        "a port that the kind configuration asks for is taken; leave out apiServerPort and hostPort, or free the port",
    ),
    (
        "no space left on device",
        "the disk of the container engine is full: docker system df shows what uses it",
    ),
    (
        "too many open files",
        "the nodes ran out of inotify instances: sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288",
    ),
    (
        "already exist for a cluster with the name",
        "a cluster of this name is there already: choose another --name, or use that one",
    ),
    (
        "failed to pull image",
        "the node image is not on this machine and cannot be pulled; name one that is with --node-image (docker image ls), or make one without a registry: scripts/kind-offline",
    ),
    (
        "No such image",
        "the node image is not on this machine and cannot be pulled; name one that is with --node-image (docker image ls), or make one without a registry: scripts/kind-offline",
    ),
    (
        "failed to create control group",
        "the node's systemd has no cgroup of its own: the engine must offer cgroup v2, or v1 with a writable hierarchy",
    ),
    (
        "not run on a host using cgroup v1",
        "this kubelet refuses cgroup v1: boot the machine with cgroup v2 (systemd.unified_cgroup_hierarchy=1), or take a node image of Kubernetes 1.34 or older",
    ),
    (
        "could not find a log line that matches",
        "the node's container started but its systemd did not come up: cgroups or inotify instances are missing; its last lines are below",
    ),
    (
        "timed out waiting for the condition",
        "Kubernetes on the node did not become healthy in time: a slow or full machine, or a node image that is not for this kind",
    ),
    (
        "not found in type v1alpha4",
        "the kind configuration has a field that this kind does not know",
    ),
    (
        "invalid manifest",
        "an image archive is damaged or not made by docker save",
    ),
    (
        "no such file or directory",
        "a file that was named is not there",
    ),
    (
        "no nodes found for cluster",
        "the cluster's containers are gone: kind delete cluster, then start again",
    ),
];

/// The same for what the nodes log, where most complaints are harmless.
const OF_NODES: &[&str] = &[
    "too many open files",
    "no space left on device",
    "failed to create control group",
    "not run on a host using cgroup v1",
];

/// What keeps a node from coming up, where its log names it.
pub fn of_node(log: &str) -> Option<&'static str> {
    let lower = log.to_lowercase();
    let mark = OF_NODES.iter().find(|mark| lower.contains(**mark))?;
    Some(cause(mark))
}

/// The first cause whose mark is in the words; without one, that it is not known.
pub fn cause(words: &str) -> &'static str {
    let lower = words.to_lowercase();
    CAUSES
        .iter()
        .find(|(mark, _)| lower.contains(&mark.to_lowercase()))
        .map_or("it says", |(_, cause)| cause)
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
        assert!(OF_NODES.iter().all(|mark| cause(mark) != "it says"));
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
    #[case("something new", "it says")]
    fn words_lead_to_a_way_out(#[case] words: &str, #[case] part: &str) {
        assert!(cause(words).contains(part), "{}", cause(words));
    }
}
