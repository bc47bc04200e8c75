//! The nodes of a cluster that is up.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use tokio::time::{Instant, sleep};

use super::error::KindError;
use crate::fixture::fitting::SIDE_LABEL;

/// Taint of a node that is kept for the control plane.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
/// How long the nodes may take to be ready once the control plane is.
const NODES: Duration = Duration::from_secs(180);

/// All nodes.
pub(super) async fn of(client: &Client) -> Result<Vec<Node>, KindError> {
    let api: Api<Node> = Api::all(client.clone());
    let nodes = api.list(&ListParams::default()).await;
    Ok(nodes.map_err(KindError::api)?.items)
}

/// Names of the nodes that run pods of users: all without the taint of a control plane (Kubernetes docs, "Well-Known Labels,
/// Annotations and Taints"). Where every node has it, pods tolerate it.
pub(super) fn workers(nodes: &[Node]) -> Vec<String> {
    let takes_pods = |node: &&Node| {
        let taints = node
            .spec
            .iter()
            .flat_map(|spec| spec.taints.iter().flatten());
        taints.into_iter().all(|taint| taint.key != CONTROL_PLANE)
    };
    let free: Vec<String> = nodes
        .iter()
        .filter(takes_pods)
        .map(|node| node.name_any())
        .collect();
    match free.is_empty() {
        true => nodes.iter().map(|node| node.name_any()).collect(),
        false => free,
    }
}

/// It is for callers or for servers.
pub(super) fn has_side(node: &Node) -> bool {
    node.labels().contains_key(SIDE_LABEL)
}

/// Waits until every node says that it is ready.
pub(super) async fn ready(client: &Client) -> Result<(), KindError> {
    let (nodes, deadline): (Api<Node>, _) = (Api::all(client.clone()), Instant::now() + NODES);
    loop {
        let last = match nodes.list(&ListParams::default()).await {
            Ok(list) => {
                let waiting: Vec<String> = list.iter().filter_map(not_ready).collect();
                if waiting.is_empty() {
                    return Ok(());
                }
                waiting.join("; ")
            }
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            return Err(KindError::NodesNotReady { limit: NODES, last });
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// A node that is not ready, with its kubelet's words.
fn not_ready(node: &Node) -> Option<String> {
    let conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions
        .into_iter()
        .find(|condition| condition.type_ == "Ready");
    let name = node.name_any();
    match ready {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => Some(format!(
            "{name}: {}",
            ready.message.as_deref().unwrap_or("no words")
        )),
        None => Some(format!("{name}: its kubelet has said nothing yet")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_that_is_not_ready_says_why() {
        let node = |conditions| {
            serde_json::from_value::<Node>(
                json!({"metadata": {"name": "n"}, "status": {"conditions": conditions}}),
            )
            .unwrap()
        };
        let condition = |status: &str| json!([{"type": "Ready", "status": status, "message": "cni plugin not initialized"}]);
        assert_eq!(not_ready(&node(condition("True"))), None);
        let words = not_ready(&node(condition("False"))).unwrap();
        assert_eq!(words, "n: cni plugin not initialized");
        assert!(not_ready(&node(json!([]))).unwrap().contains("nothing yet"));
    }

    #[test]
    fn a_control_plane_runs_pods_only_where_nobody_else_does() {
        let node = |name: &str, taint: Option<&str>| {
            let taints: Vec<_> = taint
                .iter()
                .map(|key| json!({"key": key, "effect": "NoSchedule"}))
                .collect();
            serde_json::from_value::<Node>(
                json!({"metadata": {"name": name}, "spec": {"taints": taints}}),
            )
            .unwrap()
        };
        let control = node("control", Some(CONTROL_PLANE));
        let starting = node("worker", Some("node.kubernetes.io/not-ready"));
        assert_eq!(workers(&[control.clone(), starting]), ["worker"]);
        assert_eq!(workers(&[control]), ["control"]);
    }
}
