//! Returns a namespace to the pool of the run, once it is proven that nothing of its scenario is
//! left: no object, no pod that changed, no cluster in a proxy, no call, script or connection in
//! a caller or server. Otherwise the namespace is removed, and a note says why.

use std::sync::Arc;

use futures::future::{try_join_all, try_join4};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use testbed::control::{CONTROL_PORT, State};

use super::{
    clean_up, leftovers,
    pod_marks::{Changed, PodMarks, compare, marks},
    pool::Idle,
    scenario_namespace::{ScenarioNamespace, proxies},
    standing::Standing,
};
use crate::{
    cluster::{
        object::{ObjectError, Written},
        pods,
    },
    errors::chain,
    event::EventKind,
    fixture::workload::WORKLOAD_LABEL,
    mesh::istio::{
        injection::is_gateway,
        propagation::{
            change::{Change, PropagationError},
            shards,
        },
    },
    observe::{
        data_plane::AskError,
        testbed::{self as bed, CallerError},
    },
    run::context::RunContext,
    timeouts::timeouts,
    wait::{self, Look, WaitError},
};

/// Why a namespace cannot be used by another scenario.
#[derive(Debug, thiserror::Error)]
pub enum Unclean {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Propagation(#[from] PropagationError),
    #[error("the objects in it cannot be listed: {0}")]
    Unlisted(#[source] Box<kube::Error>),
    #[error("{0}")]
    Objects(String),
    #[error("pod {0} is left in it")]
    Left(String),
    #[error("pod {0} is not ready")]
    NotReady(String),
    #[error(transparent)]
    Changed(#[from] Changed),
    #[error("pod {pod} has {what}")]
    Busy { pod: String, what: String },
    #[error("pod {pod} does not answer")]
    Mute {
        pod: String,
        #[source]
        source: CallerError,
    },
    #[error("proxy {proxy} still has {cluster}")]
    Cluster { proxy: String, cluster: String },
    #[error("a proxy does not answer")]
    Proxy(#[from] AskError),
}

/// Starts returning the namespace. `written` is what the scenario's steps wrote; `gateway` says
/// whether the shared gateways had some of it.
pub fn start(
    ctx: &Arc<RunContext>,
    ns: Arc<ScenarioNamespace>,
    written: Vec<Written>,
    gateway: bool,
    id: String,
) {
    let ticket = ctx.pool.announce(ns.standing.shape().clone());
    let announced = Announced {
        ctx: Arc::clone(ctx),
        ticket,
        idle: None,
    };
    let task = tokio::spawn(async move {
        let mut announced = announced;
        let ctx = &announced.ctx;
        match clean(ctx, &ns, &written, gateway).await {
            Ok(idle) => announced.idle = Some(idle),
            Err(error) => {
                let text = format!(
                    "namespace {} is not used again after {id}: {}",
                    ns.name,
                    chain(&error)
                );
                ctx.recorder.emit(EventKind::Note { text });
                ns.end(ctx, &written, false).await;
            }
        }
    });
    ctx.pool.track(task);
}

/// A namespace that scenarios may be waiting for. However the proof ends, they learn whether it
/// comes.
struct Announced {
    ctx: Arc<RunContext>,
    ticket: u64,
    /// The namespace, once it is proven to be clean.
    idle: Option<Idle>,
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.ctx.pool.arrive(self.ticket, self.idle.take());
    }
}

/// Removes everything of the scenario, and proves that it is gone.
async fn clean(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    written: &[Written],
    gateway: bool,
) -> Result<Idle, Unclean> {
    let (callers, servers) = testbeds(ctx, ns);
    reset(ctx, ns, &servers).await?;
    let all: Vec<Written> = ns.leased().chain(written).cloned().collect();
    let (of_the_mesh, others): (Vec<Written>, Vec<Written>) = all
        .into_iter()
        .partition(|one| one.api_version.contains("istio.io"));
    try_join_all(others.iter().map(|one| ctx.writer.delete(one))).await?;
    let own = ns.own_workloads();
    clean_up::pods_of(&ctx.client, &ns.name, &own).await?;
    let services = others.iter().filter(|one| one.kind == "Service");
    let gone: Vec<String> = services.map(|one| one.name.clone()).collect();
    let control_planes = ctx.mesh.applier.control_planes();
    shards::await_services(&control_planes, &ns.name, &[], &gone).await?;
    let change = Change {
        namespace: ns.name.clone(),
        outside: false,
        apply: Vec::new(),
        delete: of_the_mesh,
        planes: ns.concerned(ctx, gateway),
        references: ctx.mesh.gateways.clone(),
    };
    ctx.mesh.applier.change(change).await?;
    let place = Place {
        name: &ns.name,
        standing: &ns.standing,
        own: &own,
        marks: &ns.marks,
    };
    place.prove(ctx, &[callers, servers].concat()).await?;
    let mut addresses = ns.addresses_of_services.clone();
    let services = others.into_iter().filter(|one| one.kind == "Service");
    addresses.extend(services.filter_map(|one| Some((one.name, one.address?))));
    Ok(Idle {
        root: ns.root.clone(),
        standing: ns.standing.clone(),
        addresses,
        marks: ns.marks.clone(),
    })
}

/// Starts proving that a namespace of an earlier run is still as that run left it. Otherwise it is
/// removed, and a note says why.
pub fn start_inherited(ctx: &Arc<RunContext>, idle: Idle) {
    let announced = Announced {
        ticket: ctx.pool.inherit(idle.standing.shape().clone()),
        ctx: Arc::clone(ctx),
        idle: None,
    };
    let task = tokio::spawn(async move {
        let mut announced = announced;
        let ctx = &announced.ctx;
        match inherited(ctx, &idle).await {
            Ok(()) => announced.idle = Some(idle),
            Err(error) => {
                let text = format!(
                    "namespace {} of an earlier run is not used again: {}",
                    idle.root.name,
                    chain(&error)
                );
                ctx.recorder.emit(EventKind::Note { text });
                clean_up::end(ctx, &idle.root, &[], false).await;
            }
        }
    });
    ctx.pool.track(task);
}

async fn inherited(ctx: &RunContext, idle: &Idle) -> Result<(), Unclean> {
    let place = Place {
        name: &idle.root.name,
        standing: &idle.standing,
        own: &[],
        marks: &idle.marks,
    };
    // The watch of pods may have just begun.
    let there = |pods: &[Pod]| pods.len() >= idle.marks.len();
    let _ = ctx
        .pods
        .until(place.name, timeouts().pods.idle, there)
        .await;
    let pods = ctx.pods.of(place.name);
    let programs = pods.iter().filter(|pod| !is_gateway(pod));
    let programs: Vec<String> = programs.map(ResourceExt::name_any).collect();
    place.prove(ctx, &programs).await
}

/// The pods of shared workloads that call, and those that serve. Gateways are neither.
fn testbeds(ctx: &RunContext, ns: &ScenarioNamespace) -> (Vec<String>, Vec<String>) {
    let pods = ns.shared_pods(ctx);
    let programs = pods.iter().filter(|pod| !is_gateway(pod));
    let (callers, servers): (Vec<&Pod>, Vec<&Pod>) = programs.partition(|pod| ns.calls(pod));
    let names = |pods: Vec<&Pod>| pods.into_iter().map(ResourceExt::name_any).collect();
    (names(callers), names(servers))
}

async fn reset(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    servers: &[String],
) -> Result<(), Unclean> {
    let each = servers.iter().map(async |pod| {
        let port = ctx.port(&ns.name, pod, CONTROL_PORT);
        bed::reset(&port).await.map_err(|source| Unclean::Mute {
            pod: pod.clone(),
            source,
        })
    });
    try_join_all(each).await.map(drop)
}

/// A namespace of which is proven that nobody has left anything.
struct Place<'a> {
    name: &'a str,
    standing: &'a Standing,
    /// Workloads whose pods must be gone.
    own: &'a [String],
    marks: &'a PodMarks,
}

impl Place<'_> {
    /// Waits until all of it holds. `programs` are the pods with a control port.
    async fn prove(&self, ctx: &RunContext, programs: &[String]) -> Result<(), Unclean> {
        let checks = try_join4(
            self.no_objects(ctx),
            self.no_clusters(ctx),
            self.idle(ctx, programs),
            self.same_pods(ctx),
        );
        checks.await.map(drop)
    }

    /// Waits until callers and servers have nothing to do and remember nothing.
    async fn idle(&self, ctx: &RunContext, pods: &[String]) -> Result<(), Unclean> {
        let each = pods.iter().map(async |pod| {
            let port = ctx.port(self.name, pod, CONTROL_PORT);
            let waited = wait::until(timeouts().pods.idle, async |_| {
                let state: State = bed::state(&port).await?;
                Ok(state.busy().map_or(Look::Met(()), Look::Unmet))
            });
            waited.await.map_err(|error| match error {
                WaitError::Failed(source) => Unclean::Mute {
                    pod: pod.clone(),
                    source,
                },
                WaitError::TimedOut(late) => Unclean::Busy {
                    pod: pod.clone(),
                    what: late.last_seen,
                },
            })
        });
        try_join_all(each).await.map(drop)
    }

    /// Waits until no object is left but what stays for the next scenario.
    async fn no_objects(&self, ctx: &RunContext) -> Result<(), Unclean> {
        let waited = wait::until(timeouts().pods.idle, async |_| {
            let left = leftovers::find(ctx, self.name, self.standing).await?;
            Ok(left.map_or(Look::Met(()), Look::Unmet))
        });
        waited.await.map_err(|error| match error {
            WaitError::Failed(error) => Unclean::Unlisted(Box::new(error)),
            WaitError::TimedOut(late) => Unclean::Objects(late.last_seen),
        })
    }

    /// Waits until no proxy has a cluster of a Service of the namespace. With the clusters, their
    /// connection pools, circuit breakers and ejected hosts are gone.
    async fn no_clusters(&self, ctx: &RunContext) -> Result<(), Unclean> {
        let proxies = proxies(ctx, self.name);
        let each = proxies.iter().map(async |proxy| {
            let waited = wait::until(timeouts().mesh.push, async |_| {
                let clusters = proxy.endpoints(self.name).await?;
                let first = clusters.into_keys().next();
                Ok::<_, AskError>(first.map_or(Look::Met(()), Look::Unmet))
            });
            waited.await.map_err(|error| match error {
                WaitError::Failed(error) => Unclean::Proxy(error),
                WaitError::TimedOut(late) => Unclean::Cluster {
                    proxy: proxy.id(),
                    cluster: late.last_seen,
                },
            })
        });
        try_join_all(each).await.map(drop)
    }

    /// Checks that the pods are those of the beginning, ready, and without restarts.
    async fn same_pods(&self, ctx: &RunContext) -> Result<(), Unclean> {
        let of_own = |pod: &Pod| {
            let workload = pods::label(pod, WORKLOAD_LABEL);
            workload.is_some_and(|name| self.own.iter().any(|own| own == name))
        };
        let gone = |pods: &[Pod]| !pods.iter().any(of_own);
        if let Err(last) = ctx.pods.until(self.name, timeouts().pods.ready, gone).await {
            let left = last
                .iter()
                .find(|pod| of_own(pod))
                .map(ResourceExt::name_any);
            return Err(Unclean::Left(left.unwrap_or_default()));
        }
        let pods = ctx.pods.of(self.name);
        if let Some(pod) = pods.iter().find(|pod| !pods::is_ready(pod)) {
            return Err(Unclean::NotReady(pod.name_any()));
        }
        Ok(compare(self.marks, &marks(&pods))?)
    }
}
