//! ConfigMaps and Secrets: which a pod needs, and their contents.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use k8s_openapi::api::core::v1::{ConfigMap, PodSpec, Secret};
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
        keys.extend(
            volume
                .config_map
                .iter()
                .map(|source| SourceKey::config_map(&source.name)),
        );
        keys.extend(
            volume
                .secret
                .iter()
                .filter_map(|source| source.secret_name.as_deref())
                .map(SourceKey::secret),
        );
        for part in volume
            .projected
            .iter()
            .flat_map(|source| source.sources.iter().flatten())
        {
            keys.extend(
                part.config_map
                    .iter()
                    .map(|source| SourceKey::config_map(&source.name)),
            );
            keys.extend(
                part.secret
                    .iter()
                    .map(|source| SourceKey::secret(&source.name)),
            );
        }
    }
    for container in spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
    {
        for from in container.env_from.iter().flatten() {
            keys.extend(
                from.config_map_ref
                    .iter()
                    .map(|source| SourceKey::config_map(&source.name)),
            );
            keys.extend(
                from.secret_ref
                    .iter()
                    .map(|source| SourceKey::secret(&source.name)),
            );
        }
        for from in container
            .env
            .iter()
            .flatten()
            .filter_map(|variable| variable.value_from.as_ref())
        {
            keys.extend(
                from.config_map_key_ref
                    .iter()
                    .map(|source| SourceKey::config_map(&source.name)),
            );
            keys.extend(
                from.secret_key_ref
                    .iter()
                    .map(|source| SourceKey::secret(&source.name)),
            );
        }
    }
    keys
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
