//! Responses of a caller's control port, apart from runs.

use http::{Method, StatusCode};
use rstest::rstest;

use super::implementation::{
    Implementation::{self, Go, Python, Rust},
    identity,
};

#[rstest]
#[tokio::test]
async fn caller_says_who_it_is(#[values(Rust, Go, Python)] by: Implementation) {
    let Some(caller) = by.caller().await else {
        return;
    };
    assert_eq!(caller.port.info().await, identity("caller"));
}

#[rstest]
#[tokio::test]
async fn caller_says_how_long_it_has_run(#[values(Rust, Go, Python)] by: Implementation) {
    let Some(caller) = by.caller().await else {
        return;
    };
    let began = std::time::Instant::now();
    let first = caller.port.alive().await.up_ms;
    let then = loop {
        let then = caller.port.alive().await.up_ms;
        if then > first {
            break then;
        }
    };
    assert!(u128::from(then - first) <= began.elapsed().as_millis() + 1);
}

#[rstest]
#[tokio::test]
async fn caller_says_whether_an_address_can_be_reached(
    #[values(Rust, Go, Python)] by: Implementation,
) {
    let (Some(caller), Some(server)) = (by.caller().await, Rust.server().await) else {
        return;
    };
    let open = caller.port.reach(&server.address.to_string(), 7).await;
    assert_eq!((open.made, open.error), (7, None));
    let closed = caller.port.reach("127.0.0.1:1", 7).await;
    assert_eq!(closed.made, 0);
    let message = closed.error.expect("an error is reported");
    assert!(message.to_lowercase().contains("refused"), "{message}");
    let unknown = caller.port.reach("nobody.invalid:1", 1).await;
    assert!(unknown.error.is_some(), "{unknown:?}");
    let none = caller.port.reach("", 1).await;
    assert!(none.error.is_some(), "{none:?}");
}

#[rstest]
#[tokio::test]
async fn caller_knows_no_other_path(#[values(Rust, Go, Python)] by: Implementation) {
    let Some(caller) = by.caller().await else {
        return;
    };
    for method in [Method::GET, Method::POST] {
        let (status, _) = caller.port.ask(&method, "/v1/nothing").await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method}");
    }
}

#[rstest]
#[tokio::test]
async fn web_page_cannot_drive_a_caller(
    #[values(Rust, Go, Python)] by: Implementation,
    #[values(
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("host", "evil.example")
    )]
    header: (&str, &str),
) {
    let Some(caller) = by.caller().await else {
        return;
    };
    for (method, path) in [(Method::POST, "/v1/run"), (Method::GET, "/v1/alive")] {
        let (status, text) = caller.port.answer_to(&method, path, header).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}: {text}");
    }
}
