//! The nodes of a running cluster.

use std::{convert::Infallible, time::Duration};

use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client, ResourceExt as _, api::ListParams};

use super::error::{KindError, Unusable};
use crate::{
    fixture::overrides::SIDE_LABEL,
    timeouts::timeouts,
    wait::{self, Look, WaitError},
};

/// Taint of a node that is reserved for the control plane.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
/// All nodes.
pub(super) async fn of(client: &Client) -> Result<Vec<Node>, KindError> {
    let api: Api<Node> = Api::all(client.clone());
    let nodes = api.list(&ListParams::default()).await;
    let nodes = nodes.map_err(|error| Unusable::Api(Box::new(error)))?;
    Ok(nodes.items)
}

/// Names of the nodes that run user pods: those without the control plane's taint (Kubernetes docs,
/// "Well-Known Labels, Annotations and Taints"). If every node has it, pods tolerate it.
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

/// Whether the node is dedicated to callers or to servers.
pub(super) fn has_side(node: &Node) -> bool {
    node.labels().contains_key(SIDE_LABEL)
}

/// Waits until every node is Ready.
pub(super) async fn ready(client: &Client) -> Result<(), KindError> {
    ready_within(client, timeouts().target.kind_nodes).await
}

async fn ready_within(client: &Client, limit: Duration) -> Result<(), KindError> {
    let nodes: Api<Node> = Api::all(client.clone());
    let ready = wait::until(limit, async |_| {
        let waiting: Vec<String> = match nodes.list(&ListParams::default()).await {
            Ok(list) => list.iter().filter_map(not_ready).collect(),
            Err(error) => vec![error.to_string()],
        };
        Ok::<_, Infallible>(match waiting.is_empty() {
            true => Look::Met(()),
            false => Look::Unmet(waiting.join("; ")),
        })
    });
    match ready.await {
        Ok(()) => Ok(()),
        Err(WaitError::Failed(never)) => match never {},
        Err(WaitError::TimedOut(late)) => Err(KindError::NodesNotReady {
            limit,
            last: late.last_seen,
        }),
    }
}

/// The name of a node that is not ready, with its kubelet's message.
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
            ready.message.as_deref().unwrap_or("no message")
        )),
        None => Some(format!("{name}: its kubelet has not reported a status yet")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::fake::Fake,
        errors::{Classified as _, ErrorClass},
    };
    use serde_json::json;

    #[tokio::test]
    async fn nodes_that_do_not_become_ready_are_told_with_their_words() {
        let fake = Fake::default();
        let limit = Duration::from_millis(50);
        let mut node = json!({"metadata": {}, "status": {"conditions": [
            {"type": "Ready", "status": "False", "message": "cni plugin not initialized"}]}});
        fake.put("/api/v1/nodes/n", node.clone());
        let error = ready_within(&fake.client(), limit).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "nodes not ready within 50ms: n: cni plugin not initialized"
        );
        assert_eq!(error.class(), ErrorClass::Mesh);
        node["status"]["conditions"][0]["status"] = "True".into();
        fake.put("/api/v1/nodes/n", node);
        ready_within(&fake.client(), limit).await.unwrap();
    }

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
        let message = not_ready(&node(condition("False"))).unwrap();
        assert_eq!(message, "n: cni plugin not initialized");
        assert!(not_ready(&node(json!([]))).unwrap().contains("status yet"));
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
