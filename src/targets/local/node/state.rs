//! A pure state machine of a pod's containers: from what has happened, it decides what to do
//! next.
//!
//! The order of start and stop follows the Kubernetes documentation of init containers, sidecar
//! containers and pod lifecycle.

use std::time::Instant;

use k8s_openapi::api::core::v1::{Container, PodSpec};

pub(super) use super::slot::{ContainerPhase, Ended, RestartPolicy, Role, Slot};

/// An action to take now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Start(usize),
    Stop(usize),
    /// Every container has ended for good.
    Finish,
}

/// All containers of a pod: init containers in order, then the main ones.
#[derive(Debug, Clone)]
pub(super) struct PodState {
    pub slots: Vec<Slot>,
    pub policy: RestartPolicy,
    /// The init containers have done their part.
    pub initialized: bool,
    /// The pod is being deleted, or failed as a whole: everything stops.
    pub terminating: bool,
}

impl PodState {
    pub fn new(spec: &PodSpec) -> Self {
        let role = |container: &Container| match container.restart_policy.as_deref() {
            Some("Always") => Role::Sidecar,
            _ => Role::Init,
        };
        let inits = spec
            .init_containers
            .iter()
            .flatten()
            .map(|container| Slot::new(container, role(container)));
        let mains = spec
            .containers
            .iter()
            .map(|container| Slot::new(container, Role::Main));
        Self {
            slots: inits.chain(mains).collect(),
            policy: match spec.restart_policy.as_deref() {
                Some("Never") => RestartPolicy::Never,
                Some("OnFailure") => RestartPolicy::OnFailure,
                _ => RestartPolicy::Always,
            },
            initialized: false,
            terminating: false,
        }
    }

    /// Records that no container can start, now or later, and why.
    pub fn refuse(&mut self, reason: &'static str, message: &str) {
        for slot in &mut self.slots {
            slot.phase = ContainerPhase::Waiting {
                reason: Some(reason),
                message: Some(message.to_owned()),
            };
        }
    }

    /// Whether the pod has succeeded or failed for good: no main container runs or will run
    /// again.
    pub fn complete(&self) -> bool {
        if let Some(init) = self
            .slots
            .iter()
            .find(|slot| slot.role == Role::Init && slot.ended().is_some_and(|end| end.code != 0))
        {
            return !init.restarts_after_end(self.policy);
        }
        self.initialized
            && self
                .slots
                .iter()
                .filter(|slot| slot.role == Role::Main)
                .all(|slot| slot.ended().is_some() && !slot.restarts_after_end(self.policy))
    }

    /// What to do now, and when to ask again if nothing happens until then.
    pub fn decide(&mut self, now: Instant) -> (Vec<Action>, Option<Instant>) {
        if self.terminating || self.complete() {
            return (self.shut_down(), None);
        }
        let mut todo = Todo {
            now,
            actions: Vec::new(),
            wake: None,
        };
        if !self.initialized {
            self.initialized = self.initialize(&mut todo);
        } else {
            for (index, slot) in self
                .slots
                .iter()
                .enumerate()
                .filter(|(_, slot)| slot.role == Role::Sidecar)
            {
                todo.start_if_down(index, slot);
            }
        }
        if self.initialized {
            self.run_mains(&mut todo);
        }
        (todo.actions, todo.wake)
    }

    /// Advances the init containers by one step; true when all have done their part.
    fn initialize(&self, todo: &mut Todo) -> bool {
        for (index, slot) in self.slots.iter().enumerate() {
            let passed = match slot.role {
                Role::Main => return true,
                Role::Init => slot.ended().is_some_and(|ended| ended.code == 0),
                Role::Sidecar => {
                    slot.started && matches!(slot.phase, ContainerPhase::Running { .. })
                }
            };
            if !passed {
                todo.start_if_down(index, slot);
                return false;
            }
        }
        true
    }

    /// Main containers start one after the other, each when the one before it runs and its
    /// postStart hook is done.
    fn run_mains(&self, todo: &mut Todo) {
        for (index, slot) in self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.role == Role::Main)
        {
            if matches!(slot.phase, ContainerPhase::Starting { .. }) {
                return;
            }
            if slot.ended().is_some() && !slot.restarts_after_end(self.policy) {
                continue;
            }
            if todo.start_if_down(index, slot) {
                return;
            }
        }
    }

    /// Main containers stop together, then sidecars one by one, the last one first.
    fn shut_down(&self) -> Vec<Action> {
        let stop = |index: usize, slot: &Slot| {
            let reachable = !matches!(slot.phase, ContainerPhase::Starting { launched: false });
            (reachable && !slot.stopping).then_some(Action::Stop(index))
        };
        let alive = || {
            self.slots
                .iter()
                .enumerate()
                .filter(|(_, slot)| slot.alive())
        };
        if alive().next().is_none() {
            return vec![Action::Finish];
        }
        if alive().any(|(_, slot)| slot.role != Role::Sidecar) {
            return alive()
                .filter(|(_, slot)| slot.role != Role::Sidecar)
                .filter_map(|(index, slot)| stop(index, slot))
                .collect();
        }
        alive()
            .next_back()
            .and_then(|(index, slot)| stop(index, slot))
            .into_iter()
            .collect()
    }
}

struct Todo {
    now: Instant,
    actions: Vec<Action>,
    wake: Option<Instant>,
}

impl Todo {
    /// Starts the container if it is not running and its delay is over; true if it starts now.
    fn start_if_down(&mut self, index: usize, slot: &Slot) -> bool {
        if slot.alive() {
            return false;
        }
        match slot.not_before.filter(|at| *at > self.now) {
            Some(at) => {
                self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
                false
            }
            None => {
                self.actions.push(Action::Start(index));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::local::node::slot::Backoff;
    use jiff::Timestamp;
    use rstest::rstest;
    use serde_json::json;
    use std::time::Duration;

    /// Letters: i = init container, s = sidecar, m = main container.
    fn pod(kinds: &str, policy: &str) -> PodState {
        let (mut inits, mut mains) = (Vec::new(), Vec::new());
        for (index, kind) in kinds.chars().enumerate() {
            let name = format!("c{index}");
            match kind {
                'i' => inits.push(json!({"name": name})),
                's' => inits.push(json!({"name": name, "restartPolicy": "Always"})),
                _ => mains.push(json!({"name": name})),
            }
        }
        let spec = json!({"initContainers": inits, "containers": mains, "restartPolicy": policy});
        PodState::new(&serde_json::from_value(spec).unwrap())
    }

    fn ended(code: i32) -> Ended {
        Ended {
            code,
            reason: "x",
            message: None,
            id: String::new(),
            started: None,
            finished: Timestamp::UNIX_EPOCH,
        }
    }

    /// Letters per container: w = waiting, b = starting without process, l = starting with
    /// process, r = running and started, n = running but not started, 0 = succeeded, 1 = failed,
    /// d = failed and delayed.
    fn with_phases(mut state: PodState, phases: &str, now: Instant) -> PodState {
        for (slot, letter) in state.slots.iter_mut().zip(phases.chars()) {
            match letter {
                'b' | 'l' => {
                    slot.phase = ContainerPhase::Starting {
                        launched: letter == 'l',
                    }
                }
                'r' | 'n' => {
                    slot.phase = ContainerPhase::Running {
                        since: Timestamp::UNIX_EPOCH,
                    };
                    slot.started = letter == 'r';
                }
                '0' => slot.phase = ContainerPhase::Ended(ended(0)),
                '1' => slot.phase = ContainerPhase::Ended(ended(1)),
                'd' => {
                    slot.phase = ContainerPhase::Ended(ended(1));
                    slot.not_before = Some(now + Duration::from_secs(10));
                }
                _ => {}
            }
        }
        state
    }

    #[rstest]
    #[case::one_container("m", "w", "Always", &[Action::Start(0)])]
    #[case::mains_start_in_turn("mm", "ww", "Always", &[Action::Start(0)])]
    #[case::next_main_waits_for_the_start_before("mm", "lw", "Always", &[])]
    #[case::next_main("mm", "nw", "Always", &[Action::Start(1)])]
    #[case::init_first("im", "ww", "Always", &[Action::Start(0)])]
    #[case::init_runs("im", "rw", "Always", &[])]
    #[case::init_done("im", "0w", "Always", &[Action::Start(1)])]
    #[case::init_failed_is_retried("im", "1w", "Always", &[Action::Start(0)])]
    #[case::init_failed_for_good("im", "1w", "Never", &[Action::Finish])]
    #[case::init_failed_stops_sidecars("sim", "r1w", "Never", &[Action::Stop(0)])]
    #[case::sidecar_gates_until_started("sm", "nw", "Always", &[])]
    #[case::sidecar_started("sm", "rw", "Always", &[Action::Start(1)])]
    #[case::sidecar_then_init("sim", "rww", "Always", &[Action::Start(1)])]
    #[case::delayed("m", "d", "Always", &[])]
    #[case::restart_always("m", "0", "Always", &[Action::Start(0)])]
    #[case::restart_on_failure("m", "1", "OnFailure", &[Action::Start(0)])]
    #[case::done_on_failure("m", "0", "OnFailure", &[Action::Finish])]
    #[case::never("m", "1", "Never", &[Action::Finish])]
    #[case::sidecars_stop_last_in_reverse("ssm", "rr0", "Never", &[Action::Stop(1)])]
    #[case::first_sidecar_after_the_second("ssm", "r00", "Never", &[Action::Stop(0)])]
    #[case::a_delayed_main_does_not_block_the_next("mm", "dw", "Always", &[Action::Start(1)])]
    fn the_next_step(
        #[case] kinds: &str,
        #[case] phases: &str,
        #[case] policy: &str,
        #[case] expected: &[Action],
    ) {
        let now = Instant::now();
        let mut state = with_phases(pod(kinds, policy), phases, now);
        // a pod whose main containers have begun was initialized before
        state.initialized = state.slots.iter().any(|slot| {
            slot.role == Role::Main
                && slot.phase
                    != ContainerPhase::Waiting {
                        reason: None,
                        message: None,
                    }
        });
        assert_eq!(state.decide(now).0, expected);
    }

    #[test]
    fn a_sidecar_that_dies_is_started_again_beside_running_mains() {
        let now = Instant::now();
        let mut state = with_phases(pod("sm", "Always"), "1r", now);
        state.initialized = true;
        assert_eq!(state.decide(now).0, [Action::Start(0)]);
    }

    #[rstest]
    #[case::mains_together("smm", "rrn", &[Action::Stop(1), Action::Stop(2)])]
    #[case::sidecars_after_mains("ssm", "rr0", &[Action::Stop(1)])]
    #[case::no_process_yet("m", "b", &[])]
    #[case::in_its_post_start_hook("m", "l", &[Action::Stop(0)])]
    #[case::running_init("im", "rw", &[Action::Stop(0)])]
    #[case::nothing_left("sm", "01", &[Action::Finish])]
    fn termination_stops_in_order(
        #[case] kinds: &str,
        #[case] phases: &str,
        #[case] expected: &[Action],
    ) {
        let now = Instant::now();
        let mut state = with_phases(pod(kinds, "Always"), phases, now);
        state.terminating = true;
        assert_eq!(state.decide(now).0, expected);
        for slot in &mut state.slots {
            slot.stopping = true;
        }
        assert!(
            state
                .decide(now)
                .0
                .iter()
                .all(|action| *action == Action::Finish),
            "stops only once"
        );
    }

    #[rstest]
    #[case::doubling(&[1, 1, 1, 1], &[0, 10, 20, 40])]
    #[case::limited(&[1; 9], &[0, 10, 20, 40, 80, 160, 300, 300, 300])]
    #[case::forgotten_after_a_long_run(&[1, 1, 700, 1], &[0, 10, 0, 10])]
    fn restarts_back_off(#[case] runs: &[u64], #[case] expected: &[u64]) {
        let mut backoff = Backoff::default();
        let got: Vec<u64> = runs
            .iter()
            .map(|ran| backoff.after(Duration::from_secs(*ran)).as_secs())
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn a_delayed_restart_says_when_to_ask_again() {
        let now = Instant::now();
        let mut state = with_phases(pod("m", "Always"), "d", now);
        state.initialized = true;
        assert_eq!(state.decide(now).1, Some(now + Duration::from_secs(10)));
        assert_eq!(
            state.decide(now + Duration::from_secs(10)).0,
            [Action::Start(0)]
        );
    }
}
