//! Manifests as applied, with the API server's answers: evidence of a scenario that did not pass.

use std::path::Path;

use serde_json::Value;

use crate::{cluster::object::Written, evidence::sensitive};

/// Files in the order in which steps used them.
#[derive(Debug, Default)]
pub struct Manifests {
    files: Vec<File>,
}

#[derive(Debug)]
struct File {
    name: String,
    objects: Vec<Value>,
    answers: Vec<Written>,
}

impl Manifests {
    /// Records the objects that a step is about to write.
    pub fn taken_up(&mut self, path: &str, objects: Vec<Value>) {
        let name = Path::new(path).file_name();
        self.files.push(File {
            name: name.map_or_else(
                || path.to_owned(),
                |name| name.to_string_lossy().into_owned(),
            ),
            objects,
            answers: Vec::new(),
        });
    }

    /// Records the API server's answers to the objects that were recorded last.
    pub fn answered(&mut self, written: &[Written]) {
        if let Some(file) = self.files.last_mut() {
            file.answers.extend_from_slice(written);
        }
    }

    /// Returns the names and texts of the evidence.
    pub fn evidence(&self) -> Vec<(String, String)> {
        let numbered = (1..).zip(&self.files);
        let each = numbered.map(|(number, file)| {
            let documents: Vec<String> =
                file.objects.iter().map(|one| file.document(one)).collect();
            (
                format!("manifests/{number:02}-{}", file.name),
                documents.join("---\n"),
            )
        });
        each.collect()
    }
}

impl File {
    /// Returns one object with the metadata that the API server set, preceded by its warnings.
    fn document(&self, object: &Value) -> String {
        let same = |written: &&Written| {
            let namespace = object["metadata"]["namespace"].as_str();
            object["kind"] == written.kind.as_str()
                && object["metadata"]["name"] == written.name.as_str()
                && (namespace.is_none() || namespace == written.namespace.as_deref())
        };
        let mut object = sensitive::object(object.clone());
        let mut text = String::new();
        match self.answers.iter().find(same) {
            Some(answer) => {
                for warning in &answer.warnings {
                    text += &format!("# warning: {}\n", warning.replace('\n', " "));
                }
                let metadata = &mut object["metadata"];
                if let Some(namespace) = &answer.namespace {
                    metadata["namespace"] = namespace.as_str().into();
                }
                metadata["uid"] = answer.uid.as_str().into();
                metadata["resourceVersion"] = answer.resource_version.as_str().into();
                if let Some(created) = answer.created {
                    metadata["creationTimestamp"] = created.to_string().into();
                }
            }
            None => text += "# the API server has not accepted it\n",
        }
        text + &serde_yaml::to_string(&object).unwrap_or_else(|error| format!("# {error}\n"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_is_kept_with_what_the_api_server_answered() {
        let route = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"}, "spec": {"hosts": ["x"]}});
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"key": {"nested": "hunter2"}}});
        let mut manifests = Manifests::default();
        manifests.taken_up("suites/routing/r.first.yaml", vec![route, secret]);
        manifests.answered(&[Written {
            kind: "VirtualService".into(),
            name: "a".into(),
            namespace: Some("mp-1".into()),
            uid: "u-1".into(),
            resource_version: "77".into(),
            created: "2026-01-02T03:04:05Z".parse().ok(),
            warnings: vec!["unknown field \"spec.hots\"".into()],
            ..Written::default()
        }]);
        let (name, text) = manifests.evidence().remove(0);
        assert_eq!(name, "manifests/01-r.first.yaml");
        for part in [
            "# warning: unknown field \"spec.hots\"\n",
            "uid: u-1",
            "resourceVersion: '77'",
            "creationTimestamp: 2026-01-02T03:04:05Z",
            "namespace: mp-1",
            "hosts:\n  - x",
            "---\n# the API server has not accepted it\n",
            "nested: '***'",
        ] {
            assert!(text.contains(part), "{part} in:\n{text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
}
