//! Which changes of a pod's status must be visible at once.
//!
//! Readiness, an address, a failure and an end are. Steps of a start that is under way are not:
//! they are sent together with the next change that matters, or after a while.

use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};

/// Reasons of containers that wait for their turn.
const UNDER_WAY: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// Whether a client may be waiting for something that `status` shows and `sent` does not. `None`:
/// nothing was sent yet.
pub(super) fn is_urgent(sent: Option<&PodStatus>, status: &PodStatus) -> bool {
    let news = Shown::of(status);
    sent.map_or_else(|| news != Shown::default(), |sent| news != Shown::of(sent))
}

/// The part of a status that clients wait for.
#[derive(Debug, Default, PartialEq)]
struct Shown<'s> {
    address: Option<&'s str>,
    ready: bool,
    containers_ready: bool,
    /// The phase, if it is final.
    end: Option<&'s str>,
    reason: Option<&'s str>,
    /// Of the containers of which there is something to tell.
    containers: Vec<Container<'s>>,
}

#[derive(Debug, PartialEq)]
struct Container<'s> {
    name: &'s str,
    restarts: i32,
    /// Why it waits, if not for its turn.
    waiting: Option<(&'s str, &'s str)>,
    /// Its exit code, if it failed.
    failed: Option<i32>,
}

impl<'s> Shown<'s> {
    fn of(status: &'s PodStatus) -> Self {
        let is = |kind: &str| {
            let conditions = status.conditions.iter().flatten();
            let mut found = conditions.filter(|condition| condition.type_ == kind);
            found.any(|condition| condition.status == "True")
        };
        let phase = status.phase.as_deref();
        let all = [
            &status.init_container_statuses,
            &status.container_statuses,
            &status.ephemeral_container_statuses,
        ];
        let all = all.into_iter().flatten().flatten();
        Self {
            address: status.pod_ip.as_deref(),
            ready: is("Ready"),
            containers_ready: is("ContainersReady"),
            end: phase.filter(|phase| ["Succeeded", "Failed"].contains(phase)),
            reason: status.reason.as_deref(),
            containers: all.filter_map(Container::of).collect(),
        }
    }
}

impl<'s> Container<'s> {
    fn of(status: &'s ContainerStatus) -> Option<Self> {
        let state = status.state.as_ref();
        let waiting = state.and_then(|state| state.waiting.as_ref());
        let waiting = waiting.and_then(|waiting| {
            let message = waiting.message.as_deref().unwrap_or_default();
            Some((waiting.reason.as_deref()?, message))
        });
        let waiting = waiting.filter(|(reason, _)| !UNDER_WAY.contains(reason));
        let ended = state.and_then(|state| state.terminated.as_ref());
        let failed = ended.map(|ended| ended.exit_code).filter(|code| *code != 0);
        let tells = status.restart_count > 0 || waiting.is_some() || failed.is_some();
        tells.then_some(Self {
            name: &status.name,
            restarts: status.restart_count,
            waiting,
            failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn status(changes: Value) -> PodStatus {
        let mut status = json!({"phase": "Pending", "podIP": "10.244.0.7",
            "conditions": [{"type": "Ready", "status": "False"}, {"type": "Initialized", "status": "False"}],
            "containerStatuses": [container(json!({"waiting": {"reason": "ContainerCreating"}}), 0)]});
        for (key, value) in changes.as_object().unwrap() {
            status[key] = value.clone();
        }
        serde_json::from_value(status).unwrap()
    }

    fn container(state: Value, restarts: i32) -> Value {
        json!({"name": "c", "image": "i", "imageID": "i", "ready": false, "restartCount": restarts, "state": state})
    }

    #[rstest]
    #[case::the_same(json!({}), false)]
    #[case::running(json!({"phase": "Running", "containerStatuses": [container(json!({"running": {}}), 0)]}), false)]
    #[case::init_done(json!({"containerStatuses": [container(json!({"terminated": {"exitCode": 0}}), 0)]}), false)]
    #[case::initialized(json!({"conditions": [{"type": "Initialized", "status": "True"}]}), false)]
    #[case::ready(json!({"conditions": [{"type": "Ready", "status": "True"}]}), true)]
    #[case::containers_ready(json!({"conditions": [{"type": "ContainersReady", "status": "True"}]}), true)]
    #[case::another_address(json!({"podIP": "10.244.0.8"}), true)]
    #[case::failed(json!({"phase": "Failed"}), true)]
    #[case::crashed(json!({"containerStatuses": [container(json!({"terminated": {"exitCode": 1}}), 0)]}), true)]
    #[case::restarted(json!({"containerStatuses": [container(json!({"running": {}}), 1)]}), true)]
    #[case::refused(json!({"containerStatuses": [container(json!({"waiting": {"reason": "Unsupported"}}), 0)]}), true)]
    fn only_what_clients_wait_for_is_urgent(#[case] changes: Value, #[case] urgent: bool) {
        let sent = status(json!({}));
        assert_eq!(is_urgent(Some(&sent), &status(changes)), urgent);
    }

    #[test]
    fn the_first_status_waits_for_an_address() {
        assert!(!is_urgent(None, &status(json!({"podIP": null}))));
        assert!(is_urgent(None, &status(json!({}))));
    }

    #[test]
    fn a_readiness_that_is_lost_is_urgent() {
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        assert!(is_urgent(Some(&status(ready)), &status(json!({}))));
    }
}
