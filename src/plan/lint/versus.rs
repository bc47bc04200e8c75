//! Rules of the step `versus`: it claims something, and its rounds can decide.

use crate::{
    scenario::{finding::Finding, loaded::Loaded, model::Step, range},
    verdict::{
        Rates,
        versus::{CPU, LATENCY, rounds_needed},
    },
};

pub fn lint(loaded: &Loaded, rates: Rates, findings: &mut Vec<Finding>) {
    for (at, step) in loaded.scenario.steps.iter().enumerate() {
        let Step::Versus(versus) = step else { continue };
        let path = format!("steps[{at}].versus");
        let claims = [(LATENCY, &versus.latency), (CPU, &versus.cpu)];
        if claims.iter().all(|(_, bound)| bound.is_none()) {
            let help = "set `latency:` or `cpu:` to a share of the other's, e.g. 80%";
            findings.push(loaded.at(&path, "this comparison claims nothing", help));
        }
        for (name, bound) in claims {
            let wrong = bound.as_deref().and_then(|text| range::share(text).err());
            if let Some(error) = wrong {
                let help = "write a share, e.g. 80%";
                findings.push(loaded.at_value(&format!("{path}.{name}"), error.to_string(), help));
            }
        }
        let needed = rounds_needed(rates);
        if versus.rounds < needed {
            let message = format!("{} rounds can't decide", versus.rounds);
            let help = format!("{needed} that all agree do ({rates}); a few more forgive noise");
            findings.push(loaded.at_value(&format!("{path}.rounds"), message, help));
        }
        for (index, name) in versus.refutes.iter().enumerate() {
            let claimed = claims
                .iter()
                .any(|(what, bound)| what == name && bound.is_some());
            if !claimed {
                let message = format!("this comparison claims no '{name}'");
                let help = "a contrast refutes what is claimed: `latency` or `cpu`";
                findings.push(loaded.at(&format!("{path}.refutes[{index}]"), message, help));
            }
        }
        for (field, name) in [("probe", &versus.probe), ("against", &versus.against)] {
            let rows = loaded
                .scenario
                .probes
                .get(name)
                .map(|probe| probe.vary.len());
            if rows.is_some_and(|rows| rows > 0) {
                let message = format!("probe '{name}' has rows");
                let help = "compare probes without `vary`, one step for each pair";
                findings.push(loaded.at_value(&format!("{path}.{field}"), message, help));
            }
        }
    }
}
