//! The namespaces of a run that scenarios use one after the other, with the pods in them.
//!
//! A scenario takes the namespace whose workloads are most like its own. When its verdict is
//! known, the namespace comes back, once it is proven that nothing of the scenario is left
//! (`give_back`). Meanwhile the next scenario may already wait for it: proving takes less time
//! than starting a pod with a proxy.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    pod_marks::PodMarks,
    standing::{Shape, Standing},
};
use crate::cluster::object::Written;

/// Cost of creating a namespace, in the unit of [`Shape::cost`]: its accounts, certificates and
/// tokens, and its removal.
const NAMESPACE: u32 = 6;
/// Cost of waiting for a namespace that is coming back.
const WAIT: u32 = 1;

/// A namespace that no scenario uses.
#[derive(Debug, Serialize, Deserialize)]
pub struct Idle {
    pub root: Written,
    /// What stays in it.
    pub standing: Standing,
    /// Cluster IPs that its Services had, by name. A Service that comes back gets the same one,
    /// since resolvers may still know it.
    pub addresses: BTreeMap<String, String>,
    /// Its pods, as they were when it was proven to be clean.
    pub marks: PodMarks,
}

impl Idle {
    /// A new namespace: nothing is there yet.
    pub fn new(root: Written) -> Self {
        Self {
            root,
            standing: Standing::default(),
            addresses: BTreeMap::new(),
            marks: PodMarks::new(),
        }
    }
}

/// What a scenario gets.
#[derive(Debug)]
pub enum Place {
    Idle(Box<Idle>),
    /// It has to create a namespace. The number is unique in the run.
    New(usize),
}

/// The namespaces of a run. At most `limit` exist if scenarios that run at the same time do not
/// need more.
#[derive(Debug)]
pub struct Pool {
    limit: usize,
    inner: Mutex<Inner>,
    /// Changes when a namespace has come back, or will not.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    idle: Vec<Idle>,
    /// The shapes of those that are being proven, by number.
    coming: BTreeMap<u64, Shape>,
    tickets: u64,
    numbers: usize,
    /// Namespaces that exist: used, idle or coming.
    existing: usize,
    /// What proves that namespaces are clean.
    tasks: Vec<JoinHandle<()>>,
}

/// The best way to a namespace.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Idle(usize),
    Wait,
    New,
}

impl Pool {
    /// A pool whose namespaces are numbered from `first`.
    #[must_use]
    pub fn new(limit: usize, first: usize) -> Self {
        let inner = Inner {
            numbers: first,
            ..Inner::default()
        };
        Self {
            limit,
            inner: Mutex::new(inner),
            changed: watch::Sender::new(()),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the namespace that costs least to adapt. Waits if one that is coming back costs less.
    pub async fn take(&self, wanted: &Shape) -> Place {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(place) = self.look(wanted) {
                return place;
            }
            // The sender is `self`.
            let _ = changed.changed().await;
        }
    }

    fn look(&self, wanted: &Shape) -> Option<Place> {
        let mut inner = self.inner();
        match inner.choose(wanted, self.limit) {
            Choice::Idle(at) => Some(Place::Idle(Box::new(inner.idle.swap_remove(at)))),
            Choice::Wait => None,
            Choice::New => {
                inner.numbers += 1;
                inner.existing += 1;
                Some(Place::New(inner.numbers))
            }
        }
    }

    /// Announces a namespace that may come back. Returns its ticket.
    pub fn announce(&self, shape: Shape) -> u64 {
        let mut inner = self.inner();
        inner.tickets += 1;
        let ticket = inner.tickets;
        inner.coming.insert(ticket, shape);
        ticket
    }

    /// Takes an announced namespace back, or learns that it does not come.
    pub fn arrive(&self, ticket: u64, idle: Option<Idle>) {
        let mut inner = self.inner();
        inner.coming.remove(&ticket);
        match idle {
            Some(idle) => inner.idle.push(idle),
            None => inner.existing -= 1,
        }
        drop(inner);
        self.changed.send_replace(());
    }

    /// Learns that a namespace in use does not come back.
    pub fn lose(&self) {
        self.inner().existing -= 1;
        self.changed.send_replace(());
    }

    /// Keeps the task that proves that a namespace is clean.
    pub fn track(&self, task: JoinHandle<()>) {
        let mut inner = self.inner();
        inner.tasks.retain(|task| !task.is_finished());
        inner.tasks.push(task);
    }

    /// Learns of a namespace of an earlier run, which may come. Returns its ticket.
    pub fn inherit(&self, shape: Shape) -> u64 {
        self.inner().existing += 1;
        self.announce(shape)
    }

    /// Nobody needs a namespace any more: abandons the proofs in progress.
    pub fn close(&self) {
        let tasks = std::mem::take(&mut self.inner().tasks);
        tasks.iter().for_each(JoinHandle::abort);
    }

    /// Waits until all proofs are done, and returns the namespaces that are left, and the number
    /// that the next one would get. No scenario may run any more.
    pub async fn leave(&self) -> (Vec<Idle>, usize) {
        let tasks = std::mem::take(&mut self.inner().tasks);
        join_all(tasks).await;
        let mut inner = self.inner();
        (std::mem::take(&mut inner.idle), inner.numbers)
    }
}

impl Inner {
    fn choose(&self, wanted: &Shape, limit: usize) -> Choice {
        let idle = self.idle.iter().enumerate();
        let idle = idle.map(|(at, idle)| (wanted.cost(idle.standing.shape()), Choice::Idle(at)));
        let coming = self.coming.values();
        let coming = coming.map(|shape| (wanted.cost(shape) + WAIT, Choice::Wait));
        let is_full = self.existing >= limit && (!self.idle.is_empty() || !self.coming.is_empty());
        let new = (!is_full).then(|| (wanted.cost(&Shape::default()) + NAMESPACE, Choice::New));
        let all = idle.chain(coming).chain(new);
        all.min_by_key(|(cost, _)| *cost)
            .map_or(Choice::New, |(_, choice)| choice)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use serde_json::json;

    use super::*;
    use crate::run::namespace::standing::Member;

    fn shape(names: &[&str]) -> Shape {
        let member = |name: &&str| {
            let object = json!({"kind": "Deployment", "metadata": {"name": name},
                "spec": {"template": {"metadata": {"labels": {"sidecar.istio.io/inject": "true"}}}}});
            ((*name).to_owned(), Member::of(&[object]))
        };
        Shape(names.iter().map(member).collect())
    }

    fn idle(name: &str, names: &[&str]) -> Idle {
        Idle {
            root: Written {
                name: name.to_owned(),
                ..Written::default()
            },
            standing: Standing::new(shape(names), &[]),
            addresses: BTreeMap::new(),
            marks: PodMarks::new(),
        }
    }

    fn taken(pool: &Pool, names: &[&str]) -> Option<String> {
        let place = pool.take(&shape(names)).now_or_never()?;
        Some(match place {
            Place::Idle(idle) => idle.root.name,
            Place::New(number) => format!("new {number}"),
        })
    }

    #[test]
    fn the_namespace_that_is_most_alike_is_taken() {
        let pool = Pool::new(3, 0);
        let both = [&["a", "b"], &["a", "c"]];
        let new = both.map(|names| taken(&pool, names).expect("one may be created"));
        for (names, new) in both.into_iter().zip(new) {
            let ticket = pool.announce(shape(names));
            pool.arrive(ticket, Some(idle(&new, names)));
        }
        assert_eq!(taken(&pool, &["a", "c"]).as_deref(), Some("new 2"));
        assert_eq!(
            taken(&pool, &["a", "c"]).as_deref(),
            Some("new 1"),
            "one pod is missing"
        );
        assert_eq!(taken(&pool, &["a", "c"]).as_deref(), Some("new 3"));
    }

    #[tokio::test]
    async fn one_that_is_coming_back_is_awaited_and_one_that_does_not_come_is_replaced() {
        let pool = Pool::new(9, 0);
        assert_eq!(taken(&pool, &["a"]).as_deref(), Some("new 1"));
        let ticket = pool.announce(shape(&["a"]));
        assert_eq!(
            taken(&pool, &["a"]),
            None,
            "waiting costs less than a new one"
        );
        let wanted = shape(&["a"]);
        let waiting = pool.take(&wanted);
        let (place, ()) = tokio::join!(waiting, async {
            pool.arrive(ticket, Some(idle("new 1", &["a"])));
        });
        assert!(matches!(place, Place::Idle(_)));
        let ticket = pool.announce(shape(&["a"]));
        let waiting = pool.take(&wanted);
        let (place, ()) = tokio::join!(waiting, async { pool.arrive(ticket, None) });
        assert!(matches!(place, Place::New(2)));
    }

    #[tokio::test]
    async fn what_is_left_when_all_proofs_are_done_goes_to_the_next_run() {
        let pool = std::sync::Arc::new(Pool::new(9, 7));
        assert_eq!(
            taken(&pool, &["a"]).as_deref(),
            Some("new 8"),
            "numbers go on"
        );
        let ticket = pool.announce(shape(&["a"]));
        let (mine, allow) = (std::sync::Arc::clone(&pool), watch::Sender::new(false));
        let mut allowed = allow.subscribe();
        pool.track(tokio::spawn(async move {
            let _ = allowed.wait_for(|allowed| *allowed).await;
            mine.arrive(ticket, Some(idle("new 8", &["a"])));
        }));
        let ticket = pool.inherit(shape(&["b"]));
        pool.arrive(ticket, None);
        let ((left, numbers), ()) = tokio::join!(pool.leave(), async {
            tokio::task::yield_now().await;
            allow.send_replace(true);
        });
        let names: Vec<&str> = left.iter().map(|idle| idle.root.name.as_str()).collect();
        assert_eq!((names, numbers), (vec!["new 8"], 8));
        assert_eq!(pool.inner().existing, 1, "the other one did not come");
    }

    #[test]
    fn a_full_pool_adapts_what_it_has_and_never_keeps_a_scenario_from_running() {
        let pool = Pool::new(1, 0);
        assert_eq!(taken(&pool, &["a"]).as_deref(), Some("new 1"));
        assert_eq!(
            taken(&pool, &["b"]).as_deref(),
            Some("new 2"),
            "nothing to wait for"
        );
        let ticket = pool.announce(shape(&["a"]));
        pool.arrive(ticket, Some(idle("new 1", &["a"])));
        assert_eq!(taken(&pool, &["b"]).as_deref(), Some("new 1"));
        pool.lose();
        pool.lose();
        assert_eq!(taken(&pool, &["b"]).as_deref(), Some("new 3"));
    }
}
