//! Waiting until istiod and proxies know the pods of a place.

use std::{collections::BTreeMap, time::Instant};

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::{
    context::Context,
    guard,
    place::{Place, PlaceError},
    reach,
};
use crate::{
    cluster::pods,
    mesh::istio::{
        endpoints::{self, EndpointsError},
        live::Proxy,
        shards,
    },
};

impl Place {
    /// Waits until istiod has exactly the ready pods as endpoints of every app here, and every sidecar (and the gateway, when told)
    /// has what istiod then has for it.
    ///
    /// # Errors
    /// Who lacks what; [`PlaceError::fault`] tells whether it is the mesh's.
    pub async fn await_endpoints(&self, ctx: &Context, gateway: bool) -> Result<(), PlaceError> {
        self.await_pods_known(ctx, &self.addresses(ctx)).await?;
        let mut proxies = self.proxies(ctx);
        if gateway {
            proxies.extend(ctx.gateways.iter().cloned());
        }
        self.await_endpoints_at(ctx, &proxies, true).await?;
        Ok(reach::await_plain(ctx, self).await?)
    }

    /// The same after pods came or went. Proxies know the pods behind a Service without an address by listeners and routes, which come
    /// with a push of their own.
    ///
    /// # Errors
    /// As [`Self::await_endpoints`].
    pub async fn await_known(&self, ctx: &Context, gateway: bool) -> Result<(), PlaceError> {
        self.await_endpoints(ctx, gateway).await?;
        if self.headless {
            self.change(ctx, Vec::new(), Vec::new(), gateway).await?;
        }
        Ok(())
    }

    /// Waits until istiod has exactly these addresses, by Service.
    pub(super) async fn await_pods_known(
        &self,
        ctx: &Context,
        addresses: &BTreeMap<String, Vec<String>>,
    ) -> Result<(), PlaceError> {
        let (start, istiod) = (Instant::now(), ctx.applier.istiod());
        let waited = shards::await_pods(&ctx.client, &istiod, &self.namespace, addresses).await;
        self.unless_slowed(ctx, start, waited).await
    }

    /// Waits until every one of these proxies has the endpoints that istiod has for it.
    pub(super) async fn await_endpoints_at(
        &self,
        ctx: &Context,
        proxies: &[Proxy],
        settled: bool,
    ) -> Result<(), PlaceError> {
        let (start, istiod) = (Instant::now(), &ctx.applier.istiod());
        let waits = proxies.iter().map(|proxy| {
            endpoints::await_endpoints(istiod, &proxy.admin, &self.namespace, settled)
        });
        let waited = try_join_all(waits).await.map(drop);
        self.unless_slowed(ctx, start, waited).await
    }

    /// Addresses of the ready pods by app.
    pub(super) fn addresses(&self, ctx: &Context) -> BTreeMap<String, Vec<String>> {
        // An app without pods has a Service without addresses.
        let services = self.services.iter().map(|app| (app.clone(), Vec::new()));
        let mut addresses: BTreeMap<String, Vec<String>> = services.collect();
        for pod in ctx
            .pods
            .of(&self.namespace)
            .iter()
            .filter(|pod| pods::is_ready(pod))
        {
            let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
            let app = pods::label(pod, "app").and_then(|app| addresses.get_mut(app));
            if let (Some(known), Some(ip)) = (app, ip) {
                known.push(ip);
            }
        }
        addresses
    }

    /// Addresses of the ready pods behind each Service among configuration that is applied (Gateway API's routes want one for
    /// each version).
    pub(super) fn selected(
        &self,
        ctx: &Context,
        objects: &[Value],
    ) -> BTreeMap<String, Vec<String>> {
        let pods = ctx.pods.of(&self.namespace);
        let services = objects.iter().filter(|object| object["kind"] == "Service");
        let each = services.filter_map(|service| {
            let selector = service.pointer("/spec/selector")?.as_object()?;
            let chosen = pods.iter().filter(|pod| {
                let same =
                    |(key, value): (&String, &Value)| pods::label(pod, key) == value.as_str();
                pods::is_ready(pod) && selector.iter().all(same)
            });
            let address = |pod: &Pod| pod.status.as_ref()?.pod_ip.clone();
            let name = service["metadata"]["name"].as_str()?.to_owned();
            Some((name, chosen.filter_map(address).collect()))
        });
        each.collect()
    }

    /// The mesh is not at fault where what takes part did not run.
    async fn unless_slowed(
        &self,
        ctx: &Context,
        start: Instant,
        waited: Result<(), EndpointsError>,
    ) -> Result<(), PlaceError> {
        let error = match waited {
            Ok(()) => return Ok(()),
            Err(EndpointsError::Unknown(words)) => EndpointsError::Unknown(words),
            Err(EndpointsError::Withheld(withheld)) => {
                let within = withheld.limit;
                match guard::judge::slowed(ctx, self, true, start.into(), within).await {
                    Some(cause) => EndpointsError::Unknown(format!("{cause}: {withheld}")),
                    None => EndpointsError::Withheld(withheld),
                }
            }
        };
        Err(error.into())
    }
}
