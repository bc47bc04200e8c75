//! Waits until istiod and proxies know the pods of a namespace.

use std::{collections::BTreeMap, time::Instant};

use futures::{future::try_join_all, try_join};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::{error::NamespaceError, reach, scenario_namespace::ScenarioNamespace};
use crate::{
    cluster::pods,
    mesh::istio::propagation::{
        endpoints::{self, EndpointsError},
        shards,
    },
    observe::data_plane::Plane,
    run::{context::RunContext, guard},
};

impl ScenarioNamespace {
    /// Waits until istiod has exactly the ready pods as endpoints of every app here, and every
    /// sidecar (and the gateway, if `gateway` is set) has the endpoints that istiod has for it.
    ///
    /// # Errors
    /// Which component lacks which endpoints. [`NamespaceError::fault`] says whether the mesh is
    /// at fault.
    pub async fn await_endpoints(
        &self,
        ctx: &RunContext,
        gateway: bool,
    ) -> Result<(), NamespaceError> {
        self.await_pods_known(ctx, &self.addresses(ctx)).await?;
        self.await_settled(ctx, gateway, true).await
    }

    /// Waits until every affected proxy has the endpoints of this namespace, and plain callers
    /// reach its Services. With `changed`, pods behind existing Services may have become ready, or
    /// no longer be: then the workers of proxies are awaited too.
    pub(crate) async fn await_settled(
        &self,
        ctx: &RunContext,
        gateway: bool,
        changed: bool,
    ) -> Result<(), NamespaceError> {
        let reported = self.concerned(ctx, gateway);
        let plain = async { Ok(reach::await_plain(ctx, self).await?) };
        try_join!(self.await_endpoints_at(ctx, &reported, changed), plain).map(drop)
    }

    /// Like [`Self::await_endpoints`], after pods were added or removed. Proxies know the pods
    /// behind a headless Service by listeners and routes, which need a separate push.
    ///
    /// # Errors
    /// As [`Self::await_endpoints`].
    pub async fn await_known(&self, ctx: &RunContext, gateway: bool) -> Result<(), NamespaceError> {
        self.await_endpoints(ctx, gateway).await?;
        if self.headless {
            self.change(ctx, Vec::new(), Vec::new(), gateway).await?;
        }
        Ok(())
    }

    /// Waits until istiod has exactly these addresses for each Service.
    pub(crate) async fn await_pods_known(
        &self,
        ctx: &RunContext,
        addresses: &BTreeMap<String, Vec<String>>,
    ) -> Result<(), NamespaceError> {
        let (start, all) = (Instant::now(), ctx.mesh.applier.control_planes());
        let waited = shards::await_pods(&ctx.client, &all, &self.name, addresses).await;
        self.unless_slowed(ctx, start, waited).await
    }

    /// Waits until every one of these proxies has the endpoints that istiod has for it.
    pub(crate) async fn await_endpoints_at(
        &self,
        ctx: &RunContext,
        proxies: &[Plane],
        settled: bool,
    ) -> Result<(), NamespaceError> {
        let (start, all) = (Instant::now(), &ctx.mesh.applier.control_planes());
        let waits = proxies.iter().map(|proxy| {
            let istiod = &all.of(proxy).debug;
            endpoints::await_endpoints(istiod, proxy, &self.name, settled)
        });
        let waited = try_join_all(waits).await.map(drop);
        self.unless_slowed(ctx, start, waited).await
    }

    /// Returns the addresses of the ready pods behind each Service here.
    pub(crate) fn addresses(&self, ctx: &RunContext) -> BTreeMap<String, Vec<String>> {
        let pods = ctx.pods.of(&self.name);
        let services = self.services.iter();
        services
            .map(|(name, selector)| (name.clone(), behind(&pods, selector)))
            .collect()
    }

    /// Returns the addresses of the ready pods behind each Service in applied configuration
    /// (Gateway API routes need one Service for each version).
    pub(crate) fn selected(
        &self,
        ctx: &RunContext,
        objects: &[Value],
    ) -> BTreeMap<String, Vec<String>> {
        let pods = ctx.pods.of(&self.name);
        let services = objects.iter().filter(|object| object["kind"] == "Service");
        let each = services.filter_map(|service| {
            let selector = service.pointer("/spec/selector")?;
            let name = service["metadata"]["name"].as_str()?.to_owned();
            Some((name, behind(&pods, selector)))
        });
        each.collect()
    }

    /// Excuses the mesh if a participating program stalled.
    async fn unless_slowed(
        &self,
        ctx: &RunContext,
        start: Instant,
        waited: Result<(), EndpointsError>,
    ) -> Result<(), NamespaceError> {
        let error = match waited {
            Err(EndpointsError::Withheld(withheld)) => {
                let within = withheld.limit;
                match guard::judge::slowed(ctx, self, true, start.into(), within).await {
                    Some(cause) => EndpointsError::Excused { cause, withheld },
                    None => EndpointsError::Withheld(withheld),
                }
            }
            other => return Ok(other?),
        };
        Err(error.into())
    }
}

/// Returns the addresses of the ready pods that have every label of a selector.
fn behind(pods: &[Pod], selector: &Value) -> Vec<String> {
    let labels = selector.as_object().into_iter().flatten();
    let labels: Vec<(&String, &Value)> = labels.collect();
    let chosen = pods.iter().filter(|pod| {
        let mut expected = labels.iter();
        pods::is_ready(pod) && expected.all(|(key, value)| pods::label(pod, key) == value.as_str())
    });
    let address = |pod: &Pod| pod.status.as_ref()?.pod_ip.clone();
    chosen.filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_has_the_pods_that_it_selects_whatever_its_name() {
        let pod = |app: &str, ip: &str, ready: &str| -> Pod {
            let pod = json!({"metadata": {"name": ip, "labels": {"app": app}}, "status": {"podIP": ip,
                "conditions": [{"type": "Ready", "status": ready}]}});
            serde_json::from_value(pod).expect("a pod")
        };
        let pods = [
            pod("ports", "10.0.0.1", "True"),
            pod("ports", "10.0.0.2", "False"),
            pod("other", "10.0.0.3", "True"),
        ];
        assert_eq!(behind(&pods, &json!({"app": "ports"})), ["10.0.0.1"]);
        assert!(behind(&pods, &json!({"app": "nobody"})).is_empty());
    }
}
