use rstest::rstest;
use serde_json::json;

use super::*;

#[rstest]
#[case("authorization", true)]
#[case("Proxy-Authorization", true)]
#[case("set-cookie", true)]
#[case("x-api-key", true)]
#[case("token-bin", true)]
#[case("x-session-token", true)]
#[case("client-secret", true)]
#[case("db-password-bin", true)]
#[case("x-amz-credential", true)]
#[case("content-type", false)]
#[case("x-meshproof-call", false)]
#[case("cookie-consent", false)]
fn names_that_carry_credentials_are_known(#[case] name: &str, #[case] sensitive: bool) {
    assert_eq!(is_sensitive(name), sensitive);
}

#[test]
fn metadata_is_masked_unless_it_is_named() {
    let pair = |key: &str| (key.to_owned(), "hunter2".to_owned());
    let mut fields = [pair("authorization"), pair("cookie"), pair("x-tenant")];
    metadata(&mut fields, |name| name == "cookie");
    let values = fields.map(|(_, value)| value);
    assert_eq!(values, ["***", "hunter2", "hunter2"]);
}

#[rstest]
#[case(
    "script load error: [string \"local key = \"hunter2\"...\"]:3: '=' expected near 'hunter2'",
    "script load error: [string \"***\"]:3: '=' expected near '***'"
)]
#[case(
    "Proto constraint validation failed: inline_code: \"key = \\\"hunter2\\\"\"",
    "Proto constraint validation failed: inline_code: \"***\""
)]
#[case(
    "script load error: [string \"hunter2",
    "script load error: [string \"***"
)]
#[case("no route names this cluster", "no route names this cluster")]
fn a_refusal_does_not_quote_the_program(#[case] message: &str, #[case] clean: &str) {
    assert_eq!(refusal(message), clean);
}

#[test]
fn values_of_a_secret_are_found_however_they_are_written() {
    let secret = json!({"kind": "Secret", "data": {"a": "aHVudGVyMg=="}, "stringData": {"b": {"nested": ["planted"]}, "n": 123_456}});
    let values = secret_values(&secret);
    assert_eq!(values, ["planted", "123456", "aHVudGVyMg==", "hunter2"]);
    assert!(secret_values(&json!({"kind": "ConfigMap", "data": {"a": "b"}})).is_empty());
}

#[test]
fn an_object_is_kept_without_what_is_secret() {
    let filter = json!({"kind": "EnvoyFilter", "spec": {
        "patch": {"value": {"inlineCode": "key = 'hunter2'", "source_code": {"inline_string": "hunter2"}}},
        "env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "LEVEL", "value": "debug"}],
        "headers": {"request": {"add": {"authorization": "hunter2", "x-a": "b"}}}}});
    let kept = object(filter).to_string();
    assert!(!kept.contains("hunter2"), "{kept}");
    assert!(
        kept.contains("debug") && kept.contains("\"x-a\":\"b\""),
        "{kept}"
    );
}
