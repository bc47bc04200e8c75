//! The place of a scenario: its namespace, its workloads, their pods and proxies.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use futures::{
    future::{join_all, try_join_all},
    try_join,
};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::Value;
use testbed::control::CONTROL_PORT;

use super::{
    certificates::Certificates,
    context::Context,
    control,
    guard::{Guard, Roles},
    maker::Maker,
    mutated,
    probe::{self, GATEWAY_LABEL},
    reach::{self, ReachError},
    rollout, tidy,
};
use crate::{
    cluster::{
        object::{self, ObjectError, RUN_LABEL, Written},
        pods,
        writer::Home,
    },
    fixture::workload::{self, WORKLOAD_LABEL},
    mesh::istio::{
        arrival,
        endpoints::EndpointsError,
        gateway_api,
        live::{Change, Live, LiveError, Proxy},
        marker, order, shards,
    },
    observe::{envoy::ADMIN_PORT, http::Port},
    report::sensitive,
    scenario::{
        manifest::{Names, expand},
        model::Workload,
    },
    verdict::{
        guard::Times,
        outcome::{Check, CheckResult},
        seen::Pods,
    },
};

/// How long the pods of one scenario may take. A hundred injected pods at once on two cores take most of a minute.
const PODS_DEADLINE: Duration = Duration::from_secs(180);

/// Why a scenario has no place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(
        "the pods of {workload} are not as wanted ({wanted} ready) after {seconds:.1} s:\n{last}"
    )]
    Pods {
        workload: String,
        wanted: u32,
        seconds: f64,
        last: String,
    },
    #[error(transparent)]
    Live(#[from] LiveError),
    #[error(transparent)]
    Endpoints(#[from] EndpointsError),
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error("{what}, which was applied, is not as wanted after {seconds:.1} s: {last}")]
    Applied {
        what: String,
        seconds: f64,
        last: String,
    },
    #[error("the scenario has no workload called {0}")]
    NoWorkload(String),
    #[error("no pod of {workload} is ready: {seen}")]
    NoPod { workload: String, seen: String },
}

impl PlaceError {
    /// The claim that the mesh violates; `None`: nothing is known of the mesh.
    pub fn fault(&self) -> Option<Check> {
        let Self::Endpoints(EndpointsError::Withheld(withheld)) = self else {
            return None;
        };
        Some(Check {
            probe: withheld.what.clone(),
            matcher: "endpoints".to_owned(),
            expected: withheld.expected(),
            actual: withheld.actual(),
            result: CheckResult::Refuted,
            contrast: false,
            samples: 1,
            method: String::new(),
            alpha: None,
        })
    }
}

/// A namespace with its workloads.
pub struct Place {
    pub namespace: String,
    /// External host that belongs to this scenario alone.
    pub host: String,
    pub workloads: Vec<Workload>,
    /// Names of the workloads that make calls rather than answer them.
    callers: BTreeSet<String>,
    /// Certificates that steps made.
    pub certificates: Certificates,
    /// Watch over its pods.
    pub guard: Guard,
    /// Times that the scenario's configuration states.
    pub times: OnceLock<Times>,
    /// What has answered a call: caller and address.
    answered: Mutex<BTreeSet<(String, String)>>,
    /// What each Service with an address of its own selects pods by.
    pub(super) services: BTreeMap<String, Value>,
    /// What makes the pods of each workload, by its name.
    pub makers: BTreeMap<String, Maker>,
    /// A Service without an address of its own: proxies know its pods by listeners instead of endpoints.
    pub(super) headless: bool,
    /// Its objects may lie outside the namespace.
    outside: bool,
    root: Written,
    /// What proxies were told of this place when it was made.
    entries: Vec<Written>,
    /// What of a mutation its proxies have had.
    pub taken: mutated::Taken,
}

impl Place {
    /// Makes the namespace and its workloads, and waits until pods are ready and proxies know each other.
    ///
    /// # Errors
    /// [`PlaceError`], with the last state of whatever is missing.
    pub async fn make(
        ctx: &Context,
        id: &str,
        number: usize,
        workloads: &[(Workload, Vec<Value>)],
        gateway: bool,
        outside: bool,
    ) -> Result<Self, Box<Unmade>> {
        let namespace = name(&ctx.run_id, number, id);
        let claimed = ctx.writer.claim(&namespace, id).await;
        let root = claimed.map_err(|error| Unmade {
            error: error.into(),
            evidence: Vec::new(),
        })?;
        let made = Self::furnish(ctx, root.clone(), workloads, gateway, outside).await;
        match made {
            Ok(place) => Ok(place),
            Err(error) => {
                let evidence = evidence(ctx, &namespace).await;
                tidy::end(ctx, &root, &[], ctx.keep_failed).await;
                Err(Box::new(Unmade { error, evidence }))
            }
        }
    }

    /// Makes what is in a namespace that was just made.
    pub(super) async fn furnish(
        ctx: &Context,
        root: Written,
        workloads: &[(Workload, Vec<Value>)],
        gateway: bool,
        outside: bool,
    ) -> Result<Self, PlaceError> {
        let namespace = root.name.clone();
        let mut unique: BTreeMap<(String, String), Value> = BTreeMap::new();
        for (workload, documents) in workloads {
            let caller = workload::is_caller(documents);
            for object in workload::objects(workload, documents, &ctx.run_id) {
                let mut object = ctx.fitting.fit(object, caller);
                if caller {
                    object = control::past_the_proxy(object);
                }
                let (kind, name) = (
                    object["kind"].to_string(),
                    object["metadata"]["name"].to_string(),
                );
                unique.insert((kind, name), object);
            }
        }
        let host = format!("{namespace}.example.test");
        let names = Names {
            namespace: &namespace,
            host: &host,
            gateway: GATEWAY_LABEL,
        };
        unique
            .values_mut()
            .for_each(|object| expand_all(object, &names));
        if workloads
            .iter()
            .any(|(_, documents)| is_gateway_file(documents))
        {
            unique.insert(
                ("gateway".into(), "marker".into()),
                marker::own_gateway(&namespace),
            );
        }
        let callers = workloads
            .iter()
            .filter(|(_, documents)| workload::is_caller(documents))
            .map(|(workload, _)| workload.name.clone());
        let callers: BTreeSet<String> = callers.collect();
        let roles = Roles {
            callers: callers.iter().cloned().collect(),
            mesh: false,
        };
        let mut place = Self {
            host,
            workloads: workloads
                .iter()
                .map(|(workload, _)| workload.clone())
                .collect(),
            callers,
            certificates: Certificates::default(),
            guard: Guard::start(&ctx.pods, &ctx.client, &ctx.dial, &namespace, roles),
            times: OnceLock::new(),
            answered: Mutex::default(),
            services: balanced_services(unique.values()),
            makers: workloads
                .iter()
                .filter_map(|(workload, documents)| {
                    Some((workload.name.clone(), Maker::of(documents)?))
                })
                .collect(),
            headless: unique.values().any(is_headless),
            namespace,
            outside,
            root,
            entries: Vec::new(),
            taken: mutated::Taken::default(),
        };
        unique.insert(
            ("entry".into(), "marker".into()),
            marker::entry(&place.namespace),
        );
        let objects: Vec<Value> = unique.into_values().collect();
        let written = order::write_all(&ctx.writer, objects, place.home()).await?;
        let told = |object: &Written| object.api_version.contains("istio.io");
        let within = |object: &Written| object.namespace.as_ref() == Some(&place.namespace);
        let entries = written
            .into_iter()
            .filter(|object| told(object) || !within(object));
        place.entries = entries.collect();
        for (workload, documents) in workloads {
            let wanted = workload.replicas.unwrap_or_else(|| replicas(documents));
            place.await_pods(ctx, &workload.name, wanted).await?;
        }
        // A push with a marker that is written now holds what istiod knows now.
        place.await_pods_known(ctx, &place.addresses(ctx)).await?;
        let services: Vec<String> = place.services.keys().cloned().collect();
        shards::await_services(&ctx.applier.istiod(), &place.namespace, &services, &[]).await?;
        let mutated = place.mutated(ctx);
        let (live, ()) = try_join!(
            place.change(ctx, mutated, Vec::new(), gateway),
            place.await_settled(ctx, gateway),
        )?;
        // The push may have been behind what was looked at beside it; the gateways were looked at after it.
        place
            .await_endpoints_at(ctx, &place.proxies(ctx), false)
            .await?;
        place.entries.extend(live.written);
        Ok(place)
    }

    /// Where objects of this scenario may go.
    pub fn home(&self) -> Home<'_> {
        Home {
            namespace: &self.namespace,
            outside: self.outside,
        }
    }

    /// Applies and deletes configuration and waits until every sidecar here (and the gateway, when told) has it.
    ///
    /// # Errors
    /// As [`crate::mesh::istio::live::Applier::change`]; pods of what was applied that do not become ready.
    pub async fn change(
        &self,
        ctx: &Context,
        apply: Vec<Value>,
        delete: Vec<Written>,
        gateway: bool,
    ) -> Result<Live, PlaceError> {
        let apply = self.own(ctx, apply);
        let deleted = self.deleted(ctx, &delete).await?;
        let gateways: Vec<String> = apply
            .iter()
            .filter_map(gateway_api::deployed)
            .map(str::to_owned)
            .collect();
        let (run, own) = (
            (RUN_LABEL, ctx.run_id.as_str()),
            ("istio", self.namespace.as_str()),
        );
        let label = |object| gateway_api::with_pod_labels(object, &[run, own]);
        let apply: Vec<Value> = apply.into_iter().map(label).collect();
        let of_the_cluster = apply
            .iter()
            .any(|object| of_the_cluster(&object["apiVersion"]))
            || delete
                .iter()
                .any(|object| !object.api_version.contains(".istio.io/"));
        let mut live = self.push(ctx, apply.clone(), delete, gateway).await?;
        let pods = |object: &Value| object["kind"] == "Service" || rollout::makes_pods(object);
        let pods = apply.iter().chain(&deleted).any(pods);
        if pods {
            let late = self
                .follow(ctx, &apply, &deleted, &live.written, gateway)
                .await?;
            live.push_ms += late.push_ms;
            live.generation = late.generation;
            // What only the mesh reads makes new clusters at most, and these were waited for.
            self.await_endpoints_at(ctx, &self.proxies(ctx), false)
                .await?;
        }
        if gateway {
            self.await_endpoints_at(ctx, &ctx.gateways, false).await?;
        }
        for gateway in gateways {
            self.await_gateway(ctx, &gateway, live.generation).await?;
        }
        if of_the_cluster {
            reach::await_plain(ctx, self).await?;
        }
        mutated::look(ctx, self, &self.taken).await;
        Ok(live)
    }

    /// Objects as this run and this target have them.
    fn own(&self, ctx: &Context, objects: Vec<Value>) -> Vec<Value> {
        let fit = |object| rollout::labelled(ctx.fitting.fit(object, false), &ctx.run_id);
        let mut own: Vec<Value> = objects.into_iter().map(fit).collect();
        if own
            .iter()
            .any(|object| gateway_api::deployed(object).is_some())
        {
            own.push(marker::own_gateway(&self.namespace));
        }
        own
    }

    /// Services and workloads that are to be deleted, as they are now.
    async fn deleted(&self, ctx: &Context, delete: &[Written]) -> Result<Vec<Value>, PlaceError> {
        let plain = |one: &&Written| !one.api_version.contains("istio.io");
        let each = delete.iter().filter(plain).map(|one| {
            let namespace = one.namespace.as_deref();
            object::get(
                &ctx.client,
                &one.api_version,
                &one.kind,
                namespace,
                &one.name,
            )
        });
        Ok(try_join_all(each).await?.into_iter().flatten().collect())
    }

    /// Writes and deletes objects, and waits for the proxies that are there now.
    async fn push(
        &self,
        ctx: &Context,
        apply: Vec<Value>,
        delete: Vec<Written>,
        gateway: bool,
    ) -> Result<Live, PlaceError> {
        let change = Change {
            namespace: self.namespace.clone(),
            outside: self.outside,
            apply,
            delete,
            proxies: self.told(ctx, gateway),
            programs: self.programs(ctx),
            reference: ctx.gateways.first().map_or_else(String::new, |gateway| {
                format!("{}.{}", gateway.admin.pod, gateway.admin.namespace)
            }),
        };
        Ok(ctx.applier.change(change).await?)
    }

    /// Services and pods come to istiod on a way of their own: when it has them, a push that holds them is waited for, at the proxies
    /// of the new pods too.
    async fn follow(
        &self,
        ctx: &Context,
        applied: &[Value],
        deleted: &[Value],
        written: &[Written],
        gateway: bool,
    ) -> Result<Live, PlaceError> {
        rollout::await_gone(ctx, &self.namespace, deleted).await?;
        rollout::await_rolled_out(ctx, &self.namespace, written).await?;
        let istiod = ctx.applier.istiod();
        let (there, gone) = (self.names(applied), self.names(deleted));
        shards::await_services(&istiod, &self.namespace, &there, &gone).await?;
        self.await_pods_known(ctx, &self.selected(ctx, applied))
            .await?;
        self.push(ctx, Vec::new(), Vec::new(), gateway).await
    }

    /// Names of the Services among objects of this namespace.
    fn names(&self, objects: &[Value]) -> Vec<String> {
        let here = |object: &&Value| {
            let namespace = object["metadata"]["namespace"].as_str();
            object["kind"] == "Service" && namespace.is_none_or(|name| name == self.namespace)
        };
        let names = objects.iter().filter(here);
        names
            .filter_map(|object| Some(object["metadata"]["name"].as_str()?.to_owned()))
            .collect()
    }

    /// What breaks the proxies here, when the run's mutation does.
    fn mutated(&self, ctx: &Context) -> Vec<Value> {
        if self.proxies(ctx).is_empty() {
            return Vec::new();
        }
        let address = |workload: &str| {
            let pods = ctx.pods.of(&self.namespace);
            let named = |pod: &&Pod| pods::label(pod, WORKLOAD_LABEL) == Some(workload);
            pods.iter().find(named)?.status.as_ref()?.pod_ip.clone()
        };
        mutated::objects(ctx, &probe::names(self), address)
    }

    /// Waits until the proxy that istiod deploys for a Gateway is ready, and has a generation and the endpoints.
    async fn await_gateway(
        &self,
        ctx: &Context,
        gateway: &str,
        generation: u64,
    ) -> Result<(), PlaceError> {
        let of = |pods: &[Pod]| -> Vec<Pod> {
            let named = |pod: &&Pod| pods::label(pod, gateway_api::GATEWAY_NAME) == Some(gateway);
            pods.iter().filter(named).cloned().collect()
        };
        let ready = |pods: &[Pod]| of(pods).iter().any(pods::is_ready);
        let start = Instant::now();
        let waited = ctx.pods.until(&self.namespace, PODS_DEADLINE, ready);
        if let Err(last) = waited.await {
            return Err(PlaceError::Pods {
                workload: format!("the gateway {gateway}"),
                wanted: 1,
                seconds: start.elapsed().as_secs_f64(),
                last: pods::describe(&ctx.client, &of(&last)).await,
            });
        }
        let all = self.proxies(ctx).into_iter().filter(|proxy| proxy.gateway);
        let all: Vec<Proxy> = all.collect();
        let waits = all
            .iter()
            .map(|proxy| arrival::await_marker(proxy, &self.namespace, generation));
        try_join_all(waits).await?;
        self.await_endpoints_at(ctx, &all, false).await
    }

    /// Sidecars and gateways of this namespace.
    pub fn proxies(&self, ctx: &Context) -> Vec<Proxy> {
        let pods = ctx.pods.of(&self.namespace);
        let injected = pods
            .iter()
            .filter(|pod| pods::is_ready(pod) && is_injected(pod) && !is_proxyless(pod));
        injected
            .map(|pod| Proxy {
                admin: ctx.port(&self.namespace, &pod.name_any(), ADMIN_PORT),
                gateway: is_gateway(pod),
            })
            .collect()
    }

    /// The proxies that are told of a change: those of this namespace, and the shared gateways where that is said.
    pub(super) fn told(&self, ctx: &Context, gateway: bool) -> Vec<Proxy> {
        let shared = ctx.gateways.iter().filter(|_| gateway);
        let own = self.proxies(ctx).into_iter();
        own.chain(shared.cloned()).collect()
    }

    /// Control ports of the programs here that are their own data plane.
    fn programs(&self, ctx: &Context) -> Vec<Port> {
        let pods = ctx.pods.of(&self.namespace);
        let ready = pods
            .iter()
            .filter(|pod| pods::is_ready(pod) && is_proxyless(pod));
        ready
            .map(|pod| ctx.port(&self.namespace, &pod.name_any(), CONTROL_PORT))
            .collect()
    }

    /// Ready pods by workload and by app.
    pub fn pods(&self, ctx: &Context) -> Pods {
        let mut all = Pods::new();
        for pod in ctx
            .pods
            .of(&self.namespace)
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

    /// One ready pod of a workload.
    ///
    /// # Errors
    /// When there is no such workload, or none of its pods is ready.
    pub fn pod(&self, ctx: &Context, workload: &str) -> Result<String, PlaceError> {
        if !self.workloads.iter().any(|known| known.name == workload) {
            return Err(PlaceError::NoWorkload(workload.to_owned()));
        }
        let pods = self.pods(ctx);
        let first = pods.get(workload).and_then(|pods| pods.first()).cloned();
        first.ok_or_else(|| PlaceError::NoPod {
            workload: workload.to_owned(),
            seen: pods::brief(&self.all_pods(ctx, workload)),
        })
    }

    /// All pods of a workload, ready or not.
    fn all_pods(&self, ctx: &Context, workload: &str) -> Vec<Pod> {
        let mut pods = ctx.pods.of(&self.namespace);
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

    /// Control ports of the callers whose connections no proxy takes, or not all of them.
    pub fn plain_callers(&self, ctx: &Context) -> Vec<Port> {
        let pods = ctx.pods.of(&self.namespace);
        let calls = |pod: &&Pod| {
            let workload = pods::label(pod, WORKLOAD_LABEL);
            workload.is_some_and(|name| self.callers.contains(name))
        };
        pods.iter()
            .filter(|pod| pods::is_ready(pod) && is_plain(pod))
            .filter(calls)
            .map(|pod| ctx.port(&self.namespace, &pod.name_any(), CONTROL_PORT))
            .collect()
    }

    /// Pods whose workload serves (has a ledger).
    pub fn servers(&self, ctx: &Context) -> Vec<String> {
        let all = self.ledgers(ctx).into_iter();
        all.filter(|(_, ready)| *ready)
            .map(|(pod, _)| pod)
            .collect()
    }

    fn serves(&self, pod: &Pod) -> bool {
        let workload = pods::label(pod, WORKLOAD_LABEL);
        !is_gateway(pod) && workload.is_some_and(|name| !self.callers.contains(name))
    }

    /// Pods that may have a ledger of this scenario and whether they are ready: a server that is not ready may have been called
    /// all the same. One that is on its way out counts as departed.
    pub fn ledgers(&self, ctx: &Context) -> Vec<(String, bool)> {
        let pods = ctx.pods.of(&self.namespace);
        let staying = pods
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none());
        staying
            .filter(|pod| self.serves(pod))
            .map(|pod| (pod.name_any(), pods::is_ready(pod)))
            .collect()
    }

    /// Waits until exactly `wanted` pods of a workload are there and ready, or one of them never will be.
    ///
    /// # Errors
    /// The pods' last state, events and log lines.
    pub async fn await_pods(
        &self,
        ctx: &Context,
        workload: &str,
        wanted: u32,
    ) -> Result<(), PlaceError> {
        let of = |pods: &[Pod]| -> Vec<Pod> {
            pods.iter()
                .filter(|pod| pods::label(pod, WORKLOAD_LABEL) == Some(workload))
                .cloned()
                .collect()
        };
        let count = usize::try_from(wanted).unwrap_or(usize::MAX);
        let done = |pods: &[Pod]| {
            let pods = of(pods);
            pods.len() == count && pods.iter().all(pods::is_ready)
        };
        let settled = |pods: &[Pod]| done(pods) || of(pods).iter().any(pods::is_hopeless);
        let start = Instant::now();
        let waited = ctx.pods.until(&self.namespace, PODS_DEADLINE, settled);
        let last = match waited.await {
            Ok(pods) if done(&pods) => return Ok(()),
            Ok(pods) | Err(pods) => pods::describe(&ctx.client, &of(&pods)).await,
        };
        Err(PlaceError::Pods {
            workload: workload.to_owned(),
            wanted,
            seconds: start.elapsed().as_secs_f64(),
            last,
        })
    }

    /// Does with the namespace what the run's [`tidy::Tidy`] says, or keeps it; `configuration` is what was applied to it since it
    /// was made. Does not wait.
    pub async fn end(&self, ctx: &Context, configuration: &[Written], keep: bool) {
        let all = [&self.entries, configuration].concat();
        tidy::end(ctx, &self.root, &all, keep).await;
    }
}

/// Why a scenario has no place, with what a person wants to see of it.
#[derive(Debug)]
pub struct Unmade {
    pub error: PlaceError,
    pub evidence: Vec<(String, String)>,
}

/// What a person wants to see of a scenario that did not pass: the pods' state and the proxies' last log lines.
pub async fn evidence(ctx: &Context, namespace: &str) -> Vec<(String, String)> {
    let pods = ctx.pods.of(namespace);
    let mut all = vec![(
        "pods.txt".to_owned(),
        pods::report(&ctx.client, &pods).await,
    )];
    let logs = join_all(pods.iter().filter(|pod| is_injected(pod)).map(|pod| async {
        let text = super::flags::log(ctx, namespace, &pod.name_any(), 200)
            .await
            .unwrap_or_else(|error| error);
        // A proxy that refuses a program quotes it.
        let text = sensitive::refusal(&text);
        (format!("{}.istio-proxy.log", pod.name_any()), text)
    }));
    all.extend(logs.await);
    all
}

fn is_headless(object: &Value) -> bool {
    object["kind"] == "Service" && object["spec"]["clusterIP"] == "None"
}

/// Services that proxies balance by endpoint discovery, those with an address of their own, and their selectors.
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

/// Annotation by which Istio makes a gateway of a pod instead of adding a sidecar.
const TEMPLATES: &str = "inject.istio.io/templates";

/// The pod is a gateway of this scenario alone (`fixtures/workloads/gateway.yaml`), or was deployed for a Gateway object of it.
pub fn is_gateway(pod: &Pod) -> bool {
    let templates = pod.annotations().get(TEMPLATES);
    templates.is_some_and(|templates| templates == "gateway")
        || pods::label(pod, gateway_api::GATEWAY_NAME).is_some()
}

/// The same of a workload's file.
fn is_gateway_file(documents: &[Value]) -> bool {
    let annotations = |document: &Value| {
        document
            .pointer("/spec/template/metadata/annotations")
            .cloned()
    };
    let mut all = documents.iter().filter_map(annotations);
    all.any(|annotations| annotations[TEMPLATES] == "gateway")
}

/// Replaces placeholders in every text of an object; keys have none.
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

/// The pod has Istio's sidecar, as a container or as a native sidecar.
pub fn is_injected(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let containers = spec
        .map(|spec| spec.containers.as_slice())
        .unwrap_or_default();
    let early = spec
        .and_then(|spec| spec.init_containers.as_deref())
        .unwrap_or_default();
    containers
        .iter()
        .chain(early)
        .any(|container| container.name == "istio-proxy")
}

/// The pod asks for the `grpc-agent` template (Istio's annotation): its programs talk to the control plane themselves.
pub fn is_proxyless(pod: &Pod) -> bool {
    let templates = pod.annotations().get("inject.istio.io/templates");
    templates.is_some_and(|names| names.split(',').any(|name| name.trim() == "grpc-agent"))
}

/// Annotations by which connections of a pod pass its proxy by, with the value that lets none pass, which injection itself writes (Istio,
/// "Resource Annotations").
const PAST_THE_PROXY: [(&str, &str); 5] = [
    ("traffic.sidecar.istio.io/excludeOutboundIPRanges", ""),
    (control::EXCLUDED, control::EXCLUDED_ALWAYS),
    ("traffic.sidecar.istio.io/includeOutboundIPRanges", "*"),
    ("traffic.sidecar.istio.io/includeOutboundPorts", "*"),
    ("sidecar.istio.io/interceptionMode", "REDIRECT"),
];

/// Connections of the pod, or some of them, meet the cluster's own network.
fn is_plain(pod: &Pod) -> bool {
    let passes = |(key, none): &(&str, &str)| {
        let value = pod.annotations().get(*key);
        value.is_some_and(|value| !value.is_empty() && value != none)
    };
    !is_injected(pod) || is_proxyless(pod) || PAST_THE_PROXY.iter().any(passes)
}

/// An object of this version is read by the cluster itself, and not only by the mesh.
fn of_the_cluster(version: &Value) -> bool {
    !version.as_str().unwrap_or_default().contains(".istio.io/")
}

/// The pod has Istio's sidecar beside a program: it is no gateway, and not its own data plane.
pub fn is_sidecar(pod: &Pod) -> bool {
    is_injected(pod) && !is_gateway(pod) && !is_proxyless(pod)
}

/// A namespace name: unique in the run, readable, a DNS label (RFC 1123, at most 63 characters).
pub(super) fn name(run: &str, number: usize, id: &str) -> String {
    let slug: String = id
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let mut name = format!("mp-{run}-{number}-{slug}");
    name.truncate(50);
    name.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_namespace_name_is_a_dns_label() {
        let made = name(
            "x1",
            12,
            "routing/a-very-long-behaviour-name-that-nobody-would-shorten-by-hand",
        );
        assert!(
            made.len() <= 63 && !made.ends_with('-') && made.starts_with("mp-x1-12-routing-a-very"),
            "{made}"
        );
    }
}
