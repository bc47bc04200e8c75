//! Single gRPC calls, which every caller supports: its observations match what the test bed's
//! server saw.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::{Value, json};
use testbed::control::{
    ATTEMPT_HEADER, Attempt, CallPlan, Load, Observation, Origin, POD_HEADER, Reset, SERVER_HEADER,
    Script, Shape, WORKLOAD_HEADER,
};

use super::{
    implementation::{
        Caller,
        Implementation::{self, Go, Python, Rust},
        Server,
    },
    port::Port,
};

pub const HELLO: &str = "mypackage.Greeter/SayHello";

/// A caller of this implementation, and the test bed's server.
pub async fn pair(by: Implementation) -> Option<(Caller, Server)> {
    Some((by.caller().await?, Rust.server().await?))
}

pub fn plan(server: &Server, id: &str, method: &str) -> CallPlan {
    CallPlan {
        patience_ms: 10_000,
        ..CallPlan::new(id, server.address.to_string(), method)
    }
}

pub fn scripted(server: &Server, id: &str, method: &str, script: Script) -> CallPlan {
    CallPlan {
        script: Some(script),
        ..plan(server, id, method)
    }
}

pub fn load(times: u64, connections: u32, streams: u32) -> Load {
    Load {
        times,
        connections,
        streams,
        ..Load::default()
    }
}

/// Values of a key, in their order.
pub fn values<'a>(pairs: &'a [(String, String)], key: &str) -> Vec<&'a str> {
    let named = pairs.iter().filter(|(name, _)| name == key);
    named.map(|(_, value)| value.as_str()).collect()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = all
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    owned.collect()
}

/// The only attempt of a call.
async fn attempt(server: Port, call: &str) -> Attempt {
    let mut attempts = server.ledger(call).await;
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    attempts.remove(0)
}

#[rstest]
#[tokio::test]
async fn unary_call_brings_its_answer(#[values(Rust, Go, Python)] by: Implementation) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let messages = vec![json!({"name": "ada", "payload": "AQI="})];
    let seen = caller
        .port
        .call(&CallPlan {
            messages,
            ..plan(&server, "hello", HELLO)
        })
        .await;
    assert_eq!((seen.call.as_str(), seen.index), ("hello-0", 0));
    assert_eq!(
        (seen.status.code, seen.status.origin, seen.http_status),
        (0, Origin::Wire, Some(200))
    );
    assert_eq!((seen.messages.len(), seen.trailers_only), (1, false));
    assert_eq!(seen.replies[0]["message"], "Hello ada");
    assert_eq!(seen.replies[0]["stamp"]["payload"], "AQI=");
    assert!(seen.intended_us <= seen.sent_us && Some(seen.sent_us) <= seen.headers_us);
    assert!(seen.headers_us <= Some(seen.end_us), "{seen:?}");
}

#[rstest]
#[tokio::test]
async fn answer_says_who_gave_it(#[values(Rust, Go, Python)] by: Implementation) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let seen = caller.port.call(&plan(&server, "who", HELLO)).await;
    for (key, value) in [
        (SERVER_HEADER, "server-a"),
        (POD_HEADER, "mp-one/7c1f"),
        (WORKLOAD_HEADER, "server-v2"),
        (ATTEMPT_HEADER, "1"),
    ] {
        assert_eq!(values(&seen.headers, key), [value], "{key}");
    }
}

#[rstest]
#[case::unary(HELLO, 1, 1)]
#[case::server_stream("mypackage.Greeter/LotsOfReplies", 1, 5)]
#[case::client_stream("mypackage.Greeter/LotsOfGreetings", 3, 1)]
#[case::both_ways("mypackage.Greeter/BidiHello", 3, 3)]
#[tokio::test]
async fn every_kind_of_method_can_be_called(
    #[values(Rust, Go, Python)] by: Implementation,
    #[case] method: &str,
    #[case] sent: u32,
    #[case] arrived: usize,
) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let messages: Vec<Value> = (0..sent)
        .map(|at| json!({"name": at.to_string()}))
        .collect();
    let script = (arrived > 3).then(|| Script {
        messages: Some(5),
        ..Script::default()
    });
    let seen = caller
        .port
        .call(&CallPlan {
            messages,
            script,
            ..plan(&server, "kinds", method)
        })
        .await;
    assert_eq!(
        (seen.status.code, seen.messages.len(), seen.replies.len()),
        (0, arrived, arrived.min(3)),
        "{seen:?}"
    );
    assert_eq!(attempt(server.port, "kinds-0").await.received, sent);
}

#[rstest]
#[case::trailers_only(Shape::TrailersOnly, true, 0)]
#[case::headers_then_error(Shape::HeadersThenError, false, 0)]
#[case::after_messages(Shape::AfterMessages, false, 3)]
#[tokio::test]
async fn status_arrives_in_its_shape(
    #[values(Rust, Go, Python)] by: Implementation,
    #[case] shape: Shape,
    #[case] trailers_only: bool,
    #[case] messages: usize,
) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let script = Script {
        status: Some(9),
        message: Some("nö 100%".into()),
        shape,
        messages: Some(3),
        trailers: pairs(&[("x-tail", "t")]),
        headers: pairs(&[("x-head", "h")]),
        ..Script::default()
    };
    let method = "mypackage.OrderService/WatchOrders";
    let seen = caller
        .port
        .call(&scripted(&server, "shape", method, script))
        .await;
    assert_eq!(
        (seen.status.code, seen.status.message.as_str()),
        (9, "nö 100%")
    );
    assert_eq!(
        (seen.status.origin, seen.http_status),
        (Origin::Wire, Some(200))
    );
    assert_eq!(
        (seen.trailers_only, seen.messages.len()),
        (trailers_only, messages),
        "{seen:?}"
    );
    let tail = match trailers_only {
        true => &seen.headers,
        false => &seen.trailers,
    };
    assert_eq!(values(&seen.headers, "x-head"), ["h"]);
    assert_eq!(values(tail, "x-tail"), ["t"]);
}

#[rstest]
#[tokio::test]
async fn reset_is_told_from_a_status(#[values(Rust, Go, Python)] by: Implementation) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let script = Script {
        shape: Shape::Reset,
        ..Script::default()
    };
    let seen = caller
        .port
        .call(&scripted(&server, "reset", HELLO, script))
        .await;
    let reset = Reset {
        code: "CANCEL".into(),
        remote: true,
    };
    assert_eq!(
        (seen.status.code, seen.status.origin, seen.reset),
        (1, Origin::Reset, Some(reset))
    );
}

#[rstest]
#[tokio::test]
async fn address_where_nobody_listens_is_a_matter_of_transport(
    #[values(Rust, Go, Python)] by: Implementation,
) {
    let Some(caller) = by.caller().await else {
        return;
    };
    let seen = caller
        .port
        .call(&CallPlan::new("nobody", "127.0.0.1:1", HELLO))
        .await;
    assert_eq!(
        (seen.status.code, seen.status.origin),
        (14, Origin::Transport)
    );
    let message = seen.transport_error.expect("an error is reported");
    assert!(message.to_lowercase().contains("refused"), "{message}");
    assert_eq!((seen.http_status, seen.headers.len()), (None, 0));
}

#[rstest]
#[tokio::test]
async fn deadline_is_announced_and_is_the_callers_own(
    #[values(Rust, Go, Python)] by: Implementation,
) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let script = Script {
        delay_ms: 60_000,
        ..Script::default()
    };
    let seen = caller
        .port
        .call(&CallPlan {
            deadline_ms: Some(400),
            ..scripted(&server, "late", HELLO, script)
        })
        .await;
    assert_eq!(
        (seen.status.code, seen.status.origin),
        (4, Origin::ClientDeadline)
    );
    let reported = attempt(server.port, "late-0").await.timeout_ms;
    assert!(
        reported.is_some_and(|ms| (300..=400).contains(&ms)),
        "{reported:?}"
    );
}

#[rstest]
#[tokio::test]
async fn patience_is_no_deadline(#[values(Rust, Go, Python)] by: Implementation) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let script = Script {
        delay_ms: 60_000,
        ..Script::default()
    };
    let seen = caller
        .port
        .call(&CallPlan {
            patience_ms: 300,
            ..scripted(&server, "patience", HELLO, script)
        })
        .await;
    assert_eq!(seen.status.origin, Origin::ClientPatience, "{seen:?}");
    assert_eq!(attempt(server.port, "patience-0").await.timeout_ms, None);
}

#[rstest]
#[tokio::test]
async fn every_value_of_a_key_arrives_both_ways(#[values(Rust, Go, Python)] by: Implementation) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let sent = pairs(&[
        ("x-key", "one"),
        ("x-raw-bin", "AP8="),
        ("x-key", "two"),
        ("x-key", "one"),
    ]);
    let script = Script {
        headers: sent.clone(),
        trailers: pairs(&[("x-end", "1"), ("x-end", "2")]),
        ..Script::default()
    };
    let seen = caller
        .port
        .call(&CallPlan {
            metadata: sent,
            ..scripted(&server, "twice", HELLO, script)
        })
        .await;
    let attempt = attempt(server.port, "twice-0").await;
    for at in [&seen.headers, &attempt.metadata] {
        assert_eq!(values(at, "x-key"), ["one", "two", "one"]);
        // Base64 with padding or without it (gRPC over HTTP/2, "Binary-Header").
        let bytes: Vec<&str> = values(at, "x-raw-bin");
        let bytes: Vec<&str> = bytes
            .iter()
            .map(|text| text.trim_end_matches('='))
            .collect();
        assert_eq!(bytes, ["AP8"]);
    }
    assert_eq!(values(&seen.trailers, "x-end"), ["1", "2"]);
}

#[rstest]
#[tokio::test]
async fn metadata_of_a_calls_own_takes_its_values_in_turn(
    #[values(Rust, Go, Python)] by: Implementation,
) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let calls = caller
        .port
        .calls(&CallPlan {
            per_call: vec![("x-user".to_owned(), 3)],
            load: load(5, 1, 1),
            ..plan(&server, "turns", HELLO)
        })
        .await;
    let own: Vec<&str> = calls
        .iter()
        .flat_map(|call| values(&call.own, "x-user"))
        .collect();
    assert_eq!(
        own,
        ["x-user-0", "x-user-1", "x-user-2", "x-user-0", "x-user-1"]
    );
    for attempt in server.port.ledger("turns-").await {
        let call = calls.iter().find(|call| call.call == attempt.call);
        let own = &call.expect("it was made").own;
        assert_eq!(values(&attempt.metadata, "x-user"), values(own, "x-user"));
    }
}

#[rstest]
#[tokio::test]
async fn caller_and_server_agree_on_every_call(
    #[values(Rust, Go, Python)] by: Implementation,
    #[values(false, true)] reconnect: bool,
) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let script = Script {
        status: Some(14),
        ..Script::default()
    };
    let load = Load {
        reconnect,
        ..load(40, 2, 4)
    };
    let calls = caller
        .port
        .calls(&CallPlan {
            load,
            ..scripted(&server, "agree", HELLO, script)
        })
        .await;
    let attempts = server.port.ledger("agree-").await;
    let of_the_caller = |call: &Observation| (call.call.clone(), call.status.code);
    let of_the_server = |attempt: &Attempt| (attempt.call.clone(), attempt.status.unwrap_or(99));
    let reported: BTreeSet<_> = calls.iter().map(of_the_caller).collect();
    assert_eq!(reported.len(), 40);
    assert_eq!(reported, attempts.iter().map(of_the_server).collect());
    let indices: Vec<u64> = calls.iter().map(|call| call.index).collect();
    assert_eq!(indices, (0..40).collect::<Vec<u64>>());
    let connections: BTreeSet<u32> = calls.iter().map(|call| call.connection).collect();
    let peers: BTreeSet<&str> = attempts.iter().map(|one| one.peer.as_str()).collect();
    let expected = if reconnect { 40 } else { 2 };
    assert_eq!((connections.len(), peers.len()), (expected, expected));
}

#[rstest]
#[tokio::test]
async fn open_loop_keeps_its_schedule(#[values(Rust, Go, Python)] by: Implementation) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let load = Load {
        rate: Some(50.0),
        ..load(20, 1, 1)
    };
    let calls = caller
        .port
        .calls(&CallPlan {
            load,
            ..plan(&server, "paced", HELLO)
        })
        .await;
    for call in calls {
        assert!(call.sent_us + 5_000 >= call.index * 20_000, "{call:?}");
    }
}
