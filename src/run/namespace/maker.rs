//! The controller that creates the pods of a workload, and its scaling.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    cluster::object::MANAGER,
    errors::{Classified, ErrorClass},
};

/// An error scaling a workload.
#[derive(Debug, thiserror::Error)]
#[error("cannot scale {kind} {name}: {}", message(error))]
pub struct ScaleError {
    kind: String,
    name: String,
    error: Box<kube::Error>,
}

/// Returns the API server's message, without the text that the client adds.
fn message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        error => error.to_string(),
    }
}

impl Classified for ScaleError {
    fn class(&self) -> ErrorClass {
        self.error.class()
    }
}

/// The kind of object that creates the pods of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    Deployment,
    StatefulSet,
    ReplicaSet,
}

impl Maker {
    /// Returns the first of these kinds among the documents of a file.
    pub fn of(documents: &[Value]) -> Option<Self> {
        documents
            .iter()
            .find_map(|document| match document["kind"].as_str()? {
                "Deployment" => Some(Self::Deployment),
                "StatefulSet" => Some(Self::StatefulSet),
                "ReplicaSet" => Some(Self::ReplicaSet),
                _ => None,
            })
    }

    /// Sets the number of replicas.
    ///
    /// # Errors
    /// [`ScaleError`].
    pub async fn scale(
        self,
        client: &Client,
        namespace: &str,
        name: &str,
        replicas: u32,
    ) -> Result<(), ScaleError> {
        match self {
            Self::Deployment => scale::<Deployment>(client, namespace, name, replicas).await,
            Self::StatefulSet => scale::<StatefulSet>(client, namespace, name, replicas).await,
            Self::ReplicaSet => scale::<ReplicaSet>(client, namespace, name, replicas).await,
        }
    }
}

async fn scale<K>(
    client: &Client,
    namespace: &str,
    name: &str,
    replicas: u32,
) -> Result<(), ScaleError>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let patch = json!({"spec": {"replicas": replicas}});
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let scaled = api.patch(name, &params, &Patch::Merge(&patch)).await;
    scaled.map(drop).map_err(|error| ScaleError {
        kind: K::kind(&()).into_owned(),
        name: name.to_owned(),
        error: Box::new(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("Deployment", Some(Maker::Deployment))]
    #[case("StatefulSet", Some(Maker::StatefulSet))]
    #[case("ReplicaSet", Some(Maker::ReplicaSet))]
    #[case("Service", None)]
    fn the_file_says_what_makes_its_pods(#[case] kind: &str, #[case] found: Option<Maker>) {
        let documents = [json!({"kind": "ServiceAccount"}), json!({"kind": kind})];
        assert_eq!(Maker::of(&documents), found);
    }
}
