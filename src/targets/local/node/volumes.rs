//! Contents of a pod's volumes, computed from the pod, its ConfigMaps, Secrets and tokens.

use std::{collections::BTreeMap, io};

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, KeyToPath, Pod, ProjectedVolumeSource, ServiceAccountTokenProjection,
    Volume,
};

use super::{
    env::container_named,
    fields::{Addresses, FieldError, pod_field, resource_field},
    source::{Known, SourceKey},
};

/// An error providing a volume.
#[derive(Debug, thiserror::Error)]
pub(super) enum VolumeError {
    #[error(
        "volume {volume:?}: unsupported volume type (the local node supports configMap, secret, projected, downwardAPI and emptyDir)"
    )]
    Kind { volume: String },
    #[error("volume {volume:?}")]
    Content {
        volume: String,
        source: ContentError,
    },
    #[error("volume {volume:?}")]
    Write { volume: String, source: io::Error },
}

/// An error computing a volume's contents.
#[derive(Debug, thiserror::Error)]
pub(super) enum ContentError {
    #[error("{0} not found")]
    NotFound(SourceKey),
    #[error("{object} has no key {key:?}")]
    NoKey { object: SourceKey, key: String },
    #[error("its token has not been issued yet")]
    NoToken,
    #[error("a projected source has a type that the local node does not support")]
    ProjectedKind,
    #[error("{path}: the pod has no container {container:?}")]
    NoContainer { path: String, container: String },
    #[error("{path} has neither fieldRef nor resourceFieldRef")]
    NoReference { path: String },
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Default permission bits of projected files (Kubernetes API).
const DEFAULT_MODE: i32 = 0o644;
/// Default lifetime of a token, in seconds (Kubernetes API).
const DEFAULT_TOKEN_SECONDS: i64 = 3600;

/// A file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VolumeFile {
    pub mode: u32,
    pub contents: Vec<u8>,
}

/// Files by their relative path.
pub(super) type Files = BTreeMap<String, VolumeFile>;

/// Content of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// An empty directory that the pod's containers share.
    Empty,
    /// Files that the node keeps up to date.
    Files(Files),
}

/// A token that a pod needs: its audience, and its lifetime in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TokenKey {
    pub audience: Option<String>,
    pub seconds: i64,
}

impl From<&ServiceAccountTokenProjection> for TokenKey {
    fn from(projection: &ServiceAccountTokenProjection) -> Self {
        Self {
            audience: projection
                .audience
                .clone()
                .filter(|audience| !audience.is_empty()),
            seconds: projection
                .expiration_seconds
                .unwrap_or(DEFAULT_TOKEN_SECONDS),
        }
    }
}

/// Inputs of the contents of volumes.
pub(super) struct VolumeContext<'a> {
    pub pod: &'a Pod,
    pub addresses: Addresses,
    pub known: &'a Known,
    pub tokens: &'a BTreeMap<TokenKey, String>,
}

/// Every token that a pod's volumes need.
pub(super) fn tokens_needed(pod: &Pod) -> Vec<TokenKey> {
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    let sources = volumes
        .filter_map(|volume| volume.projected.as_ref())
        .flat_map(|source| source.sources.iter().flatten());
    let mut keys: Vec<TokenKey> = sources
        .filter_map(|source| source.service_account_token.as_ref())
        .map(TokenKey::from)
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

/// The current content of the volume.
///
/// # Errors
/// [`VolumeError`]: something is missing, or this node does not support the volume type.
pub(super) fn content(
    context: &VolumeContext<'_>,
    volume: &Volume,
) -> Result<Content, VolumeError> {
    let files = if let Some(source) = &volume.config_map {
        let key = SourceKey::config_map(&source.name);
        keyed(
            context.known,
            &key,
            source.items.as_deref(),
            source.optional,
            source.default_mode,
        )
    } else if let Some(source) = &volume.secret {
        let key = SourceKey::secret(source.secret_name.as_deref().unwrap_or_default());
        keyed(
            context.known,
            &key,
            source.items.as_deref(),
            source.optional,
            source.default_mode,
        )
    } else if let Some(source) = &volume.downward_api {
        downward(
            context,
            source.items.as_deref().unwrap_or_default(),
            source.default_mode,
        )
    } else if let Some(source) = &volume.projected {
        projected(context, source)
    } else if volume.empty_dir.is_some() || volume.ephemeral.is_some() {
        return Ok(Content::Empty);
    } else {
        return Err(VolumeError::Kind {
            volume: volume.name.clone(),
        });
    };
    files
        .map(Content::Files)
        .map_err(|source| VolumeError::Content {
            volume: volume.name.clone(),
            source,
        })
}

fn projected(
    context: &VolumeContext<'_>,
    source: &ProjectedVolumeSource,
) -> Result<Files, ContentError> {
    let mut files = Files::new();
    for part in source.sources.iter().flatten() {
        if let Some(part) = &part.config_map {
            let key = SourceKey::config_map(&part.name);
            files.extend(keyed(
                context.known,
                &key,
                part.items.as_deref(),
                part.optional,
                source.default_mode,
            )?);
        } else if let Some(part) = &part.secret {
            let key = SourceKey::secret(&part.name);
            files.extend(keyed(
                context.known,
                &key,
                part.items.as_deref(),
                part.optional,
                source.default_mode,
            )?);
        } else if let Some(part) = &part.downward_api {
            files.extend(downward(
                context,
                part.items.as_deref().unwrap_or_default(),
                source.default_mode,
            )?);
        } else if let Some(part) = &part.service_account_token {
            let token = context
                .tokens
                .get(&TokenKey::from(part))
                .ok_or(ContentError::NoToken)?;
            files.insert(
                part.path.clone(),
                file(token.clone().into_bytes(), None, source.default_mode),
            );
        } else {
            return Err(ContentError::ProjectedKind);
        }
    }
    Ok(files)
}

/// All keys of an object, or those that `items` selects.
fn keyed(
    known: &Known,
    key: &SourceKey,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: Option<i32>,
) -> Result<Files, ContentError> {
    let optional = optional == Some(true);
    let Some(data) = known.get(key).and_then(Option::as_ref) else {
        return if optional {
            Ok(Files::new())
        } else {
            Err(ContentError::NotFound(key.clone()))
        };
    };
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return Ok(data
            .iter()
            .map(|(name, value)| (name.clone(), file(value.clone(), None, mode)))
            .collect());
    };
    let mut files = Files::new();
    for item in items {
        match data.get(&item.key) {
            Some(value) => {
                files.insert(item.path.clone(), file(value.clone(), item.mode, mode));
            }
            None if optional => {}
            None => {
                return Err(ContentError::NoKey {
                    object: key.clone(),
                    key: item.key.clone(),
                });
            }
        }
    }
    Ok(files)
}

fn downward(
    context: &VolumeContext<'_>,
    items: &[DownwardAPIVolumeFile],
    mode: Option<i32>,
) -> Result<Files, ContentError> {
    let mut files = Files::new();
    for item in items {
        let text = if let Some(field) = &item.field_ref {
            pod_field(context.pod, &field.field_path, context.addresses)?
        } else if let Some(resource) = &item.resource_field_ref {
            let name = resource.container_name.as_deref().unwrap_or_default();
            let container = container_named(context.pod, name);
            let container = container.ok_or_else(|| ContentError::NoContainer {
                path: item.path.clone(),
                container: name.to_owned(),
            })?;
            resource_field(container, resource)?
        } else {
            return Err(ContentError::NoReference {
                path: item.path.clone(),
            });
        };
        files.insert(item.path.clone(), file(text.into_bytes(), item.mode, mode));
    }
    Ok(files)
}

fn file(contents: Vec<u8>, own: Option<i32>, default: Option<i32>) -> VolumeFile {
    let mode = own.or(default).unwrap_or(DEFAULT_MODE);
    VolumeFile {
        mode: mode.cast_unsigned() & 0o777,
        contents,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::chain;
    use rstest::rstest;
    use serde_json::{Value, json};
    use std::{net::Ipv4Addr, sync::Arc};

    fn render(volume: Value) -> Result<Vec<(String, String, u32)>, VolumeError> {
        let mut volume = volume;
        volume["name"] = json!("v");
        let volume: Volume = serde_json::from_value(volume).unwrap();
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "labels": {"a": "b"}}, "spec": {"containers": [{"name": "c"}]}})).unwrap();
        let data = Arc::new(BTreeMap::from([
            ("k".to_owned(), b"1".to_vec()),
            ("l".to_owned(), b"2".to_vec()),
        ]));
        let known = Known::from([
            (SourceKey::config_map("cm"), Some(data.clone())),
            (SourceKey::secret("s"), Some(data)),
        ]);
        let tokens = BTreeMap::from([(
            TokenKey {
                audience: Some("istio-ca".to_owned()),
                seconds: 600,
            },
            "jwt".to_owned(),
        )]);
        let addresses = Addresses {
            pod: Ipv4Addr::new(10, 0, 0, 2),
            node: Ipv4Addr::new(10, 0, 0, 1),
        };
        let context = VolumeContext {
            pod: &pod,
            addresses,
            known: &known,
            tokens: &tokens,
        };
        match content(&context, &volume)? {
            Content::Files(files) => Ok(files
                .into_iter()
                .map(|(path, f)| (path, String::from_utf8(f.contents).unwrap(), f.mode))
                .collect()),
            other => panic!("{other:?}"),
        }
    }

    #[rstest]
    #[case::all_keys(json!({"configMap": {"name": "cm"}}), &[("k", "1", 0o644), ("l", "2", 0o644)])]
    #[case::items(json!({"secret": {"secretName": "s", "defaultMode": 256, "items": [{"key": "k", "path": "d/x"}]}}), &[("d/x", "1", 0o400)])]
    #[case::own_mode(json!({"secret": {"secretName": "s", "items": [{"key": "k", "path": "x", "mode": 384}]}}), &[("x", "1", 0o600)])]
    #[case::optional(json!({"configMap": {"name": "none", "optional": true}}), &[])]
    #[case::optional_key(json!({"configMap": {"name": "cm", "optional": true, "items": [{"key": "none", "path": "x"}]}}), &[])]
    #[case::downward(json!({"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}), &[("labels", "a=\"b\"", 0o644)])]
    #[case::projected(json!({"projected": {"sources": [
        {"serviceAccountToken": {"audience": "istio-ca", "expirationSeconds": 600, "path": "token"}},
        {"configMap": {"name": "cm", "items": [{"key": "k", "path": "ca.crt"}]}}]}}), &[("ca.crt", "1", 0o644), ("token", "jwt", 0o644)])]
    fn volumes_hold_their_files(#[case] volume: Value, #[case] expected: &[(&str, &str, u32)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(path, text, mode)| ((*path).to_owned(), (*text).to_owned(), *mode))
            .collect();
        assert_eq!(render(volume).unwrap(), expected);
    }

    #[rstest]
    #[case::object(json!({"configMap": {"name": "none"}}), "configmap \"none\" not found")]
    #[case::key(json!({"secret": {"secretName": "s", "items": [{"key": "none", "path": "x"}]}}), "secret \"s\" has no key \"none\"")]
    #[case::kind(json!({"nfs": {"path": "/", "server": "x"}}), "unsupported volume type")]
    fn what_is_missing_is_named(#[case] volume: Value, #[case] expected: &str) {
        let answer = chain(&render(volume).unwrap_err());
        assert!(
            answer.contains(expected) && answer.contains("\"v\""),
            "{answer}"
        );
    }
}
