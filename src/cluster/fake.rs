//! An in-memory API server for tests: objects by path, uids, labels, server-side apply with field
//! owners, deletes with preconditions, and watches.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::service_fn;

#[path = "fake_watch.rs"]
mod watched;

/// Date in the server's responses.
pub const NOW: &str = "Mon, 30 Nov 2026 12:00:00 GMT";

#[derive(Default)]
pub struct Inner {
    /// By path: `/api/v1/namespaces/a`.
    pub objects: BTreeMap<String, Value>,
    /// Methods and paths of writes, in order.
    pub writes: Vec<String>,
    /// The field manager of an object, by path.
    pub owners: BTreeMap<String, String>,
    /// Namespaces whose deletion does not finish.
    pub held: Vec<String>,
    /// Paths of objects that may not be deleted.
    pub guarded: Vec<String>,
    next: u64,
    /// The changes for watches, in order.
    log: Vec<watched::Change>,
    /// The length of `log`.
    length: watch::Sender<usize>,
}

/// The in-memory API server. Cheap to clone.
#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<Inner>>);

impl Fake {
    pub fn client(&self) -> Client {
        let fake = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move {
                let (parts, body) = request.into_parts();
                if let Some(events) = watched::events(&fake, &parts.uri) {
                    return Ok(Response::new(events));
                }
                let body = body.collect().await?.to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let path = parts.uri.path().to_owned();
                let query = parts.uri.query().unwrap_or_default().to_owned();
                let (code, answer) =
                    fake.with(|inner| inner.answer(&parts.method, &path, &query, body));
                let answer = Response::builder().status(code).header("date", NOW).body(
                    Full::from(answer.to_string())
                        .map_err(|never| match never {})
                        .boxed_unsync(),
                );
                Ok::<_, tower::BoxError>(answer?)
            }
        });
        Client::new(service, "default")
    }

    pub fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    /// Creates an object as another client would.
    pub fn put(&self, path: &str, mut object: Value) -> String {
        self.with(|inner| {
            let uid = inner.uid();
            object["metadata"]["name"] = path.rsplit('/').next().into();
            object["metadata"]["uid"] = uid.as_str().into();
            inner.insert(path, object);
            uid
        })
    }

    /// Deletes an object as another client would.
    pub fn remove(&self, path: &str) {
        self.with(|inner| inner.take(path));
    }

    /// The number of changes, updated with each.
    pub fn changes(&self) -> watch::Receiver<usize> {
        self.with(|inner| inner.length.subscribe())
    }

    pub fn get(&self, path: &str) -> Option<Value> {
        self.with(|inner| inner.objects.get(path).cloned())
    }

    pub fn paths(&self) -> Vec<String> {
        self.with(|inner| inner.objects.keys().cloned().collect())
    }

    pub fn writes(&self) -> Vec<String> {
        self.with(|inner| inner.writes.clone())
    }
}

impl Inner {
    fn uid(&mut self) -> String {
        self.next += 1;
        format!("uid-{}", self.next)
    }

    fn answer(&mut self, method: &Method, path: &str, query: &str, body: Value) -> (u16, Value) {
        if method != Method::GET {
            self.writes.push(format!("{method} {path}"));
        }
        let known = || refused(404, "NotFound", "not found");
        match *method {
            Method::GET if !path.starts_with("/api") => (200, json!({})),
            Method::GET => match (kinds(path), self.objects.get(path)) {
                (Some(kinds), _) => (200, kinds),
                (None, Some(object)) => (200, object.clone()),
                (None, None) if is_collection(path) => (200, self.list(path, query)),
                _ => known(),
            },
            Method::POST => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default();
                let path = format!("{path}/{name}");
                match self.objects.contains_key(&path) {
                    true => refused(409, "AlreadyExists", "already exists"),
                    false => self.keep(path, body),
                }
            }
            Method::PATCH => self.patch(path, query, body),
            Method::DELETE => self.delete(path, &body),
            _ => known(),
        }
    }

    fn keep(&mut self, path: String, mut object: Value) -> (u16, Value) {
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = self.uid().into();
        }
        if let Some((namespace, _)) = path
            .split_once("/namespaces/")
            .and_then(|(_, rest)| rest.split_once('/'))
        {
            object["metadata"]["namespace"] = namespace.into();
        }
        (201, self.insert(&path, object))
    }

    fn patch(&mut self, path: &str, query: &str, patch: Value) -> (u16, Value) {
        let (there, owner) = (self.objects.get(path).cloned(), self.owners.get(path));
        let applied = patch["kind"].is_string();
        match (there, owner) {
            (_, Some(owner)) if applied && !query.contains("force=true") => {
                let cause = json!({"reason": "FieldManagerConflict", "field": ".data.a", "message": format!("conflict with \"{owner}\"")});
                let (code, mut status) = refused(409, "Conflict", "Apply failed with 1 conflict");
                status["details"] = json!({"causes": [cause]});
                (code, status)
            }
            (Some(mut object), _) => {
                let expected = &patch["metadata"]["uid"];
                if expected.is_string() && *expected != object["metadata"]["uid"] {
                    return refused(409, "Conflict", "Precondition failed: UID");
                }
                merge(&mut object, &patch);
                (200, self.insert(path, object))
            }
            (None, _) if applied => self.keep(path.to_owned(), patch),
            (None, _) => refused(404, "NotFound", "not found"),
        }
    }

    fn delete(&mut self, path: &str, options: &Value) -> (u16, Value) {
        if is_collection(path) {
            return (200, json!({"kind": "Status", "status": "Success"}));
        }
        let Some(object) = self.objects.get_mut(path) else {
            return refused(404, "NotFound", "not found");
        };
        if self.guarded.iter().any(|guarded| guarded == path) {
            return refused(403, "Forbidden", "not yours to delete");
        }
        let expected = &options["preconditions"]["uid"];
        if expected.is_string() && *expected != object["metadata"]["uid"] {
            return refused(
                409,
                "Conflict",
                "the UID in the precondition does not match",
            );
        }
        if self.held.iter().any(|held| path.ends_with(held)) {
            object["metadata"]["deletionTimestamp"] = "2026-11-30T12:00:00Z".into();
            object["status"] = json!({"conditions": [{"type": "NamespaceFinalizersRemaining", "status": "True",
                "lastTransitionTime": null, "reason": "SomeFinalizersRemain", "message": "finalizers remaining: example.test/hold"}]});
            return (200, object.clone());
        }
        self.take(path);
        (200, json!({"kind": "Status", "status": "Success"}))
    }

    fn list(&self, path: &str, query: &str) -> Value {
        let query = percent_encoding::percent_decode_str(query)
            .decode_utf8_lossy()
            .into_owned();
        let selector = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("labelSelector="));
        let items = self
            .objects
            .iter()
            .filter(|(at, object)| is_in(at, path) && selects(selector, object));
        let items: Vec<Value> = items.map(|(_, object)| object.clone()).collect();
        let version = self.log.len().to_string();
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items})
    }
}

/// Whether the object at `at` belongs to the collection, of one namespace or of all.
fn is_in(at: &str, collection: &str) -> bool {
    let Some((parent, _)) = at.rsplit_once('/') else {
        return false;
    };
    let everywhere = || {
        let (group, rest) = parent.split_once("/namespaces/")?;
        let (_, plural) = rest.split_once('/')?;
        Some(format!("{group}/{plural}"))
    };
    parent == collection || everywhere().is_some_and(|all| all == collection)
}

fn selects(selector: Option<&str>, object: &Value) -> bool {
    let label = |key: &str| object["metadata"]["labels"].get(key);
    let terms = selector
        .unwrap_or_default()
        .split(',')
        .filter(|term| !term.is_empty());
    let mut terms = terms.map(
        |term| match (term.strip_prefix('!'), term.split_once('=')) {
            (Some(key), _) => label(key).is_none(),
            (None, Some((key, value))) => label(key).is_some_and(|found| found == value),
            (None, None) => label(term).is_some(),
        },
    );
    terms.all(|fits| fits)
}

/// Whether a path ends with a kind's plural and not with a name: `/api/v1/namespaces`,
/// `/apis/G/V/namespaces/N/KINDS`.
fn is_collection(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let rest = if parts[0] == "api" {
        &parts[2..]
    } else {
        &parts[3..]
    };
    rest.len() % 2 == 1
}

fn kinds(path: &str) -> Option<Value> {
    let kind = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "kind": kind, "namespaced": namespaced, "verbs": []});
    let resources = match path {
        "/api/v1" => json!([
            kind("namespaces", "Namespace", false),
            kind("configmaps", "ConfigMap", true)
        ]),
        "/apis/apps/v1" => json!([kind("deployments", "Deployment", true)]),
        "/apis/networking.istio.io/v1" => json!([
            kind("serviceentries", "ServiceEntry", true),
            kind("virtualservices", "VirtualService", true)
        ]),
        "/apis/rbac.authorization.k8s.io/v1" => json!([kind("clusterroles", "ClusterRole", false)]),
        // Neither plural nor scope can be guessed.
        "/apis/example.test/v1" => json!([kind("meshen", "Mesh", false), kind("oxen", "Ox", true)]),
        _ => return None,
    };
    Some(json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": resources}))
}

fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                match value {
                    Value::Null => drop(into.remove(key)),
                    value => merge(into.entry(key.clone()).or_insert(Value::Null), value),
                }
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}

fn refused(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason, "message": message});
    (code, status)
}
