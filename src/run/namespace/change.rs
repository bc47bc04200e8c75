//! Changes configuration in a scenario's namespace, and waits until it has arrived everywhere.

use std::time::Instant;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::{
    error::NamespaceError, mutated, reach, rollout, scenario_namespace::ScenarioNamespace,
};
use crate::{
    cluster::{
        object::{self, RUN_LABEL, Written},
        pods,
    },
    fixture::workload::WORKLOAD_LABEL,
    mesh::istio::{
        injection,
        propagation::{
            arrival,
            change::{Change, Propagated},
            gateway_api, marker, shards,
        },
    },
    observe::data_plane::Plane,
    run::context::RunContext,
    timeouts::timeouts,
};

impl ScenarioNamespace {
    /// Applies and deletes configuration and waits until every sidecar here (and the gateway, if
    /// `gateway` is set) has it.
    ///
    /// # Errors
    /// As [`crate::mesh::istio::propagation::applier::Applier::change`], and if the pods of
    /// applied objects do not become ready.
    pub async fn change(
        &self,
        ctx: &RunContext,
        apply: Vec<Value>,
        delete: Vec<Written>,
        gateway: bool,
    ) -> Result<Propagated, NamespaceError> {
        let apply = self.own(ctx, apply);
        let deleted = self.deleted(ctx, &delete).await?;
        let gateways: Vec<String> = apply
            .iter()
            .filter_map(gateway_api::deployed)
            .map(str::to_owned)
            .collect();
        let (run, own) = (
            (RUN_LABEL, ctx.session.run_id.as_str()),
            ("istio", self.name.as_str()),
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
            live.epoch = late.epoch;
            // Objects that only the mesh reads create at most new clusters, which were already
            // awaited.
            self.await_endpoints_at(ctx, &self.proxies(ctx), false)
                .await?;
        }
        if gateway {
            self.await_endpoints_at(ctx, &ctx.mesh.gateways, false)
                .await?;
        }
        for gateway in gateways {
            self.await_gateway(ctx, &gateway, live.epoch).await?;
        }
        if of_the_cluster {
            reach::await_plain(ctx, self).await?;
        }
        mutated::look(ctx, self, &self.taken).await;
        Ok(live)
    }

    /// Adapts objects to this run and this target.
    fn own(&self, ctx: &RunContext, objects: Vec<Value>) -> Vec<Value> {
        let fit =
            |object| rollout::labelled(ctx.overrides.apply(object, false), &ctx.session.run_id);
        let mut own: Vec<Value> = objects.into_iter().map(fit).collect();
        if own
            .iter()
            .any(|object| gateway_api::deployed(object).is_some())
        {
            own.push(marker::own_gateway(&self.name));
        }
        own
    }

    /// Returns the present state of the Services and workloads that are to be deleted.
    async fn deleted(
        &self,
        ctx: &RunContext,
        delete: &[Written],
    ) -> Result<Vec<Value>, NamespaceError> {
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

    /// Writes and deletes objects, and waits for the proxies that exist now.
    async fn push(
        &self,
        ctx: &RunContext,
        apply: Vec<Value>,
        delete: Vec<Written>,
        gateway: bool,
    ) -> Result<Propagated, NamespaceError> {
        let change = Change {
            namespace: self.name.clone(),
            outside: self.outside,
            apply,
            delete,
            planes: [self.concerned(ctx, gateway), self.programs(ctx)].concat(),
            references: ctx.mesh.gateways.clone(),
        };
        Ok(ctx.mesh.applier.change(change).await?)
    }

    /// Services and pods reach istiod through separate watches. Waits until istiod has them, and
    /// then until all proxies, including those of new pods, have a push that contains them.
    async fn follow(
        &self,
        ctx: &RunContext,
        applied: &[Value],
        deleted: &[Value],
        written: &[Written],
        gateway: bool,
    ) -> Result<Propagated, NamespaceError> {
        rollout::await_gone(ctx, &self.name, deleted).await?;
        rollout::await_rolled_out(ctx, &self.name, written).await?;
        let control_planes = ctx.mesh.applier.control_planes();
        let (there, gone) = (self.services_among(applied), self.services_among(deleted));
        shards::await_services(&control_planes, &self.name, &there, &gone).await?;
        self.await_pods_known(ctx, &self.selected(ctx, applied))
            .await?;
        self.push(ctx, Vec::new(), Vec::new(), gateway).await
    }

    /// Returns the names of the Services among objects of this namespace.
    fn services_among(&self, objects: &[Value]) -> Vec<String> {
        let here = |object: &&Value| {
            let namespace = object["metadata"]["namespace"].as_str();
            object["kind"] == "Service" && namespace.is_none_or(|name| name == self.name)
        };
        let names = objects.iter().filter(here);
        names
            .filter_map(|object| Some(object["metadata"]["name"].as_str()?.to_owned()))
            .collect()
    }

    /// Returns the objects that break the proxies here, if the run has a mutation.
    pub(super) fn mutated(&self, ctx: &RunContext) -> Vec<Value> {
        if self.proxies(ctx).is_empty() {
            return Vec::new();
        }
        let address = |workload: &str| {
            let pods = ctx.pods.of(&self.name);
            let named = |pod: &&Pod| pods::label(pod, WORKLOAD_LABEL) == Some(workload);
            pods.iter().find(named)?.status.as_ref()?.pod_ip.clone()
        };
        mutated::objects(ctx, &self.names(), address)
    }

    /// Waits until the proxy that istiod deploys for a Gateway is ready and has a config epoch
    /// and the endpoints.
    async fn await_gateway(
        &self,
        ctx: &RunContext,
        gateway: &str,
        epoch: u64,
    ) -> Result<(), NamespaceError> {
        let of = |pods: &[Pod]| -> Vec<Pod> {
            let named = |pod: &&Pod| pods::label(pod, injection::GATEWAY_NAME) == Some(gateway);
            pods.iter().filter(named).cloned().collect()
        };
        let ready = |pods: &[Pod]| of(pods).iter().any(pods::is_ready);
        let start = Instant::now();
        let limit = timeouts().pods.ready;
        let waited = ctx.pods.until(&self.name, limit, ready);
        if let Err(last) = waited.await {
            return Err(NamespaceError::Pods {
                workload: format!("the gateway {gateway}"),
                expected: 1,
                seconds: start.elapsed().as_secs_f64(),
                last: pods::describe(&ctx.client, &of(&last)).await,
            });
        }
        let all = self
            .proxies(ctx)
            .into_iter()
            .filter(|proxy| proxy.is_gateway());
        let all: Vec<Plane> = all.collect();
        let waits = all
            .iter()
            .map(|proxy| arrival::await_marker(proxy, &self.name, epoch));
        try_join_all(waits).await?;
        self.await_endpoints_at(ctx, &all, false).await
    }
}

/// Whether objects of this version are read by the cluster itself, and not only by the mesh.
fn of_the_cluster(version: &Value) -> bool {
    !version.as_str().unwrap_or_default().contains(".istio.io/")
}
