//! A run's hold on a target: its label, its watch of pods, its door for configuration, its control server.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use testbed::stall::Watch;

use super::{
    context::Context,
    place::{Place, PlaceError},
    recorder::Recorder,
    telemetry::Istioctl,
    tidy::Tidy,
};
use crate::{
    cluster::{
        object::RUN_LABEL,
        pods::{self, PodWatch},
    },
    fixture::files,
    mesh::istio::{
        install,
        live::{Applier, Proxy},
    },
    mutation::Mutation,
    observe::{envoy::ADMIN_PORT, http::Port},
    report::{Bundle, Redactor},
    scenario::model::Workload,
    target::Dial,
    verdict::Rates,
};

/// istiod's debug interface, on the pod's loopback.
pub(super) const ISTIOD_DEBUG_PORT: u16 = 8080;

/// Why a run cannot begin on a target that is up.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("cannot list the pods of {namespace}: {source}")]
    List {
        namespace: &'static str,
        source: Box<kube::Error>,
    },
    #[error("no ready pod {selector} in {namespace}: is Istio installed with an ingress gateway?")]
    Missing {
        selector: &'static str,
        namespace: &'static str,
    },
    #[error("the control server: {0}")]
    Control(String),
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    #[error("the control server: {0}")]
    Place(#[from] PlaceError),
}

/// What a run decides about the target.
pub struct Terms {
    pub run_id: String,
    pub rates: Rates,
    pub tidy: Tidy,
    pub keep_failed: bool,
    pub mutation: Option<Mutation>,
    pub redactor: Redactor,
    pub istioctl: Option<Istioctl>,
}

/// A run on a target.
pub struct Session {
    pub ctx: Arc<Context>,
    control: Place,
}

impl Session {
    /// Finds the mesh's parts and starts the control server.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn open(
        client: Client,
        dial: Dial,
        recorder: Recorder,
        bundle: Option<Bundle>,
        terms: Terms,
    ) -> Result<Self, SessionError> {
        let istiod = ready_pods(&client, "app=istiod").await?.remove(0);
        let port = |pod: &str, port| Port {
            dial: dial.clone(),
            namespace: install::NAMESPACE.to_owned(),
            pod: pod.to_owned(),
            port,
        };
        let gateways = ready_pods(&client, "istio=ingressgateway").await?;
        let gateways = gateways
            .iter()
            .map(|pod| Proxy {
                admin: port(pod, ADMIN_PORT),
                gateway: true,
            })
            .collect();
        let selector = format!("{RUN_LABEL}={}", terms.run_id);
        let ctx = Arc::new(Context {
            applier: Applier::start(client.clone(), port(&istiod, ISTIOD_DEBUG_PORT)),
            pods: PodWatch::start(&client, &selector),
            control: format!("control.mp-{}-0-control:50051", terms.run_id),
            gateways,
            client,
            dial,
            recorder,
            watchdog: Watch::of_machine().map_err(SessionError::Thread)?,
            rates: terms.rates,
            run_id: terms.run_id,
            bundle,
            tidy: terms.tidy,
            keep_failed: terms.keep_failed,
            mutation: terms.mutation,
            redactor: terms.redactor,
            istioctl: terms.istioctl,
        });
        let control = control(&ctx).await?;
        Ok(Self { ctx, control })
    }

    /// Removes what the run made for itself.
    pub async fn close(self) {
        if self.ctx.tidy == Tidy::Deleted {
            // The namespace carries the run's label: `target status` shows it if this fails.
            let _ = self.control.remove(&self.ctx, &[]).await;
        }
    }
}

async fn control(ctx: &Context) -> Result<Place, SessionError> {
    let (file, text) = files::shared("greeter").map_err(SessionError::Control)?;
    let documents = crate::yaml::documents(&text)
        .map_err(|error| SessionError::Control(format!("{file}: {error}")))?;
    let workload = Workload {
        sidecar: Some(false),
        ..Workload::named("control", "greeter")
    };
    let documents = documents
        .into_iter()
        .map(|document| document.value)
        .collect();
    Ok(Place::make(ctx, "control", 0, &[(workload, documents)], false).await?)
}

async fn ready_pods(client: &Client, selector: &'static str) -> Result<Vec<String>, SessionError> {
    let namespace = install::NAMESPACE;
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let list = api.list(&ListParams::default().labels(selector)).await;
    let list = list.map_err(|source| SessionError::List {
        namespace,
        source: Box::new(source),
    })?;
    let ready: Vec<String> = list
        .iter()
        .filter(|pod| pods::is_ready(pod))
        .map(|pod| pod.name_any())
        .collect();
    if ready.is_empty() {
        Err(SessionError::Missing {
            selector,
            namespace,
        })
    } else {
        Ok(ready)
    }
}
