//! A run ends when its controller is gone.

use std::time::Duration;

use http::{Method, StatusCode};
use rstest::rstest;
use testbed::control::{CallPlan, Load, RunLine, Script};
use tokio::time::{Instant, timeout};

use super::{
    calls::{HELLO, load, pair, plan, scripted},
    implementation::{
        Implementation::{self, Go, Python, Rust},
        Server,
    },
    port::Port,
};

/// Longer than any step here takes.
const LIMIT: Duration = Duration::from_secs(30);

/// A plan of endless calls.
fn endless(server: &Server, id: &str) -> CallPlan {
    let load = Load {
        rate: Some(50.0),
        ..load(1_000_000, 1, 1)
    };
    CallPlan {
        load,
        ..plan(server, id, HELLO)
    }
}

/// Returns once no new call has arrived for a second.
async fn quiet(server: Port, prefix: &str) {
    let (mut seen, mut since) = (0, Instant::now());
    let limit = Instant::now() + LIMIT;
    while since.elapsed() < Duration::from_secs(1) {
        assert!(Instant::now() < limit, "the calls did not stop");
        let now = server.ledger(prefix).await.len();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
}

#[rstest]
#[tokio::test]
async fn run_with_a_lease_is_done_as_others_are(#[values(Rust, Go, Python)] by: Implementation) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let plan = CallPlan {
        load: load(5, 1, 1),
        ..plan(&server, "leased", HELLO)
    };
    let mut run = caller.port.lease(&plan, 10_000).await;
    let mut kinds = Vec::new();
    while kinds.len() < 6 {
        match run.line().await.expect("a line") {
            RunLine::Call(_) => kinds.push("call"),
            RunLine::Done { calls: 5, .. } => kinds.push("done"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(kinds, ["call", "call", "call", "call", "call", "done"]);
}

#[rstest]
#[tokio::test]
async fn run_whose_controller_says_nothing_more_is_stopped(
    #[values(Rust, Go, Python)] by: Implementation,
) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let mut run = caller.port.lease(&endless(&server, "silent"), 500).await;
    let last = timeout(LIMIT, run.last()).await.expect("it ends");
    let Some(RunLine::Stopped { reason }) = last else {
        panic!("{last:?}");
    };
    assert!(reason.contains("the controller sent nothing"), "{reason}");
    quiet(server.port, "silent-").await;
}

#[rstest]
#[tokio::test]
async fn run_goes_on_while_signs_come_and_ends_with_the_connection(
    #[values(Rust, Go, Python)] by: Implementation,
) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let mut run = caller.port.lease(&endless(&server, "signs"), 1_000).await;
    let (began, mut next) = (Instant::now(), Instant::now());
    while began.elapsed() < Duration::from_secs(3) {
        if next.elapsed() > Duration::from_millis(250) {
            run.sign().await;
            next = Instant::now();
        }
        let line = timeout(LIMIT, run.line()).await.expect("calls are made");
        assert!(matches!(line, Some(RunLine::Call(_))), "{line:?}");
    }
    drop(run);
    quiet(server.port, "signs-").await;
}

#[rstest]
#[tokio::test]
async fn leaving_the_answer_cancels_the_calls(#[values(Rust, Go, Python)] by: Implementation) {
    let Some((caller, server)) = pair(by).await else {
        return;
    };
    let script = Script {
        delay_ms: 60_000,
        ..Script::default()
    };
    let plan = scripted(&server, "gone", HELLO, script);
    let run = caller.port.lease(&plan, 60_000).await;
    let ends = |expected: &'static str| async move {
        let ended = async {
            loop {
                let attempts = server.port.ledger("gone-").await;
                if attempts.first().is_some_and(|one| one.end == expected) {
                    return;
                }
            }
        };
        let ended = timeout(LIMIT, ended).await;
        ended.unwrap_or_else(|_| panic!("the call did not become {expected}"));
    };
    ends("running").await;
    drop(run);
    ends("cancelled").await;
}

#[rstest]
#[tokio::test]
async fn lease_that_is_none_is_refused(
    #[values(Rust, Go, Python)] by: Implementation,
    #[values("0", "99", "600001", "soon", "-1")] term: &str,
) {
    let Some(caller) = by.caller().await else {
        return;
    };
    let path = format!("/v1/run?lease_ms={term}");
    let (status, text) = caller.port.ask(&Method::POST, &path).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    assert!(text.contains("must be 100 to 600000"), "{text}");
}
