//! Derives terminations and losses of readiness from the states that pods go through. Pure.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use tokio::time::Instant;

use crate::{
    cluster::pods,
    errors::{ErrorClass, Trouble},
    fixture::workload::WORKLOAD_LABEL,
    mesh::istio::injection::{PROXY, is_gateway, is_injected},
    verdict::guard::{Ending, Termination},
};

/// The roles of the pods.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    /// Workloads that call.
    pub callers: BTreeSet<String>,
    /// Whether the pods are parts of the mesh itself.
    pub mesh: bool,
}

impl Roles {
    /// Returns the name of a container for messages, and whether it belongs to the mesh.
    pub fn name(&self, pod: &Pod, container: &str) -> (String, bool) {
        let name = pod.name_any();
        let label = |key| pods::label(pod, key);
        let caller = label(WORKLOAD_LABEL).is_some_and(|workload| self.callers.contains(workload));
        match container {
            _ if self.mesh && label("app") == Some("istiod") => {
                (format!("istiod (pod {name})"), true)
            }
            _ if self.mesh || is_gateway(pod) => (format!("the gateway pod {name}"), true),
            PROXY => (format!("the sidecar of pod {name}"), true),
            _ if caller => (format!("the caller pod {name}"), false),
            _ => (format!("the server pod {name}"), false),
        }
    }
}

/// A termination that was observed.
#[derive(Debug, Clone)]
pub struct Ended {
    pub at: Instant,
    pub death: Termination,
    pub pod: String,
    pub container: String,
}

/// How long proxies may take to learn that a pod is ready again: endpoints, a push and Envoy's
/// merge window of a second follow it.
const SPREADS: Duration = Duration::from_secs(5);

/// A period in which a pod was not ready although no step requested it.
#[derive(Debug, Clone)]
pub struct Unready {
    /// UID of the pod, or the workload of a pod that is gone.
    which: String,
    /// End of the period. `None`: it is still not ready, and not replaced.
    to: Option<Instant>,
    /// Index in [`History::ended`] of the termination that caused it.
    fell: Option<usize>,
    message: String,
}

#[derive(Debug, Default)]
struct Known {
    name: String,
    workload: Option<String>,
    ready: bool,
    has_been_ready: bool,
    leaving: bool,
    /// Index in [`History::ended`] of the termination since which the pod has not been ready.
    fell: Option<usize>,
    /// Terminations that happened before the pod was first ready, or were already recorded.
    ends: BTreeSet<String>,
}

/// The pods so far, and what happened to them.
#[derive(Debug, Default)]
pub struct History {
    roles: Roles,
    pods: BTreeMap<String, Known>,
    /// Workloads whose pods a step may delete. `*` stands for all.
    asked: BTreeSet<String>,
    /// Workloads whose readiness the scenario itself asserts.
    claimed: BTreeSet<String>,
    pub ended: Vec<Ended>,
    unready: Vec<Unready>,
}

impl History {
    pub fn new(roles: Roles) -> Self {
        Self {
            roles,
            ..Self::default()
        }
    }

    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// From now on a step may delete pods of this workload or make them unready.
    pub fn ask(&mut self, workload: &str) {
        self.asked.insert(workload.to_owned());
    }

    /// Records that the scenario asserts how many pods of this workload are ready: its
    /// configuration may make them unready.
    pub fn claim_readiness(&mut self, workload: &str) {
        self.claimed.insert(workload.to_owned());
    }

    fn is_asked(&self, workload: Option<&str>) -> bool {
        self.asked.contains("*") || workload.is_some_and(|workload| self.asked.contains(workload))
    }

    /// Records the present state of the pods.
    pub fn see<P: Borrow<Pod>>(&mut self, pods: &[P], at: Instant) {
        for pod in pods.iter().map(P::borrow) {
            let uid = pod.uid().unwrap_or_default();
            let mut known = self.pods.remove(&uid).unwrap_or_default();
            self.update(&mut known, pod, at);
            self.pods.insert(uid, known);
        }
        let there = pods.iter().map(P::borrow);
        let there: BTreeSet<String> = there.filter_map(ResourceExt::uid).collect();
        let gone: Vec<String> = self
            .pods
            .keys()
            .filter(|uid| !there.contains(*uid))
            .cloned()
            .collect();
        for known in gone
            .iter()
            .filter_map(|uid| self.pods.remove(uid))
            .collect::<Vec<_>>()
        {
            if !known.leaving && known.has_been_ready && !self.is_asked(known.workload.as_deref()) {
                self.deleted(&known, at);
            }
        }
    }

    /// Returns the unready pods that may have affected calls after `start`. A program of the mesh
    /// that crashed by itself is left out: its crash is reported and excuses nothing.
    pub fn unready_since(&self, start: Instant) -> Vec<Trouble> {
        let concerns = |one: &&Unready| one.to.is_none_or(|to| to + SPREADS >= start);
        let trouble = |one: &Unready| {
            let fell = one.fell.and_then(|at| self.ended.get(at));
            match fell.map(|ended| &ended.death) {
                Some(death) if death.is_fault() => None,
                Some(death) => Some(Trouble::new(
                    format!(
                        "{} {}, and its pod did not become ready again",
                        death.who, death.how
                    ),
                    death.class(),
                )),
                None => Some(Trouble::new(one.message.clone(), ErrorClass::Mesh)),
            }
        };
        self.unready
            .iter()
            .filter(concerns)
            .filter_map(trouble)
            .collect()
    }

    /// Records that a pod was deleted although no step requested it. Its workload lacks it until
    /// another is ready.
    fn deleted(&mut self, known: &Known, at: Instant) {
        let who = format!("pod {}", known.name);
        self.tell(who.clone(), false, Ending::Deleted, &known.name, "", at);
        if let Some(workload) = known.workload.clone() {
            self.unready.push(Unready {
                which: workload,
                to: None,
                fell: None,
                message: format!("{who} was deleted and not yet replaced"),
            });
        }
    }

    /// Ends the unready period of a pod that is ready again or no longer counts.
    fn end_unready(&mut self, which: &str, at: Instant) {
        let open = |one: &&mut Unready| one.which == which && one.to.is_none();
        self.unready
            .iter_mut()
            .filter(open)
            .for_each(|one| one.to = Some(at));
    }

    fn tell(
        &mut self,
        who: String,
        mesh: bool,
        how: Ending,
        pod: &str,
        container: &str,
        at: Instant,
    ) {
        let death = Termination { who, mesh, how };
        let (pod, container) = (pod.to_owned(), container.to_owned());
        self.ended.push(Ended {
            at,
            death,
            pod,
            container,
        });
    }

    fn update(&mut self, known: &mut Known, pod: &Pod, at: Instant) {
        known.name = pod.name_any();
        known.workload = pods::label(pod, WORKLOAD_LABEL)
            .or_else(|| pods::label(pod, "app"))
            .map(str::to_owned);
        let (ready, leaving) = (
            pods::is_ready(pod),
            pod.metadata.deletion_timestamp.is_some(),
        );
        let asked = self.is_asked(known.workload.as_deref());
        if leaving && !known.leaving && known.has_been_ready && !asked {
            self.deleted(known, at);
        }
        for (container, id, ending) in ends(pod) {
            // Terminations while a pod starts are ignored: nothing was judged before it was
            // ready.
            if known.ends.insert(id) && known.has_been_ready && !leaving {
                let (who, mesh) = self.roles.name(pod, &container);
                self.tell(who, mesh, ending, &known.name, &container, at);
                known.fell = self.ended.len().checked_sub(1);
            }
        }
        let uid = pod.uid().unwrap_or_default();
        let workload = known.workload.as_deref();
        let claimed = workload.is_some_and(|workload| self.claimed.contains(workload));
        if known.ready && !ready && !leaving && !asked && !claimed {
            let what = match is_injected(pod) {
                true => " (it has a sidecar)",
                false => "",
            };
            self.unready.push(Unready {
                which: uid.clone(),
                to: None,
                fell: known.fell,
                message: format!("pod {} became unready{what}", known.name),
            });
        }
        if ready || leaving {
            self.end_unready(&uid, at);
        }
        if ready {
            known.fell = None;
        }
        if let Some(workload) = workload.filter(|_| ready && !known.ready) {
            self.end_unready(workload, at);
        }
        known.ready = ready;
        known.has_been_ready |= ready;
        known.leaving |= leaving;
    }
}

/// Returns every termination in a pod's status: the container, a unique id, and how it ended.
fn ends(pod: &Pod) -> Vec<(String, String, Ending)> {
    let status = pod.status.iter();
    let all = status.flat_map(|status| {
        let inits = status.init_container_statuses.iter().flatten();
        inits.chain(status.container_statuses.iter().flatten())
    });
    let of = |container: &ContainerStatus| {
        let states = [&container.state, &container.last_state];
        let each = states
            .into_iter()
            .flatten()
            .filter_map(|state| state.terminated.as_ref());
        let mut found: Vec<(String, String, Ending)> = each
            .map(|ended| {
                let at = ended
                    .finished_at
                    .as_ref()
                    .map(|at| at.0.to_string())
                    .unwrap_or_default();
                let id = ended.container_id.clone().unwrap_or_default();
                let reason = ended.reason.as_deref().unwrap_or_default();
                (
                    container.name.clone(),
                    format!("{} {id} {at}", container.name),
                    Ending::new(ended.exit_code, reason),
                )
            })
            .collect();
        if found.is_empty() && container.restart_count > 0 {
            let id = format!("{} restart {}", container.name, container.restart_count);
            found.push((container.name.clone(), id, Ending::Code(0)));
        }
        found
    };
    all.flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A pod of the workload `greeter`. `ended` contains the exit codes of its containers' last
    /// runs.
    fn pod(name: &str, ready: bool, ended: &[(&str, i32)]) -> Pod {
        let statuses: Vec<Value> = ended
            .iter()
            .map(|(container, code)| {
                let last = json!({"terminated": {"exitCode": code, "reason": "Error", "containerID": format!("c-{container}-{code}")}});
                json!({"name": container, "image": "i", "imageID": "i", "ready": ready, "restartCount": 1, "lastState": last})
            })
            .collect();
        let ready = if ready { "True" } else { "False" };
        serde_json::from_value(json!({"metadata": {"name": name, "uid": name, "labels": {"workload": "greeter"}},
            "status": {"containerStatuses": statuses, "conditions": [{"type": "Ready", "status": ready}]}}))
        .unwrap()
    }

    fn deleted(mut pod: Pod) -> Pod {
        let epoch =
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH);
        pod.metadata.deletion_timestamp = Some(epoch);
        pod
    }

    fn reported(asked: &[&str], states: &[Vec<Pod>]) -> Vec<String> {
        let mut history = History::new(Roles::default());
        asked.iter().for_each(|workload| history.ask(workload));
        for state in states {
            history.see(state, Instant::now());
        }
        let deaths = history.ended.iter().map(|ended| ended.death.to_string());
        let unready = history.unready_since(Instant::now()).into_iter();
        deaths.chain(unready.map(|one| one.message)).collect()
    }

    #[test]
    fn what_lost_its_readiness_concerns_calls_until_proxies_know_better() {
        let (ready, unready) = ([pod("a", true, &[])], [pod("a", false, &[])]);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut history = History::new(Roles::default());
        let concerned = |history: &History, seconds| !history.unready_since(at(seconds)).is_empty();
        history.see(&ready, at(0));
        assert!(!concerned(&history, 1));
        history.see(&unready, at(10));
        // It also affects a run of a probe that begins long after.
        assert!(concerned(&history, 5) && concerned(&history, 60));
        history.see(&ready, at(70));
        assert!(concerned(&history, 74) && !concerned(&history, 76));
    }

    #[test]
    fn a_pod_of_which_something_was_killed_is_not_ready_for_that_and_a_crash_excuses_nothing() {
        let reported = |code: i32| {
            let mut history = History::new(Roles::default());
            let start = Instant::now();
            for (seconds, pod) in [
                (0, pod("a", true, &[])),
                (1, pod("a", false, &[(PROXY, code)])),
            ] {
                history.see(&[pod], start + Duration::from_secs(seconds));
            }
            history.unready_since(start + Duration::from_secs(30))
        };
        let message = "the sidecar of pod a was terminated from outside (SIGKILL), and its pod did not become ready again";
        assert_eq!(reported(137), [Trouble::new(message, ErrorClass::Mesh)]);
        assert_eq!(reported(139), []);
    }

    #[test]
    fn the_place_of_a_deleted_pod_is_empty_until_another_is_ready() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut history = History::new(Roles::default());
        for (seconds, pods) in [
            (0, vec![pod("a", true, &[])]),
            (1, vec![pod("b", false, &[])]),
        ] {
            history.see(&pods, at(seconds));
        }
        let concerned = |history: &History| !history.unready_since(at(30)).is_empty();
        assert!(concerned(&history));
        history.see(&[pod("b", true, &[])], at(2));
        assert!(!concerned(&history));
    }

    #[test]
    fn a_container_that_ended_is_told_once_with_its_code() {
        let states = [
            vec![pod("a", true, &[])],
            vec![pod("a", false, &[("testbed", 137)])],
            vec![pod("a", true, &[("testbed", 137)])],
            vec![pod("a", true, &[("testbed", 137), (PROXY, 139)])],
        ];
        assert_eq!(
            reported(&["greeter"], &states),
            [
                "the server pod a was terminated from outside (SIGKILL) during the run",
                "the sidecar of pod a crashed (SIGSEGV) during the run"
            ]
        );
    }

    #[test]
    fn what_ended_before_the_pod_was_ready_is_none_of_it() {
        let states = [
            vec![pod("a", false, &[("testbed", 1)])],
            vec![pod("a", true, &[("testbed", 1)])],
        ];
        assert_eq!(reported(&[], &states), [""; 0]);
    }

    #[test]
    fn a_pod_that_goes_is_told_unless_a_step_asked_for_it() {
        let going = [
            vec![pod("a", true, &[])],
            vec![deleted(pod("a", true, &[("testbed", 143)]))],
            vec![],
        ];
        let gone = [vec![pod("a", true, &[])], vec![]];
        let args = [
            "pod a was deleted (no step asked for it) during the run",
            "pod a was deleted and not yet replaced",
        ];
        assert_eq!(reported(&[], &going), args);
        assert_eq!(reported(&[], &gone), args);
        for asked in ["greeter", "*"] {
            assert_eq!(reported(&[asked], &going), [""; 0]);
            assert_eq!(reported(&[asked], &gone), [""; 0]);
        }
    }

    #[test]
    fn a_pod_that_is_not_ready_any_more_is_told_unless_a_step_asked_for_it() {
        let states = [vec![pod("a", true, &[])], vec![pod("a", false, &[])]];
        assert_eq!(reported(&[], &states), ["pod a became unready"]);
        assert_eq!(reported(&["greeter"], &states), [""; 0]);
        let mut history = History::new(Roles::default());
        history.claim_readiness("greeter");
        for state in &states {
            history.see(state, Instant::now());
        }
        assert_eq!(history.unready_since(Instant::now()), []);
    }

    #[test]
    fn everybody_has_a_name() {
        let roles = Roles {
            callers: BTreeSet::from(["greeter".to_owned()]),
            mesh: false,
        };
        let mesh = Roles {
            mesh: true,
            ..Roles::default()
        };
        let pod = pod("a", true, &[]);
        assert_eq!(
            roles.name(&pod, "testbed"),
            ("the caller pod a".to_owned(), false)
        );
        assert_eq!(
            roles.name(&pod, PROXY),
            ("the sidecar of pod a".to_owned(), true)
        );
        assert_eq!(
            mesh.name(&pod, PROXY),
            ("the gateway pod a".to_owned(), true)
        );
    }
}
