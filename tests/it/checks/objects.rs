//! All objects of all kinds of an API server, with uid, generation, labels and annotations, and
//! some namespaces and objects that only look like a run's.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::LazyLock, time::Duration};

use meshproof::wait::{Look, WaitError, until};
use regex::Regex;
use serde_json::Value;

use super::{
    machine::difference,
    program::{command, output},
};

/// Timeout of kubectl.
const LIMIT: Duration = Duration::from_secs(60);
/// Kinds that come and go with any pod, or by themselves.
static FLEETING: LazyLock<Regex> = LazyLock::new(|| {
    let kinds = r"^(endpoints|endpointslices\.discovery.*|ipaddresses\..*|events|events\..*|componentstatuses|podmetrics.*|nodemetrics.*)$";
    Regex::new(kinds).expect("a regular expression")
});
/// A leader election lock, which is renewed all the time.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

/// How long istiod may take, once it is ready, until it has tried its own validation.
const VALIDATION: Duration = Duration::from_secs(30);

/// Objects that meshproof must never touch: a namespace that is only named like a run's; one with
/// the label and no annotation; one with label, annotations and another name; a control namespace
/// whose stale Lease and journal were not written by meshproof.
const ALIKES: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: mp-zzzz1-1-alike}
---
apiVersion: v1
kind: Namespace
metadata: {name: mp-zzzz2-1-alike, labels: {meshproof.dev/run: zzzz2}}
---
apiVersion: v1
kind: Namespace
metadata:
  name: prod-alike
  labels: {meshproof.dev/run: zzzz3}
  annotations: {meshproof.dev/scenario: routing/metadata, meshproof.dev/control: mp-zzzz3-0-control}
---
apiVersion: v1
kind: Namespace
metadata: {name: mp-zzzz4-0-control, labels: {meshproof.dev/run: zzzz4}}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: meshproof-run, namespace: mp-zzzz4-0-control, labels: {meshproof.dev/run: zzzz4}}
spec: {holderIdentity: somebody, leaseDurationSeconds: 1, renewTime: "2020-01-01T00:00:00.000000Z"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: meshproof-journal, namespace: mp-zzzz4-0-control, labels: {meshproof.dev/run: zzzz4}}
data:
  "000000": '{"resource":{"group":"rbac.authorization.k8s.io","version":"v1","api_version":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","plural":"clusterroles"},"name":"mp-alike"}'
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: mp-alike, labels: {meshproof.dev/run: zzzz4}}
rules: []
"#;

/// The objects of an API server, and their previous state.
pub struct Objects {
    pub kubeconfig: PathBuf,
    before: BTreeSet<String>,
}

impl Objects {
    /// Creates objects that only look like a run's, and lists everything.
    ///
    /// # Errors
    /// The error of kubectl.
    pub async fn with_alikes(kubeconfig: PathBuf) -> Result<Self, String> {
        let alikes = kubeconfig.with_file_name("alikes.yaml");
        fs::write(&alikes, ALIKES).map_err(|error| error.to_string())?;
        let mut objects = Self {
            kubeconfig,
            before: BTreeSet::new(),
        };
        objects
            .kubectl(&["apply", "-f", &alikes.display().to_string()])
            .await?;
        objects.validation_is_enforced().await?;
        objects.before = objects.listed().await?;
        Ok(objects)
    }

    /// Waits until istiod has changed the failure policy of its webhooks to `Fail`, which it does
    /// some time after it is ready, and is no trace of a run.
    async fn validation_is_enforced(&self) -> Result<(), String> {
        let policies = "jsonpath={.items[*].webhooks[*].failurePolicy}";
        let args = ["get", "validatingwebhookconfigurations", "-o", policies];
        let outcome = until(VALIDATION, async |_| {
            let policies = self.kubectl(&args).await?;
            let enforced = policies.split(' ').all(|policy| policy == "Fail");
            Ok::<_, String>(match enforced {
                true => Look::Met(()),
                false => Look::Unmet(format!("failure policies of webhooks: '{policies}'")),
            })
        });
        outcome.await.map_err(|error| error.to_string())
    }

    async fn kubectl(&self, args: &[&str]) -> Result<String, String> {
        let mut kubectl = command("kubectl", &["--kubeconfig"]);
        kubectl.arg(&self.kubeconfig).args(args);
        output(kubectl, LIMIT).await
    }

    /// Describes the number of namespaces of runs.
    pub async fn namespaces_of_runs(&self) -> String {
        let args = ["get", "namespaces", "-l", "meshproof.dev/run", "-o", "name"];
        match self.kubectl(&args).await {
            Ok(names) => format!(
                "{} namespaces",
                names.lines().filter(|name| !is_alike(name)).count()
            ),
            Err(why) => format!("cannot list namespaces ({why})"),
        }
    }

    async fn listed(&self) -> Result<BTreeSet<String>, String> {
        let kinds = self
            .kubectl(&["api-resources", "--verbs", "list", "-o", "name"])
            .await?;
        let kinds: Vec<&str> = kinds
            .lines()
            .filter(|kind| !FLEETING.is_match(kind))
            .collect();
        let kinds = kinds.join(",");
        let text = self
            .kubectl(&["get", &kinds, "--all-namespaces", "-o", "json"])
            .await?;
        let all: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let items = all["items"]
            .as_array()
            .ok_or("the output of kubectl has no items")?;
        Ok(items.iter().map(line).collect())
    }

    /// Waits until every object is as before.
    ///
    /// # Errors
    /// The differences. Each is reported once.
    pub async fn as_before(&mut self, limit: Duration) -> Result<String, String> {
        let outcome = until(limit, async |_| {
            let now = self.listed().await?;
            Ok::<_, String>(match now == self.before {
                true => Look::Met(()),
                false => Look::Unmet(difference(&self.before, &now)),
            })
        });
        match outcome.await {
            Ok(()) => Ok(String::new()),
            Err(WaitError::Failed(why)) => Err(why),
            Err(WaitError::TimedOut(late)) => {
                self.before = self.listed().await?;
                Err(format!("differences:{}", late.last_seen))
            }
        }
    }

    /// Checks that they have stayed until now, and deletes them.
    ///
    /// # Errors
    /// The error of kubectl, also when one no longer exists.
    pub async fn remove_alikes(&self) -> Result<String, String> {
        let alikes = self.kubeconfig.with_file_name("alikes.yaml");
        let args = ["delete", "-f", &alikes.display().to_string()];
        self.kubectl(&args).await.map(|_| String::new())
    }
}

fn is_alike(name: &str) -> bool {
    name.contains("alike") || name.contains("mp-zzzz4")
}

fn line(object: &Value) -> String {
    let metadata = &object["metadata"];
    let mut annotations = metadata["annotations"].clone();
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.remove(LEADER);
    }
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    [
        text(&object["apiVersion"]),
        text(&object["kind"]),
        text(&metadata["namespace"]),
        text(&metadata["name"]),
        text(&metadata["uid"]),
        metadata["generation"].to_string(),
        metadata["labels"].to_string(),
        annotations.to_string(),
    ]
    .join(" ")
}
