//! "Is this configuration live": applies are gathered, written together, and reported live per proxy.
//!
//! Istio waits until 100 ms passed without a change before it pushes (`PILOT_DEBOUNCE_AFTER`), so scenarios that apply one
//! after the other would each pay that, and delay each other. This is a group commit: while one batch is on its way to
//! the proxies, later applies wait and then go together.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::{join_all, try_join_all};
use http::Method;
use kube::Client;
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep},
};

use super::{
    gateway_api::{self, Progress},
    marker, programs,
};
use crate::{
    cluster::object::{self, ObjectError, Written},
    observe::{
        envoy,
        http::{HttpError, Port},
    },
};

/// Pause between two looks at the same proxy or at istiod.
const LOOK: Duration = Duration::from_millis(5);
/// How long istiod and the proxies may take for one batch.
const DEADLINE: Duration = Duration::from_secs(20);
/// A refusal may be of the moment before another object of the same apply came; after this long it is one.
const REFUSED: Duration = Duration::from_secs(3);
/// After this long a proxy that does not show the marker is asked whether it rejected something.
const SUSPICIOUS: Duration = Duration::from_millis(700);

/// Why a configuration is not known to be live.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LiveError {
    #[error("{0}")]
    Object(Arc<ObjectError>),
    #[error("istiod had not taken {missing} after {limit:?}")]
    NotTaken { missing: String, limit: Duration },
    #[error("istiod did not accept {what} within {limit:?}: {words}")]
    NotAccepted {
        what: String,
        words: String,
        limit: Duration,
    },
    #[error("proxy {proxy} rejected the configuration (NACK): {words}")]
    Nack { proxy: String, words: String },
    #[error(
        "proxy {proxy} did not show generation {generation} within {limit:?}; last seen: {last}"
    )]
    NotLive {
        proxy: String,
        generation: u64,
        limit: Duration,
        last: String,
    },
    #[error("istiod did not have the endpoints within {limit:?}; last seen: {last}")]
    Endpoints { limit: Duration, last: String },
    #[error("cannot ask istiod: {0}")]
    Istiod(Arc<HttpError>),
    #[error("the run is being ended")]
    Ended,
}

/// A proxy whose configuration is watched.
#[derive(Debug, Clone)]
pub struct Proxy {
    pub admin: Port,
    pub gateway: bool,
}

/// One change of a namespace's configuration.
#[derive(Debug, Default)]
pub struct Change {
    pub namespace: String,
    pub apply: Vec<Value>,
    pub delete: Vec<Written>,
    /// Every proxy that must have it.
    pub proxies: Vec<Proxy>,
    /// Control ports of programs that are their own data plane and must have it.
    pub programs: Vec<Port>,
    /// Proxy, `POD.NAMESPACE`, whose connection shows istiod's debug interface the marker; only needed for `programs`.
    pub reference: String,
}

/// A change that every proxy has.
#[derive(Debug)]
pub struct Live {
    pub written: Vec<Written>,
    pub generation: u64,
    /// From the API server's answer to the last proxy, in milliseconds: the floor that Istio sets.
    pub push_ms: u64,
}

struct Request {
    change: Change,
    reply: oneshot::Sender<Result<Live, LiveError>>,
}

/// The door through which all configuration goes.
#[derive(Clone)]
pub struct Applier {
    queue: mpsc::UnboundedSender<Request>,
    /// istiod's debug port.
    istiod: watch::Sender<Port>,
}

impl Applier {
    /// Starts the group commit. `istiod` is its debug port (8080), `shared` the namespace of the run's entry at the ingress gateway.
    pub fn start(client: Client, istiod: Port, shared: String) -> Self {
        let (queue, mut requests) = mpsc::unbounded_channel::<Request>();
        let (istiod, current) = watch::channel(istiod);
        tokio::spawn(async move {
            let mut generations = BTreeMap::new();
            while let Some(first) = requests.recv().await {
                let mut batch = vec![first];
                while let Ok(next) = requests.try_recv() {
                    batch.push(next);
                }
                let istiod = current.borrow().clone();
                commit(&client, &istiod, &shared, &mut generations, batch).await;
            }
        });
        Self { queue, istiod }
    }

    /// Asks another istiod from now on: the old one was replaced.
    pub fn follow(&self, istiod: Port) {
        self.istiod.send_replace(istiod);
    }

    /// The debug port of the istiod that runs now.
    pub fn istiod(&self) -> Port {
        self.istiod.borrow().clone()
    }

    /// Makes a change and waits until every proxy concerned has it.
    ///
    /// # Errors
    /// [`LiveError`]: refused, rejected, or not live in time. It is never known to be half live without an error.
    pub async fn change(&self, change: Change) -> Result<Live, LiveError> {
        let (reply, answer) = oneshot::channel();
        self.queue
            .send(Request { change, reply })
            .map_err(|_| LiveError::Ended)?;
        answer.await.map_err(|_| LiveError::Ended)?
    }
}

async fn commit(
    client: &Client,
    istiod: &Port,
    shared: &str,
    generations: &mut BTreeMap<String, u64>,
    batch: Vec<Request>,
) {
    let before = &rejections(&batch).await;
    let written = join_all(batch.iter().map(|request| write(client, &request.change))).await;
    let mut going = Vec::new();
    for (request, result) in batch.into_iter().zip(written) {
        match result {
            Ok(written) => going.push((request, written)),
            Err(error) => drop(request.reply.send(Err(LiveError::Object(Arc::new(error))))),
        }
    }
    let since = Instant::now();
    let wanted: Vec<&Written> = going.iter().flat_map(|(_, written)| written).collect();
    let gone: Vec<&Written> = going
        .iter()
        .flat_map(|(request, _)| &request.change.delete)
        .collect();
    if let Err(error) = await_taken(istiod, &wanted, &gone).await {
        going
            .into_iter()
            .for_each(|(request, _)| drop(request.reply.send(Err(error.clone()))));
        return;
    }
    let going = only_accepted(istiod, going).await;
    let mark = going.iter().map(|(request, _)| {
        let generation = generations
            .entry(request.change.namespace.clone())
            .or_insert(0);
        *generation += 1;
        (request.change.namespace.clone(), *generation)
    });
    let marks: Vec<(String, u64)> = mark.collect();
    let marked = join_all(marks.iter().map(|(namespace, generation)| async move {
        object::apply(
            client,
            &marker::marker(namespace, shared, *generation),
            Some(namespace),
        )
        .await
    }))
    .await;
    let arrivals = going.into_iter().zip(marks).zip(marked).map(
        |(((request, written), (_, generation)), marked)| async move {
            let result = match marked {
                Err(error) => Err(LiveError::Object(Arc::new(error))),
                Ok(_) => arrive(istiod, &request.change, generation, before)
                    .await
                    .map(|()| Live {
                        written,
                        generation,
                        push_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
                    }),
            };
            drop(request.reply.send(result));
        },
    );
    join_all(arrivals).await;
}

/// Goes on with the changes whose Gateway API objects istiod accepted, and tells the others why not.
async fn only_accepted(
    istiod: &Port,
    going: Vec<(Request, Vec<Written>)>,
) -> Vec<(Request, Vec<Written>)> {
    let results = join_all(
        going
            .iter()
            .map(|(_, written)| await_accepted(istiod, written)),
    )
    .await;
    let mut accepted = Vec::new();
    for ((request, written), result) in going.into_iter().zip(results) {
        match result {
            Ok(()) => accepted.push((request, written)),
            Err(error) => drop(request.reply.send(Err(error))),
        }
    }
    accepted
}

/// Waits until istiod reports of every route and gateway that it is as it should be.
async fn await_accepted(istiod: &Port, written: &[Written]) -> Result<(), LiveError> {
    let ours = |written: &&Written| written.api_version.starts_with(gateway_api::GROUP);
    let wanted: Vec<&Written> = written.iter().filter(ours).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let start = Instant::now();
    loop {
        let store = store(istiod).await?;
        let each = wanted.iter().map(|written| {
            let what = format!("{} {}", written.kind, written.name);
            let said = find(&store, written).map(gateway_api::progress);
            (what, said.unwrap_or(Progress::Done))
        });
        let (what, words, limit) = match each
            .filter(|(_, said)| *said != Progress::Done)
            .max_by_key(|(_, said)| matches!(said, Progress::Refused(_)))
        {
            None => return Ok(()),
            Some((what, Progress::Refused(words))) => (what, words, REFUSED),
            Some((what, Progress::Pending(words))) => (what, words, DEADLINE),
            Some((_, Progress::Done)) => continue,
        };
        if start.elapsed() > limit {
            return Err(LiveError::NotAccepted { what, words, limit });
        }
        sleep(LOOK).await;
    }
}

/// Everything that istiod has taken.
async fn store(istiod: &Port) -> Result<Value, LiveError> {
    let body = istiod
        .fetch(Method::GET, "/debug/configz")
        .await
        .map_err(|error| LiveError::Istiod(Arc::new(error)))?;
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}

async fn write(client: &Client, change: &Change) -> Result<Vec<Written>, ObjectError> {
    try_join_all(
        change
            .delete
            .iter()
            .map(|written| object::delete(client, written)),
    )
    .await?;
    try_join_all(
        change
            .apply
            .iter()
            .map(|object| object::apply(client, object, Some(&change.namespace))),
    )
    .await
}

/// Updates that each proxy of a batch had rejected before it, by pod.
async fn rejections(batch: &[Request]) -> BTreeMap<String, u64> {
    let proxies = batch.iter().flat_map(|request| &request.change.proxies);
    let counts = proxies.map(|proxy| async {
        let count = envoy::rejections(&proxy.admin).await.ok()?;
        Some((proxy.admin.pod.clone(), count))
    });
    join_all(counts).await.into_iter().flatten().collect()
}

async fn arrive(
    istiod: &Port,
    change: &Change,
    generation: u64,
    before: &BTreeMap<String, u64>,
) -> Result<(), LiveError> {
    let waits = change.proxies.iter().map(|proxy| async {
        await_marker(proxy, &change.namespace, generation).await?;
        accepted(proxy, before).await
    });
    try_join_all(waits).await?;
    if change.programs.is_empty() {
        return Ok(());
    }
    let mark = (change.namespace.as_str(), generation);
    programs::await_live(istiod, &change.reference, mark, &change.programs).await
}

/// A proxy goes on with its old listeners and clusters when it rejects new ones, and takes the routes all the same.
async fn accepted(proxy: &Proxy, before: &BTreeMap<String, u64>) -> Result<(), LiveError> {
    let pod = &proxy.admin.pod;
    let (Some(before), Ok(now)) = (before.get(pod), envoy::rejections(&proxy.admin).await) else {
        return Ok(());
    };
    if now <= *before {
        return Ok(());
    }
    let words = envoy::rejected(&proxy.admin).await.ok().flatten();
    Err(LiveError::Nack {
        proxy: pod.clone(),
        words: words.unwrap_or_else(|| format!("{} updates", now - before)),
    })
}

/// Waits until istiod's store holds every written object in at least its version, and none of the deleted.
async fn await_taken(
    istiod: &Port,
    wanted: &[&Written],
    gone: &[&Written],
) -> Result<(), LiveError> {
    let ours = |written: &&&Written| {
        let version = &written.api_version;
        version.contains(".istio.io/") || version.starts_with(gateway_api::GROUP)
    };
    let wanted: Vec<&&Written> = wanted.iter().filter(ours).collect();
    let gone: Vec<&&Written> = gone.iter().filter(ours).collect();
    if wanted.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let deadline = Instant::now() + DEADLINE;
    loop {
        let store = store(istiod).await?;
        let late = wanted
            .iter()
            .find(|written| !holds(&store, written))
            .map(|written| format!("{} {}", written.kind, written.name));
        let left = gone
            .iter()
            .find(|written| {
                find(&store, written).is_some() || gateway_api::lingers(&store, written)
            })
            .map(|w| format!("the removal of {} {}", w.kind, w.name));
        let Some(missing) = late.or(left) else {
            return Ok(());
        };
        if Instant::now() > deadline {
            return Err(LiveError::NotTaken {
                missing,
                limit: DEADLINE,
            });
        }
        sleep(LOOK).await;
    }
}

fn find<'a>(store: &'a Value, written: &Written) -> Option<&'a Value> {
    store.as_array()?.iter().find(|config| {
        let meta = &config["metadata"];
        // `Gateway` is a kind of Istio and of Gateway API.
        let group = |version: &str| version.split('/').next().map(str::to_owned);
        let same = config["apiVersion"].as_str().and_then(group) == group(&written.api_version);
        (same || config["apiVersion"].is_null())
            && config["kind"] == written.kind.as_str()
            && meta["name"] == written.name.as_str()
            && meta["namespace"].as_str() == written.namespace.as_deref()
    })
}

/// Versions of one object grow (etcd revisions), so a newer one holds what was written.
fn holds(store: &Value, written: &Written) -> bool {
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    let have =
        find(store, written).and_then(|config| config["metadata"]["resourceVersion"].as_str());
    have.is_some_and(|have| number(have) >= number(&written.resource_version))
}

/// Waits until a proxy shows the marker of a generation, or of a later one.
///
/// # Errors
/// [`LiveError::Nack`] and [`LiveError::NotLive`].
pub async fn await_marker(
    proxy: &Proxy,
    namespace: &str,
    generation: u64,
) -> Result<(), LiveError> {
    let (start, mut asked) = (Instant::now(), false);
    let name = if proxy.gateway {
        "http.*".to_owned()
    } else {
        marker::PORT.to_string()
    };
    loop {
        let last = match envoy::routes(&proxy.admin, &name).await {
            Ok(dump) => match shown(&dump.to_string(), namespace) {
                Some(shown) if shown >= generation => match unfinished(proxy, namespace).await {
                    Ok(None) => return Ok(()),
                    Ok(Some(words)) => words,
                    Err(error) => error.to_string(),
                },
                Some(shown) => format!("generation {shown}"),
                None => "no marker".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        if !asked && start.elapsed() > SUSPICIOUS {
            asked = true;
            if let Ok(Some(words)) = envoy::rejected(&proxy.admin).await {
                return Err(LiveError::Nack {
                    proxy: proxy.admin.pod.clone(),
                    words,
                });
            }
        }
        if start.elapsed() > DEADLINE {
            return Err(LiveError::NotLive {
                proxy: proxy.admin.pod.clone(),
                generation,
                limit: DEADLINE,
                last,
            });
        }
        sleep(LOOK).await;
    }
}

/// What a proxy has taken and cannot use yet. A new cluster is asked for its endpoints only after the routes of the same push have come,
/// and a gateway's new port is opened only when the routes of that port have come, which the marker's port does not wait for. A port
/// whose Secret is missing stays closed for as long as it is: that is no matter of time ([`super::secrets`]).
async fn unfinished(proxy: &Proxy, namespace: &str) -> Result<Option<String>, HttpError> {
    let clusters = envoy::warming_clusters(&proxy.admin, namespace).await?;
    if !clusters.is_empty() {
        let names = clusters.join(", ");
        return Ok(Some(format!("clusters without endpoints: {names}")));
    }
    if !proxy.gateway {
        return Ok(None);
    }
    let listeners = envoy::warming_listeners(&proxy.admin).await?;
    if listeners.is_empty() || envoy::awaits_secrets(&proxy.admin).await? {
        return Ok(None);
    }
    let names = listeners.join(", ");
    Ok(Some(format!("listeners that are not open: {names}")))
}

/// The newest generation of a namespace that a dump of routes names.
pub(super) fn shown(dump: &str, namespace: &str) -> Option<u64> {
    let prefix = marker::route(namespace, 0);
    let prefix = &prefix[..prefix.len() - 1];
    let digits = |rest: &str| {
        rest.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .ok()
    };
    dump.split(prefix).skip(1).filter_map(digits).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(version: &str) -> Written {
        Written {
            api_version: "networking.istio.io/v1".into(),
            kind: "VirtualService".into(),
            namespace: Some("a".into()),
            name: "x".into(),
            uid: String::new(),
            resource_version: version.into(),
        }
    }

    #[rstest::rstest]
    #[case::older("7", "9", false)]
    #[case::same("9", "9", true)]
    #[case::newer_with_more_digits("10", "9", true)]
    fn the_store_must_hold_at_least_the_written_version(
        #[case] have: &str,
        #[case] want: &str,
        #[case] holds_it: bool,
    ) {
        let store = json!([{"kind": "VirtualService", "metadata": {"name": "x", "namespace": "a", "resourceVersion": have}}]);
        assert_eq!(holds(&store, &written(want)), holds_it);
        assert!(!holds(&json!([]), &written(want)));
    }

    #[test]
    fn the_newest_generation_of_this_namespace_counts() {
        let dump = "…\"a-generation-3\"…\"a-generation-12\"…\"b-generation-40\"";
        assert_eq!(shown(dump, "a"), Some(12));
        assert_eq!(shown(dump, "c"), None);
    }
}
