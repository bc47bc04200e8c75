use rstest::rstest;
use testbed::control::Origin;

use super::*;
use crate::{
    values::range::DurationRange,
    verdict::{
        conclude::scenario_verdict,
        matcher::{produced_by::ProducedBy, tls::Tls},
        outcome::{LEDGER, Verdict},
        producer::Producer,
        testing::{answered, failed},
    },
};

fn check(matcher: &str, result: CheckResult, contrast: bool) -> Check {
    Check {
        probe: "p".to_owned(),
        matcher: matcher.to_owned(),
        expected: String::new(),
        actual: "what was".to_owned(),
        result,
        contrast,
        samples: 1,
        method: String::new(),
        alpha: None,
        class: None,
    }
}

/// A claim that holds, one that does not, a contrast that is refuted, one that is not, and ledgers
/// that agree.
fn checks() -> Vec<Check> {
    vec![
        check("status", CheckResult::Holds, false),
        check("took", CheckResult::Refuted, false),
        check("attempts", CheckResult::Refuted, true),
        check("share", CheckResult::Holds, true),
        check(LEDGER, CheckResult::Holds, false),
    ]
}

/// Results as letters: H, R, U.
fn letters(checks: &[Check]) -> String {
    let letter = |check: &Check| match check.result {
        CheckResult::Holds => 'H',
        CheckResult::Refuted => 'R',
        CheckResult::Undecided => 'U',
    };
    checks.iter().map(letter).collect()
}

fn guarded(circumstances: &Circumstances) -> Vec<Check> {
    circumstances.guard(checks(), &ResolvedExpect::default(), &[])
}

fn stalled(ms: u64) -> Circumstances {
    let (who, time) = ("the server pod a".to_owned(), Duration::from_millis(ms));
    Circumstances {
        stalls: vec![Stalled {
            who,
            class: ErrorClass::Machine,
            time,
        }],
        ..Circumstances::default()
    }
}

fn death(mesh: bool, code: i32, reason: &str) -> Circumstances {
    let (who, how) = ("the sidecar of pod a".to_owned(), Ending::new(code, reason));
    Circumstances {
        deaths: vec![Termination { who, mesh, how }],
        ..Circumstances::default()
    }
}

#[test]
fn nothing_happened_and_nothing_changes() {
    assert_eq!(guarded(&Circumstances::default()), checks());
}

#[rstest]
#[case::a_second_is_always_judged(&[], 1000, "HURUH")]
#[case::shorter_than_what_is_judged(&[], 900, "HRRHH")]
#[case::noticed_a_tick_late(&[], 960, "HURUH")]
#[case::as_long_as_a_deadline(&[300], 300, "HUUUH")]
#[case::shorter_than_the_deadline(&[300], 240, "HRRHH")]
#[case::longer_than_the_deadline_but_short(&[100], 150, "HURUH")]
#[case::two_limits_are_close(&[3000, 3200], 200, "HURUH")]
#[case::two_limits_are_far(&[3000, 3600], 200, "HRRHH")]
fn a_stall_as_long_as_what_is_judged(
    #[case] limits: &[u64],
    #[case] ms: u64,
    #[case] results: &str,
) {
    let mut circumstances = stalled(ms);
    limits
        .iter()
        .for_each(|ms| circumstances.times.limit(Duration::from_millis(*ms)));
    let checks = guarded(&circumstances);
    assert_eq!(letters(&checks), results);
    for check in checks
        .iter()
        .filter(|check| check.result == CheckResult::Undecided)
    {
        let message = format!("the server pod a stalled for {ms} ms; seen: what was");
        assert_eq!(check.actual, message);
    }
}

#[test]
fn bounds_and_delays_are_times_that_matter() {
    let mut times = Times::default();
    times.expected(&ResolvedExpect {
        matchers: vec![Matcher::from(Took(
            DurationRange::parse("400ms..700ms").unwrap(),
        ))],
    });
    assert_eq!((times.shortest(), times.margin()), (ms(400), ms(300)));
    times.delay_ms(650);
    assert_eq!(
        (times.shortest(), times.margin()),
        (ms(400), ms(50)),
        "the answer is due 50 ms before the bound"
    );
    times.limit(ms(0));
    assert_eq!(times.shortest(), ms(400), "what is not limited");
}

#[test]
fn what_is_configured_counts_and_what_is_none_of_the_meshs_does_not() {
    let object = |version: &str| serde_json::json!({"apiVersion": version, "spec": {"http": [{"timeout": "2s", "retries": {"perTryTimeout": "80ms", "attempts": 3}}]}});
    let mut times = Times::default();
    times.configured(&object("apps/v1"));
    assert_eq!(times, Times::default());
    times.configured(&object("networking.istio.io/v1"));
    assert_eq!((times.shortest(), times.longest()), (ms(80), ms(2000)));
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[rstest]
#[case::ours_killed(false, 137, "Error", "UUUUH", "was terminated from outside (SIGKILL)")]
#[case::ours_failed(false, 1, "Error", "UUUUH", "ended (exit code 1)")]
#[case::ours_crashed(false, 139, "Error", "UUUUH", "crashed (SIGSEGV)")]
#[case::mesh_killed(true, 137, "Error", "UUUUH", "was terminated from outside (SIGKILL)")]
#[case::mesh_told_to_end(true, 143, "Error", "UUUUH", "was terminated from outside (SIGTERM)")]
#[case::no_memory(true, 137, "OOMKilled", "UUUUH", "was killed because memory ran out")]
#[case::mesh_completed(true, 0, "Completed", "UUUUH", "ended (exit code 0)")]
#[case::mesh_crashed(true, 139, "Error", "HRRHH", "crashed (SIGSEGV)")]
#[case::mesh_aborted(true, 134, "Error", "HRRHH", "crashed (SIGABRT)")]
#[case::mesh_gave_up(true, 255, "Error", "HRRHH", "ended (exit code 255)")]
fn who_ended_it_decides(
    #[case] mesh: bool,
    #[case] code: i32,
    #[case] reason: &str,
    #[case] results: &str,
    #[case] message: &str,
) {
    let checks = guarded(&death(mesh, code, reason));
    assert_eq!(letters(&checks), results);
    let message = format!("the sidecar of pod a {message} during the run");
    for check in checks.iter().filter(|check| !is_wanted(check)) {
        assert!(check.actual.contains(&message), "{}", check.actual);
    }
}

#[test]
fn a_pod_that_was_deleted_or_lost_its_readiness() {
    let mut circumstances = death(false, 0, "");
    circumstances.deaths[0].how = Ending::Deleted;
    assert_eq!(letters(&guarded(&circumstances)), "UUUUH");
    let unready = Circumstances {
        unready: vec![Trouble::new("pod a became unready", ErrorClass::Mesh)],
        ..Circumstances::default()
    };
    assert_eq!(letters(&guarded(&unready)), "HUUUH");
}

#[test]
fn a_ledger_that_disagrees_says_why() {
    let ledger = vec![check(LEDGER, CheckResult::Undecided, false)];
    let checks = death(false, 137, "").guard(ledger, &ResolvedExpect::default(), &[]);
    assert!(
        checks[0]
            .actual
            .starts_with("the sidecar of pod a was terminated"),
        "{}",
        checks[0].actual
    );
}

/// Error texts of clients, and what they mean: failed lookup, refused, broken, or an answer.
#[rstest]
#[case(
    "connect to users:1: failed to lookup address information: Name or service not known",
    Origin::Transport,
    Some(Unconnected::Lookup)
)]
#[case(
    "dns: A record lookup error: lookup users on 10.96.0.10:53: no such host",
    Origin::Transport,
    Some(Unconnected::Lookup)
)]
#[case(
    "DNS resolution failed for users:1: C-ares status is not ARES_SUCCESS",
    Origin::Transport,
    Some(Unconnected::Lookup)
)]
#[case(
    "connect to greeter:1: Connection refused (os error 111)",
    Origin::Transport,
    Some(Unconnected::Refused)
)]
#[case(
    "connection error: desc = \"transport: Error while dialing: dial tcp 10.96.0.3:1: connect: connection refused\"",
    Origin::Transport,
    Some(Unconnected::Refused)
)]
#[case(
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.96.0.3:1: Failed to connect to remote host: connect: Connection refused (111)",
    Origin::Transport,
    Some(Unconnected::Refused)
)]
#[case(
    "no connection to greeter:1 yet",
    Origin::ClientDeadline,
    Some(Unconnected::Refused)
)]
#[case("broken pipe", Origin::Transport, Some(Unconnected::Broken))]
#[case("no healthy upstream", Origin::Wire, None)]
#[case("deadline", Origin::ClientDeadline, None)]
fn what_clients_say_of_connections(
    #[case] message: &str,
    #[case] origin: Origin,
    #[case] kind: Option<Unconnected>,
) {
    let mut call = failed(0, 14, "", origin);
    call.transport_error = Some(message.to_owned());
    assert_eq!(unconnected(&call), kind);
}

#[rstest]
#[case::never_answered("Connection refused", "", "HUUUH")]
#[case::has_answered("Connection refused", "a", "HRRHH")]
#[case::the_mesh_listens("Connection refused", "g", "HRRHH")]
#[case::claimed("Connection refused", "c", "HRRHH")]
#[case::handshake_claimed("Connection refused", "t", "HRRHH")]
#[case::no_such_name("failed to lookup address", "a", "HUUUH")]
#[case::no_such_name_is_claimed("failed to lookup address", "c", "HRRHH")]
#[case::nobody_has_the_port("connection reset", "", "HUUUH")]
#[case::a_gateway_without_the_port("connection reset", "g", "HRRHH")]
#[case::somebody_has_the_port("connection reset", "s", "HRRHH")]
fn what_nobody_answers_is_not_the_meshs(
    #[case] error: &str,
    #[case] known: &str,
    #[case] results: &str,
) {
    let mut call = failed(0, 14, "", Origin::Transport);
    call.transport_error = Some(format!("connect to greeter:1: {error}"));
    let target = Target {
        address: "greeter:1".to_owned(),
        answered: known.contains('a'),
        gateway: known.contains('g'),
        served: known.contains('s'),
    };
    let mut expect = ResolvedExpect::default();
    if known.contains('c') {
        expect
            .matchers
            .push(Matcher::from(ProducedBy(Producer::Client)));
    }
    if known.contains('t') {
        let refused = Tls {
            refused: Some("closed".into()),
            ..Default::default()
        };
        expect.matchers.push(Matcher::from(refused));
    }
    let circumstances = Circumstances {
        target,
        ..Circumstances::default()
    };
    let calls = [answered(0, "greeter-a", "greeter"), call];
    let checks = circumstances.guard(checks(), &expect, &calls);
    assert_eq!(letters(&checks), results);
    let undecided = checks
        .iter()
        .find(|check| check.result == CheckResult::Undecided);
    assert!(undecided.is_none_or(|check| check.actual.contains("greeter:1")));
}

#[rstest]
#[case::long(&stalled(600), Some("stalled for 600 ms"))]
#[case::short(&stalled(400), None)]
#[case::ended_from_outside(&death(false, 137, ""), Some("SIGKILL"))]
#[case::the_meshs_own_crash(&death(true, 139, ""), None)]
fn what_did_not_come_in_time(#[case] circumstances: &Circumstances, #[case] message: Option<&str>) {
    let cause = circumstances.slowed(Duration::from_secs(5));
    assert_eq!(cause.is_some(), message.is_some(), "{cause:?}");
    assert!(message.is_none_or(|message| cause.unwrap().message.contains(message)));
}

#[test]
fn a_step_that_failed_is_told_with_what_ended_or_stood_still() {
    assert_eq!(stalled(900).cause(), None);
    assert_eq!(
        stalled(5000).cause().unwrap().message,
        "the server pod a stalled for 5000 ms"
    );
    let both = Circumstances {
        deaths: death(false, 137, "").deaths,
        ..stalled(5000)
    };
    assert!(both.cause().unwrap().message.contains("SIGKILL"));
}

/// The class of an undecided check is that of the program or machine that ended or stalled.
#[rstest]
#[case::ours_killed(&death(false, 137, "Error"), ErrorClass::Harness)]
#[case::mesh_killed(&death(true, 137, "Error"), ErrorClass::Mesh)]
#[case::no_memory(&death(true, 137, "OOMKilled"), ErrorClass::Machine)]
#[case::stalled(&stalled(5000), ErrorClass::Machine)]
fn an_explained_check_has_the_class_of_the_explanation(
    #[case] circumstances: &Circumstances,
    #[case] class: ErrorClass,
) {
    let checks = guarded(circumstances);
    let undecided = checks
        .iter()
        .filter(|check| check.result == CheckResult::Undecided);
    let classes: Vec<_> = undecided.map(|check| check.class).collect();
    assert!(classes.contains(&Some(class)), "{classes:?}");
    assert_eq!(circumstances.cause().unwrap().class, class);
    let error = scenario_verdict(&checks[..1], &[], None);
    let decided = (error.verdict == Verdict::Error).then_some(class);
    assert_eq!(error.class, decided, "{error:?}");
}
