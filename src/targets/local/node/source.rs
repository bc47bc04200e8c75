//! ConfigMaps and Secrets: which a pod needs, and their contents.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSpec, Secret, Volume};
use kube::{Api, Client};

/// Kind of the object that holds the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum SourceKind {
    ConfigMap,
    Secret,
}

/// An object in a pod's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SourceKey {
    pub kind: SourceKind,
    pub name: String,
}

impl SourceKey {
    pub fn config_map(name: &str) -> Self {
        Self {
            kind: SourceKind::ConfigMap,
            name: name.to_owned(),
        }
    }

    pub fn secret(name: &str) -> Self {
        Self {
            kind: SourceKind::Secret,
            name: name.to_owned(),
        }
    }
}

impl std::fmt::Display for SourceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            SourceKind::ConfigMap => "configmap",
            SourceKind::Secret => "secret",
        };
        write!(f, "{kind} {:?}", self.name)
    }
}

/// Keys and values of one object.
pub(super) type Data = Arc<BTreeMap<String, Vec<u8>>>;
/// What is known about the objects that a pod needs; `None` for those that do not exist.
pub(super) type Known = HashMap<SourceKey, Option<Data>>;

pub(super) fn config_map_data(object: ConfigMap) -> Data {
    let text = object
        .data
        .into_iter()
        .flatten()
        .map(|(key, value)| (key, value.into_bytes()));
    let binary = object
        .binary_data
        .into_iter()
        .flatten()
        .map(|(key, value)| (key, value.0));
    Arc::new(text.chain(binary).collect())
}

pub(super) fn secret_data(object: Secret) -> Data {
    Arc::new(
        object
            .data
            .into_iter()
            .flatten()
            .map(|(key, value)| (key, value.0))
            .collect(),
    )
}

/// Reads one object; `None` if it does not exist.
pub(super) async fn fetch(
    client: &Client,
    namespace: &str,
    key: &SourceKey,
) -> kube::Result<Option<Data>> {
    Ok(match key.kind {
        SourceKind::ConfigMap => Api::<ConfigMap>::namespaced(client.clone(), namespace)
            .get_opt(&key.name)
            .await?
            .map(config_map_data),
        SourceKind::Secret => Api::<Secret>::namespaced(client.clone(), namespace)
            .get_opt(&key.name)
            .await?
            .map(secret_data),
    })
}

/// Every ConfigMap and Secret that a pod's volumes and environment refer to.
pub(super) fn needed(spec: &PodSpec) -> BTreeSet<SourceKey> {
    let mut keys = BTreeSet::new();
    for volume in spec.volumes.iter().flatten() {
        add_of_volume(&mut keys, volume);
    }
    for container in spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
    {
        add_of_container(&mut keys, container);
    }
    keys
}

/// Adds the sources of a volume.
fn add_of_volume(keys: &mut BTreeSet<SourceKey>, volume: &Volume) {
    if let Some(source) = &volume.config_map {
        keys.insert(SourceKey::config_map(&source.name));
    }
    let secret = volume.secret.as_ref();
    if let Some(name) = secret.and_then(|source| source.secret_name.as_deref()) {
        keys.insert(SourceKey::secret(name));
    }
    for part in volume
        .projected
        .iter()
        .flat_map(|source| source.sources.iter().flatten())
    {
        if let Some(source) = &part.config_map {
            keys.insert(SourceKey::config_map(&source.name));
        }
        if let Some(source) = &part.secret {
            keys.insert(SourceKey::secret(&source.name));
        }
    }
}

/// Adds the sources of a container's environment.
fn add_of_container(keys: &mut BTreeSet<SourceKey>, container: &Container) {
    for from in container.env_from.iter().flatten() {
        if let Some(source) = &from.config_map_ref {
            keys.insert(SourceKey::config_map(&source.name));
        }
        if let Some(source) = &from.secret_ref {
            keys.insert(SourceKey::secret(&source.name));
        }
    }
    for from in container
        .env
        .iter()
        .flatten()
        .filter_map(|variable| variable.value_from.as_ref())
    {
        if let Some(source) = &from.config_map_key_ref {
            keys.insert(SourceKey::config_map(&source.name));
        }
        if let Some(source) = &from.secret_key_ref {
            keys.insert(SourceKey::secret(&source.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_and_environment_name_their_sources() {
        let spec: PodSpec = serde_json::from_value(serde_json::json!({
            "volumes": [
                {"name": "a", "configMap": {"name": "cm-volume"}},
                {"name": "b", "projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "root-ca"}}]}},
                {"name": "c", "emptyDir": {}}],
            "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "env-from"}}]}],
            "containers": [{"name": "c", "env": [
                {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "key-ref", "key": "k"}}},
                {"name": "Y", "value": "literal"}]}]
        }))
        .unwrap();
        let names: Vec<String> = needed(&spec).iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            [
                "configmap \"cm-volume\"",
                "configmap \"key-ref\"",
                "configmap \"root-ca\"",
                "secret \"env-from\"",
                "secret \"projected\""
            ]
        );
    }
}
