//! Creates the namespace of a scenario and its contents, and removes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, OnceLock},
};

use futures::try_join;
use serde_json::Value;

use super::{
    certificates::Certificates,
    clean_up, control,
    error::NamespaceError,
    maker::Maker,
    name, pod_evidence,
    scenario_namespace::{ScenarioNamespace, TakenSlots},
};
use crate::{
    cluster::object::Written,
    fixture::workload,
    mesh::istio::{
        injection::is_gateway_file,
        install::GATEWAY_LABEL,
        propagation::{marker, order, shards},
    },
    run::{
        context::RunContext,
        guard::{Guard, Roles},
    },
    scenario::{
        manifest::{Names, expand},
        model::Workload,
        workload_file,
    },
};

/// An error creating the namespace of a scenario, with evidence for the report.
#[derive(Debug)]
pub struct NamespaceFailure {
    pub error: NamespaceError,
    pub evidence: Vec<(String, String)>,
}

impl ScenarioNamespace {
    /// Creates the namespace and its workloads, and waits until pods are ready and proxies have
    /// the endpoints.
    ///
    /// # Errors
    /// [`NamespaceFailure`], with the last state of what is missing.
    pub async fn create(
        ctx: &RunContext,
        id: &str,
        number: usize,
        workloads: &[(Workload, Vec<Value>)],
        gateway: bool,
        outside: bool,
    ) -> Result<Self, Box<NamespaceFailure>> {
        let namespace = name::name(&ctx.session.run_id, number, id);
        let claimed = ctx.writer.claim(&namespace, id).await;
        let root = claimed.map_err(|error| NamespaceFailure {
            error: error.into(),
            evidence: Vec::new(),
        })?;
        let recorded = Self::populate(ctx, root.clone(), workloads, gateway, outside).await;
        match recorded {
            Ok(ns) => Ok(ns),
            Err(error) => {
                let evidence = pod_evidence::pod_evidence(ctx, &namespace).await;
                clean_up::end(ctx, &root, &[], ctx.session.keep_failed).await;
                Err(Box::new(NamespaceFailure { error, evidence }))
            }
        }
    }

    /// Creates the contents of a new namespace.
    pub(crate) async fn populate(
        ctx: &RunContext,
        root: Written,
        workloads: &[(Workload, Vec<Value>)],
        gateway: bool,
        outside: bool,
    ) -> Result<Self, NamespaceError> {
        let namespace = root.name.clone();
        let host = format!("{namespace}.example.test");
        let objects = objects(ctx, workloads, &namespace, &host);
        let mut ns = Self::new(ctx, root, host, workloads, &objects, outside);
        let written = order::write_all(&ctx.writer, objects, ns.home()).await?;
        let reported = |object: &Written| object.api_version.contains("istio.io");
        let within = |object: &Written| object.namespace.as_ref() == Some(&ns.name);
        let entries = written
            .into_iter()
            .filter(|object| reported(object) || !within(object));
        ns.entries = entries.collect();
        for (workload, documents) in workloads {
            let expected = workload.replicas.unwrap_or_else(|| replicas(documents));
            ns.await_pods(ctx, &workload.name, expected).await?;
        }
        ns.await_proxies(ctx, gateway).await?;
        Ok(ns)
    }

    /// A namespace whose objects are not written yet.
    fn new(
        ctx: &RunContext,
        root: Written,
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
        Self {
            host,
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
            entries: Vec::new(),
            taken: TakenSlots::default(),
        }
    }

    /// Waits until every proxy has all that was written.
    async fn await_proxies(
        &mut self,
        ctx: &RunContext,
        gateway: bool,
    ) -> Result<(), NamespaceError> {
        // A push with a marker that is written now contains what istiod knows now.
        self.await_pods_known(ctx, &self.addresses(ctx)).await?;
        let services: Vec<String> = self.services.keys().cloned().collect();
        let control_planes = ctx.mesh.applier.control_planes();
        shards::await_services(&control_planes, &self.name, &services, &[]).await?;
        let mutated = self.mutated(ctx);
        let (live, ()) = try_join!(
            self.change(ctx, mutated, Vec::new(), gateway),
            self.await_settled(ctx, gateway),
        )?;
        // The endpoints were checked in parallel and may be newer than the push. Those of the
        // gateways were checked after it.
        let proxies = self.proxies(ctx);
        self.await_endpoints_at(ctx, &proxies, false).await?;
        self.entries.extend(live.written);
        Ok(())
    }

    /// Cleans up the namespace according to the run's
    /// [`CleanupPolicy`](crate::run::context::CleanupPolicy), or keeps it. `configuration` is
    /// what was applied since it was created. Does not wait.
    pub async fn end(&self, ctx: &RunContext, configuration: &[Written], keep: bool) {
        let all = [&self.entries, configuration].concat();
        clean_up::end(ctx, &self.root, &all, keep).await;
    }
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
        let caller = workload_file::makes_caller(documents);
        for object in workload::objects(workload, documents, &ctx.session.run_id) {
            let mut object = ctx.overrides.apply(object, caller);
            if caller {
                object = control::past_the_proxy(object);
            }
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
