//! What every scenario of a run shares.

use kube::Client;
use testbed::stall::Watch;

use super::{guard::Guards, lost::Lost};
use crate::{
    cluster::{pods::PodWatch, writer::Writer},
    event::{recorder::Recorder, run_id::RunId},
    evidence::{bundle::Bundle, redact::Redactor},
    fixture::fitting::Fitting,
    mesh::istio::{istioctl::Istioctl, live::Applier},
    mutation::Mutation,
    observe::data_plane::Plane,
    transport::{Dial, http::Port},
    verdict::Rates,
};

/// When and how a namespace goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tidy {
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
pub struct Context {
    pub client: Client,
    pub dial: Dial,
    /// Writes what scenarios write.
    pub writer: Writer,
    /// What workloads need to run on this target.
    pub fitting: Fitting,
    /// All pods that carry the run's label.
    pub pods: PodWatch,
    /// Watch over what all scenarios share.
    pub guards: Guards,
    /// Whether the target has ended.
    pub lost: Lost,
    pub recorder: Recorder,
    /// Notices when this process does not run.
    pub watchdog: Watch,
    pub bundle: Option<Bundle>,
    /// Knows what must not be written.
    pub redactor: Redactor,
    pub mesh: Mesh,
    pub terms: Terms,
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
pub struct Terms {
    pub run_id: RunId,
    pub rates: Rates,
    pub tidy: Tidy,
    /// Whether the namespaces of scenarios that did not pass stay.
    pub keep_failed: bool,
    /// The mesh is broken in this way, on purpose.
    pub mutation: Option<Mutation>,
}

impl Context {
    /// The text of a manifest or workload file as this run has it.
    pub fn text(&self, path: &str, text: String) -> String {
        match &self.terms.mutation {
            Some(mutation) => mutation.mutate(path, text),
            None => text,
        }
    }

    /// A port of a pod.
    pub fn port(&self, namespace: &str, pod: &str, port: u16) -> Port {
        Port {
            dial: self.dial.clone(),
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            port,
        }
    }
}
