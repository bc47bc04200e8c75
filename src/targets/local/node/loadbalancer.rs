//! Assigns addresses to Services of type LoadBalancer; kube-proxy routes them.

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    runtime::watcher::Event,
};
use serde_json::json;

use super::{agent, config::Shared};

/// First three octets of the network that addresses come from.
pub(super) const NETWORK: [u8; 3] = [10, 97, 0];

/// Assigns an address to every LoadBalancer Service, until the task is aborted.
pub(super) async fn serve(shared: Arc<Shared>) {
    let mut pool = Pool::default();
    let mut stream = std::pin::pin!(agent::events(Api::<Service>::all(
        shared.cfg.client.clone()
    )));
    while let Some(event) = stream.next().await {
        match event {
            Event::Apply(service) | Event::InitApply(service) => {
                give(&shared, &mut pool, &service).await
            }
            Event::Delete(service) => pool.release(&key(&service)),
            Event::Init | Event::InitDone => {}
        }
    }
}

fn key(service: &Service) -> String {
    format!(
        "{}/{}",
        service.namespace().unwrap_or_default(),
        service.name_any()
    )
}

fn wants(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer")
        && spec.is_some_and(|spec| spec.load_balancer_class.is_none())
}

fn given(service: &Service) -> Option<Ipv4Addr> {
    let balancer = service.status.as_ref()?.load_balancer.as_ref()?;
    balancer
        .ingress
        .as_ref()?
        .first()?
        .ip
        .as_ref()?
        .parse()
        .ok()
}

async fn give(shared: &Shared, pool: &mut Pool, service: &Service) {
    if !wants(service) {
        return pool.release(&key(service));
    }
    if let Some(address) = given(service) {
        return pool.note(key(service), address);
    }
    let Some(address) = pool.take(key(service)) else {
        tracing::warn!(
            service = key(service),
            "no free address for a LoadBalancer Service"
        );
        return;
    };
    let api: Api<Service> = Api::namespaced(
        shared.cfg.client.clone(),
        &service.namespace().unwrap_or_default(),
    );
    let body = json!({"status": {"loadBalancer": {"ingress": [{"ip": address.to_string(), "ipMode": "VIP"}]}}});
    if let Err(error) = api
        .patch_status(
            &service.name_any(),
            &PatchParams::default(),
            &Patch::Merge(body),
        )
        .await
    {
        tracing::warn!(service = key(service), %error, "cannot assign an address to a LoadBalancer Service");
        pool.release(&key(service));
    }
}

/// The addresses in use, by Service.
#[derive(Default)]
struct Pool {
    taken: HashMap<String, Ipv4Addr>,
}

impl Pool {
    fn take(&mut self, key: String) -> Option<Ipv4Addr> {
        if let Some(address) = self.taken.get(&key) {
            return Some(*address);
        }
        let [a, b, c] = NETWORK;
        let free = (1..=254)
            .map(|d| Ipv4Addr::new(a, b, c, d))
            .find(|address| !self.taken.values().any(|taken| taken == address))?;
        self.taken.insert(key, free);
        Some(free)
    }

    fn note(&mut self, key: String, address: Ipv4Addr) {
        self.taken.insert(key, address);
    }

    fn release(&mut self, key: &str) {
        self.taken.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_keeps_its_address_and_others_get_another() {
        let mut pool = Pool::default();
        let first = pool.take("n/a".to_owned()).unwrap();
        assert_eq!(first, Ipv4Addr::new(10, 97, 0, 1));
        assert_eq!(pool.take("n/a".to_owned()), Some(first));
        assert_ne!(pool.take("n/b".to_owned()), Some(first));
        pool.release("n/a");
        assert_eq!(pool.take("n/c".to_owned()), Some(first));
    }
}
