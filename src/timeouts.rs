//! How long things may take: every deadline of a run in one place, and the factor by which a slow
//! cluster stretches them.

use std::{sync::OnceLock, time::Duration};

/// The factor, and the deadlines stretched by it; set once, before anything waits.
static STRETCHED: OnceLock<(f64, Timeouts)> = OnceLock::new();

/// Stretches every deadline of this process by a factor. Only the first call counts.
pub fn set_scale(factor: f64) {
    let _ = STRETCHED.set((factor, Timeouts::PLAIN.stretched(factor)));
}

/// The factor by which deadlines are stretched; a process of a local world is told it by whoever
/// starts it.
#[must_use]
pub fn scale() -> f64 {
    STRETCHED.get().map_or(1.0, |(factor, _)| *factor)
}

/// The deadlines as they are for this run: those below, stretched by `--timeout-scale`.
#[must_use]
pub fn timeouts() -> &'static Timeouts {
    const PLAIN: &Timeouts = &Timeouts::PLAIN;
    STRETCHED.get().map_or(PLAIN, |(_, stretched)| stretched)
}

/// Deadlines. What Envoy, Istio or Kubernetes fix by themselves (a debounce, a flush interval, a
/// lease) is no deadline and stands where it is used.
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
    /// For a machine that is not slow.
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
    /// istiod and the proxies, for one batch of configuration: until istiod has taken it, and until
    /// each proxy shows it.
    pub push: Duration,
    /// What istiod says against an object, until it counts: before that it may be of the moment
    /// before another object of the same apply came.
    pub refusal: Duration,
    /// istiod, until it knows the pods that are ready, and a proxy, until it has the endpoints that
    /// istiod has for it.
    pub endpoints: Duration,
    /// A gateway, until it has what its Secrets hold.
    pub certificates: Duration,
    /// The second of the API server's clock by which an object has to be younger than another.
    /// Clocks of several API servers may be apart.
    pub clock: Duration,
    /// Pods of a mesh that is there, until they are ready. A container that crashed once is started
    /// again after ten seconds (Kubernetes, "Pod Lifecycle", restart back-off).
    pub ready: Duration,
    /// An API server, until its first answer, with the connection.
    pub first_answer: Duration,
    /// istiod, and then the ingress gateway, of a new installation: their images may have to be
    /// pulled and loaded first.
    pub install: Duration,
    /// istiod's injection webhook, once istiod is ready.
    pub webhook: Duration,
    /// CustomResourceDefinitions, until objects of their kinds are taken.
    pub definitions: Duration,
    /// istiod, when a step restarts it: until the old pods are gone and another is ready.
    pub restart: Duration,
    /// Proxies, until they are connected to another istiod. Where kube-proxy still sends them to
    /// the old one for a moment they fail first, and Envoy then waits for up to 30 s (Envoy docs:
    /// xDS, `GrpcService` retry policy of an ADS stream).
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

/// Deadlines of pods and of the ways to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodTimeouts {
    /// The pods of one workload, until they are as wanted: of the world, of an applied file, of a
    /// gateway. A hundred injected pods at once on two cores take most of a minute.
    pub ready: Duration,
    /// A pod that a step deletes, until it has ended: it may take its grace period.
    pub gone: Duration,
    /// The cluster's own network, until it knows the Services and pods of a namespace.
    pub plain_network: Duration,
    /// One small request to a port of a pod.
    pub answer: Duration,
    /// A connection that has waited for its next request, until it counts as dead: nobody may have
    /// said that its pod is gone.
    pub kept_connection: Duration,
}

impl PodTimeouts {
    const PLAIN: Self = Self {
        ready: Duration::from_secs(180),
        gone: Duration::from_secs(120),
        plain_network: Duration::from_secs(60),
        answer: Duration::from_secs(10),
        kept_connection: Duration::from_secs(3),
    };

    fn stretched(self, factor: f64) -> Self {
        Self {
            ready: self.ready.mul_f64(factor),
            gone: self.gone.mul_f64(factor),
            plain_network: self.plain_network.mul_f64(factor),
            answer: self.answer.mul_f64(factor),
            kept_connection: self.kept_connection.mul_f64(factor),
        }
    }
}

/// Deadlines of a run of a probe, beside those that the scenario states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeTimeouts {
    /// What a run takes beside its calls and what they wait for.
    pub spare: Duration,
    /// The calls that a background probe holds, until servers have them.
    pub arrival: Duration,
    /// A cancellation, until it has reached the server.
    pub cancellation: Duration,
    /// Log lines, counters and spans that are wanted; Envoy writes its access log at the latest one
    /// second after a request (`--file- flush-interval-msec` of pilot-agent).
    pub telemetry: Duration,
    /// Log lines that only explain a verdict and do not make one: what has not come then is done
    /// without.
    pub explanation: Duration,
}

impl ProbeTimeouts {
    const PLAIN: Self = Self {
        spare: Duration::from_secs(60),
        arrival: Duration::from_secs(10),
        cancellation: Duration::from_secs(3),
        telemetry: Duration::from_secs(10),
        explanation: Duration::from_secs(3),
    };

    fn stretched(self, factor: f64) -> Self {
        Self {
            spare: self.spare.mul_f64(factor),
            arrival: self.arrival.mul_f64(factor),
            cancellation: self.cancellation.mul_f64(factor),
            telemetry: self.telemetry.mul_f64(factor),
            explanation: self.explanation.mul_f64(factor),
        }
    }
}

/// Deadlines of what a run rests on, and of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunTimeouts {
    /// An API server's smallest answer, when it is in doubt.
    pub api_answer: Duration,
    /// An API server that does not answer, until it is taken for gone.
    pub api_gone: Duration,
    /// The end of a target that may be why a scenario failed, until it is noticed.
    pub end_noticed: Duration,
    /// The end of a program, until the API tells of it (the kubelet looks at its containers once a
    /// second).
    pub end_told: Duration,
    /// The log of a container that ended.
    pub last_log: Duration,
    /// The namespaces of a run, until those that are left are told. The namespace controller waits
    /// 5 s before it begins (`namespaceDeletionGracePeriod`, kubernetes/pkg/controller/namespace),
    /// and a pod may take its grace period.
    pub namespaces: Duration,
    /// The clean-up of a run that a signal ended; then the process leaves as at a second signal.
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

/// Deadlines of questions to an API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterTimeouts {
    /// A connection to it, with its TLS handshake: far more than a handshake takes over any
    /// network.
    pub connect: Duration,
    /// One request about namespaces. A server that hangs must not keep a process that was told to
    /// end.
    pub request: Duration,
    /// A credential plugin of the kubeconfig, from its start to its end: it may ask its own server,
    /// but no person.
    pub plugin: Duration,
    /// A webhook that the API server cannot reach, until it is taken for gone. kube-proxy was seen
    /// to send to an istiod that had ended for some seconds.
    pub webhook: Duration,
    /// All that `target status` asks of one target; a person waits for it.
    pub status: Duration,
    /// Namespaces that `target gc` has deleted, until those that are left are told. A pod may take
    /// its grace period.
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
    /// The API server of a local world, from its start to its first answer. Measured: about 3 s on
    /// two idle cores; a loaded machine takes several times that.
    pub api_server: Duration,
    /// DNS of a local world, once its API server answers.
    pub dns: Duration,
    /// A local world, from SIGKILL until the kernel has removed all of it.
    pub world_end: Duration,
    /// What is under way on a target that has ended, until it is given up.
    pub lost: Duration,
    /// `kind create cluster`: its own wait is shorter; this is for a machine that hardly moves.
    pub kind_create: Duration,
    /// The control plane of a new kind cluster, as kind itself waits for it.
    pub kind_control_plane: Duration,
    /// `kind delete cluster`, again and again until it knows no such cluster.
    pub kind_delete: Duration,
    /// The nodes of a kind cluster, once its control plane is ready: the container network starts
    /// last.
    pub kind_nodes: Duration,
    /// Loading one archive of images into the nodes.
    pub kind_images: Duration,
    /// A small question to kind or docker, or one command in a node.
    pub kind_question: Duration,
    /// Asking the nodes of a kind cluster that did not come up for their logs; nothing hangs on it.
    pub kind_logs: Duration,
    /// A registry that is to be mirrored, until it says anything.
    pub registry: Duration,
    /// A registry of our own, until it takes work.
    pub registry_start: Duration,
}

impl TargetTimeouts {
    const PLAIN: Self = Self {
        api_server: Duration::from_secs(90),
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
    /// Chromium, until it takes commands, on a busy machine.
    pub start: Duration,
    /// The calls of one tab.
    pub calls: Duration,
    /// What the browser still tells of requests after the page has said that they are over.
    pub told: Duration,
    /// Its end, once it is asked to close; then it is killed.
    pub close: Duration,
}

impl BrowserTimeouts {
    const PLAIN: Self = Self {
        start: Duration::from_secs(40),
        calls: Duration::from_secs(30),
        told: Duration::from_secs(10),
        close: Duration::from_secs(5),
    };

    fn stretched(self, factor: f64) -> Self {
        Self {
            start: self.start.mul_f64(factor),
            calls: self.calls.mul_f64(factor),
            told: self.told.mul_f64(factor),
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
            let words = text.split([' ', ',']);
            words
                .filter_map(|word| word.strip_suffix('s')?.parse().ok())
                .collect()
        };
        let doubled: Vec<f64> = seconds(&plain).iter().map(|one| one * 2.0).collect();
        assert!(doubled.len() > 20, "{plain}");
        assert_eq!(seconds(&twice), doubled, "{twice}");
    }
}
