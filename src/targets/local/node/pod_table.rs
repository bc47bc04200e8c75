//! Which containers run where, for requests over the node's socket.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use super::sandbox::Namespaces;

/// What requests need to know about a container.
#[derive(Debug, Clone, Default)]
pub(super) struct ContainerEntry {
    /// The container's description for `__enter`, while it runs.
    pub enter_file: Option<PathBuf>,
    /// Log of the current or last run.
    pub log: Option<PathBuf>,
    /// Log of the previous run.
    pub previous_log: Option<PathBuf>,
}

#[derive(Debug)]
struct PodEntry {
    uid: String,
    namespaces: Option<Arc<Namespaces>>,
    containers: BTreeMap<String, ContainerEntry>,
}

/// The requested object is not on this node. The message lists what is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Absent {
    #[error("pod {pod} is not on this node (its pods in that namespace: {known:?})")]
    Pod { pod: String, known: Vec<String> },
    #[error("container {container:?} is not in pod {pod} (its containers: {known:?})")]
    Container {
        container: String,
        pod: String,
        known: Vec<String>,
    },
    #[error("pod {pod} has no network yet, or no longer")]
    Network { pod: String },
}

/// All pods of the node by namespace and name.
#[derive(Debug, Default)]
pub(super) struct PodTable {
    pods: Mutex<BTreeMap<(String, String), PodEntry>>,
}

impl PodTable {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<(String, String), PodEntry>) -> T) -> T {
        work(&mut self.pods.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a pod that the node has accepted, with the names of its containers.
    pub fn add(
        &self,
        namespace: &str,
        pod: &str,
        uid: &str,
        containers: impl Iterator<Item = String>,
    ) {
        let containers = containers
            .map(|name| (name, ContainerEntry::default()))
            .collect();
        let entry = PodEntry {
            uid: uid.to_owned(),
            namespaces: None,
            containers,
        };
        self.with(|pods| pods.insert((namespace.to_owned(), pod.to_owned()), entry));
    }

    pub fn set_namespaces(
        &self,
        namespace: &str,
        pod: &str,
        uid: &str,
        namespaces: Option<Arc<Namespaces>>,
    ) {
        self.with(|pods| {
            if let Some(entry) = pods
                .get_mut(&(namespace.to_owned(), pod.to_owned()))
                .filter(|entry| entry.uid == uid)
            {
                entry.namespaces = namespaces;
            }
        });
    }

    pub fn update(
        &self,
        namespace: &str,
        pod: &str,
        uid: &str,
        container: &str,
        change: impl FnOnce(&mut ContainerEntry),
    ) {
        self.with(|pods| {
            let entry = pods
                .get_mut(&(namespace.to_owned(), pod.to_owned()))
                .filter(|entry| entry.uid == uid);
            if let Some(container) = entry.and_then(|entry| entry.containers.get_mut(container)) {
                change(container);
            }
        });
    }

    /// Removes the pod, unless a newer one has its name by now.
    pub fn remove(&self, namespace: &str, pod: &str, uid: &str) {
        self.with(|pods| {
            let key = (namespace.to_owned(), pod.to_owned());
            if pods.get(&key).is_some_and(|entry| entry.uid == uid) {
                pods.remove(&key);
            }
        });
    }

    /// The container's entry; without a name, that of the only container.
    ///
    /// # Errors
    /// [`Absent`], which lists what exists.
    pub fn container(
        &self,
        namespace: &str,
        pod: &str,
        container: Option<&str>,
    ) -> Result<ContainerEntry, Absent> {
        self.with(|pods| {
            let entry = find(pods, namespace, pod)?;
            let found = match container {
                Some(name) if !name.is_empty() => entry.containers.get(name),
                _ => entry
                    .containers
                    .values()
                    .next()
                    .filter(|_| entry.containers.len() == 1),
            };
            found.cloned().ok_or_else(|| Absent::Container {
                container: container.unwrap_or_default().to_owned(),
                pod: format!("{namespace}/{pod}"),
                known: entry.containers.keys().cloned().collect(),
            })
        })
    }

    /// The pod's namespaces, once they exist.
    ///
    /// # Errors
    /// [`Absent`], which lists what exists.
    pub fn namespaces(&self, namespace: &str, pod: &str) -> Result<Arc<Namespaces>, Absent> {
        self.with(|pods| {
            let entry = find(pods, namespace, pod)?;
            entry.namespaces.clone().ok_or_else(|| Absent::Network {
                pod: format!("{namespace}/{pod}"),
            })
        })
    }
}

fn find<'a>(
    pods: &'a BTreeMap<(String, String), PodEntry>,
    namespace: &str,
    pod: &str,
) -> Result<&'a PodEntry, Absent> {
    let found = pods.get(&(namespace.to_owned(), pod.to_owned()));
    found.ok_or_else(|| {
        let beside = pods.keys().filter(|(ns, _)| ns == namespace);
        Absent::Pod {
            pod: format!("{namespace}/{pod}"),
            known: beside.map(|(_, name)| name.clone()).collect(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_what_there_is() {
        let running = PodTable::default();
        running.add("n", "p", "u", ["a", "b"].map(str::to_owned).into_iter());
        assert!(
            running
                .container("n", "x", None)
                .unwrap_err()
                .to_string()
                .contains("\"p\"")
        );
        let answer = running.container("n", "p", Some("c")).unwrap_err();
        let answer = answer.to_string();
        assert!(
            answer.contains("\"a\"") && answer.contains("\"b\""),
            "{answer}"
        );
        assert!(running.container("n", "p", Some("a")).is_ok());
    }

    #[test]
    fn a_new_pod_of_the_same_name_is_not_forgotten_with_the_old() {
        let running = PodTable::default();
        running.add("n", "p", "old", ["a".to_owned()].into_iter());
        running.add("n", "p", "new", ["a".to_owned()].into_iter());
        running.remove("n", "p", "old");
        assert!(running.container("n", "p", None).is_ok());
    }
}
