//! State that all scenarios of a run share.

use std::sync::atomic::AtomicUsize;

use kube::Client;
use testbed::stall::StallDetector;

use super::{guard::Guards, namespace::pool::Pool, target_lost::TargetLost};
use crate::{
    cluster::{pod_watch::PodWatch, writer::Writer},
    event::{recorder::Recorder, run_id::RunId},
    evidence::{bundle::Bundle, redact::Redactor},
    fixture::overrides::WorkloadOverrides,
    mesh::istio::{istioctl::Istioctl, propagation::applier::Applier},
    mutation::Mutation,
    observe::data_plane::Plane,
    transport::{PodDialer, http::PodPort},
    verdict::Rates,
};

/// When and how the namespace of a scenario is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CleanupPolicy {
    /// Not at all: its world ends with this run.
    WithTheWorld,
    /// Only what uses resources until the end of the run is deleted: pods, Services and
    /// configuration. The world ends with the run. Deleting a namespace makes the API server go
    /// through every kind that it knows, which takes a sixth of a run's processor time.
    Emptied,
    /// As soon as the verdict is known, because others use this target.
    Deleted,
}

/// Whether scenarios use namespaces and pods one after the other. Verdicts do not depend on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum IsolationMode {
    /// A scenario may use what another has left, once it is proven to be clean, unless what it
    /// does cannot be undone (see `meshproof explain`).
    #[default]
    Shared,
    /// Every scenario has its own namespace and pods.
    Private,
}

/// What a run works with: target, mesh, recorder, statistics.
pub struct RunContext {
    pub client: Client,
    pub dialer: PodDialer,
    /// Writes the objects of scenarios.
    pub writer: Writer,
    /// Changes to workloads that this target needs.
    pub overrides: WorkloadOverrides,
    /// All pods that carry the run's label.
    pub pods: PodWatch,
    /// Watch the components that all scenarios share.
    pub guards: Guards,
    /// Namespaces for scenarios that share them.
    pub pool: Pool,
    /// Whether the target has ended.
    pub lost: TargetLost,
    pub recorder: Recorder,
    /// Detects periods in which this process did not run.
    pub watchdog: StallDetector,
    pub bundle: Option<Bundle>,
    /// Masks secrets in everything that is written.
    pub redactor: Redactor,
    pub mesh: Mesh,
    /// How many scenarios were planned so far, in earlier runs with this id too.
    pub planned: AtomicUsize,
    pub session: SessionOptions,
}

/// The mesh of a run.
pub struct Mesh {
    /// Applies all mesh configuration.
    pub applier: Applier,
    /// istioctl, if the target has it.
    pub istioctl: Option<Istioctl>,
    /// Proxies of the ingress gateway.
    pub gateways: Vec<Plane>,
    /// `host:port` of the server for control calls, which no scenario configures.
    pub control: String,
}

/// Options of a run on a target.
pub struct SessionOptions {
    pub run_id: RunId,
    /// How many scenarios run at the same time.
    pub jobs: usize,
    pub rates: Rates,
    pub cleanup: CleanupPolicy,
    /// Whether the namespaces of scenarios that did not pass are kept.
    pub keep_failed: bool,
    /// Whether scenarios may use the namespaces and pods of others, one after the other.
    pub isolation: IsolationMode,
    /// The mutation that breaks the mesh on purpose.
    pub mutation: Option<Mutation>,
    /// Whether the namespaces of the pool stay for the next run.
    pub leaves_pool: bool,
}

impl RunContext {
    /// Returns the text of a manifest or workload file with this run's mutation applied.
    pub fn text(&self, path: &str, text: String) -> String {
        match &self.session.mutation {
            Some(mutation) => mutation.mutate(path, text),
            None => text,
        }
    }

    /// Returns a port of a pod.
    pub fn port(&self, namespace: &str, pod: &str, port: u16) -> PodPort {
        PodPort {
            dial: self.dialer.clone(),
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            port,
        }
    }
}
