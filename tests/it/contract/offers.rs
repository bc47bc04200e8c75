//! A caller rejects features that it does not support, with a message, before it makes a call.

use rstest::rstest;
use serde_json::{Value, json};
use testbed::{
    control::{CallPlan, Form, Load, RunLine, TlsPlan, WebPlan},
    streaming::StreamPlan,
};

use super::{
    calls::{HELLO, load, pair, plan},
    implementation::{
        Feature,
        Implementation::{self, Go, Python, Rust},
        Server,
    },
    message::written,
    schema::with,
};

/// The reason of the only line, which must be `refused`.
fn refusal(lines: &[RunLine]) -> &str {
    match lines {
        [RunLine::Refused { reason }] => reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn asking(server: &Server, feature: Feature) -> CallPlan {
    let mut plan = plan(server, "more", HELLO);
    match feature {
        // The server does not speak TLS, so the attempt fails.
        Feature::Tls => plan.tls = Some(TlsPlan::default()),
        Feature::Summary => plan.summary = true,
        Feature::TimedRun => {
            plan.load = Load {
                for_ms: Some(100),
                ..load(3, 1, 1)
            }
        }
        Feature::GrpcWeb => plan.form = Form::Web(WebPlan::default()),
        Feature::NumberedStream => {
            plan.method = "mypackage.Greeter/LotsOfGreetings".into();
            plan.stream = Some(StreamPlan {
                messages: Some(2),
                ..StreamPlan::default()
            });
        }
        Feature::Padding => plan.pad = Some(10),
        Feature::Finish => {}
    }
    plan
}

#[rstest]
#[tokio::test]
async fn plan_is_carried_out_or_refused_as_the_caller_says_that_it_offers(
    #[values(Rust, Go, Python)] by: Implementation,
    #[values(
        Feature::Tls,
        Feature::Summary,
        Feature::TimedRun,
        Feature::GrpcWeb,
        Feature::NumberedStream,
        Feature::Padding
    )]
    feature: Feature,
) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let lines = caller.port.run(&asking(&server, feature)).await;
    if by.offers().contains(&feature) {
        assert!(
            matches!(lines.last(), Some(RunLine::Done { .. })),
            "{lines:?}"
        );
    } else {
        assert!(refusal(&lines).contains("this caller"), "{lines:?}");
        assert!(server.port.ledger("more-").await.is_empty());
    }
}

#[rstest]
#[tokio::test]
async fn run_can_be_finished_where_the_caller_offers_it(
    #[values(Rust, Go, Python)] by: Implementation,
) {
    let Some(caller) = by.caller().await else {
        return;
    };
    let path = "/v1/finish?id=nobody";
    let (status, text) = caller.port.ask(&http::Method::POST, path).await;
    assert_eq!(status, http::StatusCode::NOT_FOUND);
    let known = text.contains("no run \"nobody\" is in progress");
    assert_eq!(known, by.offers().contains(&Feature::Finish), "{text}");
}

fn changed(pointer: &str, value: Value) -> impl Fn(Value) -> String {
    let pointer = pointer.to_owned();
    move |plan| with(plan, &pointer, value.clone()).to_string()
}

#[rstest]
#[case::no_json(|_| "{\"id\": ".to_owned(), "")]
#[case::nothing(|_| String::new(), "")]
#[case::two_plans(|plan: Value| format!("{plan}{plan}"), "")]
#[case::unknown_field(changed("/retries", json!(3)), "retries")]
#[case::unknown_field_of_the_load(changed("/load/tims", json!(3)), "tims")]
#[case::unknown_field_of_the_script(changed("/script", json!({"delay": 3})), "delay")]
#[case::number_as_text(changed("/load/times", json!("3")), "")]
#[case::no_method(changed("/method", json!("SayHello")), "")]
#[case::unknown_service(changed("/method", json!("mypackage.Greter/SayHello")), "mypackage.Greter")]
#[case::unknown_method(changed("/method", json!("mypackage.Greeter/SayHallo")), "")]
#[case::unknown_field_of_a_message(changed("/messages", json!([{"nam": "ada"}])), "nam")]
#[case::two_messages(changed("/messages", json!([{}, {}])), "")]
#[case::no_streams(changed("/load/streams", json!(0)), "stream")]
#[case::no_values_in_turn(changed("/per_call", json!([["x-user", 0]])), "x-user")]
#[case::rate_of_nothing(changed("/load/rate", json!(0.0)), "rate")]
#[case::too_many_connections(changed("/load/connections", json!(1001)), "connections")]
#[case::too_much_at_once(changed("/load", json!({"times": 1, "connections": 1000, "streams": 11})), "streams")]
#[tokio::test]
async fn plan_that_is_none_is_refused(
    #[values(Rust, Go, Python)] by: Implementation,
    #[case] change: impl Fn(Value) -> String,
    #[case] message: &str,
) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let good = written("CallPlan", &plan(&server, "bad", HELLO));
    let good: Value = serde_json::from_str(&good).expect("JSON");
    let lines = caller.port.run_text(&change(good)).await;
    let reason = refusal(&lines);
    assert!(!reason.is_empty() && reason.contains(message), "{reason}");
    assert!(server.port.ledger("bad-").await.is_empty());
}
