//! `compare`: the cost of one probe relative to another.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Around, Before, Limit, Mistake, Run, Verb};
use crate::{
    values::range,
    verdict::compare::{CPU, LATENCY, rounds_needed},
};

/// Runs two probes alternately and compares them round by round.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Compare {
    /// Probe that the claim is about.
    pub probe: String,
    /// Probe to compare it with.
    pub against: String,
    /// Number of pairs of runs; their order alternates from round to round.
    #[serde(default = "rounds")]
    pub rounds: u32,
    /// The median time of a call is at most this share of the other's, e.g. `80%`.
    #[serde(default)]
    pub latency: Option<String>,
    /// The CPU time used by the caller and the proxy of the calling pod is at most this share of
    /// the other's.
    #[serde(default)]
    pub cpu: Option<String>,
    /// Makes it a contrast: which of `latency` and `cpu` must be refuted.
    #[serde(default)]
    pub must_fail: Vec<String>,
}

impl Verb for Compare {
    const NAME: &'static str = "compare";
    const DOC: &'static str =
        "Run two probes alternately; the cost of one is at most a share of the other's.";
    const FORM: &'static str = "`compare: {probe, against, rounds, latency, cpu}`";
    const DOES: &'static str = "runs two probes alternately, 24 rounds by default; the median time of a call, or the CPU time of the calling pod (its program, and proxy or agent), is at most this share of the other's. With `must-fail:` it is a contrast";

    fn describe(&self) -> String {
        let claim = |what: &str, bound: &Option<String>| {
            let bound = bound.as_ref()?;
            let refuted = self.must_fail.iter().any(|name| name == what);
            let not = if refuted { " (must be refuted)" } else { "" };
            Some(format!("{what} at most {bound}{not}"))
        };
        let claims = [claim("latency", &self.latency), claim("cpu", &self.cpu)];
        let claims: Vec<String> = claims.into_iter().flatten().collect();
        format!(
            "probe {} against {}, alternating, {} rounds: {}",
            self.probe,
            self.against,
            self.rounds,
            claims.join(", ")
        )
    }

    fn probes(&self) -> Vec<(&'static str, &str)> {
        vec![("probe", &self.probe), ("against", &self.against)]
    }

    fn runs(&self) -> Vec<Run<'_>> {
        vec![Run::of(&self.probe), Run::of(&self.against)]
    }

    fn is_contrast(&self) -> bool {
        !self.must_fail.is_empty()
    }

    /// Checks that it claims something and that its rounds can decide the claim.
    fn mistakes(&self, _: &Before, around: &Around<'_>) -> Vec<Mistake> {
        let mut found = Vec::new();
        let claims = [(LATENCY, &self.latency), (CPU, &self.cpu)];
        if claims.iter().all(|(_, bound)| bound.is_none()) {
            found.push(Mistake::key(
                "",
                "this comparison claims nothing",
                "set `latency:` or `cpu:` to a share of the other's, e.g. 80%",
            ));
        }
        for (name, bound) in claims {
            let wrong = bound.as_deref().and_then(|text| range::share(text).err());
            let reported = wrong
                .map(|error| Mistake::value(name, error.to_string(), "write a share, e.g. 80%"));
            found.extend(reported);
        }
        let (needed, rates) = (rounds_needed(around.rates), around.rates);
        if self.rounds < needed {
            found.push(Mistake::value(
                "rounds",
                format!("{} rounds are too few to decide", self.rounds),
                format!("at least {needed} are needed ({rates}); a few more tolerate noise"),
            ));
        }
        for (index, name) in self.must_fail.iter().enumerate() {
            let claimed = |(what, bound): &(&str, &Option<String>)| what == name && bound.is_some();
            if !claims.iter().any(claimed) {
                found.push(Mistake::key(
                    &format!("must-fail[{index}]"),
                    format!("this comparison claims no '{name}'"),
                    "a contrast refutes a claim of this step: `latency` or `cpu`",
                ));
            }
        }
        for (field, name) in self.probes() {
            let probe = around.probes.get(name);
            if probe.is_some_and(|probe| !probe.cases.is_empty()) {
                found.push(Mistake::value(
                    field,
                    format!("probe '{name}' has cases"),
                    "compare probes without `cases`, with one step per pair",
                ));
            }
        }
        found
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![
            Limit::Turns("rounds", "rounds", self.rounds),
            Limit::List("must-fail", "entries", self.must_fail.len()),
        ]
    }
}

fn rounds() -> u32 {
    24
}
