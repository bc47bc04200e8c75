//! `config`: fields of the effective configuration of the hop that took each call.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    observe::hop::{Hop, at},
    scenario::model::config::EffectiveConfig,
    verdict::{
        calls::Calls,
        judgement::{Judgement, exact},
        outcome::CheckResult,
        tally::Tally,
    },
};

/// Judges `config`.
pub fn judge(wanted: &EffectiveConfig, calls: &Calls<'_>) -> Judgement {
    let hops = &calls.seen.telemetry.hops;
    let kept = calls.kept();
    let (mut tally, mut worst) = (Tally::default(), CheckResult::Holds);
    for call in &kept {
        let hop = hops
            .taken
            .get(&call.call)
            .and_then(|taken| hops.parts.get(taken));
        let (result, words) = hop.map_or_else(
            || {
                (
                    CheckResult::Undecided,
                    "no hop that took the call".to_owned(),
                )
            },
            |hop| compare(wanted, hop),
        );
        tally.add(words);
        worst = match (worst, result) {
            (CheckResult::Refuted, _) | (_, CheckResult::Refuted) => CheckResult::Refuted,
            (CheckResult::Undecided, _) | (_, CheckResult::Undecided) => CheckResult::Undecided,
            _ => CheckResult::Holds,
        };
    }
    if kept.is_empty() {
        worst = CheckResult::Undecided;
    }
    exact(worst, tally)
}

/// The fields that differ, or that all are as wanted.
fn compare(wanted: &EffectiveConfig, hop: &Hop) -> (CheckResult, String) {
    let (mut differ, mut open) = (Vec::new(), Vec::new());
    for (part, fields) in wanted.parts() {
        let found = hop.get(&part).map_or(&[][..], Vec::as_slice);
        for (pointer, value) in fields {
            let name = format!("{}{pointer}", part.word());
            let seen: BTreeSet<String> = found
                .iter()
                .map(|part| at(part, pointer).map_or_else(|| text(&Value::Null), text))
                .collect();
            let seen: Vec<String> = seen.into_iter().collect();
            match seen.as_slice() {
                [] => open.push(format!("no {} found", part.word())),
                [one] if *one == text(value) => {}
                [one] => differ.push(format!("{name} {one}")),
                several => open.push(format!(
                    "{name} is {} in the parts that the log leaves open",
                    several.join(" and ")
                )),
            }
        }
    }
    if !differ.is_empty() {
        return (CheckResult::Refuted, differ.join(", "));
    }
    match open.first() {
        Some(words) => (CheckResult::Undecided, words.clone()),
        None => (CheckResult::Holds, "as wanted".to_owned()),
    }
}

/// JSON, whole numbers without a fraction, since a dump writes `100` and `100.0` for the same.
fn text(value: &Value) -> String {
    match (value, value.as_f64()) {
        (Value::Null, _) => "absent".to_owned(),
        (Value::Number(_), Some(number)) if number.fract() == 0.0 => format!("{number:.0}"),
        (Value::String(text), _) => text.clone(),
        (other, _) => other.to_string(),
    }
}

/// The expectation in words.
pub fn words(wanted: &EffectiveConfig) -> String {
    let parts = wanted.parts().into_iter();
    let fields = parts.flat_map(|(part, fields)| {
        let each = fields.iter();
        each.map(move |(pointer, value)| format!("{}{pointer} {}", part.word(), text(value)))
    });
    let fields: Vec<String> = fields.collect();
    format!("configuration at {}: {}", wanted.at, fields.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::model::config::Part;
    use serde_json::json;

    fn wanted(text: &str) -> EffectiveConfig {
        serde_yaml::from_str(text).expect("it parses")
    }

    #[rstest::rstest]
    #[case::equal(
        "{at: c, route: {/timeout: 0s, /weight: 100, /x: null}}",
        CheckResult::Holds
    )]
    #[case::other("{at: c, route: {/timeout: 15s}}", CheckResult::Refuted)]
    #[case::there("{at: c, route: {/timeout: null}}", CheckResult::Refuted)]
    #[case::absent("{at: c, route: {/retries: 2}}", CheckResult::Refuted)]
    #[case::ambiguous("{at: c, cluster: {/name: a}}", CheckResult::Undecided)]
    #[case::same_in_both("{at: c, cluster: {/type: EDS}}", CheckResult::Holds)]
    #[case::no_such_part("{at: c, listener: {/name: a}}", CheckResult::Undecided)]
    fn fields_are_compared(#[case] text: &str, #[case] result: CheckResult) {
        let hop = Hop::from([
            (Part::Route, vec![json!({"timeout": "0s", "weight": 100.0})]),
            (
                Part::Cluster,
                vec![
                    json!({"name": "a", "type": "EDS"}),
                    json!({"name": "b", "type": "EDS"}),
                ],
            ),
        ]);
        assert_eq!(compare(&wanted(text), &hop).0, result);
    }
}
