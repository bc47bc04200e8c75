//! Records what a run writes outside its namespaces before it is written, so that it can be found
//! after the run was killed.
//!
//! The journal is a ConfigMap in the run's control namespace, with one key for each object.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    lease,
    object::{self, MANAGER, ObjectError, RUN_LABEL, Written},
};
use crate::errors::{Classified, ErrorClass};

/// Name of the ConfigMap.
pub const JOURNAL: &str = "meshproof-journal";

/// An error reading a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot read the journal")]
    Unread(#[source] Box<kube::Error>),
    #[error("invalid line {key} in the journal")]
    Line {
        key: String,
        source: serde_json::Error,
    },
}

impl Classified for JournalError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unread(error) => error.class(),
            // It was written by meshproof, possibly by another version.
            Self::Line { .. } => ErrorClass::Harness,
        }
    }
}

/// An object outside the run's namespaces, written or about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub resource: ApiResource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
    /// Absent until the API server has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

impl Entry {
    /// For messages.
    pub fn describe(&self) -> String {
        let of = self.namespace.as_deref();
        let place = of.map_or_else(String::new, |namespace| format!(" in {namespace}"));
        format!("{} {}{place}", self.resource.kind, self.name)
    }

    fn api(&self, client: &Client) -> Api<DynamicObject> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        }
    }

    /// Deletes the object if the run `run` created it: by uid, or while the uid is unknown by the
    /// run's label, which the object has from its creation.
    ///
    /// # Errors
    /// The API server rejects the request or does not answer.
    pub async fn remove(&self, client: &Client, run: &str) -> Result<(), ObjectError> {
        let uid = match &self.uid {
            Some(uid) => uid.clone(),
            None => {
                let found = self.api(client).get_opt(&self.name).await;
                let found = found.map_err(|error| {
                    let version = self.resource.api_version.clone();
                    object::explain(
                        error,
                        version,
                        self.resource.kind.clone(),
                        self.name.clone(),
                    )
                })?;
                let labels = found
                    .as_ref()
                    .and_then(|found| found.metadata.labels.as_ref());
                let ours = labels.is_some_and(|all| all.get(RUN_LABEL).is_some_and(|id| id == run));
                match found.and_then(|found| found.metadata.uid) {
                    Some(uid) if ours => uid,
                    _ => return Ok(()),
                }
            }
        };
        let written = Written {
            api_version: self.resource.api_version.clone(),
            kind: self.resource.kind.clone(),
            plural: self.resource.plural.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid,
            ..Written::default()
        };
        object::delete(client, &written).await
    }
}

/// The journal of an active run. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    api: Api<ConfigMap>,
    next: Arc<AtomicUsize>,
}

impl Journal {
    /// The journal in a control namespace, which [`Journal::begin`] creates.
    pub fn of(client: &Client, control: &str) -> Self {
        Self {
            api: Api::namespaced(client.clone(), control),
            next: Arc::default(),
        }
    }

    /// Removes the ConfigMap of an ended run, so that another can go on in its name.
    ///
    /// # Errors
    /// The API server rejects the request or does not answer.
    pub async fn end(&self) -> Result<(), kube::Error> {
        lease::gone(self.api.delete(JOURNAL, &DeleteParams::default()).await)
    }

    /// Creates the ConfigMap.
    ///
    /// # Errors
    /// The API server rejects the request or does not answer.
    pub async fn begin(&self, run: &str) -> Result<(), kube::Error> {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": JOURNAL, "labels": {RUN_LABEL: run}}, "data": {}});
        let map = serde_json::from_value(map).map_err(kube::Error::SerdeError)?;
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        self.api.create(&params, &map).await.map(drop)
    }

    /// Records an object that is about to be written. Returns the key of its line.
    ///
    /// # Errors
    /// The API server rejects the request or does not answer. Then nothing may be written.
    pub async fn intend(&self, entry: &Entry) -> Result<String, kube::Error> {
        let key = format!("{:06}", self.next.fetch_add(1, Ordering::Relaxed));
        self.note(&key, entry).await?;
        Ok(key)
    }

    /// Updates a line with what is known now.
    ///
    /// # Errors
    /// The API server rejects the request or does not answer.
    pub async fn note(&self, key: &str, entry: &Entry) -> Result<(), kube::Error> {
        let line = serde_json::to_string(entry).map_err(kube::Error::SerdeError)?;
        self.patch(json!({"data": {key: line}})).await
    }

    /// Removes the line of an object that is gone, or was not written.
    ///
    /// # Errors
    /// The API server rejects the request or does not answer.
    pub async fn strike(&self, key: &str) -> Result<(), kube::Error> {
        self.patch(json!({"data": {key: null}})).await
    }

    async fn patch(&self, patch: serde_json::Value) -> Result<(), kube::Error> {
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&patch);
        self.api.patch(JOURNAL, &params, &patch).await.map(drop)
    }

    /// All entries. Empty if there is no journal.
    ///
    /// # Errors
    /// [`JournalError`]: the API server does not answer, or a line is invalid.
    pub async fn entries(&self) -> Result<Vec<Entry>, JournalError> {
        let map = self.api.get_opt(JOURNAL).await;
        let map = map.map_err(|error| JournalError::Unread(Box::new(error)))?;
        let lines = map.and_then(|map| map.data).unwrap_or_default();
        let entry = |(key, line): (String, String)| {
            serde_json::from_str(&line).map_err(|source| JournalError::Line { key, source })
        };
        lines.into_iter().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let mut entry = Entry {
            resource: ApiResource {
                group: "rbac.authorization.k8s.io".into(),
                version: "v1".into(),
                api_version: "rbac.authorization.k8s.io/v1".into(),
                kind: "ClusterRole".into(),
                plural: "clusterroles".into(),
            },
            namespace: None,
            name: "a".into(),
            uid: None,
        };
        assert_eq!(entry.describe(), "ClusterRole a");
        for uid in [None, Some("u".to_owned())] {
            entry.uid = uid;
            let line = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<Entry>(&line).unwrap(), entry);
        }
    }
}
