//! One table per matcher: what it holds for, what refutes it, and what leaves it undecided.

use rstest::rstest;
use testbed::control::{Observation, Origin, Reset};

use super::{
    conclude::scenario_verdict,
    expect::ResolvedExpect,
    judge::{as_contrast, judge},
    matcher::{
        Matcher,
        answered_by::AnsweredBy,
        attempts::Attempts,
        http_status::HttpStatus,
        initial_metadata::InitialMetadata,
        max_failed::MaxFailed,
        message::Message,
        pinned::Pinned,
        produced_by::ProducedBy,
        reaches_all::ReachesAll,
        response::Response,
        response_flag::ResponseFlag,
        server_deadline::ServerDeadline,
        server_metadata::ServerMetadata,
        share::Share,
        spread::{Spread, SpreadPolicy},
        status::Status,
        sticky_by::StickyBy,
        took::Took,
        trailing_metadata::TrailingMetadata,
        upstream_protocol::UpstreamProtocol,
    },
    monitor::Monitor,
    observations::Observations,
    outcome::{
        CALL_TIMEOUT,
        CheckResult::{self, *},
        LEDGER, Verdict,
    },
    producer::{Producer, Way},
    testing::{
        MILLION, answered, attempt, failed, judged, one, order, pod_name, result_of as result,
    },
};
use crate::values::{
    metadata::Fields,
    range::{CountRange, DurationRange},
};

fn spread(policy: SpreadPolicy) -> Matcher {
    let over = "greeter".to_owned();
    Matcher::from(Spread { over, policy })
}

#[rstest]
#[case::seen_at_once("abc", Holds)]
#[case::pinned_traffic(&"a".repeat(37), Refuted)]
#[case::one_starved(&"ab".repeat(19), Refuted)]
#[case::too_few("ababab", Undecided)]
#[case::nothing("", Undecided)]
fn reaches_all(#[case] answers: &str, #[case] expected: CheckResult) {
    let matcher = Matcher::from(ReachesAll("greeter".to_owned()));
    assert_eq!(result(matcher, &order(answers, 3)).0, expected);
}

#[rstest]
#[case::long_enough(true, &"b".repeat(14), Holds)]
#[case::too_short(true, &"b".repeat(13), Undecided)]
#[case::second_pod(true, "bba", Refuted)]
#[case::claimed_not_pinned(false, "bba", Holds)]
#[case::not_pinned_is_wrong(false, &"b".repeat(14), Refuted)]
fn pinned(#[case] required: bool, #[case] answers: &str, #[case] expected: CheckResult) {
    assert_eq!(
        result(Matcher::from(Pinned(required)), &order(answers, 3)).0,
        expected
    );
}

#[test]
fn one_pod_proves_no_pinning() {
    let (result, message) = result(Matcher::from(Pinned(true)), &order(&"a".repeat(50), 1));
    assert_eq!(result, Undecided);
    assert!(message.contains("only one pod"), "{message}");
}

#[test]
fn each_connection_may_be_pinned_to_another_pod() {
    let mut seen = order(&"ab".repeat(15), 3);
    for call in &mut seen.calls {
        call.connection = (call.index % 2) as u32;
    }
    assert_eq!(result(Matcher::from(Pinned(true)), &seen).0, Holds);
    let sticky = Matcher::from(StickyBy("x-user".to_owned()));
    assert_eq!(result(sticky, &seen).0, Refuted);
}

#[rstest]
#[case::strict("abc", 5, SpreadPolicy::RoundRobin, Holds)]
#[case::out_of_turn("abcb", 1, SpreadPolicy::RoundRobin, Refuted)]
#[case::short("abc", 4, SpreadPolicy::RoundRobin, Undecided)]
#[case::random_like("abbc", 1, SpreadPolicy::Random, Holds)]
#[case::cyclic("abc", 6, SpreadPolicy::Random, Refuted)]
#[case::starved("abba", 10, SpreadPolicy::Random, Refuted)]
#[case::even("abc", 300, SpreadPolicy::Even, Holds)]
#[case::even_too_few("abc", 100, SpreadPolicy::Even, Undecided)]
#[case::uneven("aabc", 225, SpreadPolicy::Even, Refuted)]
fn spreads(
    #[case] turn: &str,
    #[case] turns: usize,
    #[case] policy: SpreadPolicy,
    #[case] expected: CheckResult,
) {
    let (found, message) = result(spread(policy), &order(&turn.repeat(turns), 3));
    assert_eq!(found, expected, "{message}");
}

#[rstest]
#[case::avoided(&"bcbcbcbcb".repeat(30), Some("greeter-a"), Holds)]
#[case::ignored(&"abc".repeat(90), Some("greeter-a"), Refuted)]
#[case::nobody_busy(&"abc".repeat(90), None, Undecided)]
#[case::few("bc", Some("greeter-a"), Undecided)]
fn least_request(#[case] answers: &str, #[case] busy: Option<&str>, #[case] expected: CheckResult) {
    let mut seen = order(answers, 3);
    seen.busy_pod = busy.map(str::to_owned);
    assert_eq!(
        result(spread(SpreadPolicy::LeastRequest), &seen).0,
        expected
    );
}

fn workloads(pattern: &[&str], times: usize) -> Observations {
    let mut seen = order(&"a".repeat(pattern.len() * times), 1);
    for (call, workload) in seen.calls.iter_mut().zip(pattern.iter().cycle()) {
        call.headers[2].1 = (*workload).to_owned();
    }
    seen
}

#[rstest]
#[case::kept(&["v1", "v1", "v1", "v1", "v1", "v2", "v1", "v1", "v1", "v1"], 100, Holds)]
#[case::ignored(&["v1", "v2"], 100, Refuted)]
#[case::all_to_one(&["v1"], 300, Refuted)]
#[case::few(&["v1", "v1", "v2"], 3, Undecided)]
#[case::stranger(&["v1", "v3"], 1, Refuted)]
fn shares(#[case] pattern: &[&str], #[case] times: usize, #[case] expected: CheckResult) {
    let shares = [("v1".to_owned(), 0.9), ("v2".to_owned(), 0.1)].into();
    let (found, message) = result(Matcher::from(Share(shares)), &workloads(pattern, times));
    assert_eq!(found, expected, "{message}");
}

#[rstest]
#[case::all_of_it(1.0, &["v1"], 160, Holds)]
#[case::a_leak(1.0, &["v1", "v1", "v2"], 1, Refuted)]
fn a_whole_share_is_refuted_by_one_call(
    #[case] share: f64,
    #[case] pattern: &[&str],
    #[case] times: usize,
    #[case] expected: CheckResult,
) {
    let shares = [("v1".to_owned(), share), ("v2".to_owned(), 1.0 - share)].into();
    let (found, message) = result(Matcher::from(Share(shares)), &workloads(pattern, times));
    assert_eq!(found, expected, "{message}");
}

fn with_header(mut call: Observation, key: &str, value: &str) -> Observation {
    call.headers.push((key.to_owned(), value.to_owned()));
    call
}

fn reset(mut call: Observation) -> Observation {
    call.reset = Some(Reset {
        code: "CANCEL".to_owned(),
        remote: true,
    });
    call.status.origin = Origin::Reset;
    call
}

#[rstest]
#[case::answered(answered(0, "a", "v1"), Producer::Application)]
#[case::local_reply(
    failed(0, 14, "no healthy upstream", Origin::Wire),
    Producer::OutboundProxy
)]
#[case::forwarded(
    with_header(
        failed(0, 14, "delayed connect error", Origin::Wire),
        "x-envoy-upstream-service-time",
        "3"
    ),
    Producer::InboundProxy
)]
#[case::http_only(failed(0, 12, "", Origin::Http), Producer::OutboundProxy)]
#[case::no_connection(failed(0, 14, "refused", Origin::Transport), Producer::Client)]
#[case::own_deadline(failed(0, 4, "", Origin::ClientDeadline), Producer::Client)]
#[case::cut_stream(reset(answered(0, "a", "v1")), Producer::Proxy)]
fn producers(#[case] call: Observation, #[case] expected: Producer) {
    let seen = one(call);
    let others = [
        Producer::Application,
        Producer::InboundProxy,
        Producer::OutboundProxy,
        Producer::Client,
    ];
    assert_eq!(result(Matcher::from(ProducedBy(expected)), &seen).0, Holds);
    for other in others.into_iter().filter(|other| *other != expected) {
        assert_eq!(
            result(Matcher::from(ProducedBy(other)), &seen).0,
            Refuted,
            "{other:?}"
        );
    }
}

#[rstest]
#[case::by_the_server(&["reset"], Producer::Application)]
#[case::after_a_whole_answer(&["answered"], Producer::Proxy)]
#[case::in_its_middle(&["cancelled"], Producer::Proxy)]
#[case::the_last_attempt_counts(&["reset", "answered"], Producer::Proxy)]
#[case::also_so(&["cancelled", "reset"], Producer::Application)]
fn a_reset_is_the_applications_when_it_made_it(#[case] ends: &[&str], #[case] by: Producer) {
    let mut seen = one(reset(answered(0, "a", "v1")));
    for (at, end) in ends.iter().enumerate() {
        let mut attempt = attempt(0, &pod_name(at));
        (attempt.end, attempt.at_us) = ((*end).to_owned(), at as u64);
        seen.attempts.insert(0, attempt);
    }
    assert_eq!(result(Matcher::from(ProducedBy(by)), &seen).0, Holds);
}

/// A response without the application's headers, with or without Envoy's header.
fn unmarked(passed_on: bool) -> Observation {
    let call = failed(0, 7, "RBAC: access denied", Origin::Wire);
    match passed_on {
        true => with_header(call, "x-envoy-upstream-service-time", "3"),
        false => call,
    }
}

fn way(near: bool, far: bool, two: bool, hidden: bool, log: Option<bool>) -> Way {
    let passed_on = log.map(|passed_on| ("p-0".to_owned(), passed_on));
    Way {
        near,
        far,
        two,
        hidden,
        passed_on: passed_on.into_iter().collect(),
    }
}

#[rstest]
#[case::only_the_servers(way(false, true, false, false, None), false, Producer::InboundProxy)]
#[case::no_proxy_at_all(way(false, false, false, false, None), false, Producer::Application)]
#[case::only_the_callers(way(true, false, false, false, None), false, Producer::OutboundProxy)]
#[case::behind_the_callers(way(true, false, false, false, None), true, Producer::Application)]
#[case::both(way(true, true, false, false, None), true, Producer::InboundProxy)]
#[case::hidden_and_logged(
    way(true, true, false, true, Some(true)),
    false,
    Producer::InboundProxy
)]
#[case::hidden_and_made_up(
    way(true, true, false, true, Some(false)),
    false,
    Producer::OutboundProxy
)]
#[case::gateway_behind_a_sidecar(
    way(true, true, true, false, Some(false)),
    true,
    Producer::OutboundProxy
)]
#[case::behind_both(way(true, true, true, false, Some(true)), true, Producer::InboundProxy)]
#[case::the_sidecar_before_a_gateway(
    way(true, true, true, false, None),
    false,
    Producer::OutboundProxy
)]
fn the_world_says_which_proxy_can_have_answered(
    #[case] way: Way,
    #[case] header: bool,
    #[case] by: Producer,
) {
    let mut seen = one(unmarked(header));
    seen.way = way;
    for who in [
        Producer::OutboundProxy,
        Producer::InboundProxy,
        Producer::Application,
    ] {
        let expected = if who == by { Holds } else { Refuted };
        assert_eq!(
            result(Matcher::from(ProducedBy(who)), &seen).0,
            expected,
            "{who:?}"
        );
    }
}

#[rstest]
#[case::headers_are_hidden(way(true, true, false, true, None), false)]
#[case::they_mean_either(way(true, true, true, false, None), true)]
fn a_claim_of_one_proxy_is_open_where_nothing_tells(#[case] way: Way, #[case] header: bool) {
    let mut seen = one(unmarked(header));
    seen.way = way;
    let of = |who, seen: &Observations| result(Matcher::from(ProducedBy(who)), seen).0;
    assert_eq!(of(Producer::OutboundProxy, &seen), Undecided);
    assert_eq!(of(Producer::InboundProxy, &seen), Undecided);
    assert_eq!(of(Producer::Proxy, &seen), Holds);
    assert_eq!(of(Producer::Application, &seen), Refuted);
    seen.calls.push(answered(1, "a", "v1"));
    assert_eq!(of(Producer::InboundProxy, &seen), Refuted);
}

#[rstest]
#[case(0, 0, Refuted)]
#[case(1, 0, Refuted)]
#[case(2, 0, Holds)]
#[case(0, 14, Refuted)]
fn status_tolerates_the_permitted_losses(
    #[case] lost: u64,
    #[case] required: u32,
    #[case] expected: CheckResult,
) {
    let mut seen = order("abca", 3);
    for index in [4, 5] {
        let message = "upstream connect error";
        seen.calls.push(failed(index, 14, message, Origin::Wire));
    }
    let matchers = vec![
        Matcher::from(Status(required)),
        Matcher::from(MaxFailed(lost)),
    ];
    let checks = judged(matchers, &seen);
    assert_eq!(checks[0].result, expected);
    assert_eq!(checks[1].result, expected);
    assert!(checks[0].actual.contains("×OK"), "{}", checks[0].actual);
}

#[test]
fn a_refuted_status_says_what_came_from_whom() {
    let mut seen = order("ab", 3);
    seen.calls
        .push(failed(2, 14, "no healthy upstream", Origin::Wire));
    let (_, message) = result(Matcher::from(Status(0)), &seen);
    assert_eq!(
        message,
        "2×OK, 1×UNAVAILABLE (from outbound-proxy: \"no healthy upstream\")"
    );
}

#[rstest]
#[case(1, CountRange { from: 1, to: 1 }, Holds, "1×1 attempt")]
#[case(4, CountRange { from: 4, to: 4 }, Holds, "1×4 attempts")]
#[case(2, CountRange { from: 1, to: 1 }, Refuted, "1×2 attempts")]
#[case(0, CountRange { from: 1, to: 2 }, Refuted, "1×no attempt")]
fn attempts_are_counted_over_all_pods(
    #[case] count: usize,
    #[case] required: CountRange,
    #[case] expected: CheckResult,
    #[case] message: &str,
) {
    let mut seen = one(failed(0, 14, "", Origin::Wire));
    seen.attempts = (0..count).map(|at| attempt(0, &pod_name(at))).collect();
    let found = result(Matcher::from(Attempts(required)), &seen);
    assert_eq!(found, (expected, message.to_owned()));
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn fields(yaml: &str) -> Fields {
    serde_yaml::from_str(yaml).unwrap()
}

#[test]
fn a_deadline_that_came_twice_is_none() {
    let mut seen = order("a", 1);
    seen.attempts[0].timeout_ms = Some(1_500);
    let within = || ServerDeadline::Within(DurationRange::parse("1s..2s").unwrap());
    assert_eq!(result(Matcher::from(within()), &seen).0, Holds);
    let twice = [("grpc-timeout", "1500m"), ("grpc-timeout", "9S")];
    seen.attempts[0].metadata = twice.map(owned).into();
    for expected in [within(), ServerDeadline::Absent] {
        let (result, message) = result(Matcher::from(expected), &seen);
        assert_eq!(result, Refuted);
        assert!(
            message.contains("several values of grpc-timeout: 1500m, 9S"),
            "{message}"
        );
    }
}

#[rstest]
#[case::protocol(Matcher::from(UpstreamProtocol("HTTP/2.0".into())), Holds)]
#[case::other_protocol(Matcher::from(UpstreamProtocol("HTTP/1.1".into())), Refuted)]
#[case::deadline_inside(Matcher::from(ServerDeadline::Within(DurationRange::parse("1s..2s").unwrap())), Holds)]
#[case::deadline_outside(Matcher::from(ServerDeadline::Within(DurationRange::parse("..1s").unwrap())), Refuted)]
#[case::deadline_there(Matcher::from(ServerDeadline::Absent), Refuted)]
#[case::metadata(Matcher::from(ServerMetadata([("x-a".to_owned(), Some("1".into()))].into())), Holds)]
#[case::metadata_differs(Matcher::from(ServerMetadata([("x-a".to_owned(), Some("2".into()))].into())), Refuted)]
#[case::metadata_twice(Matcher::from(ServerMetadata(fields("{x-t: '1'}"))), Refuted)]
#[case::metadata_second(Matcher::from(ServerMetadata(fields("{x-t: '2'}"))), Refuted)]
#[case::metadata_both(Matcher::from(ServerMetadata(fields("{x-t: ['1', '2']}"))), Holds)]
#[case::metadata_bytes(Matcher::from(ServerMetadata(fields("{x-bin: AP8=}"))), Holds)]
#[case::metadata_unwanted(Matcher::from(ServerMetadata([("x-a".to_owned(), None)].into())), Refuted)]
#[case::metadata_absent(Matcher::from(ServerMetadata([("x-b".to_owned(), None)].into())), Holds)]
fn what_servers_saw(#[case] matcher: Matcher, #[case] expected: CheckResult) {
    let mut seen = order("a", 1);
    seen.attempts[0].timeout_ms = Some(1_500);
    let pairs = [("x-a", "1"), ("x-t", "1"), ("x-t", "2"), ("x-bin", "AP8")];
    seen.attempts[0].metadata = pairs.map(owned).into();
    assert_eq!(result(matcher.clone(), &seen).0, expected);
    seen.attempts.clear();
    assert_eq!(
        result(matcher, &seen).0,
        Undecided,
        "nothing reached a server"
    );
}

#[test]
fn an_answer_of_trailers_only_has_no_initial_metadata() {
    let mut call = answered(0, "a", "v1");
    call.trailers_only = true;
    call.headers.push(owned(("x-k", "a")));
    let seen = one(call);
    let expected = fields("{x-k: a}");
    let trailing = Matcher::from(TrailingMetadata(expected.clone()));
    assert_eq!(result(trailing, &seen).0, Holds);
    assert_eq!(
        result(Matcher::from(InitialMetadata(expected)), &seen).0,
        Refuted
    );
}

#[rstest]
#[case::message(Matcher::from(Message("boom".into())), Holds)]
#[case::other_message(Matcher::from(Message("bang".into())), Refuted)]
#[case::took(Matcher::from(Took(DurationRange::parse("1ms..3ms").unwrap())), Holds)]
#[case::took_long(Matcher::from(Took(DurationRange::parse("..1ms").unwrap())), Refuted)]
#[case::answered_by(Matcher::from(AnsweredBy("v1".into())), Holds)]
#[case::answered_by_other(Matcher::from(AnsweredBy("v2".into())), Refuted)]
#[case::http(Matcher::from(HttpStatus(200)), Holds)]
#[case::http_other(Matcher::from(HttpStatus(503)), Refuted)]
#[case::trailer(Matcher::from(Response([("grpc-status".to_owned(), Some("0".into()))].into())), Holds)]
#[case::absent(Matcher::from(Response([("x-no".to_owned(), None)].into())), Holds)]
#[case::missing(Matcher::from(Response([("x-no".to_owned(), Some("1".into()))].into())), Refuted)]
#[case::once_before_and_once_after(Matcher::from(Response(fields("{x-k: a}"))), Refuted)]
#[case::both(Matcher::from(Response(fields("{x-k: [a, b]}"))), Holds)]
#[case::before(
    Matcher::from(InitialMetadata(fields("{x-k: a, grpc-status: null}"))),
    Holds
)]
#[case::after(
    Matcher::from(TrailingMetadata(fields("{x-k: b, grpc-status: '0'}"))),
    Holds
)]
#[case::after_is_not_before(Matcher::from(InitialMetadata(fields("{x-k: b}"))), Refuted)]
#[case::before_is_not_after(Matcher::from(TrailingMetadata(fields("{x-k: a}"))), Refuted)]
fn what_the_client_saw(#[case] matcher: Matcher, #[case] expected: CheckResult) {
    let mut call = answered(0, "a", "v1");
    call.headers.push(owned(("x-k", "a")));
    call.trailers.push(owned(("x-k", "b")));
    call.status.message = "a boom b".to_owned();
    assert_eq!(result(matcher.clone(), &one(call)).0, expected);
    assert_eq!(result(matcher, &Observations::default()).0, Undecided);
}

#[rstest]
#[case(Some("UF,URX"), "URX", Holds)]
#[case(Some("UH"), "UF", Refuted)]
#[case(Some("-"), "-", Holds)]
#[case(None, "UF", Undecided)]
fn response_flags(#[case] logged: Option<&str>, #[case] flag: &str, #[case] expected: CheckResult) {
    let mut seen = one(failed(0, 14, "", Origin::Wire));
    if let Some(flags) = logged {
        seen.flags.insert("p-0".to_owned(), flags.to_owned());
    }
    let (at, flag) = ("gateway".to_owned(), flag.to_owned());
    assert_eq!(
        result(Matcher::from(ResponseFlag { at, flag }), &seen).0,
        expected
    );
}

fn ledger(seen: &Observations) -> CheckResult {
    let checks = judged(Vec::new(), seen);
    checks
        .iter()
        .find(|check| check.matcher == LEDGER)
        .unwrap()
        .result
}

#[test]
fn ledgers_must_agree_both_ways() {
    let mut seen = order("ab", 2);
    assert_eq!(ledger(&seen), Holds);
    let lost = seen.attempts.pop().unwrap();
    assert_eq!(ledger(&seen), Undecided, "an answer that no server gave");
    seen.attempts.push(lost);
    seen.attempts.push(attempt(9, "greeter-a"));
    assert_eq!(
        ledger(&seen),
        Undecided,
        "an attempt that belongs to no observed call"
    );
    seen.stopped_early = true;
    assert_eq!(ledger(&seen), Holds, "cut by ourselves");
    let checks = judged(vec![Matcher::from(Status(0))], &seen);
    let ledger = checks.iter().find(|check| check.matcher == LEDGER);
    let actual = ledger.map(|check| check.actual.as_str());
    assert_eq!(actual, Some("2 of 3 calls judged, 3 attempts"));
}

#[test]
fn the_callers_own_limit_makes_it_an_error_not_a_failure() {
    let mut seen = order("ab", 2);
    seen.calls.push(failed(2, 4, "", Origin::ClientPatience));
    let checks = judged(vec![Matcher::from(Status(0))], &seen);
    assert_eq!(checks[0].result, Holds, "the rest is judged without it");
    assert!(checks.iter().any(|check| check.matcher == CALL_TIMEOUT));
    assert_eq!(scenario_verdict(&checks, &[], None).verdict, Verdict::Error);
}

/// Two claims that are decided by five calls.
fn soon_decided() -> Vec<Matcher> {
    let reaches_all = Matcher::from(ReachesAll("greeter".to_owned()));
    vec![reaches_all, Matcher::from(Pinned(false))]
}

/// The number of calls, in the order in which they ended, after which the monitor stops the run.
fn stop(matchers: Vec<Matcher>, seen: &Observations) -> Option<usize> {
    let expect = ResolvedExpect { matchers };
    let mut monitor = Monitor::new(&expect, &seen.pods, None, MILLION);
    (1..=seen.calls.len()).find(|ended| monitor.feed(&seen.calls[..*ended]))
}

#[test]
fn the_monitor_stops_with_the_same_decision_as_the_judge() {
    let mut seen = order("aabbcabc", 3);
    assert_eq!(stop(soon_decided(), &seen), Some(5));
    seen.calls.truncate(5);
    seen.stopped_early = true;
    let expect = ResolvedExpect {
        matchers: soon_decided(),
    };
    let checks = judge("p", &expect, &seen, MILLION);
    assert!(
        checks.iter().all(|check| check.result == Holds),
        "{checks:?}"
    );
}

#[test]
fn beside_an_exact_claim_a_run_goes_on_until_a_fault_in_a_tenth_of_the_calls_would_show() {
    let mut matchers = soon_decided();
    matchers.push(Matcher::from(Status(0)));
    assert_eq!(stop(matchers, &order(&"abc".repeat(60), 3)), Some(132));
}

/// The slow version's answers arrive last and count all the same: a run that stopped before them
/// would have seen only the fast version.
#[test]
fn calls_are_read_by_their_numbers_not_as_they_end() {
    let mut seen = workloads(
        &["v1", "v1", "v1", "v1", "v1", "v1", "v1", "v1", "v1", "v2"],
        300,
    );
    seen.calls
        .sort_by_key(|call| (call.index % 10 == 9, call.index));
    let shares = [("v1".to_owned(), 0.9), ("v2".to_owned(), 0.1)].into();
    let (found, message) = result(Matcher::from(Share(shares)), &seen);
    assert_eq!(found, Holds, "{message}");
}

#[test]
fn nothing_behind_a_call_that_was_cut_is_a_sample() {
    let mut seen = workloads(&["v1", "v2"], 10);
    seen.calls.retain(|call| call.index != 4);
    let shares = [("v1".to_owned(), 0.5), ("v2".to_owned(), 0.5)].into();
    let expect = ResolvedExpect {
        matchers: vec![Matcher::from(Share(shares))],
    };
    assert_eq!(judge("p", &expect, &seen, MILLION)[0].samples, 4);
}

#[test]
fn an_exact_claim_says_what_it_could_not_see() {
    let checks = judged(vec![Matcher::from(Status(0))], &order(&"a".repeat(60), 1));
    let message = &checks[0].method;
    assert!(message.contains("20.6 %"), "{message}");
    assert_eq!(checks[0].alpha, None);
}

#[test]
fn an_exact_probe_is_never_stopped_early() {
    let matchers = vec![Matcher::from(Status(0))];
    let expect = ResolvedExpect { matchers };
    let seen = order("abc", 3);
    let mut monitor = Monitor::new(&expect, &seen.pods, None, MILLION);
    assert!(!(1..=3).any(|ended| monitor.feed(&seen.calls[..ended])));
}

/// After how many calls a contrast stops in which these must fail.
fn contrast_stops(matchers: Vec<Matcher>, names: &[&str], seen: &Observations) -> Option<usize> {
    let expect = ResolvedExpect { matchers };
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut monitor = Monitor::of_contrast(&expect, &names, &seen.pods, None, MILLION);
    (1..=seen.calls.len()).find(|ended| monitor.feed(&seen.calls[..*ended]))
}

#[test]
fn a_contrast_stops_when_all_that_must_fail_has_failed() {
    let (answered, status) = (
        Matcher::from(AnsweredBy("v2".to_owned())),
        Matcher::from(Status(0)),
    );
    let both = || vec![status.clone(), answered.clone()];
    let wrong = workloads(&["v1", "v2"], 400);
    assert_eq!(contrast_stops(both(), &["answered-by"], &wrong), Some(132));
    assert_eq!(
        contrast_stops(both(), &["status", "answered-by"], &wrong),
        None
    );
    let right = workloads(&["v2"], 400);
    assert_eq!(contrast_stops(both(), &["answered-by"], &right), None);
    let mut failed_once = right;
    failed_once.calls[200] = failed(200, 14, "", Origin::Wire);
    assert_eq!(contrast_stops(both(), &["status"], &failed_once), Some(201));
    let lenient = vec![status, Matcher::from(MaxFailed(1))];
    assert_eq!(contrast_stops(lenient, &["status"], &failed_once), None);
    let attempts = Attempts(CountRange { from: 1, to: 1 });
    let of_ledgers = vec![Matcher::from(Pinned(true)), Matcher::from(attempts)];
    let seen = order(&"ab".repeat(100), 2);
    let stops = |names: &[&str]| contrast_stops(of_ledgers.clone(), names, &seen);
    assert_eq!(stops(&["attempts"]), None, "the ledger is read afterwards");
    assert_eq!(
        stops(&["attempts", "pinned"]),
        Some(132),
        "as without a contrast"
    );
    assert_eq!(stops(&[]), None);
}

#[test]
fn a_contrast_keeps_only_what_it_names() {
    let seen = order("aab", 3);
    let matchers = vec![Matcher::from(Status(0)), Matcher::from(Pinned(true))];
    let checks = as_contrast(judged(matchers, &seen), &["pinned".to_owned()]);
    let names: Vec<(&str, bool)> = checks
        .iter()
        .map(|c| (c.matcher.as_str(), c.contrast))
        .collect();
    assert_eq!(names, [("pinned", true), (LEDGER, false)]);
    assert_eq!(scenario_verdict(&checks, &[], None).verdict, Verdict::Pass);
}
