//! Watches the pods of one namespace, and returns what is known of them when a run of a probe is
//! judged.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt as _, api::LogParams};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, interval, timeout},
};

use super::{
    api::ApiPulse,
    history::{Ended, History, Roles},
    pulse::{Answer, BEAT, Beats, Heartbeat, hearts},
};
use crate::{
    cluster::pod_watch::{PodView, PodWatch},
    errors::Trouble,
    mesh::istio::{discovery, injection::PROXY, install},
    timeouts::timeouts,
    transport::PodDialer,
    verdict::guard::{Ending, Stalled},
};

/// Watches the pods of a namespace until dropped.
pub struct Guard {
    state: Arc<Mutex<State>>,
    view: PodView,
    dial: PodDialer,
    client: Client,
    namespace: String,
    tasks: [JoinHandle<()>; 2],
}

/// The parts of the mesh and the cluster that every scenario shares.
pub struct Guards {
    pub gateways: Guard,
    pub istiod: Guard,
    pub dns: Guard,
    pub api: ApiPulse,
    _pods: [PodWatch; 3],
}

impl Guards {
    /// Watches the ingress gateway, istiod and the cluster's DNS.
    pub fn start(client: &Client, dial: &PodDialer) -> Self {
        let roles = || Roles {
            mesh: true,
            ..Roles::default()
        };
        let selected = |namespace, selector| PodWatch::within(client, namespace, selector);
        let gateways = selected(install::NAMESPACE, discovery::GATEWAY);
        let istiod = selected(install::NAMESPACE, discovery::ISTIOD);
        let dns = selected("kube-system", "k8s-app=kube-dns");
        let guard = |pods: &PodWatch, namespace: &str, roles| {
            Guard::start(pods, client, dial, namespace, roles)
        };
        Self {
            gateways: guard(&gateways, install::NAMESPACE, roles()),
            istiod: guard(&istiod, install::NAMESPACE, roles()),
            dns: guard(&dns, "kube-system", Roles::default()),
            api: ApiPulse::start(client),
            _pods: [gateways, istiod, dns],
        }
    }
}

#[derive(Default)]
struct State {
    history: History,
    beats: Beats,
}

/// What happened to the pods since some moment.
#[derive(Debug, Clone, Default)]
pub struct Guarded {
    pub ended: Vec<Ended>,
    pub stalls: Vec<Stalled>,
    pub unready: Vec<Trouble>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Guard {
    /// Starts watching the pods of `namespace` in `pods`.
    pub fn start(
        pods: &PodWatch,
        client: &Client,
        dial: &PodDialer,
        namespace: &str,
        roles: Roles,
    ) -> Self {
        let history = History::new(roles);
        let state = State {
            history,
            ..State::default()
        };
        let state = Arc::new(Mutex::new(state));
        let seeing = tokio::spawn(see(Arc::clone(&state), pods.view(namespace)));
        let beating = tokio::spawn(beat(Arc::clone(&state), pods.view(namespace), dial.clone()));
        Self {
            state,
            view: pods.view(namespace),
            dial: dial.clone(),
            client: client.clone(),
            namespace: namespace.to_owned(),
            tasks: [seeing, beating],
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// From now on a step may delete pods of this workload (`*`: of any) or make them unready.
    pub fn ask(&self, workload: &str) {
        self.state().history.ask(workload);
    }

    /// Records that the scenario asserts how many pods of this workload are ready.
    pub fn claim_readiness(&self, workload: &str) {
        self.state().history.claim_readiness(workload);
    }

    /// Returns what happened to the pods since `start`.
    pub fn since(&self, start: Instant) -> Guarded {
        // Read under the lock: an older state must not be recorded after a newer one.
        let mut state = self.state();
        let pods = self.view.pods();
        state.history.see(&pods, Instant::now());
        let (history, beats) = (&state.history, &state.beats);
        let ended = history.ended.iter().filter(|ended| ended.at >= start);
        Guarded {
            ended: ended.cloned().collect(),
            stalls: beats.since(start, Instant::now(), |uid| stays(&pods, uid)),
            unready: history.unready_since(start),
        }
    }

    /// Like [`Self::since`], but includes everything that happened before now. Asks every program
    /// for its uptime. If one is not the process that ran at `start`, waits until its termination
    /// is reported.
    pub async fn settled(&self, start: Instant) -> Guarded {
        let hearts = self.hearts();
        let asked = Instant::now();
        let answers = join_all(hearts.iter().map(|heart| async {
            let answer = heart.up().await;
            (answer, Instant::now())
        }));
        let answers = answers.await;
        for (heart, (answer, at)) in hearts.iter().zip(&answers) {
            if *answer != Answer::Gone {
                self.state().beats.slow(&heart.who, asked, *at);
            }
        }
        let runs = |(answer, at): &(Answer, Instant)| match answer {
            Answer::Runs(Some(up)) => *up >= *at - start,
            Answer::Runs(None) | Answer::Silent => true,
            Answer::Gone => false,
        };
        if !answers.iter().all(runs) {
            let reported = async {
                let mut view = self.view.clone();
                while self.since(start).ended.is_empty() && view.changed().await {}
            };
            let _ = timeout(timeouts().run.end_told, reported).await;
        }
        self.read_logs().await;
        self.since(start)
    }

    fn hearts(&self) -> Vec<Heartbeat> {
        let (state, pods) = (self.state(), self.view.pods());
        let roles = state.history.roles();
        pods.iter()
            .flat_map(|pod| hearts(pod, roles, &self.dial))
            .collect()
    }

    /// Istio's agent runs Envoy and exits with it, with an exit code of its own. Only its log
    /// says how Envoy ended.
    async fn read_logs(&self) {
        let open =
            |ended: &Ended| ended.container == PROXY && matches!(ended.death.how, Ending::Code(_));
        let all: Vec<Ended> = self
            .state()
            .history
            .ended
            .iter()
            .filter(|one| open(one))
            .cloned()
            .collect();
        for ended in all {
            let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
            let params = LogParams {
                container: Some(PROXY.to_owned()),
                previous: true,
                tail_lines: Some(50),
                ..LogParams::default()
            };
            let log = timeout(timeouts().run.last_log, api.logs(&ended.pod, &params)).await;
            let Some(signal) = log.ok().and_then(Result::ok).as_deref().and_then(signal) else {
                continue;
            };
            let mut state = self.state();
            let same = state
                .history
                .ended
                .iter_mut()
                .filter(|one| one.pod == ended.pod && one.at == ended.at && open(one));
            same.for_each(|one| one.death.how = Ending::Signal(signal));
        }
    }
}

/// Returns the signal that ended the proxy, from the text of Go's `os.ProcessState` ("Epoch 0
/// exited with error: signal: killed").
fn signal(log: &str) -> Option<i32> {
    const WORDS: [(&str, i32); 10] = [
        ("hangup", 1),
        ("interrupt", 2),
        ("illegal instruction", 4),
        ("trace/breakpoint trap", 5),
        ("aborted", 6),
        ("bus error", 7),
        ("floating point exception", 8),
        ("killed", 9),
        ("segmentation fault", 11),
        ("terminated", 15),
    ];
    let (_, answer) = log.rsplit_once("exited with error: signal: ")?;
    let known = WORDS.iter().find(|(word, _)| answer.starts_with(word));
    known.map(|(_, signal)| *signal)
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn see(state: Arc<Mutex<State>>, mut view: PodView) {
    loop {
        {
            let mut state = lock(&state);
            state.history.see(&view.pods(), Instant::now());
        }
        if !view.changed().await {
            return;
        }
    }
}

/// Whether the pod with this UID exists and is not being deleted.
fn stays(pods: &[Arc<Pod>], uid: &str) -> bool {
    let mut same = pods.iter().filter(|pod| pod.uid().as_deref() == Some(uid));
    same.any(|pod| pod.metadata.deletion_timestamp.is_none())
}

/// Polls every program of the ready pods at every beat.
async fn beat(state: Arc<Mutex<State>>, view: PodView, dial: PodDialer) {
    let mut beats = interval(BEAT);
    let mut asked = JoinSet::new();
    loop {
        beats.tick().await;
        while asked.try_join_next().is_some() {}
        let pods = view.pods();
        let roles = lock(&state).history.roles().clone();
        for heart in pods.iter().flat_map(|pod| hearts(pod, &roles, &dial)) {
            if lock(&state)
                .beats
                .ask(&heart.who, &heart.uid, Instant::now())
            {
                let (state, view) = (Arc::clone(&state), view.clone());
                asked.spawn(async move {
                    let answer = heart.beat().await;
                    // A pod that is being deleted need not answer.
                    let answer = match stays(&view.pods(), &heart.uid) {
                        true => answer,
                        false => Answer::Gone,
                    };
                    lock(&state).beats.back(&heart.who, answer, Instant::now());
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::signal;

    #[rstest::rstest]
    #[case(
        "error\tEpoch 0 exited with error: signal: killed\ninfo\tNo more active epochs, terminating",
        Some(9)
    )]
    #[case(
        "Epoch 0 exited with error: signal: segmentation fault (core dumped)",
        Some(11)
    )]
    #[case("Epoch 0 exited with error: exit status 1", None)]
    #[case("", None)]
    fn the_agent_says_how_envoy_ended(#[case] log: &str, #[case] ended: Option<i32>) {
        assert_eq!(signal(log), ended);
    }
}
