//! The Node object, its heartbeat, and the binding of pods to it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::{Binding, Node, ObjectReference, Pod},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::{
    config::{NodeConfig, NodeError, Shared},
    events::Weight,
    fields::{NODE_CPU, NODE_MEMORY},
};

/// Heartbeat interval: half of the kubelet's, so that a node that was marked as lost is back
/// within seconds.
const RENEW: Duration = Duration::from_secs(5);
/// Duration of the node's Lease: the kubelet's value.
const LEASE_SECONDS: i32 = 40;
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// The node's labels, which nodeSelectors are matched against.
pub(super) fn labels(cfg: &NodeConfig) -> BTreeMap<String, String> {
    [
        ("kubernetes.io/hostname", cfg.node_name.as_str()),
        ("kubernetes.io/os", "linux"),
        (
            "kubernetes.io/arch",
            if cfg!(target_arch = "aarch64") {
                "arm64"
            } else {
                "amd64"
            },
        ),
        ("topology.kubernetes.io/region", "local"),
        ("topology.kubernetes.io/zone", "local"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// Creates the Node object and reports it as ready.
pub(super) async fn node(cfg: &NodeConfig) -> Result<(), NodeError> {
    let api: Api<Node> = Api::all(cfg.client.clone());
    let fail = |what| {
        move |source| NodeError::Api {
            node: cfg.node_name.clone(),
            what,
            source: Box::new(source),
        }
    };
    let object = Node {
        metadata: ObjectMeta {
            name: Some(cfg.node_name.clone()),
            labels: Some(labels(cfg)),
            ..ObjectMeta::default()
        },
        ..Node::default()
    };
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => {}
        Err(kube::Error::Api(answer)) if answer.code == 409 => {}
        Err(error) => return Err(fail("create its Node object")(error)),
    }
    let body = Patch::Merge(status(cfg));
    api.patch_status(&cfg.node_name, &PatchParams::default(), &body)
        .await
        .map_err(fail("report its status"))?;
    // the API server taints new nodes as not ready until the taint is removed; this node is ready
    // at once
    let body = Patch::Merge(json!({"spec": {"taints": null}}));
    api.patch(&cfg.node_name, &PatchParams::default(), &body)
        .await
        .map_err(fail("remove its initial taint"))?;
    Ok(())
}

fn status(cfg: &NodeConfig) -> serde_json::Value {
    let now = Timestamp::now().to_string();
    let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "lastHeartbeatTime": now, "lastTransitionTime": now});
    let amount = json!({"cpu": NODE_CPU, "memory": NODE_MEMORY, "pods": "1000", "ephemeral-storage": NODE_MEMORY});
    let version = concat!("v", env!("CARGO_PKG_VERSION"), "-meshproof");
    let kernel = nix::sys::utsname::uname()
        .map(|name| name.release().to_string_lossy().into_owned())
        .unwrap_or_default();
    json!({"status": {
        "addresses": [{"type": "InternalIP", "address": cfg.node_ip.to_string()}, {"type": "Hostname", "address": cfg.node_name}],
        "capacity": amount,
        "allocatable": amount,
        "conditions": [
            condition("Ready", "True", "NodeReady"),
            condition("MemoryPressure", "False", "NodeHasSufficientMemory"),
            condition("DiskPressure", "False", "NodeHasNoDiskPressure"),
            condition("PIDPressure", "False", "NodeHasSufficientPID"),
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": cfg.kubelet_port}},
        "images": cfg.images.iter().map(|image| json!({"names": [image.name], "sizeBytes": 0})).collect::<Vec<_>>(),
        "nodeInfo": {
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "bootID": "", "machineID": "", "systemUUID": "", "osImage": "meshproof local node", "operatingSystem": "linux",
            "kernelVersion": kernel, "kubeProxyVersion": "", "kubeletVersion": version,
            "containerRuntimeVersion": format!("process://{}", env!("CARGO_PKG_VERSION")),
        },
    }})
}

/// Sends heartbeats, for ever: renews the node's Lease, and reports its status again if the API
/// server no longer shows it as ready. The node controller marks a node that was silent for 40 s
/// (a paused machine, a closed laptop) as lost, and only the node can undo that.
pub(super) async fn keep_alive(shared: Arc<Shared>) {
    let mut beat = tokio::time::interval(RENEW);
    // After a pause one heartbeat is enough, and at once.
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        // A request that hangs would silence the node, so it is dropped in favor of the next.
        match tokio::time::timeout(RENEW, say_alive(&shared.cfg)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot send the node's heartbeat"),
            Err(_) => tracing::warn!("the node's heartbeat timed out"),
        }
    }
}

async fn say_alive(cfg: &NodeConfig) -> kube::Result<()> {
    renew_lease(cfg).await?;
    let api: Api<Node> = Api::all(cfg.client.clone());
    if is_lost(&api.get(&cfg.node_name).await?) {
        tracing::info!("the node was marked as lost; reporting its status again");
        let body = Patch::Merge(status(cfg));
        api.patch_status(&cfg.node_name, &PatchParams::default(), &body)
            .await?;
    }
    Ok(())
}

/// Whether another client has overwritten the conditions that the node reported.
fn is_lost(node: &Node) -> bool {
    let conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut answer = conditions.map(|seen| (seen.type_.as_str(), seen.status.as_str()));
    !answer.clone().any(|seen| seen == ("Ready", "True"))
        || answer.any(|(_, status)| status == "Unknown")
}

async fn renew_lease(cfg: &NodeConfig) -> kube::Result<()> {
    let api: Api<Lease> = Api::namespaced(cfg.client.clone(), LEASE_NAMESPACE);
    let spec = LeaseSpec {
        holder_identity: Some(cfg.node_name.clone()),
        lease_duration_seconds: Some(LEASE_SECONDS),
        renew_time: Some(MicroTime(Timestamp::now())),
        ..LeaseSpec::default()
    };
    let body = Patch::Merge(json!({"spec": spec}));
    let patched = api
        .patch(&cfg.node_name, &PatchParams::default(), &body)
        .await;
    match patched {
        Err(kube::Error::Api(answer)) if answer.code == 404 => {}
        other => return other.map(drop),
    }
    let metadata = ObjectMeta {
        name: Some(cfg.node_name.clone()),
        ..ObjectMeta::default()
    };
    let lease = Lease {
        metadata,
        spec: Some(spec),
    };
    api.create(&PostParams::default(), &lease).await.map(drop)
}

/// Binds a pod to this node.
pub(super) async fn bind(shared: Arc<Shared>, pod: Pod) {
    let meta = &pod.metadata;
    let (name, namespace) = (
        meta.name.clone().unwrap_or_default(),
        meta.namespace.clone().unwrap_or_default(),
    );
    let api: Api<Pod> = Api::namespaced(shared.cfg.client.clone(), &namespace);
    let binding = Binding {
        metadata: ObjectMeta {
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(shared.cfg.node_name.clone()),
            ..ObjectReference::default()
        },
    };
    let bound: kube::Result<serde_json::Value> = api
        .create_subresource("binding", &name, &PostParams::default(), &binding)
        .await;
    let note = format!(
        "Successfully assigned {namespace}/{name} to {}",
        shared.cfg.node_name
    );
    match bound {
        Ok(_) => shared
            .events
            .report(&pod, Weight::Normal, "Scheduled", note),
        // another client was quicker, or the pod is gone; the watch tells which
        Err(kube::Error::Api(answer)) if answer.code == 409 || answer.code == 404 => {}
        Err(error) => {
            shared
                .events
                .report(&pod, Weight::Warning, "FailedScheduling", error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::as_it_said(json!([{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}]), false)]
    #[case::after_a_pause(json!([{"type": "Ready", "status": "Unknown"}, {"type": "DiskPressure", "status": "Unknown"}]), true)]
    #[case::half_restored(json!([{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "Unknown"}]), true)]
    #[case::never_said(json!([]), true)]
    fn a_node_that_was_taken_for_lost_is_noticed(
        #[case] conditions: serde_json::Value,
        #[case] lost: bool,
    ) {
        let node = json!({"metadata": {"name": "local"}, "status": {"conditions": conditions}});
        assert_eq!(is_lost(&serde_json::from_value(node).unwrap()), lost);
    }
}
