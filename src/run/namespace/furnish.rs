//! Making the namespace of a scenario and what is in it, and its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, OnceLock},
};

use futures::try_join;
use serde_json::Value;

use super::{
    certificates::Certificates,
    control,
    error::PlaceError,
    maker::Maker,
    name,
    place::{Place, Taken},
    pod_evidence, tidy,
};
use crate::{
    cluster::object::Written,
    fixture::workload,
    mesh::istio::{injection::is_gateway_file, install::GATEWAY_LABEL, marker, order, shards},
    run::{
        context::Context,
        guard::{Guard, Roles},
    },
    scenario::{
        manifest::{Names, expand},
        model::Workload,
        workload_file,
    },
};

/// Why a scenario has no place, with what a person wants to see of it.
#[derive(Debug)]
pub struct Unmade {
    pub error: PlaceError,
    pub evidence: Vec<(String, String)>,
}

impl Place {
    /// Makes the namespace and its workloads, and waits until pods are ready and proxies know each
    /// other.
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
        let namespace = name::name(&ctx.terms.run_id, number, id);
        let claimed = ctx.writer.claim(&namespace, id).await;
        let root = claimed.map_err(|error| Unmade {
            error: error.into(),
            evidence: Vec::new(),
        })?;
        let made = Self::furnish(ctx, root.clone(), workloads, gateway, outside).await;
        match made {
            Ok(place) => Ok(place),
            Err(error) => {
                let evidence = pod_evidence::pod_evidence(ctx, &namespace).await;
                tidy::end(ctx, &root, &[], ctx.terms.keep_failed).await;
                Err(Box::new(Unmade { error, evidence }))
            }
        }
    }

    /// Makes what is in a namespace that was just made.
    pub(crate) async fn furnish(
        ctx: &Context,
        root: Written,
        workloads: &[(Workload, Vec<Value>)],
        gateway: bool,
        outside: bool,
    ) -> Result<Self, PlaceError> {
        let namespace = root.name.clone();
        let mut unique: BTreeMap<(String, String), Value> = BTreeMap::new();
        for (workload, documents) in workloads {
            let caller = workload_file::makes_caller(documents);
            for object in workload::objects(workload, documents, &ctx.terms.run_id) {
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
            .filter(|(_, documents)| workload_file::makes_caller(documents))
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
            taken: Taken::default(),
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
        shards::await_services(
            &ctx.mesh.applier.control_planes(),
            &place.namespace,
            &services,
            &[],
        )
        .await?;
        let mutated = place.mutated(ctx);
        let (live, ()) = try_join!(
            place.change(ctx, mutated, Vec::new(), gateway),
            place.await_settled(ctx, gateway),
        )?;
        // The push may have been behind what was looked at beside it; the gateways were looked at
        // after it.
        place
            .await_endpoints_at(ctx, &place.proxies(ctx), false)
            .await?;
        place.entries.extend(live.written);
        Ok(place)
    }

    /// Does with the namespace what the run's [`tidy::Tidy`] says, or keeps it; `configuration` is
    /// what was applied to it since it was made. Does not wait.
    pub async fn end(&self, ctx: &Context, configuration: &[Written], keep: bool) {
        let all = [&self.entries, configuration].concat();
        tidy::end(ctx, &self.root, &all, keep).await;
    }
}

fn is_headless(object: &Value) -> bool {
    object["kind"] == "Service" && object["spec"]["clusterIP"] == "None"
}

/// Services that proxies balance by endpoint discovery, those with an address of their own, and
/// their selectors.
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
