//! Objects as their authors wrote them: server-side apply and delete, with ownership.

use std::{fmt, future::Future, time::Duration};

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
        Preconditions, TypeMeta,
    },
    core::{Request, Status},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    answer::{self, Answer},
    request,
    scope::{Outside, WordError},
};
use crate::{
    errors::{Classified, ErrorClass},
    scenario::kinds::is_cluster_scoped,
    timeouts::timeouts,
    wait::{self, Look},
};

/// Field manager of everything that meshproof applies.
pub const MANAGER: &str = "meshproof";
/// Label whose value is the run's id. Only objects with this label are ever deleted.
pub const RUN_LABEL: &str = "meshproof.dev/run";

/// An error writing an object.
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
    #[error("the API server rejected {kind} {name}: {message}")]
    Refused {
        kind: String,
        name: String,
        /// HTTP status of the response.
        code: u16,
        message: String,
    },
    /// A field of it cannot be used in the path of a request.
    #[error(transparent)]
    Words(#[from] WordError),
    #[error(
        "{0}; a scenario that requires this must declare needs: [outside-namespace], which is supported only if the cluster belongs to the run"
    )]
    Outside(#[from] Outside),
    #[error("cannot record {what} in the run's journal, so it was not written")]
    Unnoted {
        what: String,
        source: Box<kube::Error>,
    },
    #[error(
        "{kind} {name} already exists and was not created by this scenario: meshproof changes only objects that it created"
    )]
    Foreign { kind: String, name: String },
    #[error(
        "{kind} {name}: field manager {owner} owns {fields}; meshproof does not take over fields of other field managers"
    )]
    Conflict {
        kind: String,
        name: String,
        owner: String,
        fields: String,
    },
    #[error("the request for {kind} {name} failed")]
    Api {
        kind: String,
        name: String,
        source: Box<kube::Error>,
    },
}

impl Classified for ObjectError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Refused { code, .. } if request::is_failure(*code) => ErrorClass::Mesh,
            Self::Shape(_)
            | Self::NoSuchKind { .. }
            | Self::Refused { .. }
            | Self::Foreign { .. }
            | Self::Conflict { .. } => ErrorClass::Input,
            Self::Words(error) => error.class(),
            Self::Outside(error) => error.class(),
            Self::Unnoted { source, .. } | Self::Api { source, .. } => source.class(),
        }
    }
}

/// A written object, with enough to find it again and to delete exactly this one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub api_version: String,
    pub kind: String,
    /// Name of the kind in request paths.
    pub plural: String,
    pub namespace: Option<String>,
    pub name: String,
    pub uid: String,
    pub resource_version: String,
    /// In whole seconds of the API server's clock.
    pub created: Option<jiff::Timestamp>,
    /// Finalizers, which delay its deletion.
    pub finalizers: Vec<String>,
    /// Cluster IP of a Service that has one.
    pub address: Option<String>,
    /// Warnings of the API server and its webhooks.
    pub warnings: Vec<String>,
}

impl Written {
    /// From the API server's response.
    pub fn of(answer: &Answer, resource: &ApiResource) -> Self {
        let made = &answer.object;
        Self {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
            plural: resource.plural.clone(),
            namespace: made.namespace(),
            name: made.name_any(),
            uid: made.uid().unwrap_or_default(),
            resource_version: made.resource_version().unwrap_or_default(),
            created: made.creation_timestamp().map(|time| time.0),
            finalizers: made.finalizers().to_vec(),
            address: cluster_ip(made),
            warnings: answer.warnings.clone(),
        }
    }

    /// The kind, for requests.
    pub fn resource(&self) -> ApiResource {
        let (group, version) = split(&self.api_version);
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            plural: self.plural.clone(),
        }
    }
}

/// The cluster IP of a Service. `None` for a headless one and for other kinds.
fn cluster_ip(object: &DynamicObject) -> Option<String> {
    let address = object.data.pointer("/spec/clusterIP")?.as_str()?;
    (!address.is_empty() && address != "None").then(|| address.to_owned())
}

fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// The apiVersion, kind and name of an object.
pub(super) fn address(object: &Value) -> Result<(String, String, String), ObjectError> {
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

/// The client interface for a kind.
pub(super) fn api(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// A kind whose plural is regular, as for those of Kubernetes, Gateway API and Istio.
fn regular(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = split(api_version);
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// Applies an object of an installation on a target that meshproof owns (server-side, as
/// [`MANAGER`], with force). A namespaced object without a namespace goes into `namespace`.
/// Scenarios write through [`super::writer::Writer`].
///
/// # Errors
/// [`ObjectError`] with the message of the API server or of the webhook that rejected it.
pub async fn install(
    client: &Client,
    object: &Value,
    namespace: Option<&str>,
) -> Result<Written, ObjectError> {
    let (api_version, kind, name) = address(object)?;
    let own = object
        .pointer("/metadata/namespace")
        .and_then(Value::as_str);
    let scoped = is_cluster_scoped(&api_version, &kind);
    let namespace = own.or(namespace).filter(|_| !scoped);
    let resource = regular(&api_version, &kind);
    let api = api(client, &resource, namespace);
    let patched = patch(client, &api, &name, object, true).await;
    match patched {
        Ok(made) => Ok(Written::of(&made, &resource)),
        Err(error) => Err(explain(error, api_version, kind, name)),
    }
}

/// The same for an object whose CustomResourceDefinition has just been created. While the API
/// server does not serve the kind yet, it answers that there is none, or with a rejection.
///
/// # Errors
/// [`ObjectError`]; the last one if the kind is not served in time.
pub async fn install_once_served(
    client: &Client,
    object: &Value,
    namespace: Option<&str>,
) -> Result<(), ObjectError> {
    let waited = wait::until(timeouts().mesh.definitions, async |_| {
        match install(client, object, namespace).await {
            Ok(_) => Ok(Look::Met(())),
            Err(error @ (ObjectError::NoSuchKind { .. } | ObjectError::Refused { .. })) => {
                Ok(Look::Unmet(error))
            }
            Err(error) => Err(error),
        }
    });
    let waited = waited.await;
    waited.map_err(|error| error.or_late(|late| late.last_seen))
}

/// Applies server-side as [`MANAGER`]. Waits for a webhook that cannot be reached because its
/// server has just restarted.
pub(super) async fn patch(
    client: &Client,
    api: &Api<DynamicObject>,
    name: &str,
    object: &Value,
    force: bool,
) -> Result<Answer, kube::Error> {
    let params = PatchParams {
        force,
        ..PatchParams::apply(MANAGER)
    };
    once_asked(timeouts().cluster.webhook, || {
        let request = Request::new(api.resource_url());
        answer::ask(client, request.patch(name, &params, &Patch::Apply(object)))
    })
    .await
}

/// Retries a write until the API server could call its webhooks, or until `limit`: then the last
/// error is returned.
async fn once_asked<F>(limit: Duration, write: impl Fn() -> F) -> Result<Answer, kube::Error>
where
    F: Future<Output = Result<Answer, kube::Error>>,
{
    let written = wait::until(limit, async |_| match write().await {
        Ok(answer) => Ok(Look::Met(answer)),
        Err(error) if is_unasked(&error) => Ok(Look::Unmet(error)),
        Err(error) => Err(error),
    });
    let written = written.await;
    written.map_err(|error| error.or_late(|late| late.last_seen))
}

/// Whether the API server could not call a webhook, so that the write was not decided (its
/// message, `ErrCallingWebhook`).
fn is_unasked(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 500 && status.message.contains("failed calling webhook"))
}

/// Whether this is the 404 of a path that the API server does not serve. A 404 for a missing
/// object (the namespace, the Role of a RoleBinding) names the object.
fn is_of_a_kind(status: &Status) -> bool {
    let missing = status.details.as_ref();
    status.code == 404 && missing.is_none_or(|missing| missing.name.is_empty())
}

pub(crate) fn explain(
    error: kube::Error,
    api_version: String,
    kind: String,
    name: String,
) -> ObjectError {
    match error {
        kube::Error::Api(status) if is_of_a_kind(&status) => ObjectError::NoSuchKind {
            api_version,
            kind,
            name,
        },
        kube::Error::Api(status) => ObjectError::Refused {
            kind,
            name,
            code: status.code,
            message: status.message.clone(),
        },
        other => ObjectError::Api {
            kind,
            name,
            source: Box::new(other),
        },
    }
}

/// Deletes exactly this object. A later one with the same name stays.
///
/// # Errors
/// The API server rejects the request. An object that no longer exists is not an error.
pub async fn delete(client: &Client, written: &Written) -> Result<(), ObjectError> {
    let api = api(client, &written.resource(), written.namespace.as_deref());
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

/// Deletes the objects of a kind in a namespace that a selector matches.
///
/// # Errors
/// The API server rejects the request or does not answer.
pub async fn delete_these<K>(
    client: &Client,
    namespace: &str,
    params: &DeleteParams,
    which: &ListParams,
) -> Result<(), ObjectError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    match api.delete_collection(params, which).await {
        Ok(_) => Ok(()),
        Err(error) => Err(explain(
            error,
            K::api_version(&()).into_owned(),
            K::kind(&()).into_owned(),
            format!("(some in {namespace})"),
        )),
    }
}

/// Reads one object as JSON. `None` if it does not exist.
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
    match api(client, &regular(api_version, kind), namespace)
        .get_opt(name)
        .await
    {
        Ok(found) => Ok(found.and_then(|object| serde_json::to_value(object).ok())),
        Err(error) => Err(explain(error, api_version.into(), kind.into(), name.into())),
    }
}

/// All objects of a kind in a namespace, as JSON.
///
/// # Errors
/// When the API server does not answer, or has no such kind.
pub async fn list(
    client: &Client,
    api_version: &str,
    kind: &str,
    namespace: &str,
) -> Result<Vec<Value>, ObjectError> {
    let found = api(client, &regular(api_version, kind), Some(namespace))
        .list(&ListParams::default())
        .await;
    let found = found.map_err(|error| {
        explain(
            error,
            api_version.into(),
            kind.into(),
            format!("(all in {namespace})"),
        )
    })?;
    let each = found.items.into_iter().filter_map(|mut object| {
        // Items of a list have no apiVersion and kind.
        object.types = Some(TypeMeta {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        });
        serde_json::to_value(object).ok()
    });
    Ok(each.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use serde_json::json;

    use super::*;

    #[rstest::rstest]
    #[case::unreachable(
        500,
        "Internal error occurred: failed calling webhook \"v\": failed to call webhook: Post \"https://x\": connection refused",
        true
    )]
    #[case::refused(400, "admission webhook \"v\" denied the request: no host", false)]
    #[case::other(500, "Internal error occurred: etcdserver: request timed out", false)]
    fn only_a_webhook_that_was_not_asked_is_waited_for(
        #[case] code: u16,
        #[case] message: &str,
        #[case] unasked: bool,
    ) {
        let status = Status::failure(message, "InternalError").with_code(code);
        assert_eq!(is_unasked(&kube::Error::Api(Box::new(status))), unasked);
    }

    fn unasked() -> kube::Error {
        let message = "Internal error occurred: failed calling webhook \"v\": connection refused";
        let status = Status::failure(message, "InternalError").with_code(500);
        kube::Error::Api(Box::new(status))
    }

    fn made() -> Answer {
        Answer {
            object: DynamicObject::new("a", &regular("v1", "ConfigMap")),
            warnings: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_webhook_that_comes_back_is_waited_for() {
        let tries = AtomicUsize::new(0);
        let limit = Duration::from_secs(60);
        let written = once_asked(limit, async || match tries.fetch_add(1, Relaxed) {
            0 | 1 => Err(unasked()),
            _ => Ok(made()),
        });
        assert_eq!(written.await.expect("it is written").object.name_any(), "a");
        assert_eq!(tries.load(Relaxed), 3);
    }

    #[tokio::test]
    async fn of_a_webhook_that_stays_away_the_last_refusal_is_told_and_is_the_meshs_trouble() {
        let written = once_asked(Duration::from_millis(20), async || Err(unasked()));
        let error = written.await.expect_err("no webhook answers");
        let error = explain(error, "v1".into(), "ConfigMap".into(), "a".into());
        let message =
            "the API server rejected ConfigMap a: Internal error occurred: failed calling webhook";
        assert!(error.to_string().starts_with(message), "{error}");
        assert_eq!(error.class(), ErrorClass::Mesh);
    }

    /// Response bodies of Kubernetes 1.36 to writes of an unknown resource, of a RoleBinding
    /// without its Role and into a missing namespace.
    #[rstest::rstest]
    #[case::no_kind(
        json!({"message": "the server could not find the requested resource", "details": {}}),
        "RoleBinding b: the API server has no v1 RoleBinding"
    )]
    #[case::no_group(json!({"message": "404 page not found"}), "RoleBinding b: the API server has no v1 RoleBinding")]
    #[case::no_role(
        json!({"message": "roles.rbac.authorization.k8s.io \"r\" not found", "details": {"name": "r", "kind": "roles"}}),
        "the API server rejected RoleBinding b: roles.rbac.authorization.k8s.io \"r\" not found"
    )]
    #[case::no_namespace(
        json!({"message": "namespaces \"n\" not found", "details": {"name": "n", "kind": "namespaces"}}),
        "the API server rejected RoleBinding b: namespaces \"n\" not found"
    )]
    fn a_missing_object_is_not_a_missing_kind(#[case] mut body: Value, #[case] message: &str) {
        body["code"] = 404.into();
        let status: Status = serde_json::from_value(body).expect("a status");
        let error = kube::Error::Api(Box::new(status));
        let reported = explain(error, "v1".into(), "RoleBinding".into(), "b".into()).to_string();
        assert!(reported.starts_with(message), "{reported}");
    }
}
