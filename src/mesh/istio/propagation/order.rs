//! Writes objects so that their creation times follow the order in which their author lists them.
//!
//! The documents of a file are written one after the other, as kubectl does it, and concurrently
//! only where order does not matter. Where a new object competes with an older one ([`compete`])
//! and its name would put it first within the same second, `order` waits for the next second of
//! the API server's own clock.

use std::{sync::Arc, time::Duration};

use futures::future::try_join_all;
use jiff::{Timestamp, fmt::rfc2822};
use kube::Client;
use serde_json::Value;

use super::compete::{can_compete, competes, sorts_before};
use crate::{
    cluster::{
        object::{self, ObjectError, Written},
        writer::{Home, Writer},
    },
    errors::{Classified, ErrorClass, chain},
    timeouts::timeouts,
    wait::{self, Look},
};

/// An error establishing the required order of creation times.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OrderError {
    #[error(
        "{younger} must be created at least one second after {older}, but the API server's clock was still at {last} after {limit:?}"
    )]
    Clock {
        younger: String,
        older: String,
        last: String,
        limit: Duration,
    },
    #[error(
        "{younger} must be created after {older}, but their creation times are {age}: the clocks of the API servers differ"
    )]
    Ages {
        younger: String,
        older: String,
        age: String,
    },
    #[error(transparent)]
    Object(Arc<ObjectError>),
}

impl Classified for OrderError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Clock { .. } | Self::Ages { .. } => ErrorClass::Mesh,
            Self::Object(error) => error.class(),
        }
    }
}

/// An error reading the API server's clock.
#[derive(Debug, thiserror::Error)]
enum ClockError {
    /// The client's message already includes its causes.
    #[error("{0}")]
    Unasked(Box<kube::Error>),
    #[error("the response has no Date header")]
    NoDate,
    #[error("invalid Date header {date:?}")]
    Date { date: String, source: jiff::Error },
}

impl From<ObjectError> for OrderError {
    fn from(error: ObjectError) -> Self {
        Self::Object(Arc::new(error))
    }
}

/// The objects still to be written, and those that had to be written before them.
#[derive(Debug, Default)]
pub struct Ordered {
    pub written: Vec<Written>,
    pub left: Vec<Value>,
    /// For objects in `left`: the older object that each must follow, and its creation time.
    floors: Vec<Floor>,
}

#[derive(Debug, Clone)]
struct Floor {
    younger: String,
    older: String,
    created: Timestamp,
}

impl Ordered {
    /// Checks the creation times of the objects that were in `left`.
    ///
    /// # Errors
    /// [`OrderError::Ages`].
    pub fn check(&self, written: &[Written]) -> Result<(), OrderError> {
        let late = self.floors.iter().find_map(|floor| {
            let mut mine = written
                .iter()
                .filter(|one| name(&one.kind, &one.name) == floor.younger);
            let created = mine.find_map(|one| one.created)?;
            (created <= floor.created).then_some((floor, created))
        });
        match late {
            None => Ok(()),
            Some((floor, created)) => Err(OrderError::Ages {
                younger: floor.younger.clone(),
                older: floor.older.clone(),
                age: format!("{created} and {}", floor.created),
            }),
        }
    }
}

/// Waits where creation times must differ, and writes the objects that must be older than another
/// one in the same list. The caller writes the last part, together with other changes.
///
/// # Errors
/// [`OrderError`].
pub async fn order(
    writer: &Writer,
    objects: Vec<Value>,
    home: Home<'_>,
) -> Result<Ordered, OrderError> {
    let (client, namespace) = (writer.client(), home.namespace);
    let mut standing = standing(client, &objects, namespace).await?;
    let mut done = Ordered::default();
    for object in objects {
        let is_new = !standing
            .iter()
            .any(|(old, _)| same(old, &object, namespace));
        let inside = done
            .left
            .iter()
            .any(|old| overtakes(&object, old, namespace));
        if is_new && inside {
            let part = std::mem::take(&mut done.left);
            let written = write(writer, &part, home).await?;
            done.check(&written)?;
            done.floors.clear();
            let ages = written
                .iter()
                .map(|one| one.created.unwrap_or(Timestamp::now()));
            standing.extend(part.into_iter().zip(ages));
            done.written.extend(written);
        }
        let older = standing
            .iter()
            .filter(|(old, _)| overtakes(&object, old, namespace));
        if let Some((old, created)) = older.max_by_key(|(_, created)| *created).filter(|_| is_new) {
            let floor = Floor {
                younger: label(&object),
                older: label(old),
                created: *created,
            };
            await_second(client, &floor).await?;
            done.floors.push(floor);
        }
        done.left.push(object);
    }
    Ok(done)
}

/// Whether the newer object would take precedence if both had the same creation time. Between
/// kinds, no documented rule uses names.
fn overtakes(new: &Value, old: &Value, namespace: &str) -> bool {
    competes(new, old, namespace)
        && (new["kind"] != old["kind"] || sorts_before(new, old, namespace))
}

fn same(a: &Value, b: &Value, namespace: &str) -> bool {
    let key = |object: &Value| {
        let metadata = &object["metadata"];
        let own = metadata["namespace"].as_str().unwrap_or(namespace);
        let group = object["apiVersion"].as_str().unwrap_or_default();
        let group = group.split('/').next().unwrap_or_default().to_owned();
        (
            group,
            object["kind"].clone(),
            metadata["name"].clone(),
            own.to_owned(),
        )
    };
    key(a) == key(b)
}

fn label(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    name(&text(&object["kind"]), &text(&object["metadata"]["name"]))
}

fn name(kind: &str, name: &str) -> String {
    format!("{kind} {name}")
}

/// Existing objects of the kinds of these objects, with their creation times.
async fn standing(
    client: &Client,
    objects: &[Value],
    namespace: &str,
) -> Result<Vec<(Value, Timestamp)>, OrderError> {
    let mut kinds: Vec<(String, String, String)> = objects
        .iter()
        .filter(|object| can_compete(object))
        .flat_map(|object| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let own = object["metadata"]["namespace"]
                .as_str()
                .unwrap_or(namespace);
            let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
            let lists = rivals(&version, &kind);
            lists
                .map(|(version, kind)| (version, kind, own.to_owned()))
                .collect::<Vec<_>>()
        })
        .collect();
    kinds.sort();
    kinds.dedup();
    let lists = kinds.iter().map(|(version, kind, namespace)| async move {
        match object::list(client, version, kind, namespace).await {
            // An unknown kind is reported when it is applied.
            Err(ObjectError::NoSuchKind { .. }) => Ok(Vec::new()),
            answer => answer,
        }
    });
    let all = try_join_all(lists).await?;
    let aged = all.into_iter().flatten().filter_map(|object| {
        let created = object.pointer("/metadata/creationTimestamp")?.as_str()?;
        let created = created.parse().ok()?;
        Some((object, created))
    });
    Ok(aged.collect())
}

/// Kinds whose objects compete with those of a kind.
fn rivals(version: &str, kind: &str) -> impl Iterator<Item = (String, String)> + use<> {
    let gateway_api = "gateway.networking.k8s.io/v1";
    let routes: &[(&str, &str)] = &[
        ("networking.istio.io/v1", "VirtualService"),
        (gateway_api, "HTTPRoute"),
        (gateway_api, "GRPCRoute"),
    ];
    let own = [(version.to_owned(), kind.to_owned())];
    let is_route = routes.iter().any(|(_, route)| *route == kind);
    let others: Vec<(String, String)> = if is_route {
        let others = routes.iter().filter(|(_, route)| *route != kind);
        others
            .map(|(version, kind)| ((*version).to_owned(), (*kind).to_owned()))
            .collect()
    } else {
        Vec::new()
    };
    own.into_iter().chain(others)
}

/// Waits until the API server's clock is at a later second than an object's creation time.
async fn await_second(client: &Client, floor: &Floor) -> Result<(), OrderError> {
    let limit = timeouts().mesh.clock;
    let waited = wait::until(limit, async |_| is_later(client, floor).await);
    waited.await.map_err(|error| {
        error.or_late(|late| OrderError::Clock {
            younger: floor.younger.clone(),
            older: floor.older.clone(),
            last: late.last_seen,
            limit,
        })
    })
}

async fn is_later(client: &Client, floor: &Floor) -> Result<Look<()>, OrderError> {
    Ok(match now(client).await {
        Ok(now) if now > floor.created => Look::Met(()),
        Ok(now) => Look::Unmet(now.to_string()),
        Err(error) => Look::Unmet(chain(&error)),
    })
}

/// The API server's clock, in whole seconds like creation times (`Date`, RFC 9110).
async fn now(client: &Client) -> Result<Timestamp, ClockError> {
    let unasked = |error| ClockError::Unasked(Box::new(error));
    let request = http::Request::get("/version").body(kube::client::Body::empty());
    let request = request.map_err(|error| unasked(kube::Error::HttpError(error)))?;
    let answer = client.send(request).await.map_err(unasked)?;
    let date = answer.headers().get(http::header::DATE);
    let date = date.and_then(|date| date.to_str().ok());
    let date = date.ok_or(ClockError::NoDate)?;
    let read = rfc2822::parse(date).map_err(|source| ClockError::Date {
        date: date.to_owned(),
        source,
    })?;
    Ok(read.timestamp())
}

/// Writes objects in order. Objects that do not depend on each other are written concurrently.
///
/// # Errors
/// The first rejection.
pub async fn write(
    writer: &Writer,
    objects: &[Value],
    home: Home<'_>,
) -> Result<Vec<Written>, ObjectError> {
    let mut written = Vec::new();
    for group in groups(objects, home.namespace) {
        let group = group.iter().map(|object| writer.apply(object, home));
        written.extend(try_join_all(group).await?);
    }
    Ok(written)
}

/// Writes objects concurrently, except for competing ones, which are written in order, and for
/// pods and their controllers, which are written after what their pods refer to. Without its
/// ServiceAccount, a pod is rejected, and its controller tries again after a growing delay.
///
/// # Errors
/// The first rejection.
pub async fn write_all(
    writer: &Writer,
    mut objects: Vec<Value>,
    home: Home<'_>,
) -> Result<Vec<Written>, ObjectError> {
    let mut written = Vec::new();
    objects.sort_by_key(|object| !is_referred_to(object));
    while !objects.is_empty() {
        let (now, later) = wave(objects, home.namespace);
        let group = now.iter().map(|object| writer.apply(object, home));
        written.extend(try_join_all(group).await?);
        objects = later;
    }
    Ok(written)
}

/// The objects that can be written now, and those that must wait for them.
fn wave(objects: Vec<Value>, namespace: &str) -> (Vec<Value>, Vec<Value>) {
    let (mut now, mut later): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for object in objects {
        let waits = now.iter().chain(&later).any(|old| {
            competes(old, &object, namespace) || is_referred_to(old) && makes_pods(&object)
        });
        if waits { &mut later } else { &mut now }.push(object);
    }
    (now, later)
}

/// Whether pods refer to objects of this kind and do not start without them.
fn is_referred_to(object: &Value) -> bool {
    let kind = object["kind"].as_str().unwrap_or_default();
    object["apiVersion"] == "v1" && ["ServiceAccount", "ConfigMap", "Secret"].contains(&kind)
}

/// Whether it is a pod, or a controller that creates pods.
fn makes_pods(object: &Value) -> bool {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    version.starts_with("apps/") || version.starts_with("batch/") || object["kind"] == "Pod"
}

/// Splits a list where order matters: before a duplicate or competing object, and around
/// everything that is not plain configuration (a Namespace, a CRD, an account and the pods that
/// use it).
fn groups<'o>(objects: &'o [Value], namespace: &str) -> Vec<&'o [Value]> {
    let (mut all, mut start) = (Vec::new(), 0);
    for at in 1..objects.len() {
        let (before, next) = (&objects[start..at], &objects[at]);
        let hangs = |old: &Value| {
            !can_compete(old) || same(old, next, namespace) || competes(old, next, namespace)
        };
        if !can_compete(next) || before.iter().any(hangs) {
            all.push(before);
            start = at;
        }
    }
    all.push(&objects[start..]);
    all
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
