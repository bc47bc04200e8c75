//! One pod's worker: a task that receives everything about the pod and decides, with the pure
//! state machine, what to do next.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use super::{
    config::Shared,
    events::Weight,
    fields::Addresses,
    message::Message,
    prepare,
    process::{Exit, Process},
    publisher::Publisher,
    sandbox::Sandbox,
    source::{self, Known},
    state::PodState,
    status::StatusFacts,
    unsupported,
    volumes::{TokenKey, VolumeContext, tokens_needed},
};
use crate::errors::chain;

/// The part of a container's state that is not data: its process and tasks.
#[derive(Default)]
pub(super) struct Runtime {
    pub run: u32,
    pub process: Option<Process>,
    pub starting: Option<AbortHandle>,
    pub probes: Vec<AbortHandle>,
    pub began: Option<(Instant, Timestamp)>,
    /// The exit of a process whose start has not been reported yet.
    pub early_exit: Option<Exit>,
}

/// The worker of one pod.
pub(super) struct Worker {
    pub shared: Arc<Shared>,
    pub pod: Arc<Pod>,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub pod_dir: PathBuf,
    pub state: PodState,
    pub runtimes: Vec<Runtime>,
    pub sandbox: Option<Sandbox>,
    pub known: Arc<Known>,
    pub tokens: BTreeMap<TokenKey, String>,
    /// When tokens must be replaced. By the wall clock, as they expire: the other clocks stand
    /// still while the machine sleeps.
    pub refresh: HashMap<TokenKey, SystemTime>,
    /// The volumes are written; containers may start.
    pub prepared: bool,
    /// Since when a volume could not be provided, and why.
    pub lacking: Option<(Instant, String)>,
    pub facts: StatusFacts,
    pub publisher: Publisher,
    /// When the containers must have ended.
    pub stop_by: Option<tokio::time::Instant>,
    pub deadline: Option<Instant>,
    pub gone: bool,
    pub finished: bool,
    pub tell: mpsc::UnboundedSender<Message>,
    pub tasks: JoinSet<()>,
}

impl Worker {
    /// A worker for the pod, with the sender and the receiver of its messages; pass the receiver
    /// to `run`.
    pub fn new(
        shared: Arc<Shared>,
        pod: Arc<Pod>,
    ) -> (
        Self,
        mpsc::UnboundedSender<Message>,
        mpsc::UnboundedReceiver<Message>,
    ) {
        let (tell, hear) = mpsc::unbounded_channel();
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (namespace, name, uid) = (
            text(&pod.metadata.namespace),
            text(&pod.metadata.name),
            text(&pod.metadata.uid),
        );
        let spec = pod.spec.clone().unwrap_or_default();
        let state = PodState::new(&spec);
        let deadline = spec
            .active_deadline_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        let worker = Self {
            pod_dir: shared.pod_dir(&uid),
            runtimes: state.slots.iter().map(|_| Runtime::default()).collect(),
            facts: StatusFacts {
                node_ip: shared.cfg.node_ip,
                pod_ip: None,
                started_at: Timestamp::now(),
                failed: None,
            },
            publisher: Publisher::start(shared.clone(), pod.clone()),
            deadline: deadline.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
            sandbox: None,
            known: Arc::default(),
            tokens: BTreeMap::new(),
            refresh: HashMap::new(),
            prepared: false,
            lacking: None,
            stop_by: None,
            gone: false,
            finished: false,
            tasks: JoinSet::new(),
            tell: tell.clone(),
            shared,
            pod,
            namespace,
            name,
            uid,
            state,
        };
        (worker, tell, hear)
    }

    /// Runs as long as the pod exists.
    pub async fn run(mut self, mut hear: mpsc::UnboundedReceiver<Message>) {
        self.begin();
        loop {
            let wake = self.advance().await;
            if self.finished {
                return;
            }
            let nap = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = hear.recv() => match message {
                    Some(message) => self.take(message),
                    None => return,
                },
                () = nap => {}
            }
            while let Ok(message) = hear.try_recv() {
                self.take(message);
            }
            while self.tasks.try_join_next().is_some() {}
        }
    }

    /// Requests everything that the pod needs, all at once.
    fn begin(&mut self) {
        let names: Vec<String> = self
            .state
            .slots
            .iter()
            .map(|slot| slot.name.clone())
            .collect();
        self.shared
            .running
            .add(&self.namespace, &self.name, &self.uid, names.into_iter());
        let lacks = self
            .pod
            .spec
            .iter()
            .flat_map(|spec| unsupported::unsupported(spec, self.shared.cfg.machines_root));
        let lacks = lacks.collect::<Vec<_>>().join("; ");
        if !lacks.is_empty() {
            self.warn(unsupported::REASON, lacks.clone());
            self.state.refuse(unsupported::REASON, &lacks);
            return;
        }
        let (shared, pod, tell) = (self.shared.clone(), self.pod.clone(), self.tell.clone());
        self.tasks.spawn(async move {
            let _ = tell.send(Message::Sandbox(prepare::make_sandbox(&shared, &pod).await));
        });
        for key in self.pod.spec.iter().flat_map(source::needed) {
            self.shared
                .sources
                .subscribe(&self.namespace, &key, &self.uid, &self.tell);
            self.tasks.spawn(prepare::fetch_source(
                self.shared.clone(),
                self.namespace.clone(),
                key,
                self.tell.clone(),
            ));
        }
        for key in tokens_needed(&self.pod) {
            self.tasks.spawn(prepare::fetch_token(
                self.shared.clone(),
                self.pod.clone(),
                key,
                self.tell.clone(),
            ));
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Pod(pod) => {
                self.pod = pod;
                self.publisher.insist(self.pod.status.as_ref());
                if let Some(lacks) = unsupported::ephemeral(&self.pod) {
                    self.warn(unsupported::REASON, lacks);
                }
                if self.prepared && !self.state.terminating {
                    self.write_volumes();
                }
            }
            Message::Gone => self.gone = true,
            Message::Sandbox(Ok(sandbox)) => self.take_sandbox(sandbox),
            Message::Sandbox(Err(error)) => self.sandbox_failed(&error.to_string()),
            Message::Fetched(key, data) => {
                // a change that arrived meanwhile is newer than what was read
                Arc::make_mut(&mut self.known).entry(key).or_insert(data);
            }
            Message::Source(key, data) => {
                Arc::make_mut(&mut self.known).insert(key, data);
                self.retry_refused();
                if self.prepared && !self.state.terminating {
                    self.write_volumes();
                }
            }
            Message::Token {
                key,
                token,
                replace_after,
            } => {
                self.refresh
                    .insert(key.clone(), SystemTime::now() + replace_after);
                self.tokens.insert(key, token);
                if self.prepared && !self.state.terminating {
                    self.write_volumes();
                }
            }
            Message::Trouble(message) => self.warn("FailedMount", message),
            Message::Launched { slot, run, process } => self.launched(slot, run, process),
            Message::Started { slot, run } => self.started(slot, run),
            Message::HookFailed { slot, run, message } => self.hook_failed(slot, run, message),
            Message::Refused { slot, run, refusal } => self.refused(slot, run, refusal),
            Message::Exited { slot, run, exit } => self.exited(slot, run, exit),
            Message::Probed {
                slot,
                run,
                kind,
                verdict,
            } => self.probed(slot, run, kind, verdict),
        }
    }

    fn take_sandbox(&mut self, sandbox: Sandbox) {
        if let Err(error) = prepare::write_etc(&self.shared, &self.pod, &self.pod_dir, sandbox.ip) {
            self.warn(
                "FailedCreatePodSandBox",
                format!("{}: {error}", self.pod_dir.display()),
            );
        }
        self.facts.pod_ip = Some(sandbox.ip);
        self.shared.running.set_namespaces(
            &self.namespace,
            &self.name,
            &self.uid,
            Some(sandbox.namespaces.clone()),
        );
        self.sandbox = Some(sandbox);
    }

    /// Retries: links and addresses may be scarce for a moment.
    fn sandbox_failed(&mut self, error: &str) {
        self.warn(
            "FailedCreatePodSandBox",
            format!("cannot create the pod's network: {error}"),
        );
        let (shared, pod, tell) = (self.shared.clone(), self.pod.clone(), self.tell.clone());
        self.tasks.spawn(async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let _ = tell.send(Message::Sandbox(prepare::make_sandbox(&shared, &pod).await));
        });
    }

    /// Whether everything that was requested has arrived; then the volumes can be written.
    pub fn all_here(&self) -> bool {
        let needed = self.pod.spec.iter().flat_map(source::needed);
        let mut keys = needed.into_iter();
        self.sandbox.is_some()
            && keys.all(|key| self.known.contains_key(&key))
            && tokens_needed(&self.pod)
                .iter()
                .all(|key| self.tokens.contains_key(key))
    }

    /// Writes the current contents of the volumes; containers may start once that has succeeded.
    pub fn write_volumes(&mut self) -> bool {
        let addresses = self.addresses();
        let context = VolumeContext {
            pod: &self.pod,
            addresses,
            known: &self.known,
            tokens: &self.tokens,
        };
        match prepare::write_volumes(&context, &self.pod_dir) {
            Ok(()) => {
                self.lacking = None;
                true
            }
            Err(error) => {
                let message = chain(&error);
                self.warn("FailedMount", message.clone());
                let since = self.lacking.as_ref().map(|(since, _)| *since);
                self.lacking = Some((since.unwrap_or_else(Instant::now), message));
                false
            }
        }
    }

    pub fn addresses(&self) -> Addresses {
        let node = self.shared.cfg.node_ip;
        Addresses {
            pod: self.facts.pod_ip.unwrap_or(node),
            node,
        }
    }

    pub fn warn(&self, reason: &str, message: String) {
        tracing::debug!(namespace = self.namespace, pod = self.name, reason, message);
        self.shared
            .events
            .report(&self.pod, Weight::Warning, reason, message);
    }

    /// The container's spec by the index of its slot.
    pub fn container(&self, slot: usize) -> Container {
        let spec = self.pod.spec.iter();
        spec.flat_map(|spec| {
            spec.init_containers
                .iter()
                .flatten()
                .chain(&spec.containers)
        })
        .nth(slot)
        .cloned()
        .unwrap_or_default()
    }
}
