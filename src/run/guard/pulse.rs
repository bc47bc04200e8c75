//! Polls every participating program at a fixed interval. The time that an answer takes is the
//! longest time for which the program may have stalled.

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::Value;
use testbed::control::CONTROL_PORT;
use tokio::time::Instant;

use super::history::Roles;
use crate::{
    cluster::pods,
    errors::ErrorClass,
    fixture::workload::WORKLOAD_LABEL,
    mesh::istio::{
        control_plane::ISTIOD_DEBUG_PORT,
        injection::{PROXY, is_gateway, is_injected, is_proxyless},
    },
    observe::data_plane::envoy,
    transport::{
        PodDialer,
        http::{HttpError, PodPort},
    },
    verdict::guard::Stalled,
};

/// Time between two requests to the same program.
pub const BEAT: Duration = Duration::from_secs(1);
/// Shorter answer times are normal on busy machines. Envoy answers on its main thread, which also
/// processes configuration, while its workers go on with calls (Envoy, "Threading model"): two
/// seconds were observed on two fully loaded cores without a stall. Stalls of this machine and
/// the caller are measured there, to the millisecond.
pub const NOTICED: Duration = Duration::from_secs(3);

/// A program that is polled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// Name for messages: `the server pod P`.
    pub name: String,
    /// The class of its stalls.
    pub class: ErrorClass,
}

/// The endpoint at which a program can be polled.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    pub who: Who,
    /// Identity of the pod.
    pub uid: String,
    pub port: PodPort,
    path: &'static str,
    /// Path of its uptime.
    uptime: &'static str,
}

/// Returns the programs of a ready pod that can be polled.
pub fn hearts(pod: &Pod, roles: &Roles, dial: &PodDialer) -> Vec<Heartbeat> {
    let heart = |container: &str, port: u16, path, uptime| Heartbeat {
        who: who(roles, pod, container),
        uid: pod.uid().unwrap_or_default(),
        port: PodPort {
            dial: dial.clone(),
            namespace: pod.namespace().unwrap_or_default(),
            pod: pod.name_any(),
            port,
        },
        path,
        uptime,
    };
    let mut all = Vec::new();
    if !pods::is_ready(pod) {
        return all;
    }
    if let Some(container) = ours(pod) {
        all.push(heart(&container, CONTROL_PORT, "/v1/alive", "/v1/alive"));
    }
    if is_injected(pod) && !is_proxyless(pod) {
        let (port, path, uptime) = envoy::is_alive();
        all.push(heart(PROXY, port, path, uptime));
    }
    if roles.mesh && pods::label(pod, "app") == Some("istiod") {
        all.push(heart("discovery", ISTIOD_DEBUG_PORT, "/ready", "/ready"));
    }
    all
}

fn who(roles: &Roles, pod: &Pod, container: &str) -> Who {
    let (name, mesh) = roles.name(pod, container);
    let class = match mesh {
        true => ErrorClass::Mesh,
        false => ErrorClass::Harness,
    };
    Who { name, class }
}

/// Returns the container with the test bed's program in a workload's pod. Callers have a control
/// port, and so do servers, whose ledgers are read there.
fn ours(pod: &Pod) -> Option<String> {
    if is_gateway(pod) || pods::label(pod, WORKLOAD_LABEL).is_none() {
        return None;
    }
    let containers = pod.spec.as_ref()?.containers.iter();
    let mut others = containers.filter(|container| container.name != PROXY);
    others.next().map(|container| container.name.clone())
}

/// The answer of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It runs, with its uptime if it reports one.
    Runs(Option<Duration>),
    /// Nothing listens there.
    Gone,
    /// It accepts connections but does not answer.
    Silent,
}

impl Heartbeat {
    /// Polls the program once.
    pub async fn beat(&self) -> Answer {
        answer(self.port.fetch(Method::GET, self.path).await, |_| None)
    }

    /// Polls the program for its uptime.
    pub async fn up(&self) -> Answer {
        answer(self.port.fetch(Method::GET, self.uptime).await, uptime)
    }
}

fn answer(got: Result<bytes::Bytes, HttpError>, up: impl Fn(&[u8]) -> Option<Duration>) -> Answer {
    match got {
        Ok(body) => Answer::Runs(up(&body)),
        // Envoy answers with an error status while it is not ready.
        Err(HttpError::Status { .. }) => Answer::Runs(None),
        Err(HttpError::Silent { .. }) => Answer::Silent,
        Err(HttpError::Dial(_) | HttpError::Exchange { .. }) => Answer::Gone,
    }
}

/// Reads `up_ms` of a control port, or `uptime_current_epoch` of Envoy's `/server_info`, which is
/// in whole seconds, rounded down.
fn uptime(body: &[u8]) -> Option<Duration> {
    let reported: Value = serde_json::from_slice(body).ok()?;
    if let Some(ms) = reported["up_ms"].as_u64() {
        return Some(Duration::from_millis(ms));
    }
    let seconds = reported["uptime_current_epoch"]
        .as_str()?
        .strip_suffix('s')?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// Slow answers so far, and requests without an answer yet.
#[derive(Debug, Default)]
pub struct Beats {
    slow: Vec<(Who, Instant, Duration)>,
    /// Time of the request, and UID of the pod.
    waiting: BTreeMap<Who, (Instant, String)>,
}

impl Beats {
    /// Records a new request. Returns `false` if the last one is still without an answer.
    pub fn ask(&mut self, who: &Who, uid: &str, at: Instant) -> bool {
        if self.waiting.contains_key(who) {
            return false;
        }
        self.waiting.insert(who.clone(), (at, uid.to_owned()));
        true
    }

    /// Records the answer to a request. A program that is gone has not stalled.
    pub fn back(&mut self, who: &Who, answer: Answer, at: Instant) {
        if let Some((asked, _)) = self.waiting.remove(who)
            && answer != Answer::Gone
        {
            self.slow(who, asked, at);
        }
    }

    /// Records an answer that took from `asked` to `at`, if it was slow.
    pub fn slow(&mut self, who: &Who, asked: Instant, at: Instant) {
        if at - asked >= NOTICED {
            self.slow.push((who.clone(), asked, at - asked));
        }
    }

    /// Returns the stalls after `start`, and those that continue in pods for which `there` is
    /// true.
    pub fn since(
        &self,
        start: Instant,
        now: Instant,
        there: impl Fn(&str) -> bool,
    ) -> Vec<Stalled> {
        let slow = self
            .slow
            .iter()
            .map(|(who, at, time)| (who, *at, *at + *time));
        let waiting = self.waiting.iter().filter(|(_, (_, uid))| there(uid));
        let waiting = waiting.map(|(who, (at, _))| (who, *at, now));
        let all = slow.chain(waiting).filter(|(_, _, end)| *end > start);
        let each = all.map(|(who, begin, end)| Stalled {
            who: who.name.clone(),
            class: who.class,
            time: end - begin.max(start),
        });
        each.filter(|stall| stall.time >= NOTICED).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn slow_answers_and_missing_ones_are_stalls() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut beats = Beats::default();
        let ours = |name: &str| Who {
            name: name.to_owned(),
            class: ErrorClass::Harness,
        };
        for (who, asked, back, answer) in [
            ("quick", 100, 350, Answer::Runs(None)),
            ("slow", 100, 5000, Answer::Runs(None)),
            ("gone", 100, 5000, Answer::Gone),
            ("silent", 100, 7000, Answer::Silent),
        ] {
            let program = ours(who);
            assert!(beats.ask(&program, who, at(asked)));
            assert!(
                !beats.ask(&program, who, at(asked)),
                "the last request is without an answer"
            );
            beats.back(&program, answer, at(back));
        }
        beats.ask(&ours("waiting"), "a", at(1000));
        beats.ask(&ours("left"), "b", at(1000));
        let since = |from, now| -> Vec<(String, u64)> {
            let all = beats.since(at(from), at(now), |uid| uid != "b").into_iter();
            all.map(|stall| (stall.who, stall.time.as_millis() as u64))
                .collect()
        };
        let reported = |all: &[(&str, u64)]| -> Vec<(String, u64)> {
            all.iter()
                .map(|(who, ms)| ((*who).to_owned(), *ms))
                .collect()
        };
        assert_eq!(
            since(0, 7000),
            reported(&[("slow", 4900), ("silent", 6900), ("waiting", 6000)])
        );
        assert_eq!(
            since(3500, 7000),
            reported(&[("silent", 3500), ("waiting", 3500)]),
            "only the part after the start"
        );
        assert_eq!(since(7000, 7100), reported(&[]));
    }

    #[test]
    fn everything_that_can_answer_is_asked() {
        let pod = |labels: Value, containers: &[&str]| -> Pod {
            let containers: Vec<Value> = containers
                .iter()
                .map(|name| json!({"name": name}))
                .collect();
            let ready = json!([{"type": "Ready", "status": "True"}]);
            let object = json!({"metadata": {"name": "a", "namespace": "n", "labels": labels},
                "spec": {"containers": containers}, "status": {"conditions": ready}});
            serde_json::from_value(object).unwrap()
        };
        let asked = |pod: &Pod, mesh: bool| -> Vec<(u16, String)> {
            let roles = Roles {
                mesh,
                ..Roles::default()
            };
            let all = hearts(pod, &roles, &PodDialer::node("/nowhere".into())).into_iter();
            all.map(|heart| (heart.port.port, heart.who.name)).collect()
        };
        let server = (15999, "the server pod a".to_owned());
        let sidecar = (15000, "the sidecar of pod a".to_owned());
        let workload = json!({"workload": "greeter"});
        assert_eq!(
            asked(&pod(workload.clone(), &["testbed"]), false),
            std::slice::from_ref(&server)
        );
        assert_eq!(
            asked(&pod(workload, &["testbed", PROXY]), false),
            [server, sidecar]
        );
        let gateway = pod(json!({"istio": "ingressgateway"}), &[PROXY]);
        assert_eq!(
            asked(&gateway, true),
            [(15000, "the gateway pod a".to_owned())]
        );
        let istiod = pod(json!({"app": "istiod"}), &["discovery"]);
        assert_eq!(asked(&istiod, true), [(8080, "istiod (pod a)".to_owned())]);
    }

    #[test]
    fn how_long_a_program_has_run() {
        let of = |json: Value| uptime(json.to_string().as_bytes());
        assert_eq!(
            of(json!({"up_ms": 1500})),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(
            of(json!({"uptime_current_epoch": "17s"})),
            Some(Duration::from_secs(17))
        );
        assert_eq!(of(json!({})), None);
        assert_eq!(uptime(b"ready"), None);
    }
}
