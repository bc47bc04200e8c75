//! Explains unexpected checks by what the proxies logged about the calls.

use super::{
    calls::Calls,
    guard::is_wanted,
    logged::reason,
    observations::Observations,
    outcome::{Check, CheckResult},
    tally::Tally,
};
use crate::values::status;

/// Matchers whose `actual` text gives the reason next to each status.
const BY_STATUS: [&str; 2] = ["status", "max-failed"];

/// Whether any check needs an explanation: a claim was refuted, or a contrast was not.
pub fn is_asked(checks: &[Check]) -> bool {
    checks.iter().any(is_unexpected)
}

fn is_unexpected(check: &Check) -> bool {
    let ours = check.is_ours();
    !ours && check.result != CheckResult::Undecided && !is_wanted(check)
}

/// Adds to checks with an unexpected result what proxies logged about the calls. `status` and
/// `max-failed` already have it next to each unexpected status.
#[must_use]
pub fn explain(mut checks: Vec<Check>, seen: &Observations) -> Vec<Check> {
    let calls = Calls::new(seen, 0, 0);
    let reported = calls.judged.iter().filter_map(|call| {
        let reason = reason(&seen.logged, call)?;
        Some(format!("{} ({reason})", status::name(call.status.code)))
    });
    let reported: Tally = reported.collect();
    if reported.total() == 0 {
        return checks;
    }
    for check in checks.iter_mut().filter(|check| is_unexpected(check)) {
        let by_status = BY_STATUS.contains(&check.matcher.as_str());
        if !by_status || check.contrast {
            check.actual += &format!("; proxies logged: {reported}");
        }
    }
    checks
}

#[cfg(test)]
mod tests {
    use testbed::control::{Observation, Origin};

    use super::*;
    use crate::verdict::{
        Rates,
        expect::ResolvedExpect,
        judge,
        logged::{Hop, Line, PASSED_ON},
        matcher::{Matcher, message::Message, produced_by::ProducedBy, status::Status},
        pods::Pods,
        producer::{self, Producer},
        testing,
    };

    fn line(hop: Hop, flags: &str, details: &str, cluster: &str) -> Line {
        Line {
            hop,
            flags: flags.to_owned(),
            details: details.to_owned(),
            cluster: cluster.to_owned(),
        }
    }

    fn failed(count: u64, message: &str, lines: &[Line]) -> Observations {
        let calls = (0..count).map(|at| testing::failed(at, 14, message, Origin::Http));
        let calls: Vec<Observation> = calls.collect();
        let logged = calls.iter().map(|call| (call.call.clone(), lines.to_vec()));
        Observations {
            logged: logged.collect(),
            calls,
            pods: Pods::new(),
            ..Observations::default()
        }
    }

    fn expect(matchers: Vec<Matcher>) -> ResolvedExpect {
        ResolvedExpect { matchers }
    }

    fn actual(seen: &Observations, matchers: Vec<Matcher>) -> Vec<String> {
        let checks = judge::judge("p", &expect(matchers), seen, Rates::default());
        let reported = explain(checks, seen);
        reported.into_iter().map(|check| check.actual).collect()
    }

    const CLUSTER: &str = "outbound|50051|v9|greeter.ns.svc.cluster.local";

    #[test]
    fn a_status_says_why_beside_who() {
        let nowhere = [line(Hop::OutboundProxy, "NC", "cluster_not_found", "")];
        let seen = failed(5, "", &nowhere);
        assert_eq!(
            actual(&seen, vec![Matcher::from(Status(0))])[0],
            "5×UNAVAILABLE (outbound-proxy: NC cluster_not_found)"
        );
        let empty = [line(
            Hop::OutboundProxy,
            "UH",
            "no_healthy_upstream",
            CLUSTER,
        )];
        let seen = failed(2, "no healthy upstream", &empty);
        assert_eq!(
            actual(&seen, vec![Matcher::from(Status(0))])[0],
            format!(
                "2×UNAVAILABLE (from outbound-proxy: \"no healthy upstream\"; outbound-proxy: UH no_healthy_upstream to {CLUSTER})"
            )
        );
    }

    #[test]
    fn the_way_is_told_from_the_caller_on_and_attempts_that_ended_alike_once() {
        let refused = line(
            Hop::InboundProxy,
            "-",
            "rbac_access_denied_matched_policy[none]",
            "inbound|50051||",
        );
        let lines = [
            refused.clone(),
            refused,
            line(Hop::OutboundProxy, "-", PASSED_ON, CLUSTER),
        ];
        let seen = failed(1, "", &lines);
        let reason = reason(&seen.logged, &seen.calls[0]).expect("a reason");
        assert_eq!(
            reason,
            format!(
                "outbound-proxy: to {CLUSTER}, inbound-proxy: rbac_access_denied_matched_policy[none]"
            )
        );
    }

    #[test]
    fn other_matchers_and_contrasts_that_were_not_refuted_say_it_after_what_was_seen() {
        let nowhere = [line(Hop::OutboundProxy, "NC", "cluster_not_found", "")];
        let seen = failed(3, "", &nowhere);
        let reported = actual(&seen, vec![Matcher::from(Message("x".to_owned()))]);
        let message = "proxies logged: 3×UNAVAILABLE (outbound-proxy: NC cluster_not_found)";
        assert_eq!(reported[0], format!("3×no message; {message}"));
        let all = expect(vec![Matcher::from(Status(14))]);
        let checks = judge::judge("p", &all, &seen, Rates::default());
        let contrast = judge::as_contrast(checks, &["status".to_owned()]);
        assert!(is_asked(&contrast));
        assert_eq!(
            explain(contrast, &seen)[0].actual,
            format!("3×UNAVAILABLE; {message}")
        );
    }

    #[test]
    fn nothing_is_asked_of_checks_that_are_as_wanted_or_undecided() {
        let seen = testing::order("aa", 1);
        let all = expect(vec![Matcher::from(Status(0))]);
        let checks = judge::judge("p", &all, &seen, Rates::default());
        assert!(!is_asked(&checks));
        let none = judge::judge("p", &all, &Observations::default(), Rates::default());
        assert!(!is_asked(&none));
    }

    #[test]
    fn lines_that_only_passed_it_on_say_nothing() {
        let lines = [line(Hop::InboundProxy, "-", PASSED_ON, "inbound|50051||")];
        let seen = failed(1, "", &lines);
        assert_eq!(reason(&seen.logged, &seen.calls[0]), None);
    }

    /// If the caller has no proxy, the only one is the server's.
    #[test]
    fn a_plain_caller_has_no_near_proxy() {
        let mut seen = failed(1, "RBAC: access denied", &[]);
        let message = |seen: &Observations| actual(seen, vec![Matcher::from(Status(0))])[0].clone();
        assert!(
            message(&seen).contains("from outbound-proxy"),
            "{}",
            message(&seen)
        );
        seen.way.near = false;
        assert!(
            message(&seen).contains("from inbound-proxy"),
            "{}",
            message(&seen)
        );
        let claim = Matcher::from(ProducedBy(Producer::InboundProxy));
        let checks = judge::judge("p", &expect(vec![claim]), &seen, Rates::default());
        assert_eq!(checks[0].result, CheckResult::Holds);
        let calls = Calls::new(&seen, 0, 0);
        assert_eq!(
            producer::name(calls.producer(&seen.calls[0])),
            "inbound-proxy"
        );
    }
}
