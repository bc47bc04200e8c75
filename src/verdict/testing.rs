//! Hand-written observations for the tests of the matchers.

use testbed::control::{
    Attempt, Observation, Origin, POD_HEADER, SERVER_HEADER, Status, WORKLOAD_HEADER,
};

use super::{
    ResolvedExpect, judge,
    matcher::{Expect, Matcher},
    observations::Observations,
    outcome::{Check, CheckResult},
    pods::Pods,
};
use statistics::Rates;

/// The default error rates.
pub const MILLION: Rates = Rates {
    alpha: 1e-6,
    beta: 1e-6,
};

/// The checks of these matchers on probe `p`.
pub fn judged(matchers: Vec<Matcher>, seen: &Observations) -> Vec<Check> {
    judge("p", &ResolvedExpect { matchers }, seen, MILLION)
}

/// The result of a single matcher, and what was seen.
pub fn result_of(matcher: Matcher, seen: &Observations) -> (CheckResult, String) {
    let check = judged(vec![matcher], seen).remove(0);
    (check.result, check.actual)
}

/// `greeter-a`, `greeter-b`, … under the `app` greeter.
pub fn pods(count: usize) -> Pods {
    let names = (0..count).map(pod_name).collect();
    Pods::from([("greeter".to_owned(), names)])
}

pub fn pod_name(at: usize) -> String {
    format!("greeter-{}", (b'a' + at as u8) as char)
}

/// The scenario's namespace, as in the default [`Observations`].
pub const NAMESPACE: &str = "";

/// The uid of the first pod with a name.
pub fn uid(pod: &str) -> String {
    format!("uid-of-{pod}")
}

/// The same call, answered by a pod with another identity but the same name.
pub fn by(mut call: Observation, namespace: &str, uid: &str) -> Observation {
    for (name, value) in &mut call.headers {
        if name == POD_HEADER {
            *value = format!("{namespace}/{uid}");
        }
    }
    call
}

/// Call `index` answered OK by `pod` of `workload` on connection 0.
pub fn answered(index: u64, pod: &str, workload: &str) -> Observation {
    Observation {
        call: format!("p-{index}"),
        index,
        connection: 0,
        own: Vec::new(),
        intended_us: 0,
        sent_us: 1_000,
        headers_us: Some(2_000),
        end_us: 3_000,
        http_status: Some(200),
        headers: vec![
            (SERVER_HEADER.to_owned(), pod.to_owned()),
            (POD_HEADER.to_owned(), format!("{NAMESPACE}/{}", uid(pod))),
            (WORKLOAD_HEADER.to_owned(), workload.to_owned()),
        ],
        trailers: vec![("grpc-status".to_owned(), "0".to_owned())],
        trailers_only: false,
        messages: Vec::new(),
        uploaded: 0,
        damage: None,
        replies: Vec::new(),
        reset: None,
        goaway: None,
        transport_error: None,
        status: Status {
            code: 0,
            message: String::new(),
            origin: Origin::Wire,
        },
        tls: None,
        web: None,
    }
}

/// A call that no application answered.
pub fn failed(index: u64, code: u32, message: &str, origin: Origin) -> Observation {
    let mut call = answered(index, "", "");
    call.headers.clear();
    call.status = Status {
        code,
        message: message.to_owned(),
        origin,
    };
    call
}

/// The ledger's entry for a call.
pub fn attempt(index: u64, pod: &str) -> Attempt {
    Attempt {
        call: format!("p-{index}"),
        attempt: 1,
        pod: pod.to_owned(),
        namespace: NAMESPACE.to_owned(),
        uid: uid(pod),
        workload: "greeter".to_owned(),
        method: "greeter.Greeter/SayHello".to_owned(),
        authority: "greeter:8080".to_owned(),
        peer: "127.0.0.6:4711".to_owned(),
        connection: 0,
        port: 8080,
        protocol: "HTTP/2.0".to_owned(),
        at_us: 0,
        took_us: Some(10),
        timeout_ms: None,
        status: Some(0),
        end: "answered".to_owned(),
        received: 1,
        damage: None,
        pings: 0,
        metadata: Vec::new(),
    }
}

/// Calls answered by pods `a`, `b`, … in the given order, each with one attempt in the ledger.
pub fn order(letters: &str, count: usize) -> Observations {
    let pods = pods(count);
    let names = letters.chars().map(|letter| format!("greeter-{letter}"));
    let calls: Vec<Observation> = names
        .enumerate()
        .map(|(at, pod)| answered(at as u64, &pod, "greeter"))
        .collect();
    let attempts = calls.iter().map(|call| {
        let pod = super::answer::pod(call).unwrap_or_default();
        attempt(call.index, pod)
    });
    Observations {
        attempts: attempts.collect(),
        calls,
        pods,
        namespace: NAMESPACE.to_owned(),
        ..Observations::default()
    }
}

/// An expectation as authors write it.
pub fn expect(yaml: &str) -> ResolvedExpect {
    let written: Expect = serde_yaml::from_str(yaml).expect("valid YAML");
    ResolvedExpect::resolve(&written).expect("a valid expectation")
}

/// The result of the first matcher of an expectation for a run, and its `actual` text.
pub fn result(yaml: &str, seen: &Observations) -> (CheckResult, String) {
    let check = judge("p", &expect(yaml), seen, Rates::default()).remove(0);
    (check.result, check.actual)
}

/// One call with this many messages: received and sent requests, and replies.
pub fn streamed(received: u32, sent: u32, replies: usize) -> Observations {
    let mut call = answered(0, "greeter-a", "greeter");
    call.uploaded = sent;
    call.messages = vec![(0, 5); replies];
    let mut one = attempt(0, "greeter-a");
    one.received = received;
    Observations {
        calls: vec![call],
        attempts: vec![one],
        ..Observations::default()
    }
}

/// A small, fast random number generator for simulations (splitmix64, Steele et al. 2014).
pub struct Draws(pub u64);

impl Draws {
    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The observations of a single call.
pub fn one(call: Observation) -> Observations {
    Observations {
        calls: vec![call],
        ..Observations::default()
    }
}
