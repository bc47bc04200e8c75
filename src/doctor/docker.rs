//! Docker: its client, and an engine that answers.

use std::path::PathBuf;

use super::{
    answer::NoAnswer,
    check::{CheckBuilder, CheckState, DoctorCheck},
    disk::{self, DiskSpace, Needs},
    programs::FoundProgram,
};

const GB: u64 = 1_000_000_000;

/// What is known about Docker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerFacts {
    pub client: FoundProgram,
    /// Path of `dockerd`, if installed.
    pub daemon: Option<PathBuf>,
    /// `DOCKER_HOST`, if set.
    pub host: Option<String>,
    /// Name of the user, for the remedy about the docker group.
    pub user: String,
    /// The engine, or the client's error text; not queried without a client.
    pub engine: Result<Engine, NoAnswer>,
    /// kind clusters that exist on the engine, running or not.
    pub clusters: Vec<String>,
}

/// An engine that answers (`docker info`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Engine {
    pub version: String,
    /// `1` or `2`.
    pub cgroups: String,
    pub rootless: bool,
    pub default_runtime: String,
    /// Its data directory, if visible from here.
    pub root: Option<DiskSpace>,
    /// It runs on this machine: the client reaches it through a Unix socket.
    pub here: bool,
}

impl DockerFacts {
    fn answering(&self) -> Option<&Engine> {
        self.client.path.as_ref().and(self.engine.as_ref().ok())
    }
}

pub fn checks(docker: &DockerFacts) -> Vec<DoctorCheck> {
    let mut checks = vec![client(docker)];
    if docker.client.path.is_some() {
        checks.push(engine(docker));
    }
    if let Some(engine) = docker.answering() {
        checks.push(cgroups(engine));
        checks.extend(engine.root.as_ref().map(room));
    }
    checks
}

fn client(docker: &DockerFacts) -> DoctorCheck {
    let about = CheckBuilder::new("docker", "kind's nodes are containers");
    match docker.client.found() {
        Some(found) => about.ok(found),
        None => about.package(CheckState::Missing, "not found in PATH", "docker.io"),
    }
}

/// The client's error text distinguishes causes with different remedies. It has changed between
/// versions of the client, so only parts of it are compared.
fn engine(docker: &DockerFacts) -> DoctorCheck {
    let about = CheckBuilder::new("docker engine", "runs kind's nodes");
    let message = match &docker.engine {
        Ok(engine) => {
            let rootless = if engine.rootless { ", rootless" } else { "" };
            return about.ok(format!("{}{rootless}", engine.version));
        }
        Err(why) => why.to_string(),
    };
    let answer = message.to_lowercase();
    if answer.contains("permission denied") {
        let remedy = format!(
            "as root: usermod -aG docker {}, then log in again (members of that group can become root)",
            docker.user
        );
        return about.missing(message, remedy);
    }
    if let Some(host) = &docker.host {
        let remedy = "unset DOCKER_HOST to use this machine's engine, or set it to a running engine, such as unix:///run/docker.sock";
        return about.missing(format!("DOCKER_HOST={host}: {message}"), remedy);
    }
    let not_running = [
        "is the docker daemon running",
        "no such file",
        "refused",
        "daemon is running",
    ];
    match (not_running.iter().any(|part| answer.contains(part)), &docker.daemon) {
        (true, Some(_)) => about.missing(
            message,
            "start it, as root: systemctl start docker (without systemd: run dockerd in a separate terminal)",
        ),
        (true, None) => about.package(CheckState::Missing, message, "docker.io"),
        (false, _) => about.missing(
            message,
            "make `docker info` work; `docker context ls` shows which engine it queries",
        ),
    }
}

fn cgroups(engine: &Engine) -> DoctorCheck {
    let about = CheckBuilder::new(
        "cgroup version",
        "limits and measures the resources of nodes",
    );
    let found = format!("version {}", engine.cgroups);
    match engine.cgroups.as_str() {
        "2" => about.ok(found),
        "1" if engine.rootless => about.missing(
            found,
            "a rootless engine needs cgroup v2: boot with systemd.unified_cgroup_hierarchy=1, or use an engine that runs as root",
        ),
        "1" => about.advice(
            found,
            "the kubelets of Kubernetes 1.35 and newer do not start on cgroup v1 without failCgroupV1: false: boot with systemd.unified_cgroup_hierarchy=1",
        ),
        _ => about.advice(found, "check the cgroup version in `docker info`"),
    }
}

fn room(room: &DiskSpace) -> DoctorCheck {
    let needs = Needs {
        name: "docker's disk",
        why: "stores the images of nodes, Istio and the test bed, in the engine and again in each node",
        least: 3 * GB,
        enough: 10 * GB,
        elsewhere: "give the engine another directory (data-root in /etc/docker/daemon.json)",
    };
    disk::room(room, needs)
}

/// Reports existing clusters, and advises if one has the requested name.
pub fn leftover(docker: &DockerFacts, name: Option<&str>) -> Option<DoctorCheck> {
    docker.answering()?;
    let about = CheckBuilder::new("clusters", "a new cluster needs an unused name");
    let listed = docker.clusters.join(", ");
    Some(match name {
        Some(name) if docker.clusters.iter().any(|known| known == name) => about.advice(
            format!("cluster {name} already exists"),
            format!(
                "use it (meshproof run --target kind --name {name}) or remove it (meshproof target down --name {name}; if meshproof did not create it: kind delete cluster --name {name})"
            ),
        ),
        _ if docker.clusters.is_empty() => about.ok("none"),
        _ => about.ok(listed),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use CheckState::{Advice, Missing};

    fn docker(engine: Result<Engine, &str>) -> DockerFacts {
        DockerFacts {
            client: FoundProgram {
                path: Some("/usr/bin/docker".into()),
                version: None,
            },
            daemon: Some("/usr/sbin/dockerd".into()),
            host: None,
            user: "ann".to_owned(),
            engine: engine.map_err(|message| NoAnswer::Refused(message.to_owned())),
            clusters: Vec::new(),
        }
    }

    fn running() -> Engine {
        Engine {
            version: "28.2.2".to_owned(),
            cgroups: "2".to_owned(),
            ..Engine::default()
        }
    }

    const NOT_RUNNING: &str = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
    const NOT_RUNNING_NEW: &str = "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct and if the daemon is running: dial unix /var/run/docker.sock: connect: no such file or directory";
    const DENIED: &str = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock";

    #[rstest]
    #[case::not_running(NOT_RUNNING, None, true, "systemctl start docker")]
    #[case::not_running_new_words(NOT_RUNNING_NEW, None, true, "systemctl start docker")]
    #[case::not_installed(NOT_RUNNING, None, false, "apt-get install docker.io")]
    #[case::denied(DENIED, None, true, "usermod -aG docker ann")]
    #[case::denied_elsewhere(
        DENIED,
        Some("unix:///var/run/docker.sock"),
        true,
        "usermod -aG docker ann"
    )]
    #[case::wrong_host(NOT_RUNNING, Some("tcp://127.0.0.1:1"), true, "unset DOCKER_HOST")]
    #[case::nonsense_host(
        "unable to parse docker host `x`",
        Some("x"),
        true,
        "unset DOCKER_HOST"
    )]
    #[case::context("context \"x\": context not found", None, true, "docker context ls")]
    fn what_keeps_the_engine_from_answering_decides_the_way_out(
        #[case] message: &str,
        #[case] host: Option<&str>,
        #[case] installed: bool,
        #[case] expected: &str,
    ) {
        let mut facts = docker(Err(message));
        facts.host = host.map(str::to_owned);
        facts.daemon = facts.daemon.filter(|_| installed);
        let check = engine(&facts);
        assert_eq!(check.state, Missing);
        assert!(
            check.found.contains(message)
                && check
                    .remedy
                    .as_ref()
                    .is_some_and(|way| way.contains(expected)),
            "{check:?}"
        );
    }

    #[test]
    fn an_engine_that_answers_is_told_with_its_version() {
        let checks = checks(&docker(Ok(running())));
        assert!(
            checks.iter().all(|check| check.state == CheckState::Ok),
            "{checks:?}"
        );
        assert!(checks[1].found.contains("28.2.2"));
    }

    #[test]
    fn without_a_client_nothing_else_can_be_asked() {
        let mut facts = docker(Err("not asked"));
        facts.client.path = None;
        let checks = checks(&facts);
        assert_eq!(checks.len(), 1);
        assert_eq!(checks[0].package, Some("docker.io"));
        assert_eq!(leftover(&facts, Some("default")), None);
    }

    #[rstest]
    #[case("2", false, CheckState::Ok)]
    #[case("2", true, CheckState::Ok)]
    #[case("1", false, Advice)]
    #[case("1", true, Missing)]
    #[case("", false, Advice)]
    fn cgroup_versions(#[case] version: &str, #[case] rootless: bool, #[case] state: CheckState) {
        let engine = Engine {
            cgroups: version.to_owned(),
            rootless,
            ..running()
        };
        assert_eq!(cgroups(&engine).state, state);
    }

    #[rstest]
    #[case(11, CheckState::Ok)]
    #[case(5, Advice)]
    #[case(2, Missing)]
    fn docker_needs_room(#[case] free: u64, #[case] state: CheckState) {
        let free = Ok(free * GB);
        let path = "/var/lib/docker".into();
        assert_eq!(room(&DiskSpace { path, free }).state, state);
    }

    #[rstest]
    #[case::none(&[], None, CheckState::Ok, "none")]
    #[case::others(&["a"], Some("b"), CheckState::Ok, "a")]
    #[case::the_same(&["a", "b"], Some("b"), Advice, "cluster b already exists")]
    fn a_cluster_of_the_same_name_is_told(
        #[case] clusters: &[&str],
        #[case] name: Option<&str>,
        #[case] state: CheckState,
        #[case] found: &str,
    ) {
        let mut facts = docker(Ok(running()));
        facts.clusters = clusters.iter().map(|&name| name.to_owned()).collect();
        let check = leftover(&facts, name).expect("the engine answers");
        assert_eq!((check.state, check.found.as_str()), (state, found));
    }
}
