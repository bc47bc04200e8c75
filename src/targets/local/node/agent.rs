//! The node's main task: runs the watches, passes events to the pods' workers, and binds unbound
//! pods.
//!
//! There is no scheduler and only one node, so an unbound pod is bound to it as soon as it is seen,
//! unless its nodeSelector asks for another node or a scheduling gate holds it back.

use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::{
    Api, Resource,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    config::{NodeConfig, NodeError, Shared},
    events::{EventSink, Weight},
    ipam::Ipam,
    loadbalancer,
    memory::Memory,
    message::Message,
    network,
    pod_table::PodTable,
    register, socket,
    source::{self, SourceKey, SourceKind},
    sources::Sources,
    steps,
    worker::Worker,
};

/// Runs the node until `shutdown` or until it fails.
///
/// # Errors
/// If the node cannot register, create its socket or reach the world's links. Problems of single
/// pods are reported in their statuses and events.
pub async fn run(cfg: NodeConfig, shutdown: CancellationToken) -> Result<(), NodeError> {
    let node = cfg.node_name.clone();
    let io = |what: &str| {
        let (node, what) = (node.clone(), what.to_owned());
        move |source| NodeError::Io { node, what, source }
    };
    std::fs::create_dir_all(cfg.state_dir.join("pods")).map_err(io("create its directory"))?;
    network::enable_forwarding().map_err(io("forward packets"))?;
    let (connection, netlink, _) = rtnetlink::new_connection().map_err(io("open netlink"))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let [a, b, c] = loadbalancer::NETWORK;
    let [service_a, service_b, ..] = cfg.api_server.ip().octets();
    for (network, prefix) in [([service_a, service_b, 0, 0], 16), ([a, b, c, 0], 24)] {
        network::route_services(&netlink, network.into(), prefix, cfg.node_ip)
            .await
            .map_err(io("route to Services"))?;
    }
    let listener = socket::bind(&cfg.socket).map_err(io("listen on its socket"))?;
    let shared = Arc::new(Shared {
        ipam: Ipam::new(cfg.pod_cidr),
        events: EventSink::start(cfg.client.clone(), &cfg.node_name),
        sources: Sources::default(),
        running: PodTable::default(),
        memory: Memory::default(),
        netlink,
        cfg,
    });
    register::node(&shared.cfg).await?;
    tasks.spawn(register::keep_alive(shared.clone()));
    tasks.spawn({
        let shared = shared.clone();
        async move { shared.memory.guard().await }
    });
    tasks.spawn(socket::serve(listener, shared.clone()));
    tasks.spawn(loadbalancer::serve(shared.clone()));
    tasks.spawn(follow_config_maps(shared.clone()));
    tasks.spawn(follow_secrets(shared.clone()));
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = follow_pods(shared) => {}
    }
    tasks.abort_all();
    Ok(())
}

/// All events of one kind of object; the stream restarts as often as needed.
pub(super) fn events<K>(api: Api<K>) -> impl futures::Stream<Item = Event<K>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher::watcher(api, watcher::Config::default())
        .default_backoff()
        .inspect_err(|error| tracing::warn!(%error, "a watch was interrupted"))
        .filter_map(|event| async move { event.ok() })
}

async fn follow_pods(shared: Arc<Shared>) {
    let mut agent = Agent {
        shared: shared.clone(),
        pods: HashMap::new(),
        listed: None,
        workers: JoinSet::new(),
    };
    let mut stream = std::pin::pin!(events(Api::<Pod>::all(shared.cfg.client.clone())));
    loop {
        tokio::select! {
            event = stream.next() => match event {
                Some(event) => agent.take(event),
                None => return,
            },
            Some(ended) = agent.workers.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "a pod's worker panicked");
            }
        }
    }
}

struct Agent {
    shared: Arc<Shared>,
    /// Senders to the workers, by pod UID. A pod whose worker has ended stays until its object is
    /// deleted.
    pods: HashMap<String, mpsc::UnboundedSender<Message>>,
    /// The UIDs seen so far in a list that is in progress.
    listed: Option<HashSet<String>>,
    workers: JoinSet<()>,
}

impl Agent {
    fn take(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.listed = Some(HashSet::new()),
            Event::InitApply(pod) => {
                if let (Some(listed), Some(uid)) = (&mut self.listed, &pod.metadata.uid) {
                    listed.insert(uid.clone());
                }
                self.apply(pod);
            }
            Event::InitDone => {
                if let Some(listed) = self.listed.take() {
                    let missing: Vec<String> = self
                        .pods
                        .keys()
                        .filter(|uid| !listed.contains(*uid))
                        .cloned()
                        .collect();
                    for uid in missing {
                        self.gone(&uid);
                    }
                }
            }
            Event::Apply(pod) => self.apply(pod),
            Event::Delete(pod) => self.gone(pod.metadata.uid.as_deref().unwrap_or_default()),
        }
    }

    fn gone(&mut self, uid: &str) {
        if let Some(worker) = self.pods.remove(uid) {
            let _ = worker.send(Message::Gone);
        }
    }

    fn apply(&mut self, mut pod: Pod) {
        let Some(uid) = pod.metadata.uid.clone() else {
            return;
        };
        if let Some(worker) = self.pods.get(&uid) {
            if pod
                .spec
                .as_ref()
                .is_some_and(|spec| spec.node_name.is_some())
            {
                let _ = worker.send(Message::Pod(Arc::new(pod)));
            }
            return;
        }
        let bound = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        match bound {
            Some(node) if node != self.shared.cfg.node_name => return,
            Some(_) => {}
            None if !self.suits(&pod) => return,
            None => {
                self.workers
                    .spawn(register::bind(self.shared.clone(), pod.clone()));
                if let Some(spec) = &mut pod.spec {
                    spec.node_name = Some(self.shared.cfg.node_name.clone());
                }
            }
        }
        let pod = Arc::new(pod);
        if steps::over(&pod) && pod.metadata.deletion_timestamp.is_none() {
            return;
        }
        let (worker, tell, hear) = Worker::new(self.shared.clone(), pod);
        self.pods.insert(uid, tell);
        self.workers.spawn(worker.run(hear));
    }

    /// Whether the pod may be bound to this node now.
    fn suits(&self, pod: &Pod) -> bool {
        let Some(spec) = &pod.spec else { return false };
        if spec
            .scheduling_gates
            .as_ref()
            .is_some_and(|gates| !gates.is_empty())
        {
            return false;
        }
        let labels = register::labels(&self.shared.cfg);
        let missing: Vec<String> = spec
            .node_selector
            .iter()
            .flatten()
            .filter(|(key, value)| labels.get(*key) != Some(value))
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        if !missing.is_empty() {
            let note = format!(
                "0/1 nodes are available: node {} lacks {}",
                self.shared.cfg.node_name,
                missing.join(", ")
            );
            self.shared
                .events
                .report(pod, Weight::Warning, "FailedScheduling", note);
        }
        missing.is_empty()
    }
}

async fn follow_config_maps(shared: Arc<Shared>) {
    let stream = events(Api::<ConfigMap>::all(shared.cfg.client.clone()));
    stream
        .for_each(|event| async {
            changed(
                &shared,
                event,
                SourceKind::ConfigMap,
                source::config_map_data,
            )
        })
        .await;
}

async fn follow_secrets(shared: Arc<Shared>) {
    let stream = events(Api::<Secret>::all(shared.cfg.client.clone()));
    stream
        .for_each(|event| async {
            changed(&shared, event, SourceKind::Secret, source::secret_data)
        })
        .await;
}

fn changed<K: Resource>(
    shared: &Shared,
    event: Event<K>,
    kind: SourceKind,
    read: fn(K) -> source::Data,
) {
    let (object, there) = match event {
        Event::Apply(object) | Event::InitApply(object) => (object, true),
        Event::Delete(object) => (object, false),
        Event::Init | Event::InitDone => return,
    };
    let meta = object.meta();
    let (Some(namespace), Some(name)) = (meta.namespace.clone(), meta.name.clone()) else {
        return;
    };
    shared
        .sources
        .publish(&namespace, SourceKey { kind, name }, || {
            there.then(|| read(object))
        });
}
