//! What every scenario of a run shares.

use kube::Client;
use testbed::stall::StallDetector;

use super::{guard::Guards, target_lost::TargetLost};
use crate::{
    cluster::{pods::PodWatch, writer::Writer},
    event::{recorder::Recorder, run_id::RunId},
    evidence::{bundle::Bundle, redact::Redactor},
    fixture::overrides::WorkloadOverrides,
    mesh::istio::{istioctl::Istioctl, propagation::applier::Applier},
    mutation::Mutation,
    observe::data_plane::Plane,
    transport::{PodDialer, http::PodPort},
    verdict::Rates,
};

/// When and how a namespace goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CleanupPolicy {
    /// Not before its world does, which ends with this run.
    WithTheWorld,
    /// Its world ends with this run: only what costs something until then goes, pods, Services and
    /// configuration. Deleting a namespace makes the API server look through every kind that it
    /// knows, a sixth of a run's processor time.
    Emptied,
    /// As soon as the verdict is known: others use this target.
    Deleted,
}

/// The run's means: target, mesh, time, statistics.
pub struct RunContext {
    pub client: Client,
    pub dialer: PodDialer,
    /// Writes what scenarios write.
    pub writer: Writer,
    /// What workloads need to run on this target.
    pub overrides: WorkloadOverrides,
    /// All pods that carry the run's label.
    pub pods: PodWatch,
    /// Watch over what all scenarios share.
    pub guards: Guards,
    /// Whether the target has ended.
    pub lost: TargetLost,
    pub recorder: Recorder,
    /// Notices when this process does not run.
    pub watchdog: StallDetector,
    pub bundle: Option<Bundle>,
    /// Knows what must not be written.
    pub redactor: Redactor,
    pub mesh: Mesh,
    pub session: SessionOptions,
}

/// The mesh of a run.
pub struct Mesh {
    /// The door through which configuration goes.
    pub applier: Applier,
    /// Its own tool, where the target has it.
    pub istioctl: Option<Istioctl>,
    /// Proxies of the ingress gateway.
    pub gateways: Vec<Plane>,
    /// `host:port` of a plain server that no scenario configures: for control calls.
    pub control: String,
}

/// What a run decides about the target.
pub struct SessionOptions {
    pub run_id: RunId,
    pub rates: Rates,
    pub cleanup: CleanupPolicy,
    /// Whether the namespaces of scenarios that did not pass stay.
    pub keep_failed: bool,
    /// The mesh is broken in this way, on purpose.
    pub mutation: Option<Mutation>,
}

impl RunContext {
    /// The text of a manifest or workload file as this run has it.
    pub fn text(&self, path: &str, text: String) -> String {
        match &self.session.mutation {
            Some(mutation) => mutation.mutate(path, text),
            None => text,
        }
    }

    /// A port of a pod.
    pub fn port(&self, namespace: &str, pod: &str, port: u16) -> PodPort {
        PodPort {
            dial: self.dialer.clone(),
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            port,
        }
    }
}
