//! How scenarios write: only into their own namespaces, or elsewhere only with permission,
//! labelled, recorded first, and never over foreign objects.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::future::join_all;
use kube::{
    Client,
    api::{ApiResource, PostParams},
    core::Request,
};
use serde_json::{Value, json};

use super::{
    answer::{self, Answer},
    journal::{Entry, Journal},
    kinds::{Kinds, Known},
    namespaces::SCENARIO,
    object::{self, MANAGER, ObjectError, RUN_LABEL, Written},
    runs,
    scope::{self, Outside},
};
use crate::errors::chain;

/// Where a scenario may write objects.
#[derive(Debug, Clone, Copy)]
pub struct Home<'a> {
    /// The scenario's own namespace.
    pub namespace: &'a str,
    /// Whether the scenario may write elsewhere (`needs: [outside-namespace]`, and the target
    /// supports it).
    pub outside: bool,
}

/// Writes the objects of a run. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    kinds: Kinds,
    run: String,
    journal: Journal,
    /// Keys of journal lines, by the uid of the object.
    noted: Arc<Mutex<BTreeMap<String, String>>>,
    finalizers: Arc<AtomicBool>,
}

impl Writer {
    /// A writer for the run `run`, whose journal is in its control namespace.
    pub fn new(client: &Client, run: &str) -> Self {
        Self {
            client: client.clone(),
            kinds: Kinds::default(),
            run: run.to_owned(),
            journal: Journal::of(client, &runs::control(run)),
            noted: Arc::default(),
            finalizers: Arc::default(),
        }
    }

    /// Whether a written object has a finalizer, which may block the deletion of its namespace.
    pub fn saw_finalizers(&self) -> bool {
        self.finalizers.load(Ordering::Relaxed)
    }

    fn seen(&self, made: &Answer, known: &Known) -> Written {
        let written = Written::of(made, &known.resource);
        if !written.finalizers.is_empty() {
            self.finalizers.store(true, Ordering::Relaxed);
        }
        written
    }

    /// The kinds with a namespace of API groups whose name is, or ends in, one of `groups`, and
    /// those of `further` (version and kind) that the API server has.
    ///
    /// # Errors
    /// The API server rejects a discovery request or does not answer.
    pub async fn kinds_of(
        &self,
        groups: &[&str],
        further: &[(&str, &str)],
    ) -> Result<Vec<ApiResource>, kube::Error> {
        self.kinds.of_groups(&self.client, groups, further).await
    }

    /// The client that it uses.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The run's journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Checks whether an object may be written. Sends only a discovery request for its kind.
    ///
    /// # Errors
    /// [`ObjectError`]: its fields cannot be used in a request, its kind does not exist, or the
    /// scenario may not write there.
    pub async fn admit(&self, object: &Value, home: Home<'_>) -> Result<(), ObjectError> {
        self.look(object, home).await.map(drop)
    }

    async fn look(
        &self,
        object: &Value,
        home: Home<'_>,
    ) -> Result<(Known, Option<Outside>), ObjectError> {
        let (api_version, kind, name) = object::address(object)?;
        scope::check_words(object)?;
        let found = self.kinds.find(&self.client, &api_version, &kind).await;
        let found = found.map_err(|error| {
            object::explain(error, api_version.clone(), kind.clone(), name.clone())
        })?;
        let known = found.ok_or(ObjectError::NoSuchKind {
            api_version,
            kind,
            name,
        })?;
        match scope::outside(object, home.namespace, !known.namespaced) {
            Some(outside) if !home.outside => Err(outside.into()),
            outside => Ok((known, outside)),
        }
    }

    /// Applies an object of a scenario, server-side. An object without a namespace goes into the
    /// scenario's own. Fields of other field managers are not taken over.
    ///
    /// # Errors
    /// [`ObjectError`] with the message of the API server or of the webhook that rejected it.
    pub async fn apply(&self, object: &Value, home: Home<'_>) -> Result<Written, ObjectError> {
        let (known, outside) = self.look(object, home).await?;
        if outside.is_some() {
            return self.apply_outside(object, &known).await;
        }
        let namespace = known.namespaced.then(|| {
            let named = object["metadata"]["namespace"].as_str();
            named.unwrap_or(home.namespace)
        });
        // An additional namespace of a scenario is found and removed like its own.
        let object = &match scope::is_further(object) {
            true => self.claimed(object, home.namespace),
            false => object.clone(),
        };
        self.patch(object, &known, namespace).await
    }

    /// Creates a Namespace of the run, which must not exist yet.
    ///
    /// # Errors
    /// [`ObjectError`]. An existing one with that name is foreign.
    pub async fn claim(&self, name: &str, scenario: &str) -> Result<Written, ObjectError> {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let known = Known {
            resource: kube::api::ApiResource::erase::<k8s_openapi::api::core::v1::Namespace>(&()),
            namespaced: false,
        };
        self.create(&self.claimed(&object, scenario), &known, None)
            .await
    }

    /// A Namespace with the label and annotations of the run.
    fn claimed(&self, object: &Value, scenario: &str) -> Value {
        let mut object = object.clone();
        let metadata = &mut object["metadata"];
        metadata["labels"][RUN_LABEL] = self.run.as_str().into();
        metadata["annotations"][SCENARIO] = scenario.into();
        metadata["annotations"][runs::CONTROL] = runs::control(&self.run).into();
        object
    }

    /// Creates an object outside the scenario's namespaces, or applies it again if this run
    /// created it.
    async fn apply_outside(&self, object: &Value, known: &Known) -> Result<Written, ObjectError> {
        let mut object = object.clone();
        object["metadata"]["labels"][RUN_LABEL] = self.run.as_str().into();
        let named = object["metadata"]["namespace"].as_str().map(str::to_owned);
        let namespace = named.filter(|_| known.namespaced);
        let (_, _, name) = object::address(&object)?;
        let api = object::api(&self.client, &known.resource, namespace.as_deref());
        let there = api.get_opt(&name).await;
        let there = there.map_err(|error| explain(error, &object))?;
        if let Some(there) = there {
            let uid = there.metadata.uid.clone().unwrap_or_default();
            if !self.with(|noted| noted.contains_key(&uid)) {
                return Err(foreign(&object));
            }
            // The server compares the uid, so another object with this name is not changed.
            object["metadata"]["uid"] = uid.into();
            return self.patch(&object, known, namespace.as_deref()).await;
        }
        let mut entry = Entry {
            resource: known.resource.clone(),
            namespace: namespace.clone(),
            name,
            uid: None,
        };
        let noted = self.journal.intend(&entry).await;
        let key = noted.map_err(|source| ObjectError::Unnoted {
            what: entry.describe(),
            source: Box::new(source),
        })?;
        match self.create(&object, known, namespace.as_deref()).await {
            Ok(written) => {
                entry.uid = Some(written.uid.clone());
                self.with(|noted| noted.insert(written.uid.clone(), key.clone()));
                // Without the uid, it is found by the run's label.
                let _ = self.journal.note(&key, &entry).await;
                Ok(written)
            }
            // It may have been created, so its line stays.
            Err(error @ ObjectError::Api { .. }) => Err(error),
            Err(error) => {
                let _ = self.journal.strike(&key).await;
                Err(error)
            }
        }
    }

    /// Deletes what was written outside the namespace `own` and removes it from the journal.
    /// Returns descriptions of what was not removed.
    pub async fn remove_outside(&self, written: &[Written], own: &str) -> Vec<String> {
        let further = format!("{own}-");
        let outside = written.iter().filter(|one| {
            let at = one.namespace.as_deref();
            at.is_none_or(|at| at != own && !at.starts_with(&further))
        });
        let removed = outside.map(|one| async move {
            match self.delete(one).await {
                Ok(()) => None,
                Err(error) => {
                    let why = chain(&error);
                    Some(format!("{} {} was not removed: {why}", one.kind, one.name))
                }
            }
        });
        join_all(removed).await.into_iter().flatten().collect()
    }

    /// Deletes exactly this object.
    ///
    /// # Errors
    /// The API server rejects the request. An object that no longer exists is not an error.
    pub async fn delete(&self, written: &Written) -> Result<(), ObjectError> {
        object::delete(&self.client, written).await?;
        if let Some(key) = self.with(|noted| noted.remove(&written.uid)) {
            // A line for an object that is gone does no harm.
            let _ = self.journal.strike(&key).await;
        }
        Ok(())
    }

    async fn create(
        &self,
        object: &Value,
        known: &Known,
        namespace: Option<&str>,
    ) -> Result<Written, ObjectError> {
        let api = object::api(&self.client, &known.resource, namespace);
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        let body =
            serde_json::to_vec(object).map_err(|error| ObjectError::Shape(error.to_string()))?;
        let request = Request::new(api.resource_url()).create(&params, body);
        match answer::ask(&self.client, request).await {
            Ok(made) => Ok(self.seen(&made, known)),
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
                Err(foreign(object))
            }
            Err(error) => Err(explain(error, object)),
        }
    }

    async fn patch(
        &self,
        object: &Value,
        known: &Known,
        namespace: Option<&str>,
    ) -> Result<Written, ObjectError> {
        let (_, kind, name) = object::address(object)?;
        let api = object::api(&self.client, &known.resource, namespace);
        let mut patched = object::patch(&self.client, &api, &name, object, false).await;
        if let Err(kube::Error::Api(status)) = &patched
            && let Some((owner, fields)) = owners(status)
        {
            if owner != MANAGER {
                return Err(ObjectError::Conflict {
                    kind,
                    name,
                    owner,
                    fields,
                });
            }
            // meshproof's own field from another request: a step that scales owns `replicas`.
            patched = object::patch(&self.client, &api, &name, object, true).await;
        }
        match patched {
            Ok(made) => Ok(self.seen(&made, known)),
            Err(error) => Err(explain(error, object)),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> T {
        work(&mut self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn explain(error: kube::Error, object: &Value) -> ObjectError {
    match object::address(object) {
        Ok((api_version, kind, name)) => object::explain(error, api_version, kind, name),
        Err(shape) => shape,
    }
}

fn foreign(object: &Value) -> ObjectError {
    let text = |pointer: &str| {
        let text = object.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    ObjectError::Foreign {
        kind: text("/kind"),
        name: text("/metadata/name"),
    }
}

/// The owner of the fields that an apply would have changed, and the fields
/// (`FieldManagerConflict`, k8s.io/apimachinery/pkg/apis/meta/v1). Other field managers come
/// before meshproof. `None` if it is not such a conflict.
fn owners(status: &kube::core::Status) -> Option<(String, String)> {
    let causes = status.details.as_ref()?.causes.iter();
    let conflicts = causes.filter(|cause| cause.reason == "FieldManagerConflict");
    let mut named: Vec<(String, &str)> = conflicts
        .map(|cause| {
            let owner = cause.message.split('"').nth(1).unwrap_or("(unknown)");
            (owner.to_owned(), cause.field.as_str())
        })
        .collect();
    named.sort_by_key(|(owner, _)| owner == MANAGER);
    let (owner, _) = named.first()?.clone();
    let fields: Vec<&str> = named
        .iter()
        .filter(|(other, _)| *other == owner)
        .map(|(_, field)| *field)
        .collect();
    Some((owner, fields.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(causes: Value) -> kube::core::Status {
        let status = json!({"status": "Failure", "code": 409, "reason": "Conflict", "message": "Apply failed with 2 conflicts",
            "details": {"causes": causes}});
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn the_owner_of_a_field_is_named() {
        let cause = |manager: &str, field: &str| json!({"reason": "FieldManagerConflict", "message": format!("conflict with \"{manager}\" using apps/v1"), "field": field});
        let both = status(json!([
            cause("meshproof", ".spec.replicas"),
            cause("kubectl", ".data.a"),
            cause("kubectl", ".data.b")
        ]));
        let named = |owner: &str, fields: &str| Some((owner.to_owned(), fields.to_owned()));
        assert_eq!(owners(&both), named("kubectl", ".data.a, .data.b"));
        let own = status(json!([cause("meshproof", ".spec.replicas")]));
        assert_eq!(owners(&own), named("meshproof", ".spec.replicas"));
        let other =
            status(json!([{"reason": "FieldValueInvalid", "message": "\"x\"", "field": "a"}]));
        assert_eq!(owners(&other), None);
    }
}
