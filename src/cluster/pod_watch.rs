//! The pods of a run, in one watch for all scenarios.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

type Key = (String, String);

#[derive(Default)]
struct State {
    pods: BTreeMap<Key, Arc<Pod>>,
    /// Uids of all pods ever seen, by namespace: a name may be reused.
    ever: BTreeMap<String, BTreeSet<String>>,
    /// Number of changes in each namespace: those of others concern nobody who waits for it.
    changes: BTreeMap<String, u64>,
}

impl State {
    fn insert(&mut self, pod: Pod) {
        let (key, uid) = (key(&pod), pod.uid().unwrap_or_default());
        self.count(&key.0);
        self.ever.entry(key.0.clone()).or_default().insert(uid);
        self.pods.insert(key, Arc::new(pod));
    }

    fn remove(&mut self, key: &Key) {
        self.count(&key.0);
        self.pods.remove(key);
    }

    /// Replaces the old list with a whole new one.
    fn relist(&mut self, pods: BTreeMap<Key, Pod>) {
        let old = std::mem::take(&mut self.pods);
        old.keys().for_each(|(namespace, _)| self.count(namespace));
        pods.into_values().for_each(|pod| self.insert(pod));
    }

    fn count(&mut self, namespace: &str) {
        match self.changes.get_mut(namespace) {
            Some(changes) => *changes += 1,
            None => drop(self.changes.insert(namespace.to_owned(), 1)),
        }
    }

    fn changes(&self, namespace: &str) -> u64 {
        self.changes.get(namespace).copied().unwrap_or(0)
    }

    /// The pods of one namespace, in the order of their names.
    fn of(&self, namespace: &str) -> Vec<Arc<Pod>> {
        let first = (namespace.to_owned(), String::new());
        let from = self.pods.range(first..);
        from.take_while(|((space, _), _)| space == namespace)
            .map(|(_, pod)| Arc::clone(pod))
            .collect()
    }
}

/// A live view of pods selected by a label.
pub struct PodWatch {
    state: Arc<Mutex<State>>,
    changed: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Drop for PodWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl PodWatch {
    /// Watches the pods that match `selector`, in all namespaces.
    pub fn start(client: &Client, selector: &str) -> Self {
        Self::over(Api::all(client.clone()), selector)
    }

    /// Watches the pods of a namespace that match `selector`.
    pub fn within(client: &Client, namespace: &str, selector: &str) -> Self {
        Self::over(Api::namespaced(client.clone(), namespace), selector)
    }

    fn over(api: Api<Pod>, selector: &str) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (notify, changed) = watch::channel(0);
        let shared = Arc::clone(&state);
        let config = watcher::Config::default().labels(selector);
        let task = tokio::spawn(async move {
            // Who wrote which field is of no use here, and is half of a pod.
            let events = watcher::watcher(api, config).modify(|pod: &mut Pod| {
                pod.metadata.managed_fields = None;
            });
            let mut events = events.default_backoff().boxed();
            // A new list replaces the old one at once: pods that were not read yet are not gone.
            let mut listed = BTreeMap::new();
            while let Some(event) = events.next().await {
                let mut state = lock(&shared);
                match event {
                    Ok(Event::Apply(pod)) => state.insert(pod),
                    Ok(Event::Delete(pod)) => state.remove(&key(&pod)),
                    Ok(Event::Init) => listed.clear(),
                    Ok(Event::InitApply(pod)) => drop(listed.insert(key(&pod), pod)),
                    Ok(Event::InitDone) => state.relist(std::mem::take(&mut listed)),
                    Err(error) => {
                        tracing::warn!(%error, "the pod watch failed and is being restarted")
                    }
                }
                drop(state);
                notify.send_modify(|count| *count += 1);
            }
        });
        Self {
            state,
            changed,
            task,
        }
    }

    /// The pods of a namespace, as last seen.
    pub fn of(&self, namespace: &str) -> Vec<Pod> {
        let pods = lock(&self.state).of(namespace);
        pods.iter().map(|pod| Pod::clone(pod)).collect()
    }

    /// The same, for use in another task.
    pub fn view(&self, namespace: &str) -> PodView {
        PodView {
            state: Arc::clone(&self.state),
            changed: self.changed.clone(),
            seen: lock(&self.state).changes(namespace),
            namespace: namespace.to_owned(),
        }
    }

    /// Uids of pods that were in the namespace and are gone or being deleted.
    pub fn departed(&self, namespace: &str) -> BTreeSet<String> {
        let state = lock(&self.state);
        let mut ever = state.ever.get(namespace).cloned().unwrap_or_default();
        for pod in state.pods.values() {
            if pod.metadata.deletion_timestamp.is_none() {
                ever.remove(&pod.uid().unwrap_or_default());
            }
        }
        ever
    }

    /// Waits until `done` returns true for the namespace's pods.
    ///
    /// # Errors
    /// The pods as last seen, if `limit` is over.
    pub async fn until(
        &self,
        namespace: &str,
        limit: Duration,
        done: impl Fn(&[Pod]) -> bool,
    ) -> Result<Vec<Pod>, Vec<Pod>> {
        let mut view = self.view(namespace);
        let waiting = async {
            loop {
                let pods = self.of(namespace);
                if done(&pods) || !view.changed().await {
                    return pods;
                }
            }
        };
        timeout(limit, waiting)
            .await
            .map_err(|_| self.of(namespace))
    }
}

/// The pods of one namespace in a [`PodWatch`].
#[derive(Clone)]
pub struct PodView {
    state: Arc<Mutex<State>>,
    changed: watch::Receiver<u64>,
    /// Number of changes in the namespace when it was last looked at.
    seen: u64,
    namespace: String,
}

impl PodView {
    /// As last seen.
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        lock(&self.state).of(&self.namespace)
    }

    /// Returns when a pod of the namespace has changed since the last call, or since the view
    /// was made. `false`: there will be no more changes.
    pub async fn changed(&mut self) -> bool {
        while self.changed.changed().await.is_ok() {
            let now = lock(&self.state).changes(&self.namespace);
            if now != self.seen {
                self.seen = now;
                return true;
            }
        }
        false
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(pod: &Pod) -> Key {
    (pod.namespace().unwrap_or_default(), pod.name_any())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, uid: &str) -> Pod {
        let pod = json!({"metadata": {"namespace": "n", "name": name, "uid": uid}});
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn a_pod_that_has_taken_the_name_of_another_is_not_the_other() {
        let mut state = State::default();
        state.insert(pod("store-0", "old"));
        state.insert(pod("store-0", "new"));
        state.insert(pod("store-1", "staying"));
        let watch = PodWatch {
            state: Arc::new(Mutex::new(state)),
            changed: watch::channel(0).1,
            task: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap()
                .spawn(async {}),
        };
        assert_eq!(watch.departed("n"), BTreeSet::from(["old".to_owned()]));
        assert!(watch.departed("another").is_empty());
    }

    #[tokio::test]
    async fn only_changes_in_its_own_namespace_wake_a_view() {
        use futures::FutureExt as _;
        let (notify, changed) = watch::channel(0);
        let watch = PodWatch {
            state: Arc::default(),
            changed,
            task: tokio::spawn(async {}),
        };
        let apply = |namespace: &str, name: &str| {
            let mut pod = pod(name, name);
            pod.metadata.namespace = Some(namespace.to_owned());
            lock(&watch.state).insert(pod);
            notify.send_modify(|count| *count += 1);
        };
        apply("n", "a");
        let mut view = watch.view("n");
        apply("another", "b");
        assert_eq!(view.changed().now_or_never(), None);
        apply("n", "c");
        assert_eq!(view.changed().now_or_never(), Some(true));
        assert_eq!(view.changed().now_or_never(), None);
        let pods = view.pods();
        let names = pods.iter().map(|pod| pod.name_any());
        assert_eq!(names.collect::<Vec<_>>(), ["a", "c"]);
        lock(&watch.state).relist(BTreeMap::new());
        notify.send_modify(|count| *count += 1);
        assert_eq!(view.changed().now_or_never(), Some(true));
        assert!(view.pods().is_empty());
        drop(notify);
        assert_eq!(view.changed().now_or_never(), Some(false));
    }
}
