//! Creates the namespace of a scenario and its contents, and removes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, OnceLock},
};

use futures::try_join;
use serde_json::Value;
use tokio::time::timeout;

use super::{
    certificates::Certificates,
    clean_up, control,
    error::NamespaceError,
    maker::Maker,
    name, pod_evidence,
    pod_marks::{self, PodMarks},
    pool::{Idle, Place},
    reshape,
    scenario_namespace::{ScenarioNamespace, TakenSlots},
    standing::{self, Shape, Standing},
};
use crate::{
    cluster::object::Written,
    errors::chain,
    event::EventKind,
    fixture::workload,
    mesh::istio::{
        injection::{is_gateway_file, is_proxyless_file},
        install::GATEWAY_LABEL,
        propagation::{marker, order, shards},
    },
    plan::isolation::Isolation,
    run::{
        context::{IsolationMode, RunContext},
        guard::{Guard, Roles},
    },
    scenario::{
        manifest::{Names, expand},
        model::Workload,
        workload_file,
    },
    timeouts::timeouts,
};

/// An error creating the namespace of a scenario, with evidence for the report.
#[derive(Debug)]
pub struct NamespaceFailure {
    pub error: NamespaceError,
    pub evidence: Vec<(String, String)>,
}

/// What a scenario needs of its namespace.
pub struct Request<'a> {
    pub id: &'a str,
    /// Number of the scenario in the run.
    pub number: usize,
    /// Its workloads, with the documents of their files.
    pub workloads: &'a [(Workload, Vec<Value>)],
    pub isolation: &'a Isolation,
    /// Whether it uses the shared ingress gateway.
    pub gateway: bool,
    /// Whether it may write outside its namespace.
    pub outside: bool,
}

/// A namespace before the objects of a scenario are written.
pub struct Held {
    /// The namespace, and what is there already.
    place: Idle,
    /// A name that no other scenario of the run has.
    lease: String,
    /// What will stay for the next scenario.
    shape: Shape,
}

impl Held {
    /// A new namespace that nobody uses afterwards.
    pub fn nothing(root: Written) -> Self {
        Self {
            lease: root.name.clone(),
            place: Idle::new(root),
            shape: Shape::default(),
        }
    }
}

impl ScenarioNamespace {
    /// Creates the namespace and its workloads, or takes over those that another scenario has
    /// left, and waits until pods are ready and proxies have the endpoints.
    ///
    /// # Errors
    /// [`NamespaceFailure`], with the last state of what is missing.
    pub async fn create(
        ctx: &RunContext,
        request: &Request<'_>,
    ) -> Result<Self, Box<NamespaceFailure>> {
        let held = hold(ctx, request).await.map_err(|error| NamespaceFailure {
            error,
            evidence: Vec::new(),
        })?;
        let (root, is_shared) = (held.place.root.clone(), !held.shape.0.is_empty());
        let Request {
            workloads,
            gateway,
            outside,
            ..
        } = request;
        match Self::populate(ctx, held, workloads, *gateway, *outside).await {
            Ok(ns) => Ok(ns),
            Err(error) => {
                if is_shared {
                    ctx.pool.lose();
                }
                let evidence = pod_evidence::pod_evidence(ctx, &root.name).await;
                clean_up::end(ctx, &root, &[], ctx.session.keep_failed).await;
                Err(Box::new(NamespaceFailure { error, evidence }))
            }
        }
    }

    /// Creates the contents of a namespace that are not there yet.
    pub(crate) async fn populate(
        ctx: &RunContext,
        held: Held,
        workloads: &[(Workload, Vec<Value>)],
        gateway: bool,
        outside: bool,
    ) -> Result<Self, NamespaceError> {
        let namespace = held.place.root.name.clone();
        let host = format!("{}.example.test", held.lease);
        let mut objects = objects(ctx, workloads, &namespace, &host);
        let (there, shape) = (held.place.standing.clone(), held.shape.clone());
        let mut ns = Self::new(ctx, held, host, workloads, &objects, outside);
        objects.retain(|object| !there.has(object));
        readdress(&mut objects, &ns.addresses_of_services);
        // Services come last: a pod that is ready when its Service appears is a healthy endpoint
        // from the beginning, which Envoy does not hold back (`endpoints::await_endpoints`).
        let (services, others): (Vec<Value>, Vec<Value>) = objects
            .into_iter()
            .partition(|object| object["kind"] == "Service");
        ns.made = order::write_all(&ctx.writer, others, ns.home()).await?;
        let ready = ns.ready_without_services(ctx, workloads).await?;
        let services = order::write_all(&ctx.writer, services, ns.home()).await?;
        ns.made.extend(services);
        if !ready {
            ns.await_workloads(ctx, workloads).await?;
        }
        ns.standing = Standing::new(shape, &[there.written, ns.made.clone()].concat());
        ns.await_proxies(ctx, gateway, !ready).await?;
        ns.marks = pod_marks::marks(&ns.shared_pods(ctx));
        Ok(ns)
    }

    /// A namespace whose objects are not written yet.
    fn new(
        ctx: &RunContext,
        held: Held,
        host: String,
        workloads: &[(Workload, Vec<Value>)],
        objects: &[Value],
        outside: bool,
    ) -> Self {
        let callers = workloads
            .iter()
            .filter(|(_, documents)| workload_file::makes_caller(documents))
            .map(|(workload, _)| workload.name.clone());
        let callers: BTreeSet<String> = callers.collect();
        let roles = Roles {
            callers: callers.iter().cloned().collect(),
            mesh: false,
        };
        let controllers = workloads.iter().filter_map(|(workload, documents)| {
            Some((workload.name.clone(), Maker::of(documents)?))
        });
        let Held { place, lease, .. } = held;
        let Idle {
            root, addresses, ..
        } = place;
        Self {
            host,
            lease,
            addresses_of_services: addresses,
            standing: Standing::default(),
            made: Vec::new(),
            marks: PodMarks::new(),
            workloads: workloads.iter().map(|(one, _)| one.clone()).collect(),
            callers,
            certificates: Certificates::default(),
            guard: Guard::start(&ctx.pods, &ctx.client, &ctx.dialer, &root.name, roles),
            times: OnceLock::new(),
            answered: Mutex::default(),
            services: balanced_services(objects.iter()),
            controllers: controllers.collect(),
            headless: objects.iter().any(is_headless),
            name: root.name.clone(),
            outside,
            root,
            taken: TakenSlots::default(),
        }
    }

    /// Waits until all pods are ready although no Service has been written yet. Returns false for
    /// programs that need their Service: a proxyless server serves what the mesh tells it, and
    /// others may do likewise.
    async fn ready_without_services(
        &self,
        ctx: &RunContext,
        workloads: &[(Workload, Vec<Value>)],
    ) -> Result<bool, NamespaceError> {
        let mut files = workloads.iter();
        if files.any(|(_, documents)| is_proxyless_file(documents)) {
            return Ok(false);
        }
        let ready = self.await_workloads(ctx, workloads);
        match timeout(timeouts().pods.without_services, ready).await {
            Ok(ready) => ready.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    async fn await_workloads(
        &self,
        ctx: &RunContext,
        workloads: &[(Workload, Vec<Value>)],
    ) -> Result<(), NamespaceError> {
        for (workload, documents) in workloads {
            let expected = workload.replicas.unwrap_or_else(|| replicas(documents));
            self.await_pods(ctx, &workload.name, expected).await?;
        }
        Ok(())
    }

    /// Waits until every proxy has all that was written. `late` says that pods may have become
    /// ready after their Services were written.
    async fn await_proxies(
        &mut self,
        ctx: &RunContext,
        gateway: bool,
        late: bool,
    ) -> Result<(), NamespaceError> {
        // A push with a marker that is written now contains what istiod knows now.
        self.await_pods_known(ctx, &self.addresses(ctx)).await?;
        let services: Vec<String> = self.services.keys().cloned().collect();
        let control_planes = ctx.mesh.applier.control_planes();
        shards::await_services(&control_planes, &self.name, &services, &[]).await?;
        let mutated = self.mutated(ctx);
        let (live, ()) = try_join!(
            self.change(ctx, mutated, Vec::new(), gateway),
            self.await_settled(ctx, gateway, late),
        )?;
        // The endpoints were checked in parallel and may be newer than the push. Those of the
        // gateways were checked after it.
        let proxies = self.proxies(ctx);
        self.await_endpoints_at(ctx, &proxies, false).await?;
        self.made.extend(live.written);
        Ok(())
    }

    /// Cleans up the namespace according to the run's
    /// [`CleanupPolicy`](crate::run::context::CleanupPolicy), or keeps it. `configuration` is
    /// what was applied since it was created. Does not wait.
    pub async fn end(&self, ctx: &RunContext, configuration: &[Written], keep: bool) {
        let all = [self.entries(), configuration.to_vec()].concat();
        clean_up::end(ctx, &self.root, &all, keep).await;
    }

    /// Mesh configuration, and objects outside the namespace, that were written when it was
    /// created.
    fn entries(&self) -> Vec<Written> {
        let within = |object: &Written| object.namespace.as_ref() == Some(&self.name);
        let made = self.made.iter();
        made.filter(|one| one.api_version.contains("istio.io") || !within(one))
            .cloned()
            .collect()
    }

    /// What was written when it was created, and goes with the scenario.
    pub(super) fn leased(&self) -> impl Iterator<Item = &Written> {
        let stays =
            |one: &&Written| one.name == marker::NAME || self.standing.written.contains(one);
        self.made.iter().filter(move |one| !stays(one))
    }
}

/// Returns the namespace that costs least to adapt, adapted as far as pods are concerned.
async fn hold(ctx: &RunContext, request: &Request<'_>) -> Result<Held, NamespaceError> {
    let run = &ctx.session.run_id;
    let lease = name::name(run, request.number, request.id);
    let adapted = |workload: &Workload, documents: &[Value]| adapted(ctx, workload, documents);
    let shape = match ctx.session.isolation {
        IsolationMode::Shared => standing::shape(request.isolation, request.workloads, adapted),
        IsolationMode::Private => Shape::default(),
    };
    if shape.0.is_empty() {
        let root = ctx.writer.claim(&lease, request.id).await?;
        return Ok(Held::nothing(root));
    }
    loop {
        let mut place = match ctx.pool.take(&shape).await {
            Place::Idle(idle) => *idle,
            Place::New(number) => {
                let name = name::of_the_pool(run, number);
                let claimed = ctx.writer.claim(&name, request.id).await;
                let place = Idle::new(claimed.inspect_err(|_| ctx.pool.lose())?);
                return Ok(Held {
                    place,
                    lease,
                    shape,
                });
            }
        };
        match reshape::reshape(ctx, request.id, &mut place, &shape).await {
            Ok(()) => {
                return Ok(Held {
                    place,
                    lease,
                    shape,
                });
            }
            Err(error) => {
                let name = &place.root.name;
                let text = format!("namespace {name} is not used again: {}", chain(&error));
                ctx.recorder.emit(EventKind::Note { text });
                ctx.pool.lose();
                clean_up::end(ctx, &place.root, &[], false).await;
            }
        }
    }
}

/// Gives Services the cluster IPs that they had before in this namespace, because resolvers may
/// still answer with these.
fn readdress(objects: &mut [Value], addresses: &BTreeMap<String, String>) {
    for object in objects
        .iter_mut()
        .filter(|object| object["kind"] == "Service")
    {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if let Some(address) = addresses.get(name)
            && object["spec"]["clusterIP"].is_null()
        {
            object["spec"]["clusterIP"] = address.as_str().into();
        }
    }
}

/// The objects of one workload as they are written, with their placeholders.
fn adapted(ctx: &RunContext, workload: &Workload, documents: &[Value]) -> Vec<Value> {
    let caller = workload_file::makes_caller(documents);
    let objects = workload::objects(workload, documents, &ctx.session.run_id).into_iter();
    let adapt = |object| {
        let object = ctx.overrides.apply(object, caller);
        match caller {
            true => control::past_the_proxy(object),
            false => object,
        }
    };
    objects.map(adapt).collect()
}

/// The objects of all workloads, each once, with their placeholders replaced, and those that show
/// the config epoch at gateways.
fn objects(
    ctx: &RunContext,
    workloads: &[(Workload, Vec<Value>)],
    namespace: &str,
    host: &str,
) -> Vec<Value> {
    let names = Names {
        namespace,
        host,
        gateway: GATEWAY_LABEL,
    };
    let mut unique: BTreeMap<(String, String), Value> = BTreeMap::new();
    for (workload, documents) in workloads {
        for mut object in adapted(ctx, workload, documents) {
            expand_all(&mut object, &names);
            let kind = object["kind"].to_string();
            unique.insert((kind, object["metadata"]["name"].to_string()), object);
        }
    }
    let mut objects: Vec<Value> = unique.into_values().collect();
    objects.push(marker::entry(namespace));
    let mut files = workloads.iter();
    if files.any(|(_, documents)| is_gateway_file(documents)) {
        objects.push(marker::own_gateway(namespace));
    }
    objects
}

fn is_headless(object: &Value) -> bool {
    object["kind"] == "Service" && object["spec"]["clusterIP"] == "None"
}

/// Returns the Services that proxies balance by endpoint discovery (those with a cluster IP),
/// with their selectors.
fn balanced_services<'a>(objects: impl Iterator<Item = &'a Value>) -> BTreeMap<String, Value> {
    let services = objects.filter(|object| object["kind"] == "Service" && !is_headless(object));
    let selecting = services.filter_map(|service| {
        let name = service["metadata"]["name"].as_str()?.to_owned();
        let selector = service.pointer("/spec/selector")?;
        Some((name, selector.clone()))
    });
    selecting.collect()
}

fn replicas(documents: &[Value]) -> u32 {
    let found = documents
        .iter()
        .find_map(|document| document.pointer("/spec/replicas").and_then(Value::as_u64));
    found
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(1)
}

/// Replaces placeholders in every text of an object, but not in keys.
fn expand_all(value: &mut Value, names: &Names<'_>) {
    match value {
        Value::String(text) if text.contains("${") => *text = expand(text, names),
        Value::Array(items) => items.iter_mut().for_each(|item| expand_all(item, names)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| expand_all(field, names)),
        _ => {}
    }
}
