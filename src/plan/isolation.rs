//! Whether a scenario may use pods and a namespace that other scenarios have used, and may leave
//! its own to them. Derived from what it does, never declared by its author.
//!
//! A scenario has its namespace to itself while it runs, so its Services, hosts and configuration
//! are its own in any case, and policies for a whole namespace affect nobody else. What cannot be
//! undone afterwards, or not be proven to be undone, is listed here.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::scenario::{
    loaded::LoadedScenario,
    model::{Step, Workload},
    objects, reach,
    verb::{restart::Restart, scale::Scale},
    workload_file,
};

/// Value of `needs` that lets a scenario write outside its own namespace.
pub const OUTSIDE: &str = "outside-namespace";
/// Kinds in workload files that can stay for the next scenario.
pub const STANDING: [&str; 4] = ["Deployment", "ServiceAccount", "Role", "RoleBinding"];
/// Image of the test servers and callers, whose state can be queried and reset.
const TESTBED: &str = "local/testbed:dev";

/// What a scenario shares with others, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Isolation {
    /// Why it needs a namespace that no other scenario has used or will use. `None`: it does not.
    pub private: Option<String>,
    /// Workloads whose pods no other scenario uses, with the reason.
    pub own: BTreeMap<String, String>,
}

impl Isolation {
    /// Everything is the scenario's own.
    #[must_use]
    pub fn private(reason: impl Into<String>) -> Self {
        Self {
            private: Some(reason.into()),
            own: BTreeMap::new(),
        }
    }

    /// Whether pods of this workload may come from another scenario and go to the next.
    #[must_use]
    pub fn shares(&self, workload: &str) -> bool {
        self.private.is_none() && !self.own.contains_key(workload)
    }
}

/// What a scenario shares.
#[must_use]
pub fn isolation(loaded: &LoadedScenario) -> Isolation {
    if let Some(reason) = reach::serial(loaded) {
        return Isolation::private(format!("it runs alone: {reason}"));
    }
    if loaded.scenario.needs.iter().any(|need| need == OUTSIDE) {
        return Isolation::private(format!("needs: [{OUTSIDE}]"));
    }
    if let Some(reason) = loaded.scenario.steps.iter().find_map(unrepeatable) {
        return Isolation::private(reason);
    }
    if let Some(reason) = reach::applied(loaded).find_map(|file| lasting(&file.text)) {
        return Isolation::private(reason);
    }
    let credentials = has_credentials(loaded);
    let own = loaded.scenario.workloads.iter();
    let own = own.filter_map(|workload| {
        let reason = own_pods(loaded, workload, credentials)?;
        Some((workload.name.clone(), reason))
    });
    Isolation {
        private: None,
        own: own.collect(),
    }
}

/// Why a step needs proxies that nothing has passed through before.
fn unrepeatable(step: &Step) -> Option<String> {
    match step {
        Step::WaitForStat(step) if step.from_zero => {
            Some("`wait-for-stat` counts from the start of a proxy".to_owned())
        }
        _ => None,
    }
}

/// Why an object of a manifest leaves traces that deleting it does not remove at once.
fn lasting(text: &str) -> Option<String> {
    let objects = objects::values(text).ok()?;
    objects.iter().find_map(|object| {
        let kind = object["kind"].as_str()?;
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let reason = match kind {
            "Namespace" => "is a further namespace",
            // It hides the marker by which meshproof sees what a proxy has.
            "Sidecar" => "changes what proxies of the namespace know at all",
            "Gateway" if version.starts_with("gateway.networking.k8s.io/") => {
                "has pods that the mesh deploys"
            }
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "Pod" => "has pods",
            _ => return None,
        };
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        Some(format!(
            "{kind} {} that it applies {reason}",
            name.unwrap_or_default()
        ))
    })
}

/// Whether the scenario gives credentials to proxies. Envoy serves a new listener with the secret
/// that a draining one still holds, even if it no longer exists.
fn has_credentials(loaded: &LoadedScenario) -> bool {
    let mut steps = loaded.scenario.steps.iter();
    let mut applied = reach::applied(loaded);
    let is_secret = |object: &Value| object["kind"] == "Secret";
    steps.any(|step| matches!(step, Step::Certificate(_)))
        || applied
            .any(|file| objects::values(&file.text).is_ok_and(|all| all.iter().any(is_secret)))
}

/// Why the pods of a workload are of no use to others, or cannot be proven to be.
fn own_pods(loaded: &LoadedScenario, workload: &Workload, credentials: bool) -> Option<String> {
    if !workload.annotations.is_empty() {
        return Some("annotations".to_owned());
    }
    if !workload.args.is_empty() {
        return Some("args".to_owned());
    }
    let steps = loaded.scenario.steps.iter();
    let changed = steps.filter_map(|step| match step {
        Step::Restart(Restart(name)) if *name == workload.name => Some("a step restarts it"),
        Step::Scale(Scale { workload: name, .. }) if *name == workload.name => {
            Some("a step scales it")
        }
        Step::ExpectReady(ready) if ready.workload == workload.name => {
            Some("a step claims how many of its pods are ready")
        }
        _ => None,
    });
    if let Some(reason) = { changed }.next() {
        return Some(reason.to_owned());
    }
    if credentials && workload.has_proxy() {
        return Some("a proxy keeps credentials for as long as old listeners drain".to_owned());
    }
    let Ok((_, text)) = workload_file::workload(loaded, &workload.template) else {
        return Some("its file cannot be read".to_owned());
    };
    let Ok(documents) = objects::values(&text) else {
        return Some("its file is not valid".to_owned());
    };
    unlike(&documents).map(str::to_owned)
}

/// What in a workload file has a state that cannot be queried and reset.
fn unlike(documents: &[Value]) -> Option<&'static str> {
    let kinds = documents
        .iter()
        .filter_map(|document| document["kind"].as_str());
    let mut others = kinds.filter(|kind| !STANDING.contains(kind) && *kind != "Service");
    if others.next().is_some() {
        return Some("its file has more than a Deployment with its account and Services");
    }
    let mut pods = documents.iter().filter_map(|document| {
        let is_deployment = document["kind"] == "Deployment";
        document.pointer("/spec/template").filter(|_| is_deployment)
    });
    let (Some(pod), None) = (pods.next(), pods.next()) else {
        return Some("its file has not exactly one Deployment");
    };
    if pod.pointer("/spec/volumes").is_some() {
        return Some("its pods have volumes");
    }
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    let gateway = pod.pointer("/metadata/annotations/inject.istio.io~1templates");
    match containers.map(Vec::as_slice) {
        Some([_]) if gateway == Some(&Value::from("gateway")) => None,
        Some([one]) if one["image"] == TESTBED => match one.pointer("/args/0") {
            Some(role) if role == "caller" || role == "server" => None,
            _ => Some("it is neither a caller nor a server of the test bed"),
        },
        Some([_]) => Some("it is not a program of the test bed"),
        _ => Some("its pods have several containers"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scenario::{Suites, load_all};

    /// What a scenario of the suites shares.
    fn of(id: &str) -> Isolation {
        let set = load_all(&Suites::open(Path::new(".")), &[id.into()]).expect("suites");
        isolation(set.scenarios.first().expect(id))
    }

    #[test]
    fn what_runs_alone_is_private() {
        let private = of("resilience/istiod-restart")
            .private
            .expect("it is private");
        assert!(private.contains("it runs alone"), "{private}");
    }

    #[rstest::rstest]
    #[case::scaled("balancing/scale-up-under-traffic", "greeter", "scales")]
    #[case::restarted("resilience/gateway-restart", "edge", "annotations")]
    #[case::credentials("tls/missing-credential", "edge", "credentials")]
    #[case::another_program("interop/grpcurl", "grpcurl", "not a program of the test bed")]
    fn pods_that_are_of_no_use_to_others_are_named(
        #[case] id: &str,
        #[case] workload: &str,
        #[case] expected: &str,
    ) {
        let Isolation { private, own } = of(id);
        assert_eq!(private, None);
        assert!(own[workload].contains(expected), "{own:?}");
    }

    #[test]
    fn ordinary_scenarios_share_everything() {
        assert_eq!(of("routing/metadata"), Isolation::default());
    }

    #[rstest::rstest]
    #[case("kind: Sidecar", Some("Sidecar a that it applies changes"))]
    #[case(
        "kind: Namespace",
        Some("Namespace a that it applies is a further namespace")
    )]
    #[case("kind: Pod", Some("Pod a that it applies has pods"))]
    #[case("kind: Gateway\napiVersion: networking.istio.io/v1", None)]
    #[case(
        "kind: Gateway\napiVersion: gateway.networking.k8s.io/v1",
        Some("that the mesh deploys")
    )]
    #[case("kind: PeerAuthentication", None)]
    fn objects_that_leave_traces_are_named(#[case] text: &str, #[case] expected: Option<&str>) {
        let reason = lasting(&format!("{text}\nmetadata: {{name: a}}\n"));
        match expected {
            None => assert_eq!(reason, None),
            Some(expected) => assert!(reason.expect("it lasts").contains(expected)),
        }
    }
}
