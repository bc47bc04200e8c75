//! A run's session on a target: its label, pod watches, configuration applier and control server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use testbed::stall::StallDetector;

use super::{
    context::{CleanupPolicy, Mesh, RunContext, SessionOptions},
    guard::Guards,
    namespace::{
        control, create::Held, error::NamespaceError, give_back, mutated, pool::Pool,
        scenario_namespace::ScenarioNamespace,
    },
    target_lost::TargetLost,
    warm_pool::WarmPool,
};
use crate::{
    cluster::{
        lease, namespaces,
        object::{ObjectError, RUN_LABEL, Written},
        pod_watch::PodWatch,
        runs::{self, CONTROL_SCENARIO as CONTROL, SweepScope, Swept},
        writer::Writer,
    },
    errors::{Classified, ErrorClass, chain},
    event::{EventKind, recorder::Recorder},
    evidence::{bundle::Bundle, redact::Redactor},
    mesh::istio::{
        discovery::IstioEndpoints,
        injection,
        propagation::{applier::Applier, change::PropagationError, marker},
    },
    scenario::{
        model::Workload,
        workload_file::{self, WorkloadFileError},
    },
    targets::TargetAccess,
    timeouts::timeouts,
    yaml::{self, YamlError},
};

/// An error starting a run on a target that is up.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("cannot load the workload of the control server")]
    Workload(#[source] WorkloadFileError),
    #[error("cannot load the workload of the control server: {file}")]
    Documents { file: String, source: YamlError },
    #[error("cannot create the run's control namespace")]
    Namespace(#[source] ObjectError),
    #[error(
        "cannot create the run's {what} (docs/targets.md lists the permissions that a run needs)"
    )]
    Records {
        what: &'static str,
        source: Box<kube::Error>,
    },
    #[error("cannot create the run's Gateway for the ingress gateway")]
    Entry(#[source] ObjectError),
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    #[error("cannot start the control server")]
    Place(#[from] NamespaceError),
    #[error("cannot mutate the shared gateway")]
    Mutation(#[source] PropagationError),
}

impl Classified for SessionError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Workload(_) | Self::Documents { .. } => ErrorClass::Input,
            Self::Namespace(error) | Self::Entry(error) => error.class(),
            Self::Records { source, .. } => source.class(),
            Self::Thread(_) => ErrorClass::Machine,
            Self::Place(error) => error.class(),
            Self::Mutation(error) => error.class(),
        }
    }
}

/// What outlives a session: the report directory, the redactor and the state of the target.
#[derive(Default)]
pub struct Kept {
    pub bundle: Option<Bundle>,
    pub redactor: Redactor,
    pub lost: TargetLost,
    /// What an earlier run on the same mesh has left: this one goes on in its name.
    pub warm: Option<WarmPool>,
}

/// How many more namespaces than scenarios that run at the same time are kept for later ones.
const SPARE: usize = 1;

/// A run on a target.
pub struct Session {
    pub ctx: Arc<RunContext>,
    lease: Option<lease::Held>,
    /// The control namespace, as soon as there is one.
    control: Option<Written>,
    /// What an earlier run has left, until it is taken over.
    warm: Option<WarmPool>,
    /// The objects that break the shared gateway.
    broken: Vec<Written>,
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every verdict is known, and the target belongs to meshproof: deletion may complete after
    /// the process has exited.
    Done,
    /// Deletion must be complete before the process exits, because the cluster belongs to someone
    /// else or the run was interrupted.
    Watched,
}

impl Session {
    /// Starts the run's watches. Writes nothing to the cluster.
    ///
    /// # Errors
    /// [`SessionError::Thread`].
    pub fn new(
        ready: &TargetAccess,
        found: IstioEndpoints,
        recorder: Recorder,
        kept: Kept,
        mut terms: SessionOptions,
    ) -> Result<Self, SessionError> {
        let (mut epoch, mut namespaces, mut planned) = (0, 0, 0);
        if let Some(warm) = &kept.warm {
            terms.run_id = warm.run.clone();
            (epoch, namespaces, planned) = (warm.epoch, warm.namespaces, warm.scenarios);
        }
        let selector = format!("{RUN_LABEL}={}", terms.run_id);
        let own = runs::control(&terms.run_id);
        let writer = Writer::new(&ready.client, &terms.run_id);
        let client = ready.client.clone();
        let ctx = Arc::new(RunContext {
            mesh: Mesh {
                applier: Applier::start(writer.clone(), found.control_planes, own.clone(), epoch),
                istioctl: ready.istioctl.clone(),
                gateways: found.gateways,
                control: format!("{CONTROL}.{own}:{}", injection::CONTROL_SERVICE_PORT),
            },
            writer,
            pods: PodWatch::start(&client, &selector),
            guards: Guards::start(&client, &ready.dial),
            pool: Pool::new(terms.jobs + terms.jobs / 2 + SPARE, namespaces),
            client,
            dialer: ready.dial.clone(),
            lost: kept.lost,
            recorder,
            watchdog: StallDetector::of_machine().map_err(SessionError::Thread)?,
            bundle: kept.bundle,
            redactor: kept.redactor,
            overrides: ready.overrides.clone(),
            planned: AtomicUsize::new(planned),
            session: terms,
        });
        Ok(Self {
            ctx,
            lease: None,
            control: None,
            warm: kept.warm,
            broken: Vec::new(),
        })
    }

    /// Removes leftovers of dead runs, acquires the run's Lease, and creates its journal, its
    /// control server and its Gateway for the ingress gateway, or takes these over.
    ///
    /// # Errors
    /// [`SessionError`]. [`Session::close`] removes what was created until then.
    pub async fn begin(&mut self) -> Result<(), SessionError> {
        let (ctx, run) = (&self.ctx, &self.ctx.session.run_id);
        if ctx.session.cleanup == CleanupPolicy::Deleted {
            sweep(ctx).await;
        }
        let name = runs::control(run);
        let root = match &self.warm {
            Some(warm) => {
                forget(ctx, &name)
                    .await
                    .map_err(records("Lease and journal"))?;
                warm.control.clone()
            }
            None => {
                let root = ctx.writer.claim(&name, CONTROL).await;
                root.map_err(SessionError::Namespace)?
            }
        };
        self.control = Some(root.clone());
        let recorder = ctx.recorder.clone();
        let tell = move |text| recorder.emit(EventKind::Note { text });
        let held = lease::hold(&ctx.client, &name, run, tell).await;
        self.lease = Some(held.map_err(records("Lease"))?);
        let journal = ctx.writer.journal().begin(run).await;
        journal.map_err(records("journal"))?;
        match &self.warm {
            Some(warm) if ctx.session.cleanup == CleanupPolicy::Deleted => {
                let unmarked = warm.mark(&ctx.client, false).await;
                unmarked.map_err(records("namespaces"))?;
            }
            Some(_) => {}
            None => control_place(ctx, root).await?,
        }
        // That the namespaces are clean is proven meanwhile.
        for idle in self.warm.take().into_iter().flat_map(|warm| warm.idle) {
            give_back::start_inherited(ctx, idle);
        }
        let broken = mutated::break_gateway(ctx, &name).await;
        self.broken = broken.map_err(SessionError::Mutation)?;
        Ok(())
    }

    /// Removes everything that the run created and that is not to be kept, including unfinished
    /// work. Emits a note for what cannot be removed and what blocks it. Verdicts do not change.
    ///
    /// Returns what stays for the next run.
    pub async fn close(mut self, ending: Ending) -> Option<WarmPool> {
        let ctx = &self.ctx;
        let stays = match self.control.take() {
            Some(control) if self.leaves(ending) => left(ctx, control).await,
            _ => {
                ctx.pool.close();
                None
            }
        };
        if ctx.lost.why().is_some() {
            return None; // the cluster is gone, with everything in it
        }
        // The beginning failed or was cancelled: its namespaces may still be marked as kept.
        if let Some(warm) = self.warm.take() {
            warm.remove(&ctx.client).await;
        }
        let control = runs::control(&ctx.session.run_id);
        if let Err(error) = mutated::mend_gateway(ctx, &control, self.broken).await {
            let text = format!(
                "cannot revert the mutation of the shared gateway: {}",
                chain(&error)
            );
            ctx.recorder.emit(EventKind::Note { text });
        }
        for text in left_outside(ctx).await {
            ctx.recorder.emit(EventKind::Note { text });
        }
        if ctx.session.cleanup != CleanupPolicy::Deleted {
            return stays;
        }
        let limit = match ending {
            Ending::Done if !ctx.writer.saw_finalizers() => Duration::ZERO,
            _ => timeouts().run.namespaces,
        };
        let ours = namespaces::of_run(&ctx.session.run_id);
        drop(self.lease);
        for left in namespaces::remove_all(&ctx.client, &ours, limit).await {
            let text = left.to_string();
            ctx.recorder.emit(EventKind::Note { text });
        }
        stays
    }

    /// Whether something stays for the next run.
    fn leaves(&self, ending: Ending) -> bool {
        let ctx = &self.ctx;
        ctx.session.leaves_pool && ending == Ending::Done && ctx.lost.why().is_none()
    }
}

/// What stays for the next run, marked so that nobody removes it.
async fn left(ctx: &RunContext, control: Written) -> Option<WarmPool> {
    let (idle, namespaces) = ctx.pool.leave().await;
    let pool = WarmPool::new(ctx.session.run_id.clone(), control, idle);
    let mut pool = pool
        .inspect_err(|error| tracing::warn!(%error, "nothing is left to the next run"))
        .ok()?;
    pool.epoch = ctx.mesh.applier.newest_epoch();
    pool.scenarios = ctx.planned.load(Ordering::Relaxed);
    pool.namespaces = namespaces;
    if ctx.session.cleanup != CleanupPolicy::Deleted {
        return Some(pool); // nobody removes anything
    }
    match pool.mark(&ctx.client, true).await {
        Ok(()) => Some(pool),
        Err(error) => {
            let text = format!("namespaces are not left to the next run: {}", chain(&error));
            ctx.recorder.emit(EventKind::Note { text });
            pool.remove(&ctx.client).await;
            None
        }
    }
}

/// Removes the records of the run in whose name this one goes on.
async fn forget(ctx: &RunContext, control: &str) -> Result<(), kube::Error> {
    lease::release(&ctx.client, control).await?;
    ctx.writer.journal().end().await
}

fn records(what: &'static str) -> impl FnOnce(kube::Error) -> SessionError {
    move |source| SessionError::Records {
        what,
        source: Box::new(source),
    }
}

/// Removes leftovers of dead runs, and emits notes of what was removed and what cannot be.
async fn sweep(ctx: &RunContext) {
    let swept = runs::sweep(&ctx.client, SweepScope::Dead, Duration::ZERO, false).await;
    let notes = match swept {
        Ok(swept) => {
            let removed = match swept.removed.is_empty() {
                true => None,
                false => Some(format!(
                    "removed leftovers of earlier runs that were killed: {}",
                    swept.removed.join(", ")
                )),
            };
            removed.into_iter().chain(swept.stays).collect()
        }
        Err(error) => vec![format!(
            "cannot look for leftovers of earlier runs: {}",
            chain(&error)
        )],
    };
    for text in notes {
        ctx.recorder.emit(EventKind::Note { text });
    }
}

/// Removes objects outside the scenarios' namespaces that abandoned scenarios left. Returns a
/// message for each one that cannot be removed.
async fn left_outside(ctx: &RunContext) -> Vec<String> {
    match ctx.writer.journal().entries().await {
        Ok(entries) => {
            runs::remove(
                &ctx.client,
                &ctx.session.run_id,
                entries,
                &mut Swept::default(),
            )
            .await
        }
        Err(error) => vec![chain(&error)],
    }
}

async fn control_place(ctx: &RunContext, root: Written) -> Result<(), SessionError> {
    let (file, text) = workload_file::shared("greeter").map_err(SessionError::Workload)?;
    let documents = yaml::documents(&text);
    let documents = documents.map_err(|source| SessionError::Documents { file, source })?;
    let workload = Workload {
        sidecar: Some(false),
        ..Workload::named(CONTROL, "greeter")
    };
    let documents = documents
        .into_iter()
        .map(|document| control::with_port(document.value))
        .collect();
    let ns = {
        let held = Held::nothing(root);
        ScenarioNamespace::populate(ctx, held, &[(workload, documents)], false, false).await?
    };
    let entry = marker::gateway(&ns.name);
    let recorded = ctx.writer.apply(&entry, ns.home()).await;
    recorded.map_err(SessionError::Entry)?;
    Ok(())
}
