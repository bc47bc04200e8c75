//! Installs Istio from the manifests that istioctl generates from our values, and waits until it
//! is ready for work.

use std::{path::Path, process::Stdio, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{injection::is_injected, profile::Profile};
use crate::{
    cluster::{
        object::{self, ObjectError},
        pod_watch::PodWatch,
        pods,
    },
    errors::{Classified, ErrorClass},
    timeouts::timeouts,
    wait::{self, Look},
};

/// Namespace of the control plane and of the ingress gateway.
pub const NAMESPACE: &str = "istio-system";
/// Name of the gateway's Service and Deployment.
pub const GATEWAY: &str = "istio-ingressgateway";

/// Address of the ingress gateway inside the cluster.
pub const GATEWAY_ADDRESS: &str = "istio-ingressgateway.istio-system";

/// Value of the `istio` label that selects the gateway.
pub const GATEWAY_LABEL: &str = "ingressgateway";

/// An error installing Istio.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("istioctl could not generate manifests: {0}")]
    Istioctl(String),
    #[error("cannot read istioctl's manifests: {0}")]
    Manifests(String),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("{what} was not ready within {limit:?}:\n{last}")]
    NotReady {
        what: &'static str,
        limit: Duration,
        last: String,
    },
    #[error("istiod's injection webhook did not answer within {limit:?}; last answer: {last}")]
    Webhook { limit: Duration, last: String },
}

impl Classified for InstallError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Istioctl(_) | Self::Manifests(_) => ErrorClass::Machine,
            Self::Object(error) => error.class(),
            Self::NotReady { .. } | Self::Webhook { .. } => ErrorClass::Mesh,
        }
    }
}

/// Install values of the profile `stock`.
const VALUES: &str = include_str!("../../../fixtures/mesh/istio.yaml");
/// Settings that the profile `full` enables again.
const FULL: &[&str] = &[
    "values.telemetry.enabled=true",
    "values.pilot.env.PILOT_ENABLE_ALPN_FILTER=true",
    "values.pilot.env.PILOT_ENABLE_METADATA_EXCHANGE=true",
    "values.pilot.env.PILOT_DISABLE_MX_ALPN=false",
];

/// How Istio is to be installed.
#[derive(Debug, Clone, Copy)]
pub struct Installation<'a> {
    /// Registry and path of the images. `None`: those of istioctl's release.
    pub hub: Option<&'a str>,
    /// Tag of the images. `None`: that of istioctl's release.
    pub tag: Option<&'a str>,
    pub profile: Profile,
}

impl Installation<'_> {
    /// Everything that determines the objects, besides istioctl.
    pub fn inputs(&self) -> Vec<String> {
        let values = std::iter::once(VALUES.to_owned());
        values.chain(self.sets()).collect()
    }

    /// The objects of the installation, as istioctl generates them from our values.
    ///
    /// # Errors
    /// istioctl fails or its output cannot be parsed.
    pub async fn manifests(&self, istioctl: &Path) -> Result<Vec<Value>, InstallError> {
        let mut command = Command::new(istioctl);
        command.args(["manifest", "generate", "-f", "-"]);
        for set in self.sets() {
            command.args(["--set", &set]);
        }
        generate(command, istioctl).await
    }

    fn sets(&self) -> Vec<String> {
        let images = [("hub", self.hub), ("tag", self.tag)];
        let images = images
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key}={}", value?)));
        let full = FULL.iter().filter(|_| self.profile == Profile::Full);
        images.chain(full.map(|&set| set.to_owned())).collect()
    }
}

async fn generate(mut command: Command, istioctl: &Path) -> Result<Vec<Value>, InstallError> {
    let failed = |error: std::io::Error| {
        InstallError::Istioctl(format!("cannot run {}: {error}", istioctl.display()))
    };
    let mut child = command
        .env("KUBECONFIG", "/dev/null") // istioctl asks a cluster for its version when it finds one
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(VALUES.as_bytes()).await.map_err(failed)?;
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    if !output.status.success() {
        return Err(InstallError::Istioctl(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    documents(&text)
}

/// Applies an installation and waits until it is ready for work.
///
/// # Errors
/// [`InstallError`] with the last state of whatever is not ready.
pub async fn install(
    client: &Client,
    objects: &[Value],
    watch: &PodWatch,
) -> Result<(), InstallError> {
    apply(client, objects).await?;
    await_ready(client, watch).await
}

/// Applies an installation. What can run concurrently does: see [`Wave`].
///
/// # Errors
/// [`InstallError::Object`].
pub async fn apply(client: &Client, objects: &[Value]) -> Result<(), InstallError> {
    object::install(client, &namespace(), None).await?;
    let of = |wave: Wave| -> Vec<&Value> {
        objects
            .iter()
            .filter(|object| wave_of(object) == wave)
            .collect()
    };
    // istiod starts while the API server is still busy with the CRDs, and watches for those that
    // appear later.
    apply_all(client, &of(Wave::Needed)).await?;
    let (workloads, definitions) = (of(Wave::Workloads), of(Wave::Definitions));
    tokio::try_join!(
        apply_all(client, &workloads),
        apply_all(client, &definitions),
    )?;
    apply_all(client, &of(Wave::Custom)).await?;
    Ok(())
}

/// Waits until istiod, its webhook and the gateway are ready.
///
/// # Errors
/// [`InstallError`] with the last state of whatever is not ready.
pub async fn await_ready(client: &Client, watch: &PodWatch) -> Result<(), InstallError> {
    let limit = timeouts().mesh.install;
    ready(client, watch, "istiod", "istiod", limit).await?;
    await_webhook(client).await?;
    ready(client, watch, GATEWAY, "the ingress gateway", limit).await
}

fn namespace() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
}

/// A group of objects that are applied concurrently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wave {
    /// Accounts, roles, configuration, Services, which workloads and webhooks refer to.
    Needed,
    Workloads,
    /// CustomResourceDefinitions.
    Definitions,
    /// Custom resources.
    Custom,
}

fn wave_of(object: &Value) -> Wave {
    let kind = object["kind"].as_str().unwrap_or_default();
    let group = object["apiVersion"].as_str().unwrap_or_default();
    match kind {
        "Deployment" | "DaemonSet" => Wave::Workloads,
        "CustomResourceDefinition" => Wave::Definitions,
        _ if group.contains("istio.io") => Wave::Custom,
        _ => Wave::Needed,
    }
}

async fn apply_all(client: &Client, objects: &[&Value]) -> Result<(), ObjectError> {
    stream::iter(
        objects
            .iter()
            .map(|object| object::install(client, object, Some(NAMESPACE))),
    )
    .buffer_unordered(16)
    .try_for_each(|_| async { Ok(()) })
    .await
}

async fn ready(
    client: &Client,
    watch: &PodWatch,
    app: &str,
    what: &'static str,
    limit: Duration,
) -> Result<(), InstallError> {
    let of_app = |pods: &[Pod]| -> Vec<_> {
        pods.iter()
            .filter(|pod| pods::label(pod, "app") == Some(app))
            .cloned()
            .collect()
    };
    let done = watch
        .until(NAMESPACE, limit, |pods| {
            of_app(pods).iter().any(pods::is_ready)
        })
        .await;
    match done {
        Ok(_) => Ok(()),
        Err(last) => Err(InstallError::NotReady {
            what,
            limit,
            last: pods::describe(client, &of_app(&last)).await,
        }),
    }
}

/// A pod created while the webhook does not answer is rejected, and its ReplicaSet backs off for
/// tens of seconds. So the webhook is checked first, with a dry run of a pod that asks for
/// injection.
async fn await_webhook(client: &Client) -> Result<(), InstallError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), "default");
    let pod = serde_json::from_value(json!({
        "metadata": {"generateName": "webhook-", "labels": {"sidecar.istio.io/inject": "true"}},
        "spec": {"containers": [{"name": "probe", "image": "none"}]},
    }));
    let pod = pod.map_err(|error| InstallError::Manifests(error.to_string()))?;
    let limit = timeouts().mesh.webhook;
    let waited = wait::until(limit, async |_| Ok(injects(&api, &pod).await));
    waited.await.map_err(|error| {
        error.or_late(|late| InstallError::Webhook {
            limit,
            last: late.last_seen,
        })
    })
}

/// Whether the webhook injects the sidecar into a pod.
async fn injects(api: &Api<Pod>, pod: &Pod) -> Look<()> {
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match api.create(&params, pod).await {
        Ok(made) if is_injected(&made) => Look::Met(()),
        Ok(_) => Look::Unmet("the pod was returned without a sidecar".to_owned()),
        Err(error) => Look::Unmet(error.to_string()),
    }
}

/// The documents of a manifest file, without empty ones.
///
/// # Errors
/// If it is not valid YAML.
pub fn documents(text: &str) -> Result<Vec<Value>, InstallError> {
    use serde::Deserialize as _;
    let all = serde_yaml::Deserializer::from_str(text).map(Value::deserialize);
    let all: Result<Vec<Value>, _> = all.collect();
    Ok(all
        .map_err(|error| InstallError::Manifests(error.to_string()))?
        .into_iter()
        .filter(|object| !object.is_null())
        .collect())
}
