//! What a local world says of itself when it is asked: its API server, its node and its istiod. That its processes live says little.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, api::ListParams};
use serde::Serialize;
use tokio::time::timeout;

use super::world::{launch::World, spec::NODE_NAME};
use crate::{
    cluster::{client, pods},
    observe::http::Port,
    target::Dial,
};

/// How long each of them may take to answer.
const LIMIT: Duration = Duration::from_secs(5);
/// Port of istiod's `/ready` (pilot-discovery's `--httpAddr`).
const READY_PORT: u16 = 8080;

/// What was answered. A part that could not be asked because another did not answer says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Version of the API server that answered that it is ready.
    pub api_server: Result<String, String>,
    /// The node takes pods.
    pub node: Result<String, String>,
    /// A ready pod of istiod that answered.
    pub istiod: Result<String, String>,
}

impl Health {
    /// All of it answered well.
    pub fn is_well(&self) -> bool {
        self.parts().iter().all(|(_, answer)| answer.is_ok())
    }

    /// The parts by name.
    pub fn parts(&self) -> [(&'static str, &Result<String, String>); 3] {
        [
            ("API server", &self.api_server),
            ("node", &self.node),
            ("istiod", &self.istiod),
        ]
    }

    /// One line for a person: `ready`, or what is wrong.
    pub fn words(&self) -> String {
        let wrong: Vec<String> = self
            .parts()
            .into_iter()
            .filter_map(|(name, answer)| Some(format!("{name}: {}", answer.as_ref().err()?)))
            .collect();
        if wrong.is_empty() {
            "ready".to_owned()
        } else {
            format!("NOT ready ({})", wrong.join("; "))
        }
    }
}

/// Asks the world. Takes 15 s at most.
pub async fn ask(world: &World) -> Health {
    let client = match client::of(&world.spec.kubeconfig(), None).await {
        Ok(client) => client,
        Err(words) => return silent(&words),
    };
    let api_server = match within(api_server(&client)).await {
        Ok(version) => version,
        Err(words) => return silent(&words),
    };
    let dial = Dial::Node(world.spec.node_socket());
    let (node, istiod) = tokio::join!(within(node(&client)), within(istiod(&client, dial)));
    Health {
        api_server: Ok(api_server),
        node,
        istiod,
    }
}

fn silent(words: &str) -> Health {
    let rest = || Err("could not be asked: the API server did not answer".to_owned());
    Health {
        api_server: Err(words.to_owned()),
        node: rest(),
        istiod: rest(),
    }
}

async fn within(asking: impl Future<Output = Result<String, String>>) -> Result<String, String> {
    let answer = timeout(LIMIT, asking).await;
    answer.unwrap_or_else(|_| Err(format!("no answer within {LIMIT:?}")))
}

async fn api_server(client: &Client) -> Result<String, String> {
    let request = http::Request::get("/readyz").body(Vec::new());
    let request = request.map_err(|error| error.to_string())?;
    let answer = client.request_text(request).await;
    answer.map_err(|error| error.to_string())?;
    let version = client.apiserver_version().await;
    Ok(version.map_err(|error| error.to_string())?.git_version)
}

async fn node(client: &Client) -> Result<String, String> {
    let node = Api::<Node>::all(client.clone()).get(NODE_NAME).await;
    readiness(&node.map_err(|error| error.to_string())?)
}

/// What the node's condition `Ready` says.
fn readiness(node: &Node) -> Result<String, String> {
    let conditions = node
        .status
        .iter()
        .flat_map(|seen| seen.conditions.iter().flatten());
    let ready = conditions.into_iter().find(|seen| seen.type_ == "Ready");
    match ready {
        Some(seen) if seen.status == "True" => Ok("Ready".to_owned()),
        Some(seen) => Err(format!(
            "Ready is {}: {}",
            seen.status,
            seen.message.as_deref().unwrap_or_default()
        )),
        None => Err("it has not said that it is ready".to_owned()),
    }
}

async fn istiod(client: &Client, dial: Dial) -> Result<String, String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), "istio-system");
    let list = api.list(&ListParams::default().labels("app=istiod")).await;
    let list = list.map_err(|error| error.to_string())?;
    let Some(pod) = list.items.iter().find(|pod| pods::is_ready(pod)) else {
        return Err(match list.items.first() {
            Some(_) => "no pod of it is ready".to_owned(),
            None => "it has no pod".to_owned(),
        });
    };
    let name = pod.metadata.name.clone().unwrap_or_default();
    let port = Port {
        dial,
        namespace: "istio-system".to_owned(),
        pod: name.clone(),
        port: READY_PORT,
    };
    let answer = port.fetch(http::Method::GET, "/ready").await;
    answer.map_err(|error| error.to_string())?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::ready(json!([{"type": "Ready", "status": "True"}]), true)]
    #[case::after_a_pause(json!([{"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}]), false)]
    #[case::other_condition(json!([{"type": "DiskPressure", "status": "True"}]), false)]
    #[case::nothing_said(json!([]), false)]
    fn a_node_is_ready_when_it_says_so(#[case] conditions: serde_json::Value, #[case] ready: bool) {
        let node = json!({"metadata": {"name": "local"}, "status": {"conditions": conditions}});
        let node: Node = serde_json::from_value(node).unwrap();
        assert_eq!(readiness(&node).is_ok(), ready);
    }

    #[test]
    fn one_part_that_is_not_well_is_named() {
        let mut health = silent("refused");
        assert!(!health.is_well());
        health.api_server = Ok("v1".into());
        health.istiod = Ok("istiod-1".into());
        health.node = Err("Ready is Unknown: stopped".into());
        assert_eq!(
            health.words(),
            "NOT ready (node: Ready is Unknown: stopped)"
        );
        health.node = Ok("Ready".into());
        assert!(health.is_well() && health.words() == "ready");
    }
}
