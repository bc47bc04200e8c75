//! Objects as their authors wrote them: server-side apply, delete, and whose they are.

use kube::{
    Api, Client, ResourceExt as _,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams,
        Preconditions,
    },
};
use serde_json::Value;

/// Field manager of everything that meshproof applies.
pub const MANAGER: &str = "meshproof";
/// Label whose value is the run's id; only objects that carry it are ever deleted.
pub const RUN_LABEL: &str = "meshproof.dev/run";

/// Kinds without a namespace, among those that installs and scenarios use.
const CLUSTER_SCOPED: &[&str] = &[
    "Namespace",
    "Node",
    "PersistentVolume",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "GatewayClass",
    "IngressClass",
    "PriorityClass",
    "StorageClass",
    "RuntimeClass",
];

/// Why an object could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("a document has no apiVersion, kind or metadata.name: {0}")]
    Shape(String),
    #[error(
        "{kind} {name}: the API server has no {api_version} {kind}; is the group spelled right and its CRD installed?"
    )]
    NoSuchKind {
        api_version: String,
        kind: String,
        name: String,
    },
    #[error("{kind} {name} was refused: {message}")]
    Refused {
        kind: String,
        name: String,
        message: String,
    },
    #[error("{kind} {name}: {source}")]
    Api {
        kind: String,
        name: String,
        source: Box<kube::Error>,
    },
}

/// A written object: enough to find it again and to delete exactly it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub api_version: String,
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
    pub uid: String,
    pub resource_version: String,
}

/// Parses the parts that address an object.
fn address(object: &Value) -> Result<(String, String, String), ObjectError> {
    let text = |path: &str| {
        object
            .pointer(path)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    match (text("/apiVersion"), text("/kind"), text("/metadata/name")) {
        (Some(version), Some(kind), Some(name)) => Ok((version, kind, name)),
        _ => Err(ObjectError::Shape(
            object.to_string().chars().take(200).collect(),
        )),
    }
}

/// The API of one kind; the plural is the regular one, which holds for every kind used here.
fn api(
    client: &Client,
    api_version: &str,
    kind: &str,
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match namespace {
        Some(namespace) if !CLUSTER_SCOPED.contains(&kind) => {
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
        _ => Api::all_with(client.clone(), &resource),
    }
}

/// Applies an object (server-side, as [`MANAGER`]). A namespaced object without a namespace goes into `namespace`.
///
/// # Errors
/// [`ObjectError`] with the words of the API server or of the webhook that refused.
pub async fn apply(
    client: &Client,
    object: &Value,
    namespace: Option<&str>,
) -> Result<Written, ObjectError> {
    let (api_version, kind, name) = address(object)?;
    let own = object
        .pointer("/metadata/namespace")
        .and_then(Value::as_str);
    let api = api(client, &api_version, &kind, own.or(namespace));
    let params = PatchParams::apply(MANAGER).force();
    match api.patch(&name, &params, &Patch::Apply(object)).await {
        Ok(made) => Ok(Written {
            namespace: made.namespace(),
            uid: made.uid().unwrap_or_default(),
            resource_version: made.resource_version().unwrap_or_default(),
            api_version,
            kind,
            name,
        }),
        Err(error) => Err(explain(error, api_version, kind, name)),
    }
}

pub(crate) fn explain(
    error: kube::Error,
    api_version: String,
    kind: String,
    name: String,
) -> ObjectError {
    match error {
        // The generic 404 of an unknown resource; one of an unknown namespace names the namespace.
        kube::Error::Api(status)
            if status.code == 404 && !status.message.contains("namespaces") =>
        {
            ObjectError::NoSuchKind {
                api_version,
                kind,
                name,
            }
        }
        kube::Error::Api(status) => ObjectError::Refused {
            kind,
            name,
            message: status.message.clone(),
        },
        other => ObjectError::Api {
            kind,
            name,
            source: Box::new(other),
        },
    }
}

/// Deletes exactly this object: another one of the same name, made later by somebody else, stays.
///
/// # Errors
/// When the API server refuses; an object that is gone already is no error.
pub async fn delete(client: &Client, written: &Written) -> Result<(), ObjectError> {
    let api = api(
        client,
        &written.api_version,
        &written.kind,
        written.namespace.as_deref(),
    );
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(written.uid.clone()),
            resource_version: None,
        }),
        ..DeleteParams::background()
    };
    match api.delete(&written.name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(explain(
            error,
            written.api_version.clone(),
            written.kind.clone(),
            written.name.clone(),
        )),
    }
}

/// Reads one object as JSON, `None` when there is none.
///
/// # Errors
/// When the API server does not answer.
pub async fn get(
    client: &Client,
    api_version: &str,
    kind: &str,
    namespace: Option<&str>,
    name: &str,
) -> Result<Option<Value>, ObjectError> {
    match api(client, api_version, kind, namespace)
        .get_opt(name)
        .await
    {
        Ok(found) => Ok(found.and_then(|object| serde_json::to_value(object).ok())),
        Err(error) => Err(explain(error, api_version.into(), kind.into(), name.into())),
    }
}
