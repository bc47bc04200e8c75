//! The namespace of a scenario as its steps see it: workloads, their pods and proxies. `create`
//! creates it, `change` changes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, OnceLock, PoisonError},
    time::Instant,
};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::Value;
use testbed::control::{CONTROL_PORT, TlsPlan};

use super::{
    certificates::{CertificateError, Certificates},
    error::NamespaceError,
    maker::Maker,
    pod_marks::PodMarks,
    standing::Standing,
};
use crate::{
    cluster::{object::Written, pods, writer::Home},
    evidence::redact::Redactor,
    fixture::workload::WORKLOAD_LABEL,
    mesh::istio::{
        injection::{self, is_gateway, is_injected, is_plain, is_proxyless},
        install::GATEWAY_LABEL,
    },
    observe::data_plane::Plane,
    run::{context::RunContext, guard::Guard},
    scenario::{
        manifest::{Names, expand},
        model::{Workload, tls::Tls},
    },
    timeouts::timeouts,
    transport::http::PodPort,
    verdict::{guard::Times, pods::Pods},
};

/// Numbers of the patches of a mutation that some proxy of a scenario had.
pub type TakenSlots = Mutex<BTreeSet<usize>>;

/// A namespace with its workloads.
pub struct ScenarioNamespace {
    pub name: String,
    /// A name that no other scenario of the run has, even in the same namespace.
    pub lease: String,
    /// External host name that only this scenario uses.
    pub host: String,
    pub workloads: Vec<Workload>,
    /// Names of the workloads that make calls rather than answer them.
    pub(super) callers: BTreeSet<String>,
    /// Certificates that steps created.
    pub certificates: Certificates,
    /// Watches its pods.
    pub guard: Guard,
    /// Times that the scenario's configuration states.
    pub times: OnceLock<Times>,
    /// Pairs of a caller and an address that has answered it.
    pub(super) answered: Mutex<BTreeSet<(String, String)>>,
    /// Selector of each Service with a cluster IP.
    pub(crate) services: BTreeMap<String, Value>,
    /// Controller of each workload, by its name.
    pub controllers: BTreeMap<String, Maker>,
    /// Whether there is a headless Service: proxies know its pods by listeners instead of
    /// endpoints.
    pub(crate) headless: bool,
    /// Whether its objects may be outside the namespace.
    pub(super) outside: bool,
    pub(super) root: Written,
    /// What stays for the next scenario. Empty if there is none.
    pub(super) standing: Standing,
    /// What was written when it was created.
    pub(super) made: Vec<Written>,
    /// Cluster IPs that its Services have or had, by name.
    pub(super) addresses_of_services: BTreeMap<String, String>,
    /// Its pods when the scenario began, if others use them later.
    pub(super) marks: PodMarks,
    /// The patches of a mutation that its proxies have had.
    pub taken: TakenSlots,
}

impl ScenarioNamespace {
    /// Returns the values of placeholders.
    pub fn names(&self) -> Names<'_> {
        Names {
            namespace: &self.name,
            host: &self.host,
            gateway: GATEWAY_LABEL,
        }
    }

    /// Returns the caller's side of a handshake, with its placeholders replaced.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn tls_plan(
        &self,
        redactor: &Redactor,
        tls: Option<&Tls>,
    ) -> Result<Option<TlsPlan>, CertificateError> {
        let expand = |text: &str| expand(text, &self.names());
        tls.map(|tls| self.certificates.plan(tls, expand, redactor))
            .transpose()
    }

    /// Returns where this scenario may write objects.
    pub fn home(&self) -> Home<'_> {
        Home {
            namespace: &self.name,
            outside: self.outside,
        }
    }

    /// Whether another scenario may use it afterwards.
    pub fn is_shared(&self) -> bool {
        !self.standing.shape().0.is_empty()
    }

    /// Returns the workloads whose pods are not for the next scenario.
    pub(super) fn own_workloads(&self) -> Vec<String> {
        let shared = &self.standing.shape().0;
        let names = self.workloads.iter().map(|workload| &workload.name);
        names
            .filter(|name| !shared.contains_key(*name))
            .cloned()
            .collect()
    }

    /// Returns the pods of workloads that others may use.
    pub(super) fn shared_pods(&self, ctx: &RunContext) -> Vec<Pod> {
        let shared = &self.standing.shape().0;
        let is_shared = |pod: &Pod| {
            pods::label(pod, WORKLOAD_LABEL).is_some_and(|name| shared.contains_key(name))
        };
        let mut pods = ctx.pods.of(&self.name);
        pods.retain(is_shared);
        pods
    }

    /// Whether a pod makes calls rather than answer them.
    pub(super) fn calls(&self, pod: &Pod) -> bool {
        let workload = pods::label(pod, WORKLOAD_LABEL);
        workload.is_some_and(|name| self.callers.contains(name))
    }

    /// Returns the sidecars and gateways of this namespace.
    pub fn proxies(&self, ctx: &RunContext) -> Vec<Plane> {
        proxies(ctx, &self.name)
    }

    /// Returns the proxies that a change affects: those of this namespace, and the shared
    /// gateways if `gateway` is set.
    pub(crate) fn concerned(&self, ctx: &RunContext, gateway: bool) -> Vec<Plane> {
        let shared = ctx.mesh.gateways.iter().filter(|_| gateway);
        let own = self.proxies(ctx).into_iter();
        own.chain(shared.cloned()).collect()
    }

    /// Returns the programs here that are their own data plane (proxyless gRPC).
    pub(super) fn programs(&self, ctx: &RunContext) -> Vec<Plane> {
        let pods = ctx.pods.of(&self.name);
        let ready = pods
            .iter()
            .filter(|pod| pods::is_ready(pod) && is_proxyless(pod));
        ready
            .map(|pod| injection::program(&ctx.dialer, pod))
            .collect()
    }

    /// Returns the ready pods by workload and by app.
    pub fn pods(&self, ctx: &RunContext) -> Pods {
        let mut all = Pods::new();
        for pod in ctx
            .pods
            .of(&self.name)
            .iter()
            .filter(|pod| pods::is_ready(pod))
        {
            let keys = [pods::label(pod, WORKLOAD_LABEL), pods::label(pod, "app")];
            let mut keys: Vec<&str> = keys.into_iter().flatten().collect();
            keys.dedup();
            for key in keys {
                all.entry(key.to_owned()).or_default().push(pod.name_any());
            }
        }
        all
    }

    /// Returns one ready pod of a workload.
    ///
    /// # Errors
    /// There is no such workload, or none of its pods is ready.
    pub fn pod(&self, ctx: &RunContext, workload: &str) -> Result<String, NamespaceError> {
        if !self.workloads.iter().any(|known| known.name == workload) {
            return Err(NamespaceError::NoWorkload(workload.to_owned()));
        }
        let pods = self.pods(ctx);
        let first = pods.get(workload).and_then(|pods| pods.first()).cloned();
        first.ok_or_else(|| NamespaceError::NoPod {
            workload: workload.to_owned(),
            seen: pods::brief(&self.all_pods(ctx, workload)),
        })
    }

    /// Returns all pods of a workload, ready or not.
    pub(super) fn all_pods(&self, ctx: &RunContext, workload: &str) -> Vec<Pod> {
        let mut pods = ctx.pods.of(&self.name);
        pods.retain(|pod| pods::label(pod, WORKLOAD_LABEL) == Some(workload));
        pods
    }

    /// Whether something at `address` has answered a caller, now or before.
    pub fn has_answered(&self, caller: &str, address: &str, now: bool) -> bool {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = (caller.to_owned(), address.to_owned());
        if now {
            answered.insert(pair.clone());
        }
        answered.contains(&pair)
    }

    /// Returns the control ports of the callers of which a proxy intercepts no connections, or
    /// not all.
    pub fn plain_callers(&self, ctx: &RunContext) -> Vec<PodPort> {
        let pods = ctx.pods.of(&self.name);
        let calls = |pod: &&Pod| {
            let workload = pods::label(pod, WORKLOAD_LABEL);
            workload.is_some_and(|name| self.callers.contains(name))
        };
        pods.iter()
            .filter(|pod| pods::is_ready(pod) && is_plain(pod))
            .filter(calls)
            .map(|pod| ctx.port(&self.name, &pod.name_any(), CONTROL_PORT))
            .collect()
    }

    /// Returns the ready pods that serve calls and so have a ledger.
    pub fn servers(&self, ctx: &RunContext) -> Vec<String> {
        let all = self.ledgers(ctx).into_iter();
        all.filter(|(_, ready)| *ready)
            .map(|(pod, _)| pod)
            .collect()
    }

    fn serves(&self, pod: &Pod) -> bool {
        let workload = pods::label(pod, WORKLOAD_LABEL);
        !is_gateway(pod) && workload.is_some_and(|name| !self.callers.contains(name))
    }

    /// Returns the pods that may have a ledger of this scenario, and whether they are ready: a
    /// server that is not ready may have received calls. A pod that is being deleted counts as
    /// departed.
    pub fn ledgers(&self, ctx: &RunContext) -> Vec<(String, bool)> {
        let pods = ctx.pods.of(&self.name);
        let staying = pods
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none());
        staying
            .filter(|pod| self.serves(pod))
            .map(|pod| (pod.name_any(), pods::is_ready(pod)))
            .collect()
    }

    /// Waits until a workload has exactly `wanted` pods and all are ready, or until one of them
    /// cannot become ready.
    ///
    /// # Errors
    /// [`NamespaceError::Pods`] with the pods' last state, events and log lines.
    pub async fn await_pods(
        &self,
        ctx: &RunContext,
        workload: &str,
        expected: u32,
    ) -> Result<(), NamespaceError> {
        let of = |pods: &[Pod]| -> Vec<Pod> {
            pods.iter()
                .filter(|pod| pods::label(pod, WORKLOAD_LABEL) == Some(workload))
                .cloned()
                .collect()
        };
        let count = usize::try_from(expected).unwrap_or(usize::MAX);
        let done = |pods: &[Pod]| {
            let pods = of(pods);
            pods.len() == count && pods.iter().all(pods::is_ready)
        };
        let settled = |pods: &[Pod]| done(pods) || of(pods).iter().any(pods::is_hopeless);
        let start = Instant::now();
        let limit = timeouts().pods.ready;
        let waited = ctx.pods.until(&self.name, limit, settled);
        let last = match waited.await {
            Ok(pods) if done(&pods) => return Ok(()),
            Ok(pods) | Err(pods) => pods::describe(&ctx.client, &of(&pods)).await,
        };
        Err(NamespaceError::Pods {
            workload: workload.to_owned(),
            expected,
            seconds: start.elapsed().as_secs_f64(),
            last,
        })
    }
}

/// Returns the sidecars and gateways of a namespace.
pub(super) fn proxies(ctx: &RunContext, namespace: &str) -> Vec<Plane> {
    let pods = ctx.pods.of(namespace);
    let injected = pods
        .iter()
        .filter(|pod| pods::is_ready(pod) && is_injected(pod) && !is_proxyless(pod));
    injected
        .map(|pod| injection::proxy(&ctx.dialer, pod))
        .collect()
}
