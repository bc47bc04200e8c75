//! A pod's status as the API shows it, computed from the state of its containers.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
        ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use super::{
    state::{ContainerPhase, Ended, PodState, Role, Slot},
    unsupported,
};

/// The parts of a pod's status that do not follow from its containers.
#[derive(Debug, Clone)]
pub(super) struct StatusFacts {
    pub node_ip: Ipv4Addr,
    pub pod_ip: Option<Ipv4Addr>,
    pub started_at: Timestamp,
    /// Reason and message of a pod that failed as a whole.
    pub failed: Option<(&'static str, String)>,
}

/// The status; conditions that have not changed keep their transition time from `before`.
pub(super) fn status(
    pod: &Pod,
    state: &PodState,
    facts: &StatusFacts,
    before: Option<&PodStatus>,
    now: Timestamp,
) -> PodStatus {
    let phase = if facts.failed.is_some() {
        "Failed"
    } else {
        phase(state)
    };
    let (inits, mains): (Vec<&Slot>, Vec<&Slot>) =
        state.slots.iter().partition(|slot| slot.role != Role::Main);
    let statuses = |slots: Vec<&Slot>| {
        Some(
            slots
                .into_iter()
                .map(|slot| container_status(slot, state))
                .collect::<Vec<_>>(),
        )
        .filter(|all| !all.is_empty())
    };
    PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(conditions(pod, state, facts, phase, before, now)),
        host_ip: Some(facts.node_ip.to_string()),
        host_ips: Some(vec![HostIP {
            ip: facts.node_ip.to_string(),
        }]),
        pod_ip: facts.pod_ip.map(|ip| ip.to_string()),
        pod_ips: facts.pod_ip.map(|ip| vec![PodIP { ip: ip.to_string() }]),
        start_time: Some(Time(facts.started_at)),
        reason: facts
            .failed
            .as_ref()
            .map(|(reason, _)| (*reason).to_owned()),
        message: facts.failed.as_ref().map(|(_, message)| message.clone()),
        init_container_statuses: statuses(inits),
        container_statuses: statuses(mains),
        ephemeral_container_statuses: ephemeral(pod),
        observed_generation: pod.metadata.generation,
        ..PodStatus::default()
    }
}

/// Ephemeral containers keep waiting, with the reason.
fn ephemeral(pod: &Pod) -> Option<Vec<ContainerStatus>> {
    let why = unsupported::ephemeral(pod)?;
    let spec = pod.spec.as_ref()?;
    let statuses = spec.ephemeral_containers.iter().flatten();
    let statuses = statuses.map(|container| ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        state: Some(waiting(unsupported::REASON, Some(why.clone()))),
        ..ContainerStatus::default()
    });
    Some(statuses.collect())
}

/// The pod's phase by the rules of the Kubernetes documentation "Pod Lifecycle".
fn phase(state: &PodState) -> &'static str {
    let mains = || state.slots.iter().filter(|slot| slot.role == Role::Main);
    let over = state.terminating || state.complete();
    if over && !state.slots.iter().any(Slot::alive) {
        let ran_well = state.initialized
            && mains().all(|slot| slot.ended().is_some_and(|ended| ended.code == 0));
        return if ran_well { "Succeeded" } else { "Failed" };
    }
    let never_ran = |slot: &Slot| {
        slot.last.is_none()
            && matches!(
                slot.phase,
                ContainerPhase::Waiting { .. } | ContainerPhase::Starting { .. }
            )
    };
    if !state.initialized || mains().any(never_ran) {
        "Pending"
    } else {
        "Running"
    }
}

/// Whether a condition is met. `Err`: the reason why not, and a message; both may be empty.
type Met = Result<(), (&'static str, String)>;

fn conditions(
    pod: &Pod,
    state: &PodState,
    facts: &StatusFacts,
    phase: &str,
    before: Option<&PodStatus>,
    now: Timestamp,
) -> Vec<PodCondition> {
    let old = before
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    let sandbox = if facts.pod_ip.is_some() {
        Ok(())
    } else {
        Err(("", String::new()))
    };
    let ready = containers_ready(state, phase).and_then(|()| gates_open(pod));
    vec![
        make_condition("PodReadyToStartContainers", sandbox, old, now),
        make_condition("Initialized", initialized(state), old, now),
        make_condition("Ready", ready, old, now),
        make_condition("ContainersReady", containers_ready(state, phase), old, now),
        make_condition("PodScheduled", Ok(()), old, now),
    ]
}

/// Makes a condition. If its status is the same in `old`, it keeps its transition time.
fn make_condition(kind: &str, met: Met, old: &[PodCondition], now: Timestamp) -> PodCondition {
    let status = if met.is_ok() { "True" } else { "False" };
    let (reason, message) = met.err().map_or((None, None), |(reason, message)| {
        (Some(reason.to_owned()), Some(message))
    });
    let since = old
        .iter()
        .find(|condition| condition.type_ == kind && condition.status == status);
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.filter(|reason| !reason.is_empty()),
        message: message.filter(|text| !text.is_empty()),
        last_transition_time: since
            .and_then(|condition| condition.last_transition_time.clone())
            .or(Some(Time(now))),
        ..PodCondition::default()
    }
}

/// Whether the init containers are done.
fn initialized(state: &PodState) -> Met {
    if state.initialized {
        return Ok(());
    }
    let unfinished = state
        .slots
        .iter()
        .filter(|slot| slot.role != Role::Main && !init_done(slot));
    Err((
        "ContainersNotInitialized",
        format!("containers with incomplete status: {}", names(unfinished)),
    ))
}

/// Whether every container that is to run is ready.
fn containers_ready(state: &PodState, phase: &str) -> Met {
    let unready = || {
        state
            .slots
            .iter()
            .filter(|slot| slot.role != Role::Init && !slot.ready)
    };
    match phase {
        "Succeeded" => Err(("PodCompleted", String::new())),
        "Failed" => Err(("PodFailed", String::new())),
        _ if unready().next().is_some() => Err((
            "ContainersNotReady",
            format!("containers with unready status: {}", names(unready())),
        )),
        _ => Ok(()),
    }
}

fn init_done(slot: &Slot) -> bool {
    match slot.role {
        Role::Init => slot.ended().is_some_and(|ended| ended.code == 0),
        _ => slot.started,
    }
}

/// Readiness gates: conditions that another controller sets on the pod.
fn gates_open(pod: &Pod) -> Met {
    let gates = pod
        .spec
        .iter()
        .flat_map(|spec| spec.readiness_gates.iter().flatten());
    let set = |name: &str| {
        let conditions = pod
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten());
        conditions
            .into_iter()
            .any(|condition| condition.type_ == name && condition.status == "True")
    };
    let closed: Vec<&str> = gates
        .map(|gate| gate.condition_type.as_str())
        .filter(|name| !set(name))
        .collect();
    if closed.is_empty() {
        Ok(())
    } else {
        Err((
            "ReadinessGatesNotReady",
            format!("the status of pod readiness gate {closed:?} is not \"True\""),
        ))
    }
}

fn names<'a>(slots: impl Iterator<Item = &'a Slot>) -> String {
    format!(
        "[{}]",
        slots
            .map(|slot| slot.name.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    )
}

fn container_status(slot: &Slot, pod: &PodState) -> ContainerStatus {
    let (state, last) = container_state(slot, pod);
    let ready = match slot.role {
        Role::Init => slot.ended().is_some_and(|ended| ended.code == 0),
        _ => slot.ready,
    };
    ContainerStatus {
        name: slot.name.clone(),
        image: slot.image.clone(),
        image_id: slot.image.clone(),
        container_id: slot.id.as_deref().map(id),
        ready,
        started: Some(slot.started),
        restart_count: slot.restarts,
        state: Some(state),
        last_state: last,
        ..ContainerStatus::default()
    }
}

fn container_state(slot: &Slot, pod: &PodState) -> (ContainerState, Option<ContainerState>) {
    let last = slot.last.as_ref().map(terminated);
    match &slot.phase {
        ContainerPhase::Waiting { reason, message } => {
            let blocked = !pod.initialized
                && slot.role == Role::Main
                && pod.slots.iter().any(|other| other.role != Role::Main);
            let default = if blocked {
                "PodInitializing"
            } else {
                "ContainerCreating"
            };
            (waiting(reason.unwrap_or(default), message.clone()), last)
        }
        ContainerPhase::Starting { .. } => (waiting("ContainerCreating", None), last),
        ContainerPhase::Running { since } => {
            let running = ContainerStateRunning {
                started_at: Some(Time(*since)),
            };
            (
                ContainerState {
                    running: Some(running),
                    ..ContainerState::default()
                },
                last,
            )
        }
        ContainerPhase::Ended(ended)
            if !slot.delayed.is_zero()
                && slot.restarts_after_end(pod.policy)
                && !pod.terminating =>
        {
            let message = format!(
                "back-off {}s restarting failed container {}",
                slot.delayed.as_secs(),
                slot.name
            );
            (
                waiting("CrashLoopBackOff", Some(message)),
                Some(terminated(ended)),
            )
        }
        ContainerPhase::Ended(ended) => (terminated(ended), last),
    }
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = ContainerStateWaiting {
        reason: Some(reason.to_owned()),
        message,
    };
    ContainerState {
        waiting: Some(waiting),
        ..ContainerState::default()
    }
}

fn terminated(ended: &Ended) -> ContainerState {
    let terminated = ContainerStateTerminated {
        container_id: Some(id(&ended.id)),
        exit_code: ended.code,
        reason: Some(ended.reason.to_owned()),
        message: ended.message.clone(),
        signal: None,
        started_at: ended.started.map(Time),
        finished_at: Some(Time(ended.finished)),
    };
    ContainerState {
        terminated: Some(terminated),
        ..ContainerState::default()
    }
}

/// A container's ID with the name of the runtime, which here is plain processes.
fn id(plain: &str) -> String {
    format!("process://{plain}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;
    use std::time::Duration;

    fn pod() -> (Pod, PodState) {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "spec": {"initContainers": [{"name": "proxy", "restartPolicy": "Always"}], "containers": [{"name": "app"}]}
        }))
        .unwrap();
        let state = PodState::new(pod.spec.as_ref().unwrap());
        (pod, state)
    }

    fn facts() -> StatusFacts {
        let ip = Ipv4Addr::new(10, 0, 0, 2);
        StatusFacts {
            node_ip: Ipv4Addr::new(10, 0, 0, 1),
            pod_ip: Some(ip),
            started_at: Timestamp::UNIX_EPOCH,
            failed: None,
        }
    }

    fn run(slot: &mut Slot, ready: bool) {
        slot.phase = ContainerPhase::Running {
            since: Timestamp::UNIX_EPOCH,
        };
        (slot.started, slot.ready) = (true, ready);
    }

    fn end(slot: &mut Slot, code: i32, delayed: u64) {
        let ended = Ended {
            code,
            reason: "Error",
            message: None,
            id: "1".to_owned(),
            started: None,
            finished: Timestamp::UNIX_EPOCH,
        };
        slot.phase = ContainerPhase::Ended(ended);
        slot.delayed = Duration::from_secs(delayed);
        (slot.started, slot.ready) = (false, false);
    }

    fn condition<'a>(status: &'a PodStatus, kind: &str) -> &'a PodCondition {
        status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == kind)
            .unwrap()
    }

    #[test]
    fn a_new_pod_is_pending_and_initialising() {
        let (pod, state) = pod();
        let status = status(&pod, &state, &facts(), None, Timestamp::UNIX_EPOCH);
        assert_eq!(status.phase.as_deref(), Some("Pending"));
        let app = &status.container_statuses.as_ref().unwrap()[0];
        assert_eq!(
            app.state
                .as_ref()
                .unwrap()
                .waiting
                .as_ref()
                .unwrap()
                .reason
                .as_deref(),
            Some("PodInitializing")
        );
        assert_eq!(condition(&status, "Initialized").status, "False");
    }

    #[rstest]
    #[case::all(true, true, "True")]
    #[case::sidecar_is_not(false, true, "False")]
    #[case::app_is_not(true, false, "False")]
    fn ready_needs_every_container(
        #[case] sidecar: bool,
        #[case] app: bool,
        #[case] expected: &str,
    ) {
        let (pod, mut state) = pod();
        state.initialized = true;
        run(&mut state.slots[0], sidecar);
        run(&mut state.slots[1], app);
        let status = status(&pod, &state, &facts(), None, Timestamp::UNIX_EPOCH);
        assert_eq!(condition(&status, "Ready").status, expected);
        assert_eq!(status.phase.as_deref(), Some("Running"));
    }

    #[test]
    fn a_crash_loop_shows_the_delay_and_the_last_end() {
        let (pod, mut state) = pod();
        state.initialized = true;
        run(&mut state.slots[0], true);
        end(&mut state.slots[1], 3, 20);
        let status = status(&pod, &state, &facts(), None, Timestamp::UNIX_EPOCH);
        let app = &status.container_statuses.as_ref().unwrap()[0];
        let shown = app.state.as_ref().unwrap().waiting.as_ref().unwrap();
        assert_eq!(shown.reason.as_deref(), Some("CrashLoopBackOff"));
        assert!(shown.message.as_ref().unwrap().contains("20s"));
        assert_eq!(
            app.last_state
                .as_ref()
                .unwrap()
                .terminated
                .as_ref()
                .unwrap()
                .exit_code,
            3
        );
        assert_eq!(status.phase.as_deref(), Some("Running"));
    }

    #[rstest]
    #[case::well(0, "Succeeded")]
    #[case::badly(1, "Failed")]
    fn a_pod_that_never_restarts_ends(#[case] code: i32, #[case] expected: &str) {
        let (pod, mut state) = pod();
        (state.initialized, state.policy) = (true, super::super::state::RestartPolicy::Never);
        run(&mut state.slots[0], true);
        end(&mut state.slots[1], code, 0);
        let phase_of = |state: &PodState| {
            status(&pod, state, &facts(), None, Timestamp::UNIX_EPOCH)
                .phase
                .unwrap()
        };
        assert_eq!(phase_of(&state), "Running", "its sidecar still runs");
        end(&mut state.slots[0], 0, 0);
        assert_eq!(phase_of(&state), expected);
    }

    #[test]
    fn an_unchanged_condition_keeps_its_time() {
        let (pod, mut state) = pod();
        let first = status(&pod, &state, &facts(), None, Timestamp::UNIX_EPOCH);
        state.initialized = true;
        let later = Timestamp::from_second(5).unwrap();
        let second = status(&pod, &state, &facts(), Some(&first), later);
        assert_eq!(
            condition(&second, "Ready").last_transition_time,
            Some(Time(Timestamp::UNIX_EPOCH))
        );
        assert_eq!(
            condition(&second, "Initialized").last_transition_time,
            Some(Time(later))
        );
    }
}
