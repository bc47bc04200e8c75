//! The schema itself: it matches the types, and it rejects invalid messages.

use rstest::rstest;
use serde_json::{Value, json};
use testbed::control::{CallPlan, Load, RunLine};

use super::message::faults;
use crate::kept;

#[test]
fn checked_in_schema_is_that_of_the_types() {
    let current = testbed::schema::control_text();
    kept::file("fixtures/testbed/control.schema.json", &current);
}

pub(super) fn with(mut document: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    document.pointer_mut(parent).expect("it is there")[key] = value;
    document
}

fn plan() -> Value {
    serde_json::to_value(CallPlan::new("a", "b:1", "c/D")).expect("JSON")
}

#[rstest]
#[case::plan(plan())]
#[case::load(with(plan(), "/load", serde_json::to_value(Load::default()).unwrap()))]
#[case::script(with(plan(), "/script", json!({"status": 14, "shape": "reset", "headers": [["a", "b"]]})))]
fn schema_takes_what_the_types_write(#[case] plan: Value) {
    assert_eq!(faults("CallPlan", &plan), Vec::<String>::new());
}

#[rstest]
#[case::unknown_field(with(plan(), "/retries", json!(1)))]
#[case::unknown_field_of_load(with(plan(), "/load/tims", json!(1)))]
#[case::unknown_field_of_script(with(plan(), "/script", json!({"delay": 1})))]
#[case::unknown_shape(with(plan(), "/script", json!({"shape": "trailers"})))]
#[case::text_for_a_number(with(plan(), "/deadline_ms", json!("1s")))]
#[case::pair_of_three(with(plan(), "/metadata", json!([["a", "b", "c"]])))]
fn schema_refuses_plans_that_are_none(#[case] plan: Value) {
    assert_ne!(faults("CallPlan", &plan), Vec::<String>::new());
}

#[rstest]
#[case::unknown_line(json!({"line": "ended"}))]
#[case::unknown_field(json!({"line": "refused", "reason": "a", "cause": "b"}))]
#[case::missing_field(json!({"line": "stopped"}))]
#[case::unknown_field_of_a_call(with(call(), "/retried", json!(true)))]
#[case::missing_field_of_a_call(with(call(), "/status", json!({"code": 0, "message": ""})))]
#[case::unknown_origin(with(call(), "/status/origin", json!("proxy")))]
fn schema_refuses_lines_that_are_none(#[case] line: Value) {
    assert_ne!(faults("RunLine", &line), Vec::<String>::new());
}

fn call() -> Value {
    let call = json!({"line": "call", "call": "a-0", "index": 0, "connection": 0, "intended_us": 0, "sent_us": 1, "headers_us": null,
        "end_us": 2, "http_status": 200, "headers": [["x", "y"]], "trailers": [], "trailers_only": true, "messages": [[1, 2]],
        "replies": [{}], "reset": null, "goaway": null, "transport_error": null, "tls": null,
        "status": {"code": 0, "message": "", "origin": "wire"}});
    assert_eq!(faults("RunLine", &call), Vec::<String>::new());
    serde_json::from_value::<RunLine>(call.clone()).expect("a line");
    call
}
