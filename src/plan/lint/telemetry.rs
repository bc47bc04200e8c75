//! Expectations about telemetry that nothing can meet or break.

use crate::scenario::{finding::Finding, loaded::Loaded, model::Expect};

/// Looks at every expectation of every probe.
pub fn lint(loaded: &Loaded, findings: &mut Vec<Finding>) {
    for (name, probe) in &loaded.scenario.probes {
        let own = (format!("probes.{name}.expect"), Some(&probe.expect));
        let rows = probe.vary.iter().enumerate();
        let rows = rows.map(|(at, row)| {
            let path = format!("probes.{name}.vary[{at}].expect");
            (path, row.expect.as_ref())
        });
        for (path, expect) in [own].into_iter().chain(rows) {
            for (field, message, help) in expect.map(conflicts).unwrap_or_default() {
                findings.push(loaded.at(&format!("{path}.{field}"), message, help));
            }
        }
    }
}

type Conflict = (&'static str, &'static str, &'static str);

fn conflicts(expect: &Expect) -> Vec<Conflict> {
    let mut found = Vec::new();
    if let Some(log) = &expect.access_log
        && log.absent
        && !log.fields.is_empty()
    {
        found.push((
            "access-log",
            "fields of a line that must be absent",
            "drop `fields` or `absent`",
        ));
    }
    if expect
        .counted
        .as_ref()
        .is_some_and(|counted| counted.counters.is_empty())
    {
        found.push((
            "counted",
            "no counter is named",
            "name at least one of Envoy's counters in full",
        ));
    }
    if expect
        .spans
        .as_ref()
        .is_some_and(|spans| spans.from.is_empty())
    {
        found.push((
            "spans",
            "nobody is named whose spans are wanted",
            "name workloads with a sidecar in `from`",
        ));
    }
    if expect
        .diagnosis
        .as_ref()
        .is_some_and(|diagnosis| diagnosis.lines.is_empty())
    {
        found.push((
            "diagnosis",
            "no line is named",
            "say what must be there, and how often: `lines: {text: 1}`",
        ));
    }
    if let Some(config) = &expect.config {
        let parts = config.parts().into_iter();
        let named: Vec<&String> = parts.flat_map(|(_, fields)| fields.keys()).collect();
        if named.is_empty() {
            found.push((
                "config",
                "no field is named",
                "name a part and a field: `route: {/route/timeout: 0s}`",
            ));
        } else if named.iter().any(|pointer| !pointer.starts_with('/')) {
            found.push((
                "config",
                "a field is named by a JSON pointer, which begins with '/'",
                "write `/route/timeout`, with the names of Envoy's configuration dump",
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("access-log: {at: caller, fields: {a: b}, absent: true}", &["access-log"])]
    #[case("access-log: {at: caller, absent: true}", &[])]
    #[case("counted: {at: caller, counters: {}}", &["counted"])]
    #[case("spans: {at: c, header: w3c, from: []}", &["spans"])]
    #[case("config: {at: c}", &["config"])]
    #[case("config: {at: c, route: {route/timeout: 0s}}", &["config"])]
    #[case("config: {at: c, route: {/route/timeout: 0s}, cluster: {/lb_policy: null}}", &[])]
    #[case("diagnosis: {run: describe, of: c, lines: {}}", &["diagnosis"])]
    fn what_nothing_can_break_is_found(#[case] text: &str, #[case] fields: &[&str]) {
        let expect: Expect = serde_yaml::from_str(text).expect("it parses");
        let found = conflicts(&expect);
        let found: Vec<&str> = found.iter().map(|(field, ..)| *field).collect();
        assert_eq!(found, fields);
    }
}
