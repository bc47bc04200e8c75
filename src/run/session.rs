//! A run's hold on a target: its label, its watch of pods, its door for configuration, its control server.

use std::sync::Arc;

use testbed::stall::Watch;

use super::{
    context::Context,
    control,
    event::Kind,
    guard::Guards,
    lost::Lost,
    mutated,
    place::{self, Place, PlaceError},
    recorder::Recorder,
    tidy::Tidy,
};
use crate::{
    cluster::{
        object::{self, ObjectError, RUN_LABEL, Written},
        pods::PodWatch,
    },
    fixture::files,
    mesh::istio::{
        found::Found,
        live::{Applier, LiveError},
        marker,
    },
    mutation::Mutation,
    report::{Bundle, Redactor},
    scenario::model::Workload,
    target::Ready,
    verdict::Rates,
};

/// Name of the run's own place, which has no scenario.
const CONTROL: &str = "control";

/// Why a run cannot begin on a target that is up.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("the control server: {0}")]
    Control(String),
    #[error("the run's entry at the ingress gateway: {0}")]
    Entry(ObjectError),
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    #[error("the control server: {0}")]
    Place(#[from] PlaceError),
    #[error("the mutation of the shared gateway: {0}")]
    Mutation(LiveError),
}

/// What a run decides about the target.
pub struct Terms {
    pub run_id: String,
    pub rates: Rates,
    pub tidy: Tidy,
    pub keep_failed: bool,
    pub mutation: Option<Mutation>,
    pub redactor: Redactor,
    /// Told when the target ends.
    pub lost: Lost,
}

/// A run on a target.
pub struct Session {
    pub ctx: Arc<Context>,
    control: Place,
    /// What breaks the shared gateway.
    broken: Vec<Written>,
}

impl Session {
    /// Starts the run's watches, its control server and its entry at the ingress gateway.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn open(
        ready: &Ready,
        found: Found,
        recorder: Recorder,
        bundle: Option<Bundle>,
        terms: Terms,
    ) -> Result<Self, SessionError> {
        let selector = format!("{RUN_LABEL}={}", terms.run_id);
        let own = place::name(&terms.run_id, 0, CONTROL);
        let client = ready.client.clone();
        let ctx = Arc::new(Context {
            applier: Applier::start(client.clone(), found.istiod, own.clone()),
            pods: PodWatch::start(&client, &selector),
            control: format!("{CONTROL}.{own}:{}", control::PORT),
            gateways: found.gateways,
            guards: Guards::start(&client, &ready.dial),
            client,
            dial: ready.dial.clone(),
            lost: terms.lost,
            recorder,
            watchdog: Watch::of_machine().map_err(SessionError::Thread)?,
            rates: terms.rates,
            run_id: terms.run_id,
            bundle,
            tidy: terms.tidy,
            keep_failed: terms.keep_failed,
            mutation: terms.mutation,
            redactor: terms.redactor,
            istioctl: ready.istioctl.clone(),
            fitting: ready.fitting.clone(),
        });
        let control = control_place(&ctx).await?;
        let broken = mutated::break_gateway(&ctx, &control.namespace).await;
        let broken = broken.map_err(SessionError::Mutation)?;
        Ok(Self {
            ctx,
            control,
            broken,
        })
    }

    /// Removes what the run made for itself.
    pub async fn close(self) {
        let mended = mutated::mend_gateway(&self.ctx, &self.control.namespace, self.broken).await;
        if let Err(error) = mended {
            let text = format!("the shared gateway stays mutated: {error}");
            self.ctx.recorder.emit(Kind::Note { text });
        }
        if self.ctx.tidy == Tidy::Deleted {
            // The namespace carries the run's label: `target status` shows it if this fails.
            let _ = self.control.remove(&self.ctx, &[]).await;
        }
    }
}

async fn control_place(ctx: &Context) -> Result<Place, SessionError> {
    let (file, text) = files::shared("greeter").map_err(SessionError::Control)?;
    let documents = crate::yaml::documents(&text)
        .map_err(|error| SessionError::Control(format!("{file}: {error}")))?;
    let workload = Workload {
        sidecar: Some(false),
        ..Workload::named(CONTROL, "greeter")
    };
    let documents = documents
        .into_iter()
        .map(|document| control::with_port(document.value))
        .collect();
    let place = Place::make(ctx, CONTROL, 0, &[(workload, documents)], false).await?;
    let entry = marker::gateway(&place.namespace);
    let made = object::apply(&ctx.client, &entry, None).await;
    made.map_err(SessionError::Entry)?;
    Ok(place)
}
