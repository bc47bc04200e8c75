//! The order in which scenarios start.
//!
//! Scenarios that wait for timers of the mesh start first, because they would otherwise run alone
//! at the end. The others follow by their workloads, so that one finds the pods that another has
//! left. Among equals the seed decides.

use crate::scenario::{
    loaded::LoadedScenario,
    model::Workload,
    select::{is_slow, shuffle},
};

/// Puts scenarios in the order in which they start. `alike` says whether scenarios with the same
/// workloads follow one another.
pub fn sequence(scenarios: &mut [LoadedScenario], seed: u64, alike: bool) {
    scenarios.sort_by(|a, b| a.id.cmp(&b.id));
    shuffle(scenarios, seed);
    match alike {
        true => scenarios.sort_by_cached_key(|one| (!is_slow(one), workloads(one))),
        false => scenarios.sort_by_key(|one| !is_slow(one)),
    }
}

/// What has to be alike for pods to be used again, the most expensive first: pods with a proxy.
/// The number of pods comes last, because it can be changed.
fn workloads(loaded: &LoadedScenario) -> (Vec<String>, Vec<u32>) {
    let mut all: Vec<&Workload> = loaded.scenario.workloads.iter().collect();
    all.sort_by_key(|one| (!one.has_proxy(), one.name.clone()));
    let pods = all.iter().map(|one| {
        format!(
            "{} {} {:?} {:?} {:?} {:?} {:?}",
            one.name, one.template, one.sidecar, one.app, one.version, one.annotations, one.args
        )
    });
    let counts = all.iter().map(|one| one.replicas.unwrap_or(1));
    (pods.collect(), counts.collect())
}
