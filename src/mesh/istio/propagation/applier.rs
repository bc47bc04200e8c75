//! Applies configuration in batches and reports when it is live, per proxy.
//!
//! Istio pushes once 100 ms have passed without a change (`PILOT_DEBOUNCE_AFTER`). Scenarios that
//! apply one after the other would each wait that long and delay each other. Batching avoids
//! this, as in a group commit: applies that arrive before istiod has processed one batch go
//! together in the next. A batch that is being pushed to the proxies does not block the next one.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::future::{join_all, try_join_all};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{
    arrival::{arrive, rejections},
    change::{Change, Propagated, PropagationError},
    marker,
    order::{self, Ordered},
    taken::{await_accepted, await_taken},
};
use crate::cluster::{
    object::{ObjectError, Written},
    writer::{Home, Writer},
};
use crate::mesh::istio::control_plane::{ControlPlane, ControlPlanes};

struct Request {
    change: Change,
    /// The objects of the change, and those that had to be written before the last of them.
    ordered: Ordered,
    reply: oneshot::Sender<Result<Propagated, PropagationError>>,
}

/// The single entry point for all configuration.
#[derive(Clone)]
pub struct Applier {
    writer: Writer,
    queue: mpsc::UnboundedSender<Request>,
    control_planes: watch::Sender<ControlPlanes>,
    /// The newest epoch of any namespace.
    newest: Arc<AtomicU64>,
}

impl Applier {
    /// Starts the batching task. `shared` is the namespace that holds the run's Gateway object
    /// for the ingress gateway. Epochs are newer than `after`: proxies may still show those of an
    /// earlier run.
    pub fn start(
        writer: Writer,
        control_planes: ControlPlanes,
        shared: String,
        after: u64,
    ) -> Self {
        let (queue, mut requests) = mpsc::unbounded_channel::<Request>();
        let (control_planes, current) = watch::channel(control_planes);
        let (door, newest) = (writer.clone(), Arc::new(AtomicU64::new(after)));
        let told = Arc::clone(&newest);
        tokio::spawn(async move {
            let mut marks = Marks::new(after, told);
            while let Some(first) = requests.recv().await {
                let mut batch = vec![first];
                while let Ok(next) = requests.try_recv() {
                    batch.push(next);
                }
                let planes = current.borrow().clone();
                commit(&door, &planes, &shared, &mut marks, batch).await;
            }
        });
        Self {
            writer,
            queue,
            control_planes,
            newest,
        }
    }

    /// The newest epoch of any namespace so far.
    pub fn newest_epoch(&self) -> u64 {
        self.newest.load(Ordering::Relaxed)
    }

    /// Switches a revision to a new istiod pod, which replaced the old one.
    pub fn follow(&self, fresh: ControlPlane) {
        self.control_planes
            .send_modify(|control_planes| control_planes.follow(fresh));
    }

    /// The current control planes.
    pub fn control_planes(&self) -> ControlPlanes {
        self.control_planes.borrow().clone()
    }

    /// Applies a change and waits until every affected proxy has it. Documents are written in
    /// order, with creation times in the same order ([`order`]). Waiting for that does not block
    /// other changes.
    ///
    /// # Errors
    /// [`PropagationError`]: rejected by the API server, istiod or a proxy, or not live in time.
    /// A change that is only partly live is always an error.
    pub async fn change(&self, mut change: Change) -> Result<Propagated, PropagationError> {
        let apply = std::mem::take(&mut change.apply);
        let ordered = order::order(&self.writer, apply, change.home()).await?;
        let (reply, answer) = oneshot::channel();
        let request = Request {
            change,
            ordered,
            reply,
        };
        self.queue
            .send(request)
            .map_err(|_| PropagationError::Ended)?;
        answer.await.map_err(|_| PropagationError::Ended)?
    }
}

/// The marker state of a namespace.
#[derive(Debug, Clone, Copy)]
struct Mark {
    epoch: u64,
    /// A `Sidecar` may hide the plain marker here. From then on, both markers are written.
    narrowed: bool,
}

/// The markers of all namespaces.
struct Marks {
    all: BTreeMap<String, Mark>,
    after: u64,
    newest: Arc<AtomicU64>,
}

impl Marks {
    fn new(after: u64, newest: Arc<AtomicU64>) -> Self {
        let all = BTreeMap::new();
        Self { all, after, newest }
    }

    /// The next marker of a namespace.
    fn next(&mut self, namespace: &str, narrowed: bool) -> Mark {
        let first = Mark {
            epoch: self.after,
            narrowed: false,
        };
        let mark = self.all.entry(namespace.to_owned()).or_insert(first);
        mark.epoch += 1;
        mark.narrowed |= narrowed;
        self.newest.fetch_max(mark.epoch, Ordering::Relaxed);
        *mark
    }
}

async fn commit(
    writer: &Writer,
    control_planes: &ControlPlanes,
    shared: &str,
    marks: &mut Marks,
    batch: Vec<Request>,
) {
    let proxies = batch.iter().flat_map(|request| &request.change.planes);
    let before = Arc::new(rejections(proxies).await);
    let written = join_all(batch.iter().map(|request| write(writer, request))).await;
    let going = only_good(batch.into_iter().zip(written));
    let since = Instant::now();
    let expected = going
        .iter()
        .map(|(request, written)| (written.as_slice(), request.change.delete.as_slice()));
    let (taken, narrowed) = await_taken(control_planes, &expected.collect::<Vec<_>>()).await;
    let going = only_good(going.into_iter().zip(taken));
    let going: Vec<(Request, Vec<Written>)> = going
        .into_iter()
        .map(|((request, written), ())| (request, written))
        .collect();
    let accepted = join_all(
        going
            .iter()
            .map(|(_, written)| await_accepted(control_planes, written)),
    )
    .await;
    let going = only_good(going.into_iter().zip(accepted));
    let next: Vec<(String, Mark)> = going
        .iter()
        .map(|((request, _), ())| {
            let namespace = &request.change.namespace;
            let mark = marks.next(namespace, narrowed.holds_in(namespace));
            (namespace.clone(), mark)
        })
        .collect();
    let marked = join_all(
        next.iter()
            .map(|(namespace, mark)| write_marker(writer, namespace, shared, *mark)),
    )
    .await;
    // Changes that are being pushed to the proxies do not block the next batch.
    for ((((request, written), ()), (_, mark)), marked) in going.into_iter().zip(next).zip(marked) {
        let (control_planes, before) = (control_planes.clone(), Arc::clone(&before));
        tokio::spawn(async move {
            let (change, epoch) = (&request.change, mark.epoch);
            let arrived = match marked {
                Err(error) => Err(PropagationError::Object(Arc::new(error))),
                Ok(()) => arrive(&control_planes, change, epoch, &before).await,
            };
            let live = arrived.map(|()| Propagated {
                written,
                epoch,
                push_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
            });
            drop(request.reply.send(live));
        });
    }
}

/// A request, possibly with its result so far.
trait Asked {
    fn reply(self, error: PropagationError);
}

impl Asked for Request {
    fn reply(self, error: PropagationError) {
        drop(self.reply.send(Err(error)));
    }
}

impl<T> Asked for (Request, T) {
    fn reply(self, error: PropagationError) {
        self.0.reply(error);
    }
}

/// Keeps the requests that succeeded so far, and replies to the others with their error.
fn only_good<R: Asked, T>(
    all: impl Iterator<Item = (R, Result<T, PropagationError>)>,
) -> Vec<(R, T)> {
    let mut good = Vec::new();
    for (request, result) in all {
        match result {
            Ok(value) => good.push((request, value)),
            Err(error) => request.reply(error),
        }
    }
    good
}

async fn write(writer: &Writer, request: &Request) -> Result<Vec<Written>, PropagationError> {
    let wrap = |error| PropagationError::Object(Arc::new(error));
    let (change, ordered) = (&request.change, &request.ordered);
    let deletes = change.delete.iter().map(|written| writer.delete(written));
    try_join_all(deletes).await.map_err(wrap)?;
    let written = order::write(writer, &ordered.left, change.home()).await;
    let written = written.map_err(wrap)?;
    ordered.check(&written)?;
    Ok([ordered.written.clone(), written].concat())
}

async fn write_marker(
    writer: &Writer,
    namespace: &str,
    shared: &str,
    mark: Mark,
) -> Result<(), ObjectError> {
    let mut markers = vec![marker::marker(namespace, shared, mark.epoch)];
    if mark.narrowed {
        markers.push(marker::unhidden(namespace, mark.epoch));
    }
    let home = Home {
        namespace,
        outside: false,
    };
    let writes = markers.iter().map(|marker| writer.apply(marker, home));
    try_join_all(writes).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_go_on_where_an_earlier_run_stopped() {
        let newest = Arc::new(AtomicU64::new(40));
        let mut marks = Marks::new(40, Arc::clone(&newest));
        assert_eq!(marks.next("a", false).epoch, 41);
        assert_eq!(
            marks.next("b", true).epoch,
            41,
            "each namespace has its own"
        );
        assert_eq!(marks.next("a", false).epoch, 42);
        assert!(marks.next("b", false).narrowed, "it stays so");
        assert_eq!(newest.load(Ordering::Relaxed), 42);
    }
}
