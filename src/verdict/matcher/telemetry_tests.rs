//! The matchers on telemetry, with hand-written observations.

use rstest::rstest;
use testbed::control::SpanProtocol;

use super::*;
use crate::verdict::{
    ResolvedExpect, judge,
    matcher::{
        Matcher,
        access_log::AccessLog,
        counters::{Counters, Quantity},
        istioctl::{IstioctlSays, Tool},
        trace::Trace,
    },
    observations::Observations,
    testing::{answered, attempt},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn seen(calls: u64) -> Observations {
    let traced = |index| {
        let mut attempt = attempt(index, "greeter-a");
        let value = format!("00-{TRACE}-00000000000000{index:02}-01");
        attempt.metadata.push(("traceparent".into(), value));
        attempt
    };
    Observations {
        calls: (0..calls)
            .map(|index| answered(index, "greeter-a", "greeter"))
            .collect(),
        attempts: (0..calls).map(traced).collect(),
        ..Observations::default()
    }
}

fn result(matcher: &Matcher, seen: &Observations) -> CheckResult {
    let matchers = vec![matcher.clone()];
    judge("p", &ResolvedExpect { matchers }, seen, Rates::default())[0].result
}

fn log(fields: &[(&str, Option<&str>)], absent: bool) -> Matcher {
    let fields = fields.iter();
    let fields = fields.map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)));
    Matcher::from(AccessLog {
        at: "caller".into(),
        fields: fields.collect(),
        absent,
    })
}

#[rstest]
#[case::as_logged(&[("grpc_status", Some("Unavailable"))], false, CheckResult::Holds)]
#[case::otherwise(&[("grpc_status", Some("OK"))], false, CheckResult::Refuted)]
#[case::a_missing_field_is_absent(&[("other", None)], false, CheckResult::Holds)]
#[case::a_line_that_should_not_be(&[], true, CheckResult::Refuted)]
fn a_line_of_the_log(
    #[case] fields: &[(&str, Option<&str>)],
    #[case] absent: bool,
    #[case] expected: CheckResult,
) {
    let mut seen = seen(1);
    let line = BTreeMap::from([("grpc_status".to_owned(), "Unavailable".to_owned())]);
    seen.telemetry.log.insert("p-0".into(), line);
    assert_eq!(result(&log(fields, absent), &seen), expected);
}

#[test]
fn no_line_is_what_absent_wants_and_nothing_else() {
    let seen = seen(2);
    assert_eq!(result(&log(&[], true), &seen), CheckResult::Holds);
    assert_eq!(result(&log(&[], false), &seen), CheckResult::Refuted);
}

#[rstest]
#[case(Quantity::Calls, 2, CheckResult::Holds)]
#[case(Quantity::Attempts, 2, CheckResult::Refuted)]
#[case(Quantity::Attempts, 3, CheckResult::Holds)]
#[case(Quantity::Retries, 1, CheckResult::Holds)]
#[case(Quantity::Failed, 0, CheckResult::Holds)]
fn a_counter_equals_what_the_ledgers_say(
    #[case] quantity: Quantity,
    #[case] grown: u64,
    #[case] expected: CheckResult,
) {
    let mut seen = seen(2);
    seen.attempts.push(attempt(1, "greeter-a"));
    seen.telemetry.counters.insert("x;.rq".into(), grown);
    let matcher = Matcher::from(Counters {
        at: "caller".into(),
        stats: BTreeMap::from([("x;.rq".to_owned(), quantity)]),
    });
    assert_eq!(result(&matcher, &seen), expected);
    seen.telemetry.counters.clear();
    assert_eq!(result(&matcher, &seen), CheckResult::Undecided);
}

#[rstest]
#[case::the_clients_trace(Some(TRACE), Some("b7ad6b7169203331"), CheckResult::Holds)]
#[case::untouched(Some(TRACE), Some("0000000000000000"), CheckResult::Refuted)]
#[case::another_trace(Some("ff"), None, CheckResult::Refuted)]
#[case::any(None, None, CheckResult::Holds)]
fn trace_context_at_the_server(
    #[case] id: Option<&str>,
    #[case] client_span: Option<&str>,
    #[case] expected: CheckResult,
) {
    let matcher = Matcher::from(Trace {
        header: TraceHeader::W3c,
        id: id.map(str::to_owned),
        client_span: client_span.map(str::to_owned),
    });
    assert_eq!(result(&matcher, &seen(1)), expected);
}

fn span(index: u64, service: &str) -> Span {
    Span {
        protocol: SpanProtocol::Otlp,
        trace: TRACE.into(),
        id: index.to_string(),
        parent: None,
        service: service.into(),
        name: String::new(),
        kind: "SERVER".into(),
        tags: vec![("k".into(), "v".into())],
    }
}

#[rstest]
#[case::both(&["caller", "greeter"], Some("v"), None, CheckResult::Holds)]
#[case::one_is_missing(&["caller", "other"], Some("v"), None, CheckResult::Refuted)]
#[case::another_tag(&["caller"], Some("w"), None, CheckResult::Refuted)]
#[case::none_wanted(&["caller"], Some("v"), Some("0%"), CheckResult::Refuted)]
fn spans_at_the_collector(
    #[case] from: &[&str],
    #[case] tag: Option<&str>,
    #[case] sampled: Option<&str>,
    #[case] expected: CheckResult,
) {
    let mut seen = seen(1);
    seen.telemetry.spans = vec![span(1, "caller.ns"), span(2, "greeter.ns")];
    let matcher = Matcher::from(Spans {
        at: "collector".into(),
        header: TraceHeader::W3c,
        from: from.iter().map(|&name| name.to_owned()).collect(),
        tags: BTreeMap::from([("k".to_owned(), tag.map(str::to_owned))]),
        sampled: sampled.map(str::to_owned),
    });
    assert_eq!(result(&matcher, &seen), expected);
}

#[rstest]
#[case::half(&[150, 150], CheckResult::Holds)]
#[case::all(&[300, 0], CheckResult::Refuted)]
#[case::few(&[30, 270], CheckResult::Refuted)]
#[case::too_few_calls(&[3, 3], CheckResult::Undecided)]
fn a_share_of_sampled_calls(#[case] counts: &[usize; 2], #[case] expected: CheckResult) {
    let mut hits = vec![true; counts[0]];
    // Hits and misses alternate as long as there are both: sequential tests depend on the order.
    for at in 0..counts[1] {
        hits.insert((2 * at).min(hits.len()), false);
    }
    assert_eq!(sampled(0.5, &hits, Rates::default()).result, expected);
}

#[test]
fn a_diagnosis_counts_lines() {
    let expected = IstioctlSays {
        run: Tool::Endpoints,
        of: "caller".into(),
        lines: BTreeMap::from([("HEALTHY".to_owned(), 2), ("UNHEALTHY".to_owned(), 0)]),
    };
    let answer = |lines: &[&str]| {
        let mut seen = seen(1);
        seen.telemetry.istioctl = lines.iter().map(|&line| line.to_owned()).collect();
        result(&expected.clone().into(), &seen)
    };
    assert_eq!(answer(&["a HEALTHY", "b HEALTHY"]), CheckResult::Holds);
    assert_eq!(answer(&["a HEALTHY"]), CheckResult::Refuted);
    assert_eq!(answer(&[]), CheckResult::Undecided);
}

#[test]
fn a_trace_context_that_came_twice_is_none() {
    let mut seen = seen(1);
    let expected = Matcher::from(Trace {
        header: TraceHeader::W3c,
        id: Some(TRACE.to_owned()),
        client_span: None,
    });
    assert_eq!(result(&expected, &seen), CheckResult::Holds);
    let first = seen.attempts[0].metadata[0].clone();
    seen.attempts[0].metadata.push(first);
    assert_eq!(result(&expected, &seen), CheckResult::Refuted);
}
