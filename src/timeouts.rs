//! Every deadline of a run, and the factor that extends them all for a slow cluster.

use std::{sync::OnceLock, time::Duration};

/// The factor and the deadlines extended by it. Set once, before anything waits.
static STRETCHED: OnceLock<(f64, Timeouts)> = OnceLock::new();

/// Multiplies every deadline of this process by a factor. Only the first call has an effect.
pub fn set_scale(factor: f64) {
    let _ = STRETCHED.set((factor, Timeouts::PLAIN.stretched(factor)));
}

/// Returns the factor by which deadlines are extended. A process in a local world gets it from
/// the process that starts it.
#[must_use]
pub fn scale() -> f64 {
    STRETCHED.get().map_or(1.0, |(factor, _)| *factor)
}

/// Returns the deadlines of this run: those below, multiplied by `--timeout-scale`.
#[must_use]
pub fn timeouts() -> &'static Timeouts {
    const PLAIN: &Timeouts = &Timeouts::PLAIN;
    STRETCHED.get().map_or(PLAIN, |(_, stretched)| stretched)
}

/// Deadlines. Durations that Envoy, Istio or Kubernetes fix (a debounce, a flush interval, a
/// lease) are not deadlines. They are defined where they are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub mesh: MeshTimeouts,
    pub pods: PodTimeouts,
    pub probe: ProbeTimeouts,
    pub run: RunTimeouts,
    pub cluster: ClusterTimeouts,
    pub target: TargetTimeouts,
    pub browser: BrowserTimeouts,
}

impl Timeouts {
    /// The deadlines for a machine of normal speed.
    pub const PLAIN: Self = Self {
        mesh: MeshTimeouts::PLAIN,
        pods: PodTimeouts::PLAIN,
        probe: ProbeTimeouts::PLAIN,
        run: RunTimeouts::PLAIN,
        cluster: ClusterTimeouts::PLAIN,
        target: TargetTimeouts::PLAIN,
        browser: BrowserTimeouts::PLAIN,
    };

    fn stretched(self, factor: f64) -> Self {
        Self {
            mesh: self.mesh.stretched(factor),
            pods: self.pods.stretched(factor),
            probe: self.probe.stretched(factor),
            run: self.run.stretched(factor),
            cluster: self.cluster.stretched(factor),
            target: self.target.stretched(factor),
            browser: self.browser.stretched(factor),
        }
    }
}

/// Deadlines of Istio and its proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeshTimeouts {
    /// How long istiod may take to process one batch of configuration, and then each proxy to
    /// show it.
    pub push: Duration,
    /// How long a rejection by istiod must persist to count. It may be transient while other
    /// objects of the same apply arrive.
    pub refusal: Duration,
    /// How long istiod may take to learn of the ready pods, and a proxy to get the endpoints that
    /// istiod has for it.
    pub endpoints: Duration,
    /// How long a gateway may take to load the contents of its Secrets.
    pub certificates: Duration,
    /// How long to wait until the API server's clock shows a later second, so that one object is
    /// newer than another. The clocks of several API servers may differ.
    pub clock: Duration,
    /// How long the pods of an existing mesh may take to become ready. A container that crashed
    /// once is restarted after ten seconds (Kubernetes, "Pod Lifecycle", restart back-off).
    pub ready: Duration,
    /// How long an API server may take to connect and give its first answer.
    pub first_answer: Duration,
    /// How long istiod, and then the ingress gateway, of a new installation may take to become
    /// ready. Their images may have to be pulled and loaded first.
    pub install: Duration,
    /// How long istiod's injection webhook may take to answer once istiod is ready.
    pub webhook: Duration,
    /// How long the API server may take to accept objects of new CustomResourceDefinitions.
    pub definitions: Duration,
    /// How long a restart of istiod by a step may take: the old pods are gone and a new one is
    /// ready.
    pub restart: Duration,
    /// How long proxies may take to connect to another istiod. If kube-proxy still routes them to
    /// the old one for a moment, the first attempt fails, and Envoy then waits for up to 30 s
    /// (Envoy docs: xDS, `GrpcService` retry policy of an ADS stream).
    pub reconnect: Duration,
}

impl MeshTimeouts {
    const PLAIN: Self = Self {
        push: Duration::from_secs(20),
        refusal: Duration::from_secs(3),
        endpoints: Duration::from_secs(20),
        certificates: Duration::from_secs(20),
        clock: Duration::from_secs(10),
        ready: Duration::from_secs(60),
        first_answer: Duration::from_secs(20),
        install: Duration::from_secs(120),
        webhook: Duration::from_secs(30),
        definitions: Duration::from_secs(30),
        restart: Duration::from_secs(120),
        reconnect: Duration::from_secs(90),
    };

    fn stretched(self, factor: f64) -> Self {
        Self {
            push: self.push.mul_f64(factor),
            refusal: self.refusal.mul_f64(factor),
            endpoints: self.endpoints.mul_f64(factor),
            certificates: self.certificates.mul_f64(factor),
            clock: self.clock.mul_f64(factor),
            ready: self.ready.mul_f64(factor),
            first_answer: self.first_answer.mul_f64(factor),
            install: self.install.mul_f64(factor),
            webhook: self.webhook.mul_f64(factor),
            definitions: self.definitions.mul_f64(factor),
            restart: self.restart.mul_f64(factor),
            reconnect: self.reconnect.mul_f64(factor),
        }
    }
}

/// Deadlines of pods and of connections to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodTimeouts {
    /// How long the pods of one workload (of the scenario, of an applied file, of a gateway) may
    /// take to reach the expected state. A hundred injected pods at once on two cores take most
    /// of a minute.
    pub ready: Duration,
    /// How long they may take before the scenario's Services are created all the same: a program
    /// may wait for its own Service.
    pub without_services: Duration,
    /// How long a pod that a step deletes may take to end. It may use its grace period.
    pub gone: Duration,
    /// How long the cluster's network (without the mesh) may take to route to the Services and
    /// pods of a namespace.
    pub plain_network: Duration,
    /// How long one small request to a port of a pod may take.
    pub answer: Duration,
    /// How long a reused idle connection may take to answer before a new one is opened: the pod
    /// may be gone without a FIN.
    pub kept_connection: Duration,
    /// How long after a scenario its objects, calls and connections may take to be gone from a
    /// namespace that another scenario is going to use.
    pub idle: Duration,
}

impl PodTimeouts {
    const PLAIN: Self = Self {
        ready: Duration::from_secs(180),
        without_services: Duration::from_secs(15),
        gone: Duration::from_secs(120),
        plain_network: Duration::from_secs(60),
        answer: Duration::from_secs(10),
        kept_connection: Duration::from_secs(3),
        idle: Duration::from_secs(5),
    };

    fn stretched(self, factor: f64) -> Self {
        Self {
            ready: self.ready.mul_f64(factor),
            without_services: self.without_services.mul_f64(factor),
            gone: self.gone.mul_f64(factor),
            plain_network: self.plain_network.mul_f64(factor),
            answer: self.answer.mul_f64(factor),
            kept_connection: self.kept_connection.mul_f64(factor),
            idle: self.idle.mul_f64(factor),
        }
    }
}

/// Deadlines of a run of a probe, in addition to those that the scenario states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeTimeouts {
    /// Allowance for what a run needs in addition to its calls and their delays.
    pub spare: Duration,
    /// How long the calls that a background probe holds open may take to arrive at servers.
    pub arrival: Duration,
    /// How long a cancellation may take to reach the server.
    pub cancellation: Duration,
    /// How long expected log lines, counters and spans may take to appear. Envoy writes its
    /// access log at the latest one second after a request (`--file-flush-interval-msec` of
    /// pilot-agent).
    pub telemetry: Duration,
    /// How long a run of istioctl may take. It asks istiod and the proxy through port-forwards:
    /// more than ten seconds were seen on two fully loaded cores.
    pub istioctl: Duration,
    /// How long to wait for log lines that only explain a verdict. Those that arrive later are
    /// left out.
    pub explanation: Duration,
}

impl ProbeTimeouts {
    const PLAIN: Self = Self {
        spare: Duration::from_secs(60),
        arrival: Duration::from_secs(10),
        cancellation: Duration::from_secs(3),
        telemetry: Duration::from_secs(10),
        istioctl: Duration::from_secs(30),
        explanation: Duration::from_secs(3),
    };

    fn stretched(self, factor: f64) -> Self {
        Self {
            spare: self.spare.mul_f64(factor),
            arrival: self.arrival.mul_f64(factor),
            cancellation: self.cancellation.mul_f64(factor),
            telemetry: self.telemetry.mul_f64(factor),
            istioctl: self.istioctl.mul_f64(factor),
            explanation: self.explanation.mul_f64(factor),
        }
    }
}

/// Deadlines of what a run depends on, and of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunTimeouts {
    /// How long an API server that is suspected to be down may take to answer a minimal request.
    pub api_answer: Duration,
    /// How long an API server must be silent to count as gone.
    pub api_gone: Duration,
    /// How long to wait, after a scenario failed, for a sign that the target has ended.
    pub end_noticed: Duration,
    /// How long the API may take to report that a program has ended (the kubelet checks its
    /// containers once a second).
    pub end_told: Duration,
    /// How long fetching the log of a container that ended may take.
    pub last_log: Duration,
    /// How long deletion of a run's namespaces may take. Those that remain after it are reported.
    /// The namespace controller waits 5 s before it begins (`namespaceDeletionGracePeriod`,
    /// kubernetes/pkg/controller/namespace), and a pod may use its grace period.
    pub namespaces: Duration,
    /// How long the clean-up of a run that a signal ended may take. After it the process exits as
    /// on a second signal.
    pub orderly_end: Duration,
}

impl RunTimeouts {
    const PLAIN: Self = Self {
        api_answer: Duration::from_secs(5),
        api_gone: Duration::from_secs(30),
        end_noticed: Duration::from_secs(10),
        end_told: Duration::from_secs(5),
        last_log: Duration::from_secs(3),
        namespaces: Duration::from_secs(45),
        orderly_end: Duration::from_secs(90),
    };

    fn stretched(self, factor: f64) -> Self {
        Self {
            api_answer: self.api_answer.mul_f64(factor),
            api_gone: self.api_gone.mul_f64(factor),
            end_noticed: self.end_noticed.mul_f64(factor),
            end_told: self.end_told.mul_f64(factor),
            last_log: self.last_log.mul_f64(factor),
            namespaces: self.namespaces.mul_f64(factor),
            orderly_end: self.orderly_end.mul_f64(factor),
        }
    }
}

/// Deadlines of requests to an API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterTimeouts {
    /// How long a connection with its TLS handshake may take: far more than a handshake takes
    /// over any network.
    pub connect: Duration,
    /// How long one request about namespaces may take. A server that hangs must not hold up a
    /// process that was told to exit.
    pub request: Duration,
    /// How long a credential plugin of the kubeconfig may run. It may ask its own server, but
    /// must not prompt a person.
    pub plugin: Duration,
    /// How long a webhook must be unreachable for the API server to count as gone. kube-proxy was
    /// observed to route to an istiod that had ended for some seconds.
    pub webhook: Duration,
    /// How long all requests of `target status` to one target may take. A person waits for it.
    pub status: Duration,
    /// How long `target gc` waits for the namespaces that it deleted. Those that remain after it
    /// are reported. A pod may use its grace period.
    pub gone: Duration,
}

impl ClusterTimeouts {
    const PLAIN: Self = Self {
        connect: Duration::from_secs(10),
        request: Duration::from_secs(10),
        plugin: Duration::from_secs(30),
        webhook: Duration::from_secs(20),
        status: Duration::from_secs(10),
        gone: Duration::from_secs(60),
    };

    fn stretched(self, factor: f64) -> Self {
        Self {
            connect: self.connect.mul_f64(factor),
            request: self.request.mul_f64(factor),
            plugin: self.plugin.mul_f64(factor),
            webhook: self.webhook.mul_f64(factor),
            status: self.status.mul_f64(factor),
            gone: self.gone.mul_f64(factor),
        }
    }
}

/// Deadlines of bringing a target up and of taking it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetTimeouts {
    /// How long the API server of a local world may take from its start to its first answer.
    /// Measured: about 3 s on two idle cores. A loaded machine takes several times that.
    pub api_server: Duration,
    /// How long a local world that starts from a snapshot may take until its mesh is ready, before
    /// it is brought up without one. Measured: 3 to 4 s on two idle cores.
    pub snapshot: Duration,
    /// How long DNS of a local world may take to answer, once its API server does.
    pub dns: Duration,
    /// How long after SIGKILL the kernel may take to remove all of a local world.
    pub world_end: Duration,
    /// How long scenarios in progress on a target that has ended may take to end before they are
    /// abandoned.
    pub lost: Duration,
    /// How long `kind create cluster` may take. Its own wait is shorter; this one is for a
    /// machine that makes almost no progress.
    pub kind_create: Duration,
    /// How long kind itself waits for the control plane of a new cluster.
    pub kind_control_plane: Duration,
    /// How long `kind delete cluster` is repeated until kind no longer knows the cluster.
    pub kind_delete: Duration,
    /// How long the nodes of a kind cluster may take to become ready after its control plane. The
    /// container network starts last.
    pub kind_nodes: Duration,
    /// How long loading one archive of images into the nodes may take.
    pub kind_images: Duration,
    /// How long a small query to kind or docker, or one command in a node, may take.
    pub kind_question: Duration,
    /// How long to wait for the logs of the nodes of a kind cluster that did not start. They are
    /// optional.
    pub kind_logs: Duration,
    /// How long a registry that is to be mirrored may take to answer.
    pub registry: Duration,
    /// How long a registry started by meshproof may take to accept requests.
    pub registry_start: Duration,
}

impl TargetTimeouts {
    const PLAIN: Self = Self {
        api_server: Duration::from_secs(90),
        snapshot: Duration::from_secs(40),
        dns: Duration::from_secs(60),
        world_end: Duration::from_secs(20),
        lost: Duration::from_secs(15),
        kind_create: Duration::from_secs(600),
        kind_control_plane: Duration::from_secs(180),
        kind_delete: Duration::from_secs(120),
        kind_nodes: Duration::from_secs(180),
        kind_images: Duration::from_secs(300),
        kind_question: Duration::from_secs(30),
        kind_logs: Duration::from_secs(15),
        registry: Duration::from_secs(10),
        registry_start: Duration::from_secs(60),
    };

    fn stretched(self, factor: f64) -> Self {
        Self {
            api_server: self.api_server.mul_f64(factor),
            snapshot: self.snapshot.mul_f64(factor),
            dns: self.dns.mul_f64(factor),
            world_end: self.world_end.mul_f64(factor),
            lost: self.lost.mul_f64(factor),
            kind_create: self.kind_create.mul_f64(factor),
            kind_control_plane: self.kind_control_plane.mul_f64(factor),
            kind_delete: self.kind_delete.mul_f64(factor),
            kind_nodes: self.kind_nodes.mul_f64(factor),
            kind_images: self.kind_images.mul_f64(factor),
            kind_question: self.kind_question.mul_f64(factor),
            kind_logs: self.kind_logs.mul_f64(factor),
            registry: self.registry.mul_f64(factor),
            registry_start: self.registry_start.mul_f64(factor),
        }
    }
}

/// Deadlines of a browser that makes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrowserTimeouts {
    /// How long Chromium may take to accept commands on a busy machine.
    pub start: Duration,
    /// How long the calls of one tab may take.
    pub calls: Duration,
    /// How long the browser may take to report requests after the page has said that they ended.
    pub reported: Duration,
    /// How long the browser may take to exit once it is asked to close. After that it is killed.
    pub close: Duration,
}

impl BrowserTimeouts {
    const PLAIN: Self = Self {
        start: Duration::from_secs(40),
        calls: Duration::from_secs(30),
        reported: Duration::from_secs(10),
        close: Duration::from_secs(5),
    };

    fn stretched(self, factor: f64) -> Self {
        Self {
            start: self.start.mul_f64(factor),
            calls: self.calls.mul_f64(factor),
            reported: self.reported.mul_f64(factor),
            close: self.close.mul_f64(factor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_cluster_stretches_every_deadline() {
        let plain = format!("{:?}", Timeouts::PLAIN);
        let twice = format!("{:?}", Timeouts::PLAIN.stretched(2.0));
        let seconds = |text: &str| -> Vec<f64> {
            let message = text.split([' ', ',']);
            message
                .filter_map(|word| word.strip_suffix('s')?.parse().ok())
                .collect()
        };
        let doubled: Vec<f64> = seconds(&plain).iter().map(|one| one * 2.0).collect();
        assert!(doubled.len() > 20, "{plain}");
        assert_eq!(seconds(&twice), doubled, "{twice}");
    }
}
