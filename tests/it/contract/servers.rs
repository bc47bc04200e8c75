//! Servers: scripts, ledgers and the responses of a control port, under calls of the test bed's
//! own caller.

use http::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use testbed::control::{
    CallPlan, Origin, POD_HEADER, SCRIPT_HEADER, SERVER_HEADER, Script, Shape, WORKLOAD_HEADER,
};

use super::{
    calls::{HELLO, load, plan, scripted, values},
    implementation::{
        Caller,
        Implementation::{self, Go, Rust},
        Server, identity,
    },
};

async fn pair(by: Implementation) -> Option<(Caller, Server)> {
    Some((Rust.caller().await?, by.server().await?))
}

#[rstest]
#[tokio::test]
async fn server_says_who_it_is_and_how_long_it_has_run(#[values(Rust, Go)] by: Implementation) {
    let Some(server) = by.server().await else {
        return;
    };
    assert_eq!(server.port.info().await, identity("server"));
    let first = server.port.alive().await.up_ms;
    while server.port.alive().await.up_ms <= first {}
    let (status, _) = server.port.ask(&Method::GET, "/v1/nothing").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[rstest]
#[tokio::test]
async fn web_page_cannot_drive_a_server(#[values(Rust, Go)] by: Implementation) {
    let Some(server) = by.server().await else {
        return;
    };
    for header in [("origin", "http://evil.example"), ("host", "evil.example")] {
        let (status, text) = server
            .port
            .answer_to(&Method::GET, "/v1/ledger", header)
            .await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{text}");
    }
}

#[rstest]
#[tokio::test]
async fn ledger_has_every_attempt_of_the_calls_that_are_asked_for(
    #[values(Rust, Go)] by: Implementation,
) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let metadata = vec![("x-key".to_owned(), "value".to_owned())];
    let asked = CallPlan {
        load: load(6, 2, 1),
        metadata,
        ..plan(&server, "asked", HELLO)
    };
    let calls = caller.port.calls(&asked).await;
    caller.port.calls(&plan(&server, "other", HELLO)).await;
    let attempts = server.port.ledger("asked-").await;
    assert_eq!(attempts.len(), 6);
    for attempt in &attempts {
        let who = identity("server");
        assert_eq!(
            (
                &attempt.pod,
                &attempt.namespace,
                &attempt.uid,
                &attempt.workload
            ),
            (&who.pod, &who.namespace, &who.uid, &who.workload)
        );
        assert_eq!(
            (attempt.attempt, attempt.method.as_str(), attempt.port),
            (1, HELLO, server.address.port())
        );
        assert_eq!(
            (
                attempt.end.as_str(),
                attempt.status,
                attempt.protocol.as_str()
            ),
            ("answered", Some(0), "HTTP/2.0")
        );
        assert_eq!(values(&attempt.metadata, "x-key"), ["value"]);
        assert!(calls.iter().any(|call| call.call == attempt.call));
    }
    assert_eq!(server.port.ledger("asked-1").await.len(), 1);
    assert_eq!(server.port.ledger("nobody-").await.len(), 0);
}

#[rstest]
#[case::trailers_only(Shape::TrailersOnly, true, 0)]
#[case::headers_then_error(Shape::HeadersThenError, false, 0)]
#[case::after_messages(Shape::AfterMessages, false, 3)]
#[tokio::test]
async fn script_decides_status_shape_and_metadata(
    #[values(Rust, Go)] by: Implementation,
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
        size: Some(700),
        headers: vec![("x-head".into(), "h".into())],
        trailers: vec![("x-tail".into(), "t".into())],
        ..Script::default()
    };
    let method = "mypackage.Greeter/LotsOfReplies";
    let seen = caller
        .port
        .call(&scripted(&server, "shape", method, script))
        .await;
    assert_eq!(
        (seen.status.code, seen.status.message.as_str()),
        (9, "nö 100%"),
        "{seen:?}"
    );
    assert_eq!(
        (seen.trailers_only, seen.messages.len(), seen.status.origin),
        (trailers_only, messages, Origin::Wire),
        "{seen:?}"
    );
    let tail = match trailers_only {
        true => &seen.headers,
        false => &seen.trailers,
    };
    assert_eq!(values(&seen.headers, "x-head"), ["h"]);
    assert_eq!(values(tail, "x-tail"), ["t"]);
    for (key, value) in [
        (SERVER_HEADER, "server-a"),
        (POD_HEADER, "mp-one/7c1f"),
        (WORKLOAD_HEADER, "server-v2"),
    ] {
        assert_eq!(values(&seen.headers, key), [value], "{key}");
    }
    assert!(
        seen.messages.iter().all(|(_, size)| *size > 700),
        "{seen:?}"
    );
    assert_eq!(seen.damage, None);
}

#[rstest]
#[tokio::test]
async fn first_attempts_of_a_call_fail_and_the_next_succeeds(
    #[values(Rust, Go)] by: Implementation,
) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let script = Script {
        status: Some(14),
        fail_first: Some(2),
        ..Script::default()
    };
    let flaky = scripted(&server, "flaky", HELLO, script);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(caller.port.call(&flaky).await.status.code);
    }
    assert_eq!(statuses, [14, 14, 0]);
    let attempts = server.port.ledger("flaky-0").await;
    let numbers: Vec<u32> = attempts.iter().map(|one| one.attempt).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[rstest]
#[tokio::test]
async fn delayed_answer_that_nobody_waits_for_is_cancelled(#[values(Rust, Go)] by: Implementation) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let script = Script {
        delay_ms: 60_000,
        ..Script::default()
    };
    let late = CallPlan {
        deadline_ms: Some(300),
        ..scripted(&server, "late", HELLO, script)
    };
    caller.port.call(&late).await;
    let ended = async {
        loop {
            let attempts = server.port.ledger("late-").await;
            if let [one] = &attempts[..]
                && one.end != "running"
            {
                return one.end.clone();
            }
        }
    };
    let limit = std::time::Duration::from_secs(10);
    let ended = tokio::time::timeout(limit, ended).await;
    assert_eq!(ended.expect("it ends"), "cancelled");
}

/// A script that the types cannot express is sent as metadata.
#[rstest]
#[case::no_json(json!("{"), true)]
#[case::unknown_field(json!({"delay": 3}), true)]
#[case::number_as_text(json!({"status": "3"}), true)]
#[case::reset(json!({"shape": "reset"}), false)]
#[case::ends_early(json!({"finish_after": 1}), false)]
#[case::slow_reader(json!({"read_gap_ms": 1}), false)]
#[case::padding(json!({"pad": 10}), false)]
#[tokio::test]
async fn script_that_a_server_does_not_carry_out_is_refused(
    #[values(Rust, Go)] by: Implementation,
    #[case] script: Value,
    #[case] never: bool,
) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let text = script.as_str().map_or(script.to_string(), str::to_owned);
    let metadata = vec![(SCRIPT_HEADER.to_owned(), text)];
    let seen = caller
        .port
        .call(&CallPlan {
            metadata,
            ..plan(&server, "script", HELLO)
        })
        .await;
    let refused = seen.status.code == 3 && seen.status.message.contains("script");
    assert_eq!(refused, never || !by.server_is_complete(), "{seen:?}");
}

#[rstest]
#[case::health(Method::PUT, "/v1/health?service=&status=SERVING")]
#[case::goaway(Method::POST, "/v1/goaway?age_ms=0")]
#[case::standing_script(Method::PUT, "/v1/script")]
#[tokio::test]
async fn control_request_is_carried_out_or_unknown_as_the_server_says_that_it_offers(
    #[values(Rust, Go)] by: Implementation,
    #[case] method: Method,
    #[case] path: &str,
) {
    let Some(server) = by.server().await else {
        return;
    };
    let (status, text) = server.port.ask(&method, path).await;
    let known = status != StatusCode::NOT_FOUND;
    assert_eq!(known, by.server_is_complete(), "{status}: {text}");
}
